"""Entry points of installed distributions in the groups `zoo.*`, read from metadata alone.

A distribution whose list of entry points cannot be read is reported and does not affect the others.
"""

import re
import shlex
from functools import cache
from importlib.metadata import Distribution, distributions, requires
from typing import NamedTuple


class Announcement(NamedTuple):
    """One entry point, `name = target` in a `group`, and the distribution that provides it."""

    group: str
    name: str
    target: str
    distribution: str
    version: str


class Announcements(NamedTuple):
    """Entry points of all distributions."""

    entries: tuple[Announcement, ...]
    unreadable: tuple[str, ...]
    """One sentence for each distribution whose entry points cannot be read."""


@cache
def announced() -> Announcements:
    """Return the entry points of all distributions, cached after the first call.

    Of two copies of one distribution, the first on the path counts.
    """
    entries: list[Announcement] = []
    unreadable: list[str] = []
    seen: set[str] = set()
    for distribution in distributions():
        try:
            if "[zoo." not in (distribution.read_text("entry_points.txt") or ""):
                _ = distribution.entry_points  # importing torch reads all entry points and fails on bad ones
                continue
            name, version = identity(distribution)
            own = [
                Announcement(entry.group, entry.name, entry.value, name, version)
                for entry in distribution.entry_points
                if entry.group.startswith("zoo.")
            ]
        except Exception:  # an unreadable file of any kind must not affect other distributions
            unreadable.append(
                f"the entry points of {' '.join(identity(distribution))} cannot be read: expected UTF-8 lines "
                "`Name = module:Class` below a line `[group]`; reinstall or uninstall it."
            )
            continue
        canonical = re.sub(r"[-_.]+", "-", name).lower()
        if canonical not in seen:
            entries += own
        seen.add(canonical)
    return Announcements(tuple(entries), tuple(unreadable))


def identity(distribution: Distribution) -> tuple[str, str]:
    """Return name and version, as far as the metadata has them."""
    try:
        metadata = distribution.metadata
        return metadata["Name"] or "an unnamed distribution", metadata["Version"] or ""
    except Exception:  # metadata may be missing or garbled as well
        return "an unnamed distribution", ""


def install_command(extra: str) -> str:
    """Return a command that installs the packages of one of our extras, from a checkout as from an index.

    Example:
        >>> install_command("video")
        "pip install 'av>=15'"
    """
    lines = [line for line in requires("ablation-zoo") or () if re.search(rf"extra == ['\"]{extra}['\"]", line)]
    return shlex.join(["pip", "install", *(line.partition(";")[0].strip() for line in lines)])
