"""Resolved settings as plain nested data, changed by dotted keys.

Keys are written as on the command line, without the `init_args` between a part and its arguments.
"""

from collections.abc import Mapping
from typing import Any

from zoo.core.differences import is_part
from zoo.core.slots import nearest
from zoo.core.spec import copy_plain


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
