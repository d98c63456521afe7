"""Resolved settings as plain nested data: changed by dotted keys, and compared.

Keys are written as on the command line, without the `init_args` between a part and its arguments.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple

from zoo.core.registry import nearest
from zoo.core.spec import copy_plain

ABSENT = "absent"
"""What stands for a key that one of two settings does not have."""


class Difference(NamedTuple):
    """One key in which two settings differ."""

    key: str
    before: Any
    after: Any

    def __str__(self) -> str:
        return f"{self.key}: {self.before} → {self.after}"


def changed(settings: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """A copy of the settings with values replaced, in order; a class replaces the whole slot, its arguments too.

    Raises:
        ValueError: a key leads through a value that has no keys, or a part that is not there.
    """
    result = copy_plain(dict(settings))
    for key, value in changes.items():
        put(result, key, copy_plain(value), settings)
    return result


def put(settings: dict[str, Any], key: str, value: Any, before: Mapping[str, Any]) -> None:
    """Set the value of a dotted key, in place. Where there were only parts `before`, no name is new by mistake."""
    inside, last, known = settings, key.split("."), before
    while len(last) > 1:
        inside = arguments(inside)
        known = known.get("init_args", {}) if is_part(known) else known
        if last[0] not in inside and known and all(is_part(item) for item in known.values()):
            raise ValueError(f"'{key}' leads through '{last[0]}', which is not there{nearest(last[0], list(inside))}")
        found = known.get(last[0])
        known = found if isinstance(found, Mapping) else {}
        step = inside.setdefault(last[0], {})
        if step is None:
            step = inside[last[0]] = {}
        if not isinstance(step, dict):
            raise ValueError(f"'{key}' leads through '{last[0]}', which is {step!r} and has no keys.")
        inside, last = step, last[1:]
    inside = arguments(inside)
    name = last[0]
    if isinstance(value, str) and is_part(inside.get(name)):
        value = {"class_path": value}
    inside[name] = value


def arguments(settings: dict[str, Any]) -> dict[str, Any]:
    """Where the keys below a part, or below a mapping, are."""
    return settings.setdefault("init_args", {}) if is_part(settings) else settings


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
    """The keys in which two settings differ, in the order of the first."""
    old, new = dict(flat(before)), dict(flat(after))
    keys = [*old, *(key for key in new if key not in old)]
    pairs = ((key, old.get(key, ABSENT), new.get(key, ABSENT)) for key in keys)
    return [Difference(*pair) for pair in pairs if pair[1] != pair[2]]


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
