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
import inspect
from dataclasses import dataclass, field
from inspect import isabstract
from typing import Any

from zoo.core.distributions import announced
from zoo.core.errors import ZooError


class PluginError(ZooError):
    """A plugin that is unknown, ambiguous or broken; the message is one sentence for the user."""


class UnfitError(ZooError):
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
    loaded: dict[str, Any] = field(default_factory=dict)
    from_files: dict[str, tuple[Plugin, type]] = field(default_factory=dict)

    def plugins(self) -> dict[str, list[Plugin]]:
        """Every name with the plugins that claim it (more than one: ambiguous), sorted; imports nothing."""
        found: dict[str, list[Plugin]] = {}
        for entry in announced().entries:
            if entry.group == f"zoo.{self.name}":
                plugin = Plugin(self.name, entry.name, entry.target, entry.distribution, entry.version)
                found.setdefault(plugin.name, []).append(plugin)
        for name, (plugin, _) in self.from_files.items():
            found.setdefault(name, []).append(plugin)
        return dict(sorted(found.items()))

    def names(self) -> list[str]:
        """The names of the slot, sorted."""
        return list(self.plugins())

    def base_class(self) -> type:
        """The abstract base class of the slot's plugins."""
        assert self.base is not None
        return load_target(self.base)

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
        if name in self.from_files:
            return self.from_files[name][1]
        if name not in self.loaded:
            try:
                self.loaded[name] = self._load(plugin)
            except (
                Exception,
                SystemExit,
            ) as error:  # a plugin may raise anything at import; whatever it was is reported with its owner
                self.failures[name] = error
                raise PluginError(broken(plugin, error)) from error
            self.failures.pop(name, None)
        return self.loaded[name]

    def load_all(self) -> dict[str, Any]:
        """Every usable plugin of the slot by name; the others are kept in `failures`."""
        usable = {}
        for name in self.names():
            try:
                usable[name] = self.get(name)
            except PluginError as error:
                self.failures.setdefault(name, error)
        return usable

    def classes(self) -> dict[str, type]:
        """Return the classes that are imported or registered from files, by name."""
        return self.loaded | {name: cls for name, (_, cls) in self.from_files.items()}

    def forget(self, name: str) -> None:
        """Read or import this name again when it is next asked for."""
        self.loaded.pop(name, None)
        self.from_files.pop(name, None)

    def register(self, cls: type, file: str) -> None:
        """Add a class that was read from a plugin file; UnfitError when it is no part of the slot."""
        plugin = Plugin(self.name, cls.__name__, f"{cls.__module__}:{cls.__name__}", file, "", file)
        self._check_class(cls, plugin)
        self.from_files[cls.__name__] = (plugin, cls)

    def _load(self, plugin: Plugin) -> Any:
        if self.reader is not None:
            return load_target(self.reader)(plugin)
        found = load_target(plugin.target)
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
        from importlib.metadata import version

        written_for = getattr(found, "api_version", 1)
        if type(written_for) is not int:
            raise UnfitError(f"{found.__name__}.api_version is {written_for!r}; expected a whole number, such as 1.")
        if self.oldest <= written_for <= self.version:
            return
        known = f"version {self.version}" if self.oldest == self.version else f"versions {self.oldest}–{self.version}"
        ours = f"ablation-zoo {version('ablation-zoo')}"
        told = f"it was written for version {written_for} of zoo.{self.name}, and {ours} has {known}"
        if written_for > self.version:
            other = "use an older copy of the file" if plugin.file else f"install an older {plugin.distribution}"
            raise UnfitError(f"{told}: upgrade ablation-zoo, or {other}.")
        other = "adapt the file" if plugin.file else f"upgrade {plugin.distribution}"
        raise UnfitError(f"{told}: {other}, or install an older ablation-zoo.")


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


def load_target(target: str) -> Any:
    module, _, attribute = target.partition(":")
    if not module or not attribute.isidentifier():
        raise UnfitError(f"its entry point is '{target}'; expected module:Class.")
    return getattr(importlib.import_module(module), attribute)


SLOTS = [
    Slot("datasets", "dataset", "zoo.core.parts:SampleSource"),
    Slot("augmentations", "augmentation", "zoo.core.parts:Augmentation"),
    Slot("backbones", "backbone", "zoo.core.parts:Backbone"),
    Slot("losses", "loss term", "zoo.core.parts:LossTerm"),
]
"""The slots whose base classes every task shares; a task registers its own in `zoo/TASK/slots.py`."""
