"""Parts without a distribution: those of plugin files (`--plugin my_part.py`), and classes of a Python session."""

import hashlib
import re
import sys
from collections.abc import Iterable
from importlib.machinery import SourceFileLoader
from importlib.util import module_from_spec, spec_from_loader
from inspect import isabstract
from pathlib import Path
from types import ModuleType
from typing import TypeVar

from zoo.core.registry import slots
from zoo.core.slot import Plugin, PluginError, UnfitError

PartClass = TypeVar("PartClass", bound=type)

SESSION = "a Python session, by zoo.register"
"""Origin of a part of `register`."""


def load_plugin_files(paths: Iterable[str]) -> None:
    """Register the parts of several files; run each file once, since a second run would make other classes.

    Raises:
        PluginError: a file cannot be used.
    """
    for path in paths:
        module = sys.modules.get(module_name(Path(path)))
        if module is not None:
            register_parts(module, path)
        else:
            load_plugin(path)


def module_name(file: Path) -> str:
    """Return the name of the module of a plugin file, whose own name may have any characters."""
    digest = hashlib.sha256(str(file.resolve()).encode()).hexdigest()
    return re.sub(r"\W", "_", f"zoo_plugin_file_{file.stem}_{digest[:8]}")


def load_plugin(path: str | Path) -> list[Plugin]:
    r"""Run a Python file, register every part that it defines and return these plugins; the public `zoo.load_plugin`.

    A class that cannot be used, next to one that can, is listed as broken.

    Raises:
        PluginError: no such file, the file raises, or it defines no part that can be used.

    Example:
        >>> _ = Path("my part.py").write_text("from zoo_plugins.selectors import TopK\nclass First(TopK): ...")
        >>> [plugin.name for plugin in load_plugin("my part.py")]
        ['First']
    """
    file = Path(path)
    if not file.is_file():
        raise PluginError(f"--plugin {path}: there is no such file.")
    name = module_name(file)
    specification = spec_from_loader(name, SourceFileLoader(name, str(file)))
    assert specification is not None
    module = module_from_spec(specification)
    sys.modules[name] = module
    try:
        specification.loader.exec_module(module)  # type: ignore[union-attr]
    except BaseException as error:  # the file may raise anything
        del sys.modules[name]
        if isinstance(error, KeyboardInterrupt):
            raise
        raise PluginError(f"--plugin {path} failed to import: {type(error).__name__}: {error}") from error
    return register_parts(module, str(path))


def register_parts(module: ModuleType, path: str) -> list[Plugin]:
    """Register every part that the module of a plugin file defines; PluginError if it defines none to use."""
    defined = [cls for cls in vars(module).values() if isinstance(cls, type) and cls.__module__ == module.__name__]
    return register_classes(defined, f"--plugin {path}", path)


def register(cls: PartClass) -> PartClass:
    """Register a part that is defined in this Python session, such as in a notebook; as a decorator or as a call.

    A checkpoint with this part loads where the class is registered again.

    Raises:
        PluginError: the class is not a valid part.

    Example:
        >>> from zoo_plugins.selectors import TopK
        >>> @register
        ... class Second(TopK): ...
        >>> from zoo.core.registry import find_class
        >>> find_class("Second") is Second
        True
    """
    register_classes([cls], f"zoo.register({getattr(cls, '__name__', cls)})", SESSION)
    return cls


def register_classes(classes: list[type], source: str, origin: str) -> list[Plugin]:
    """Register the parts among some classes; those that cannot be used as broken, next to one that can."""
    parts = [
        (slot, cls) for cls in classes for slot in slots().values() if slot.base and issubclass(cls, slot.base_class())
    ]
    # An abstract class that another one derives from is a common base. Otherwise it is a part that lacks a method.
    bases = {base for _, cls in parts for base in cls.__mro__[1:]}
    parts = [(slot, cls) for slot, cls in parts if cls not in bases or not isabstract(cls)]
    if not parts:
        raise PluginError(
            f"{source} defines no class that derives from a part (such as zoo.matting.parts.PatchSelector)."
        )
    plugins = [slot.register(cls, origin) for slot, cls in parts]
    problems: list[Exception] = []
    for (slot, _), plugin in zip(parts, plugins, strict=True):
        try:
            slot.get(plugin.name)
        except PluginError as error:
            unfit = slot.from_files[plugin.target][1]
            own = f"{source}: '{plugin.name}' cannot be used: {unfit}" if isinstance(unfit, UnfitError) else str(error)
            problems.append(PluginError(own))
    if len(problems) == len(parts):
        for (slot, _), plugin in zip(parts, plugins, strict=True):
            del slot.from_files[plugin.target]
        raise problems[0]
    return plugins
