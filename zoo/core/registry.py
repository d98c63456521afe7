"""Slots: where plugins plug in.

A *slot* is an entry-point group (`zoo.selectors`) and the abstract base class that its plugins derive from. A *plugin*
is one entry point of one installed distribution, named like its class; our own parts are found in the same way as a
stranger's. Listing names reads metadata only.
A plugin that fails to import is remembered and takes nothing else down: asking for it by name raises, and says whose it
is.
What a slot promises has a *version*, a whole number that is raised when plugins have to be changed. A plugin's class
says `api_version = 2` when it was written for another than the first.
"""

import difflib
import importlib
import importlib.util
import inspect
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from inspect import isabstract
from pathlib import Path
from types import ModuleType
from typing import Any

from zoo.core.distributions import announced


class PluginError(LookupError):
    """A plugin that is unknown, ambiguous or broken; the message is one sentence for the user."""


class UnfitError(TypeError):
    """What a plugin names is there, but is no part of its slot; the message says what was expected."""


@dataclass(frozen=True)
class Plugin:
    """One name in a slot: where it comes from and how to get it."""

    slot: str
    name: str
    target: str
    distribution: str
    version: str
    file: str | None = None

    @property
    def origin(self) -> str:
        """Who provides it, for messages: `my-selectors 2.3` or the plugin file."""
        return self.file or f"{self.distribution} {self.version}"


@dataclass
class Slot:
    """One entry-point group.

    Args:
        name: the plural name, `selectors`; the group is `zoo.selectors`.
        word: what one plugin of it is called in messages.
        base: where its abstract base class is, `module:Class`; None for slots whose plugins are data: specs in
            `models`, files in `catalogues`.
        reader: where the function is that reads a plugin which is a file, `module:function`; nothing is imported then.
        version: of what the slot promises and expects.
        oldest: the oldest version for which plugins may have been written and still work.
    """

    name: str
    word: str
    base: str | None
    reader: str | None = None
    version: int = 1
    oldest: int = 1
    failures: dict[str, BaseException] = field(default_factory=dict)
    _loaded: dict[str, Any] = field(default_factory=dict)
    _from_files: dict[str, tuple[Plugin, type]] = field(default_factory=dict)

    def plugins(self) -> dict[str, list[Plugin]]:
        """Every name with the plugins that claim it (more than one: ambiguous), sorted; imports nothing."""
        found: dict[str, list[Plugin]] = {}
        for entry in announced().entries:
            if entry.group == f"zoo.{self.name}":
                plugin = Plugin(self.name, entry.name, entry.target, entry.distribution, entry.version)
                found.setdefault(plugin.name, []).append(plugin)
        for name, (plugin, _) in self._from_files.items():
            found.setdefault(name, []).append(plugin)
        return dict(sorted(found.items()))

    def names(self) -> list[str]:
        """The names of the slot, sorted."""
        return list(self.plugins())

    def base_class(self) -> type:
        """The abstract base class of the slot's plugins."""
        assert self.base is not None
        return _import(self.base)

    def plugin(self, name: str) -> Plugin:
        """The one plugin of this name.

        Raises:
            PluginError: the name is unknown (nearest names are given) or two distributions provide it (both are given).
        """
        claims = self.plugins().get(name, [])
        if not claims:
            raise PluginError(f"no {self.word} named '{name}'{nearest(name, self.names())}")
        if len(claims) > 1:
            owners = " and ".join(claim.origin for claim in claims)
            raise PluginError(
                f"the {self.word} '{name}' is provided by {owners}: uninstall one of them, none is preferred."
            )
        return claims[0]

    def get(self, name: str) -> Any:
        """The class (or, in `models`, the spec, and in `catalogues` what the file says) of this name; imports a class.

        Raises:
            PluginError: unknown, ambiguous, or installed but broken (with its owner and the reason).
        """
        plugin = self.plugin(name)
        if name in self._from_files:
            return self._from_files[name][1]
        if name not in self._loaded:
            try:
                self._loaded[name] = self._load(plugin)
            except (
                Exception,
                SystemExit,
            ) as error:  # a plugin may raise anything at import; whatever it was is reported with its owner
                self.failures[name] = error
                raise PluginError(broken(plugin, error)) from error
            self.failures.pop(name, None)
        return self._loaded[name]

    def load_all(self) -> dict[str, Any]:
        """Every usable plugin of the slot by name; the others are kept in `failures`."""
        usable = {}
        for name in self.names():
            try:
                usable[name] = self.get(name)
            except PluginError as error:
                self.failures.setdefault(name, error)
        return usable

    def register(self, cls: type, file: str) -> None:
        """Add a class that was read from a plugin file; UnfitError when it is no part of the slot."""
        plugin = Plugin(self.name, cls.__name__, f"{cls.__module__}:{cls.__name__}", file, "", file)
        self._check_class(cls, plugin)
        self._from_files[cls.__name__] = (plugin, cls)

    def _load(self, plugin: Plugin) -> Any:
        if self.reader is not None:
            return _import(self.reader)(plugin)
        found = _import(plugin.target)
        if self.base is not None:
            self._check_class(found, plugin)
        elif not isinstance(found, dict) or "class_path" not in found:
            raise UnfitError(f"expected a spec (a dict with class_path and init_args), got {type(found).__name__}.")
        return found

    def _check_class(self, found: Any, plugin: Plugin) -> None:
        base = self.base_class()
        if not isinstance(found, type) or not issubclass(found, base):
            raise UnfitError(f"expected a class deriving from {base.__module__}.{base.__name__}, got {found!r}.")
        self._check_version(found, plugin)  # before what may have been renamed since
        if isabstract(found):
            missing = ", ".join(sorted(getattr(found, "__abstractmethods__", ())))
            raise UnfitError(f"{found.__name__} does not implement {missing}, which zoo.{self.name} asks for.")
        if found.__name__ != plugin.name:
            raise UnfitError(f"its class is called {found.__name__}; an entry point is named like its class.")
        if packed := packed_arguments(found, base):
            raise UnfitError(
                f"{found.__name__}'s constructor takes {packed}; expected each argument by its name, with its type, so "
                "that help, configurations and checkpoints can list it."
            )

    def _check_version(self, found: type, plugin: Plugin) -> None:
        """UnfitError for a plugin that was written for a version of the slot that is not supported."""
        from zoo import __version__

        written_for = getattr(found, "api_version", 1)
        if type(written_for) is not int:
            raise UnfitError(f"{found.__name__}.api_version is {written_for!r}; expected a whole number, such as 1.")
        if self.oldest <= written_for <= self.version:
            return
        known = f"version {self.version}" if self.oldest == self.version else f"versions {self.oldest}–{self.version}"
        told = (
            f"it was written for version {written_for} of zoo.{self.name}, and ablation-zoo {__version__} has {known}"
        )
        if written_for > self.version:
            other = "use an older copy of the file" if plugin.file else f"install an older {plugin.distribution}"
            raise UnfitError(f"{told}: upgrade ablation-zoo, or {other}.")
        other = "adapt the file" if plugin.file else f"upgrade {plugin.distribution}"
        raise UnfitError(f"{told}: {other}, or install an older ablation-zoo.")


SLOTS: dict[str, Slot] = {
    slot.name: slot
    for slot in (
        Slot("models", "model", None),
        Slot("modules", "module", "zoo.core.training:TrainingModule"),
        Slot("data_modules", "data module", "zoo.core.data:DataModule"),
        Slot("datasets", "dataset", "zoo.core.parts:SampleSource"),
        Slot("augmentations", "augmentation", "zoo.core.parts:Augmentation"),
        Slot("backbones", "backbone", "zoo.core.parts:Backbone"),
        Slot("losses", "loss term", "zoo.core.parts:LossTerm"),
        Slot("selectors", "patch selector", "zoo.matting.parts:PatchSelector"),
        Slot("error_maps", "error map", "zoo.matting.parts:ErrorMap"),
        Slot("refiners", "refiner", "zoo.matting.parts:Refiner"),
        Slot("head_models", "head model", "zoo.heads.mesh:HeadModel"),
        Slot("fusions", "fusion", "zoo.heads.parts:Fusion"),
        Slot("landmark_branches", "landmark branch", "zoo.heads.parts:LandmarkBranch"),
        Slot("engines", "engine", "zoo.study.parts:Engine"),
        Slot("catalogues", "catalogue", None, reader="zoo.hub.catalogue:read_catalogue"),
    )
}


def get_slot(name: str) -> Slot:
    """The slot of this name (`selectors`); PluginError names the known ones."""
    if name not in SLOTS:
        raise PluginError(f"no slot named '{name}'{nearest(name, list(SLOTS))}")
    return SLOTS[name]


def find_plugin(name: str) -> Plugin:
    """The plugin of this name in whichever slot has it; PluginError when no slot has it, or more than one plugin."""
    claims = [plugin for slot in SLOTS.values() for plugin in slot.plugins().get(name, [])]
    if not claims:
        known = [known for slot in SLOTS.values() for known in slot.names()]
        raise PluginError(
            f"no plugin named '{name}' is registered here{nearest(name, known, listed=False)} "
            "Install the distribution that provides it, or give its file with --plugin."
        )
    if len(claims) > 1:
        owners = " and ".join(f"{claim.origin} (zoo.{claim.slot})" for claim in claims)
        raise PluginError(f"the name '{name}' is provided by {owners}: uninstall one of them, none is preferred.")
    return claims[0]


def find_class(name: str) -> type:
    """The class of this registered name, whichever slot has it; PluginError where it names data."""
    slot = get_slot(find_plugin(name).slot)
    if slot.base is None:
        raise PluginError(f"'{name}' is a {slot.word}, which is data; expected the name of a class.")
    return slot.get(name)


def load_plugins() -> None:
    """Import every plugin of every slot, so that all class names are known; failures are kept in the slots."""
    for slot in SLOTS.values():
        slot.load_all()


def all_failures() -> Iterator[tuple[Plugin | None, str, BaseException]]:
    """What failed to load so far: the plugin (None when ambiguous), its name and the error."""
    for slot in SLOTS.values():
        claims = slot.plugins()
        for name, error in slot.failures.items():
            yield (claims[name][0] if len(claims.get(name, [])) == 1 else None), name, error


def load_plugin_files(paths: Iterable[str]) -> None:
    """Register the parts of several files, each once: a second reading would make other classes of the same names.

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
    """What the module of a plugin file is called."""
    return f"zoo_plugin_file_{file.stem}"


def load_plugin_file(path: str) -> list[Plugin]:
    """Run a Python file and register every part that it defines; returns what was registered.

    Raises:
        PluginError: no such file, the file raises, or it defines no part.
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
    except (Exception, SystemExit) as error:  # the file may raise anything; it is named with the reason
        del sys.modules[name]
        raise PluginError(f"--plugin {path} failed to import: {type(error).__name__}: {error}") from error
    return register_parts(module, path)


def register_parts(module: ModuleType, path: str) -> list[Plugin]:
    """Register every part that a plugin file's module defines; PluginError where it defines none."""
    defined = [cls for cls in vars(module).values() if isinstance(cls, type) and cls.__module__ == module.__name__]
    parts = [
        (slot, cls) for cls in defined for slot in SLOTS.values() if slot.base and issubclass(cls, slot.base_class())
    ]
    # Beside a whole part, an abstract class is what several have in common; alone, it is a part that lacks something.
    whole = [(slot, cls) for slot, cls in parts if not isabstract(cls)] or parts
    if not whole:
        raise PluginError(
            f"--plugin {path} defines no class that derives from a part (such as zoo.matting.parts.PatchSelector)."
        )
    for slot, cls in whole:
        try:
            slot.register(cls, path)
        except UnfitError as error:
            raise PluginError(f"--plugin {path}: '{cls.__name__}' cannot be used: {error}") from error
    return [slot.plugin(cls.__name__) for slot, cls in whole]


def imported(path: str) -> Any:
    """The class at an import path (`package.module.Class`) if it is imported already, otherwise None."""
    module, _, name = path.rpartition(".")
    return getattr(sys.modules.get(module), name, None)


def nearest(name: str, known: list[str], listed: bool = True) -> str:
    """The end of a sentence about an unknown name: `; did you mean TopK? Known: …`."""
    folded = {option.lower(): option for option in known}
    close = [folded[match] for match in difflib.get_close_matches(name.lower(), folded, n=2, cutoff=0.5)]
    hint = f"; did you mean {' or '.join(close)}?" if close else "."
    return f"{hint} Known: {', '.join(known) or 'none'}." if listed else hint


def broken(plugin: Plugin, error: BaseException) -> str:
    """The sentence about a plugin that is installed but cannot be used."""
    reason = str(error) if isinstance(error, UnfitError) else f"{type(error).__name__}: {error}"
    return f"'{plugin.name}' is installed ({plugin.origin}) but failed to load: {reason}"


def packed_arguments(cls: type, base: type) -> str:
    """`**kwargs` or `*args`, where a plugin's own constructor takes such; otherwise nothing."""
    owner = next(parent for parent in cls.__mro__ if "__init__" in vars(parent))
    if not issubclass(owner, base):  # torch's own, which every module without a constructor has
        return ""
    parameters = inspect.signature(owner.__init__).parameters.values()
    packed = [each for each in parameters if each.kind in (each.VAR_POSITIONAL, each.VAR_KEYWORD)]
    return " and ".join(f"{'*' if each.kind is each.VAR_POSITIONAL else '**'}{each.name}" for each in packed)


def _import(target: str) -> Any:
    module, _, attribute = target.partition(":")
    if not module or not attribute.isidentifier():
        raise UnfitError(f"its entry point is '{target}'; expected module:Class.")
    return getattr(importlib.import_module(module), attribute)
