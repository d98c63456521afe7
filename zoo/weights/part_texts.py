"""Texts in specs where parts belong: a parser would import the class that such a text names."""

import dataclasses
from collections.abc import Callable, Iterator
from typing import Any, get_args, get_origin

from zoo.core.registry import find_class
from zoo.core.spec import Part, type_hints


def texts_for_parts(value: Any, annotation: Any) -> Iterator[str]:
    """Yield every text in place of a part: we never write one, and a parser would import the class that it names."""
    if isinstance(value, str):
        if holds_parts(annotation):
            yield value
    elif isinstance(value, dict) and "class_path" in value:
        if not isinstance(value["class_path"], str) or not isinstance(value.get("init_args", {}), dict):
            yield str(value["class_path"])
            return
        hints = type_hints(find_class(value["class_path"]).__init__)  # type: ignore[misc]
        for name, argument in value.get("init_args", {}).items():
            yield from texts_for_parts(argument, hints.get(name))
    elif isinstance(value, dict):
        fields = {name: hint for record in records(annotation) for name, hint in type_hints(record).items()}
        for key, item in value.items():
            yield from texts_for_parts(item, fields.get(key, annotation))
    elif isinstance(value, list):
        for item in value:
            yield from texts_for_parts(item, annotation)


def holds_parts(annotation: Any) -> bool:
    """Return whether a value of this type is a part, a class with some of its arguments, or contains parts."""
    if get_origin(annotation) is Callable or (isinstance(annotation, type) and issubclass(annotation, Part)):
        return True
    inside = [hint for record in records(annotation) for hint in type_hints(record).values()]
    return any(holds_parts(inner) for inner in [*get_args(annotation), *inside])


def records(annotation: Any) -> Iterator[type]:
    """Yield the dataclasses in a type, those in generics and unions too."""
    if isinstance(annotation, type) and dataclasses.is_dataclass(annotation):
        yield annotation
    for inner in get_args(annotation):
        yield from records(inner)
