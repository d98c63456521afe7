"""Nested plain data: one function walks through specs and settings. Imports no torch."""

from argparse import Namespace
from collections.abc import Iterator, Mapping
from typing import Any


def walk(value: Any, key: str = "", lists: bool = True) -> Iterator[tuple[str, Any]]:
    """Yield every value in plain data or parsed settings with its dotted key, the outer ones first.

    Keys are written as on the command line: the arguments of a part lie directly below the part, without `init_args`.

    Args:
        value: mappings, lists and `argparse.Namespace` in one another.
        key: of the value itself.
        lists: whether to enter lists, whose items have their index as key.

    Example:
        >>> [key for key, _ in walk({"selector": {"class_path": "TopK", "init_args": {"patches": 5}}}) if key]
        ['selector', 'selector.patches']
    """
    yield key, value
    for name, item in children(value, lists):
        yield from walk(item, f"{key}.{name}" if key else str(name), lists)


def children(value: Any, lists: bool) -> Iterator[tuple[Any, Any]]:
    """Yield the values directly inside a value, by name; the arguments of a part as if they were the part's own."""
    if isinstance(value, Namespace):
        value = vars(value)
    if isinstance(value, Mapping):
        for name, item in value.items():
            if name == "init_args" and "class_path" in value:
                yield from children(item, lists)
            elif name != "class_path" or not isinstance(item, str):
                yield name, item
    elif isinstance(value, list) and lists:
        yield from enumerate(value)


def class_path(value: Any) -> str | None:
    """Return the class that a part in plain data or parsed settings names; None for any other value."""
    value = vars(value) if isinstance(value, Namespace) else value
    name = value.get("class_path") if isinstance(value, Mapping) else None
    return name if isinstance(name, str) else None


def class_names(value: Any) -> Iterator[str]:
    """Yield every class that plain data or parsed settings name, in the order of `walk`."""
    return (name for _, item in walk(value) if (name := class_path(item)) is not None)
