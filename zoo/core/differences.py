"""Resolved settings compared: nested plain data, single values by dotted keys.

Keys are written as on the command line, without the `init_args` between a part and its arguments; the class of a part
stands at the part's own key.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple

ABSENT = "absent"
"""What stands for a key that one of two settings does not have."""


class Difference(NamedTuple):
    """One key in which two settings differ."""

    key: str
    before: Any
    after: Any

    def __str__(self) -> str:
        return f"{self.key}: {self.before} → {self.after}"


def is_part(value: Any) -> bool:
    """Whether the value is a part with its arguments."""
    return isinstance(value, dict) and "class_path" in value


def flat(settings: Any, key: str = "") -> Iterator[tuple[str, Any]]:
    """Every single value by its dotted key; the class of a part stands at the part's own key."""
    if is_part(settings):
        yield key, settings["class_path"]
        settings = settings.get("init_args") or {}
        if not settings:
            return
    elif not isinstance(settings, dict) or not settings:
        yield key, settings
        return
    for name, value in settings.items():
        yield from flat(value, f"{key}.{name}" if key else str(name))


def differences(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[Difference]:
    """The keys in which two settings differ, in the order of the first; one that it lacks stands where the second has
    it, behind the same key.
    """
    return unequal(dict(flat(before)), dict(flat(after)))


def unequal(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[Difference]:
    """As `differences`, of mappings without keys inside."""
    keys = list(before)
    place = 0
    for key in after:
        if key not in before:
            keys.insert(place, key)
        place = keys.index(key) + 1
    pairs = (Difference(key, before.get(key, ABSENT), after.get(key, ABSENT)) for key in keys)
    return [pair for pair in pairs if pair.before != pair.after]


def unnamed(before: Mapping[str, Any], after: Mapping[str, Any], named: Iterable[str]) -> list[Difference]:
    """The differences that lie under none of the named keys.

    An entry that is new as a whole, such as another training stage, is named by any of its keys: the others are its
    defaults.
    """
    known = {ancestor for key, _ in flat(before) for ancestor in ancestors(key)}
    covered = {next((ancestor for ancestor in ancestors(key) if ancestor not in known), key) for key in named}
    return [
        difference
        for difference in differences(before, after)
        if covered.isdisjoint([*ancestors(difference.key), difference.key])
    ]


def ancestors(key: str) -> list[str]:
    """The keys above a key, outermost first: `model`, `model.selector`."""
    words = key.split(".")
    return [".".join(words[:count]) for count in range(1, len(words))]
