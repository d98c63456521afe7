"""Plugin files: Python files whose parts are registered without packaging them (`--plugin my_part.py`)."""

import importlib.util
import sys
from collections.abc import Iterable
from inspect import isabstract
from pathlib import Path
from types import ModuleType

from zoo.core.registry import slots
from zoo.core.slot import Plugin, PluginError, UnfitError


def load_plugin_files(paths: Iterable[str]) -> None:
    """Register the parts of several files; run each file once, since a second run would make other classes.

    Raises:
        PluginError: a file cannot be used, or two of them have one name.
    """
    by_name: dict[str, Path] = {}
    for path in paths:
        file = Path(path).resolve()
        other = by_name.setdefault(file.stem, file)
        if other != file:
            raise PluginError(f"--plugin {other} and --plugin {path} have one name: rename one of the files.")
        module = sys.modules.get(module_name(file))
        if module is not None and module.__file__ is not None and Path(module.__file__).resolve() == file:
            register_parts(module, path)
        else:
            load_plugin_file(path)


def module_name(file: Path) -> str:
    """Return the name of the module of a plugin file."""
    return f"zoo_plugin_file_{file.stem}"


def load_plugin_file(path: str) -> list[Plugin]:
    r"""Run a Python file, register every part that it defines and return these plugins.

    Raises:
        PluginError: no such file, the file raises, or it defines no part.

    Example:
        >>> _ = Path("mine.py").write_text("from zoo_plugins.selectors import TopK\nclass First(TopK): ...")
        >>> [plugin.name for plugin in load_plugin_file("mine.py")]
        ['First']
    """
    file = Path(path)
    if not file.is_file():
        raise PluginError(f"--plugin {path}: there is no such file.")
    name = module_name(file)
    specification = importlib.util.spec_from_file_location(name, file)
    if specification is None or specification.loader is None:
        raise PluginError(f"--plugin {path}: expected a Python file ending in .py.")
    module = importlib.util.module_from_spec(specification)
    sys.modules[name] = module
    try:
        specification.loader.exec_module(module)
    except (Exception, SystemExit) as error:  # the file may raise anything
        del sys.modules[name]
        raise PluginError(f"--plugin {path} failed to import: {type(error).__name__}: {error}") from error
    return register_parts(module, path)


def register_parts(module: ModuleType, path: str) -> list[Plugin]:
    """Register every part that the module of a plugin file defines; PluginError if it defines none."""
    defined = [cls for cls in vars(module).values() if isinstance(cls, type) and cls.__module__ == module.__name__]
    parts = [
        (slot, cls) for cls in defined for slot in slots().values() if slot.base and issubclass(cls, slot.base_class())
    ]
    # Next to a concrete part, an abstract class is a common base. Alone, it is a part that lacks a method.
    concrete = [(slot, cls) for slot, cls in parts if not isabstract(cls)] or parts
    if not concrete:
        raise PluginError(
            f"--plugin {path} defines no class that derives from a part (such as zoo.matting.parts.PatchSelector)."
        )
    for slot, cls in concrete:
        try:
            slot.register(cls, path)
        except UnfitError as error:
            raise PluginError(f"--plugin {path}: '{cls.__name__}' cannot be used: {error}") from error
    return [slot.plugin(cls.__name__) for slot, cls in concrete]
