"""Cache on disk for arrays that take long to render or decode.

Each item is one file in a folder named after all settings that the items depend on, so no item goes out of date.
Several processes may fill one cache, since files are written atomically. A file that cannot be read, has a wrong
checksum or holds other arrays is recomputed. A cache that cannot be written causes one warning and no error.
"""

import hashlib
import json
import warnings
import zipfile
import zlib
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np

from zoo.core.files import cache_directory, replacing
from zoo.media.progress import count_rendered

Arrays = dict[str, np.ndarray]


class ArrayCache:
    """Items on disk, each a few named arrays.

    Args:
        directory: folder of all caches; None means `synthetic` in `cache_directory()`.
        name: kind of the items, with which the name of their folder begins.
        settings: plain data that the items depend on; each combination has its own folder.
        compressed: whether to compress the files, which then take longer to read.

    Example:
        >>> cache = ArrayCache("caches", "noise", {"seed": 1})
        >>> first = cache.get_arrays("a", lambda arrays: True, lambda: {"values": np.arange(3)})
        >>> cache.get_arrays("a", lambda arrays: True, lambda: {})["values"].tolist()
        [0, 1, 2]
    """

    def __init__(
        self, directory: str | None, name: str, settings: Mapping[str, object], compressed: bool = True
    ) -> None:
        root = Path(directory).expanduser() if directory is not None else cache_directory() / "synthetic"
        text = json.dumps(dict(settings), sort_keys=True)
        self.folder = root / f"{name}-{hashlib.sha256(text.encode()).hexdigest()[:16]}"
        self.compressed = compressed
        self._warned = False

    def get_arrays(self, name: str, is_usable: Callable[[Arrays], bool], compute: Callable[[], Arrays]) -> Arrays:
        """Return the item of this name; compute and store it where none is stored, or none that is usable."""
        path = self.folder / f"{name}.npz"
        arrays = _read(path)
        if arrays is None or not is_usable(arrays):
            arrays = compute()
            count_rendered()
            self._store(path, arrays)
        return arrays

    def _store(self, path: Path, arrays: Arrays) -> None:
        try:
            _write(path, arrays, zipfile.ZIP_DEFLATED if self.compressed else zipfile.ZIP_STORED)
        except OSError as error:
            if not self._warned:
                warnings.warn(f"{self.folder} cannot cache ({error}); items are recomputed each time.", stacklevel=5)
            self._warned = True


def _read(path: Path) -> Arrays | None:
    """Return the arrays of a file, or None for an unusable file. Reading a zip member verifies its checksum."""
    try:
        with np.load(path, allow_pickle=False) as archive:
            return {name: archive[name] for name in archive.files}
    except (OSError, ValueError, KeyError, EOFError, NotImplementedError, RuntimeError, zipfile.BadZipFile, zlib.error):
        return None


def _write(path: Path, arrays: Arrays, compression: int) -> None:
    with replacing(path) as temporary, zipfile.ZipFile(temporary, "w", compression, compresslevel=1) as archive:
        for name, array in arrays.items():
            with archive.open(f"{name}.npy", "w") as member:
                np.lib.format.write_array(member, array, allow_pickle=False)
