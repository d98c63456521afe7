"""Specs: every part remembers the plain arguments it was built from.

A *spec* is plain data, `{"class_path": "TopK", "init_args": {"patches": 5000}}`: a registered name and its arguments,
nested where a part holds parts. YAML files, checkpoints and published models hold specs, and `build` makes the part
again. A *part* is any object whose class derives from `Part`. Its metaclass records the arguments, defaults included,
and initialises the part from the part's own random stream. The metaclass works around the constructor, so that it also
serves dataclasses and subclasses with a constructor of their own. Pickle and deepcopy do not call the constructor.
"""

import dataclasses
import inspect
import sys
from abc import ABCMeta
from collections.abc import Mapping
from enum import Enum
from functools import partial
from pathlib import PurePath
from types import UnionType
from typing import Any, ClassVar, TypeVar, Union, get_args, get_origin, get_type_hints

from torch import nn

from zoo.core.errors import ZooError
from zoo.core.registry import find_class
from zoo.core.seeding import random_stream, run_seed

Spec = dict[str, Any]
T = TypeVar("T")


class PartType(ABCMeta):
    """Metaclass of parts: records the arguments and initialises each part from its own random stream."""

    def __call__(cls: type[T], *args: Any, **kwargs: Any) -> T:
        forgotten = ZooError(
            f"{place_of(cls)} sets something up before super().__init__(): call that first in its constructor, as in "
            "every torch.nn.Module."
        )
        with random_stream(run_seed(), cls.__name__):
            try:
                part = super().__call__(*args, **kwargs)  # type: ignore[misc]
            except AttributeError as error:
                if "Module.__init__() call" not in str(error):
                    raise
                raise forgotten from error
        if isinstance(part, nn.Module) and "_modules" not in vars(part):
            raise forgotten
        object.__setattr__(part, "_arguments", plain_arguments(cls, part, args, kwargs))
        return part


class Part(metaclass=PartType):
    """Anything that a spec can describe.

    The constructor takes explicit, typed arguments, which are plain data or parts; no `**kwargs`.
    """

    retired_arguments: ClassVar[frozenset[str]] = frozenset()
    """Arguments of earlier versions: old specs that hold them still build, without them."""

    _arguments: dict[str, Any]

    @property
    def spec(self) -> Spec:
        """Plain data: `{"class_path": name, "init_args": {...}}`, every argument listed."""
        return {"class_path": type(self).__name__, "init_args": copy_plain(self._arguments)}


def place_of(cls: type) -> str:
    """Return the name of a class with its file, for messages."""
    file = getattr(sys.modules.get(cls.__module__), "__file__", None)
    return f"{cls.__name__} ({file or cls.__module__})"


def plain_arguments(cls: type, part: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> dict[str, Any]:
    """Return every argument of a constructor call by name, defaults included, as plain data."""
    signature = inspect.signature(cls.__init__)  # type: ignore[misc]
    bound = signature.bind(part, *args, **kwargs)
    for field in dataclasses.fields(cls) if dataclasses.is_dataclass(cls) else ():
        # The signature of a dataclass has a placeholder where the default comes from a factory.
        if field.init and field.default_factory is not dataclasses.MISSING:
            bound.arguments.setdefault(field.name, field.default_factory())
    bound.apply_defaults()
    # A class without a constructor of its own inherits nn.Module's, which takes *args and **kwargs and uses neither.
    named = [
        name
        for name, parameter in signature.parameters.items()
        if parameter.kind not in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD)
    ]
    return {name: to_plain(bound.arguments[name], f"{cls.__name__}({name}=...)") for name in named[1:]}


def to_plain(value: Any, where: str) -> Any:
    """Return a value as data that YAML and JSON can hold, parts as specs; TypeError for any other argument."""
    if value is None or isinstance(value, bool):
        return value
    value = value.value if isinstance(value, Enum) else value
    for plain in (int, float, str):
        if isinstance(value, plain):
            return plain(value)  # NumPy's floats derive from Python's, but would be pickled as NumPy's
    if isinstance(value, Part):
        return value.spec
    if isinstance(value, PurePath):
        return str(value)
    if isinstance(value, partial):  # a class with some of its arguments, as `build` makes it, or the parser
        cls = next(each for each in (value.func, *value.args) if isinstance(each, type))
        return {"class_path": cls.__name__, "init_args": to_plain(value.keywords, where)}
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: to_plain(getattr(value, field.name), where) for field in dataclasses.fields(value)}
    if isinstance(value, list | tuple):
        return [to_plain(item, where) for item in value]
    if isinstance(value, Mapping):
        return {str(key): to_plain(item, where) for key, item in value.items()}
    raise TypeError(
        f"{where} got {type(value).__name__}; an argument of a part is plain data (None, bool, int, float, str, list, "
        "dict) or another part, so that the part can be saved and rebuilt."
    )


def copy_plain(value: Any) -> Any:
    """Return a deep copy of plain data."""
    if isinstance(value, dict):
        return {key: copy_plain(item) for key, item in value.items()}
    if isinstance(value, list):
        return [copy_plain(item) for item in value]
    return value


def is_spec(value: Any) -> bool:
    """Return whether a value has the form of a spec."""
    return (
        isinstance(value, dict)
        and isinstance(value.get("class_path"), str)
        and isinstance(value.get("init_args", {}), dict)
        and set(value) <= {"class_path", "init_args"}
    )


def build(spec: Spec) -> Any:
    """Return the part that a spec describes. Names are looked up in the slots; nothing else is ever imported.

    Of a class that is no part, an optimizer, it returns the class with these arguments: its user adds the others.
    """
    cls = find_class(spec["class_path"])
    hints = type_hints(cls.__init__)  # type: ignore[misc]
    arguments = current_arguments(cls, spec.get("init_args", {}))
    built = {name: build_nested(value, hints.get(name)) for name, value in arguments.items()}
    return cls(**built) if issubclass(cls, Part) else partial(cls, **built)


def current_arguments(cls: type, arguments: dict[str, Any]) -> dict[str, Any]:
    """Return the arguments of a spec without those that the class has retired."""
    retired: frozenset[str] = getattr(cls, "retired_arguments", frozenset())
    return {name: value for name, value in arguments.items() if name not in retired}


def build_nested(value: Any, annotation: Any = None) -> Any:
    """Build every spec inside plain data, and every dataclass that its type names."""
    if is_spec(value):
        return build(value)
    if isinstance(value, dict):
        record = record_of(annotation)
        if record is not None:
            hints = type_hints(record)
            return record(**{key: build_nested(item, hints.get(key)) for key, item in value.items()})
        return {key: build_nested(item, values_of(annotation)) for key, item in value.items()}
    if isinstance(value, list):
        return [build_nested(item) for item in value]
    return value


def record_of(annotation: Any) -> type | None:
    """Return the dataclass in `annotation`, alone or in a union with None."""
    choices = [annotation, *get_args(annotation)] if get_origin(annotation) in (Union, UnionType) else [annotation]
    return next((one for one in choices if isinstance(one, type) and dataclasses.is_dataclass(one)), None)


def values_of(annotation: Any) -> Any:
    """Return the type of a mapping's values."""
    choices = get_args(annotation) if get_origin(annotation) in (Union, UnionType) else [annotation]
    mapping = next((one for one in choices if get_origin(one) in (dict, Mapping)), None)
    return get_args(mapping)[1] if mapping is not None else None


def type_hints(owner: Any) -> dict[str, Any]:
    """Return the types of arguments or fields; none where only a type checker imports them."""
    try:
        return get_type_hints(owner)
    except NameError:
        return {}


def without_downloads(value: Any) -> Any:
    """Return a spec as it is saved, without `checkpoint` and with `pretrained` false: rebuilding needs no download."""
    if isinstance(value, dict):
        kept = {key: without_downloads(item) for key, item in value.items() if key != "checkpoint"}
        return {key: False if key == "pretrained" else item for key, item in kept.items()}
    if isinstance(value, list):
        return [without_downloads(item) for item in value]
    return value
