"""The error and the warning of everything that reads or writes images and videos."""

from zoo.core.errors import ZooError


class MediaError(ZooError):
    """Images or videos that cannot be used: a bad or missing file or folder, or a missing decoder."""


class MediaWarning(UserWarning):
    """A file or folder of which not everything is used; the message says what was left out."""
