"""Slots: where plugins plug in.

A *slot* is an entry-point group (`zoo.selectors`) and the abstract base class that its plugins derive from. A *plugin*
is one entry point of one installed distribution, named like its class; our own parts are found in the same way as a
stranger's. Listing names reads metadata only.
A plugin that fails to import is remembered and takes nothing else down: asking for it by name raises, and says whose it
is.
"""

import difflib
import importlib
import importlib.util
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from inspect import isabstract
from pathlib import Path
from typing import Any


class PluginError(LookupError):
    """A plugin that is unknown, ambiguous or broken; the message is one sentence for the user."""


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
    """

    name: str
    word: str
    base: str | None
    reader: str | None = None
    failures: dict[str, BaseException] = field(default_factory=dict)
    _loaded: dict[str, Any] = field(default_factory=dict)
    _from_files: dict[str, tuple[Plugin, type]] = field(default_factory=dict)

    def plugins(self) -> dict[str, list[Plugin]]:
        """Every name with the plugins that claim it (more than one: ambiguous), sorted; imports nothing."""
        found: dict[str, list[Plugin]] = {}
        for plugin in _entries(self.name):
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
        """Add a class that was read from a plugin file."""
        module = cls.__module__
        self._from_files[cls.__name__] = (
            Plugin(self.name, cls.__name__, f"{module}:{cls.__name__}", file, "", file),
            cls,
        )

    def _load(self, plugin: Plugin) -> Any:
        if self.reader is not None:
            return _import(self.reader)(plugin)
        found = _import(plugin.target)
        if self.base is None:
            if not isinstance(found, dict) or "class_path" not in found:
                raise TypeError(f"expected a spec (a dict with class_path and init_args), got {type(found).__name__}")
            return found
        base = self.base_class()
        if not isinstance(found, type) or not issubclass(found, base):
            raise TypeError(f"expected a class deriving from {base.__module__}.{base.__name__}, got {found!r}")
        if isabstract(found):
            missing = ", ".join(sorted(getattr(found, "__abstractmethods__", ())))
            raise TypeError(f"{found.__name__} does not implement {missing}")
        if found.__name__ != plugin.name:
            raise TypeError(f"its class is called {found.__name__}; an entry point is named like its class")
        return found


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


def load_plugin_file(path: str) -> list[Plugin]:
    """Run a Python file and register every part that it defines; returns what was registered.

    Raises:
        PluginError: no such file, the file raises, or it defines no part.
    """
    file = Path(path)
    if not file.is_file():
        raise PluginError(f"--plugin {path}: there is no such file.")
    name = f"zoo_plugin_file_{file.stem}"
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
    registered = []
    for cls in vars(module).values():
        if not isinstance(cls, type) or cls.__module__ != name or isabstract(cls):
            continue
        for slot in SLOTS.values():
            if slot.base is not None and issubclass(cls, slot.base_class()):
                slot.register(cls, str(file))
                registered.append(slot.plugin(cls.__name__))
    if not registered:
        raise PluginError(
            f"--plugin {path} defines no class that derives from a part (such as zoo.matting.parts.PatchSelector)."
        )
    return registered


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
    return f"'{plugin.name}' is installed ({plugin.origin}) but failed to load: {type(error).__name__}: {error}"


@cache
def _entries(slot: str) -> tuple[Plugin, ...]:
    """The plugins of a slot; cached, since a distribution's metadata is parsed anew at every look."""
    return tuple(_describe(slot, entry) for entry in entry_points(group=f"zoo.{slot}"))


def _describe(slot: str, entry: EntryPoint) -> Plugin:
    distribution = entry.dist
    name = distribution.name if distribution else "unknown distribution"
    return Plugin(slot, entry.name, entry.value, name, distribution.version if distribution else "")


def _import(target: str) -> Any:
    module, _, attribute = target.partition(":")
    return getattr(importlib.import_module(module), attribute)
