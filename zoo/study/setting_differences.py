"""Differences between two resolved settings, by dotted keys as on the command line (see `zoo.core.nested.walk`)."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple

from zoo.core.nested import walk

ABSENT = "absent"
"""Placeholder for the value of a key that one of two settings does not have."""


class Difference(NamedTuple):
    """One key in which two settings differ."""

    key: str
    before: Any
    after: Any

    def __str__(self) -> str:
        return f"{self.key}: {self.before} → {self.after}"


def is_part(value: Any) -> bool:
    """Return whether the value is a part with its arguments."""
    return isinstance(value, dict) and "class_path" in value


def flat(settings: Any, key: str = "") -> Iterator[tuple[str, Any]]:
    """Yield every single value with its dotted key; the class of a part has the part's own key.

    Example:
        >>> dict(flat({"selector": {"class_path": "TopK", "init_args": {"patches": 5}}, "steps": [1, 2]}))
        {'selector': 'TopK', 'selector.patches': 5, 'steps': [1, 2]}
    """
    for path, value in walk(settings, key, lists=False):
        if is_part(value):
            yield path, value["class_path"]
        elif not isinstance(value, dict) or not value:
            yield path, value


def differences(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[Difference]:
    """Return the keys in which two settings differ, in the order of the first.

    A key that only the second has comes after the key that precedes it there.
    """
    return unequal(dict(flat(before)), dict(flat(after)))


def unequal(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[Difference]:
    """Return the keys in which two flat mappings differ, in the order of `differences`; 1 batch is not 1.0 of all."""
    keys = list(before)
    position = 0
    for key in after:
        if key not in before:
            keys.insert(position, key)
        position = keys.index(key) + 1
    pairs = (Difference(key, before.get(key, ABSENT), after.get(key, ABSENT)) for key in keys)
    return [pair for pair in pairs if repr(pair.before) != repr(pair.after)]


def unnamed(before: Mapping[str, Any], after: Mapping[str, Any], named: Iterable[str]) -> list[Difference]:
    """Return the differences that lie under none of the named keys.

    A new entry, such as another training stage, is named by any of its keys: the others are its defaults.
    """
    known = {ancestor for key, _ in flat(before) for ancestor in ancestors(key)}
    covered = {next((ancestor for ancestor in ancestors(key) if ancestor not in known), key) for key in named}
    return [
        difference
        for difference in differences(before, after)
        if covered.isdisjoint([*ancestors(difference.key), difference.key])
    ]


def ancestors(key: str) -> list[str]:
    """Return the keys above a key, outermost first: `model`, `model.selector`."""
    words = key.split(".")
    return [".".join(words[:count]) for count in range(1, len(words))]
