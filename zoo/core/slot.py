"""Slots: entry-point groups with the abstract base classes of their plugins.

A *plugin* is one entry point of one installed distribution, named like its class. Built-in parts are found in the same
way as third-party parts. Listing names reads metadata only. A plugin that fails to import does not affect the others:
getting it by name raises an error that names its distribution.

The base class of a slot has a *version*, a whole number that is raised when plugins have to be changed. A plugin's
class has `api_version = 2` if it was written for version 2; without the attribute, it was written for version 1.
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
    """Unknown, ambiguous or broken plugin."""


class UnfitError(ZooError):
    """Plugin whose target exists but is not a valid part of its slot."""


@dataclass(frozen=True)
class Plugin:
    """One name in a slot; `target` is `module:Class`, `file` the plugin file, None for an installed plugin."""

    slot: str
    name: str
    target: str
    distribution: str
    version: str
    file: str | None = None

    @property
    def origin(self) -> str:
        """Distribution with its version, `my-selectors 2.3`, or the plugin file."""
        return self.file or f"{self.distribution} {self.version}"


@dataclass
class Slot:
    """One entry-point group.

    Args:
        name: the plural name, `selectors`; the group is `zoo.selectors`.
        word: the singular in messages, `patch selector`.
        base: import target of its abstract base class, `module:Class`; None for slots whose plugins are data: specs in
            `models`, files in `catalogues`.
        reader: import target of the function that reads a plugin file, `module:function`, instead of importing it.
        version: version of the base class.
        oldest: oldest version whose plugins still work.
    """

    name: str
    word: str
    base: str | None
    reader: str | None = None
    version: int = 1
    oldest: int = 1
    failures: dict[str, BaseException] = field(default_factory=dict)
    loaded: dict[str, Any] = field(default_factory=dict)
    from_files: dict[str, tuple[Plugin, type | UnfitError]] = field(default_factory=dict)

    def plugins(self) -> dict[str, list[Plugin]]:
        """Return every name with its plugins, sorted by name; several plugins of one name are ambiguous."""
        plugins: dict[str, list[Plugin]] = {}
        for entry in announced().entries:
            if entry.group == f"zoo.{self.name}":
                plugin = Plugin(self.name, entry.name, entry.target, entry.distribution, entry.version)
                plugins.setdefault(plugin.name, []).append(plugin)
        for plugin, _ in self.from_files.values():
            plugins.setdefault(plugin.name, []).append(plugin)
        return dict(sorted(plugins.items()))

    def names(self) -> list[str]:
        """Return the names of the slot, sorted."""
        return list(self.plugins())

    def base_class(self) -> type:
        """Return the abstract base class of the slot's plugins."""
        assert self.base is not None
        return load_target(self.base)

    def plugin(self, name: str) -> Plugin:
        """Return the one plugin of this name.

        Raises:
            PluginError: an unknown name, with the nearest names; or several distributions provide it.
        """
        claims = self.plugins().get(name, [])
        if not claims:
            raise PluginError(f"no {self.word} named '{name}'{nearest(name, self.names())}")
        if len(claims) > 1:
            owners = " and ".join(claim.origin for claim in claims)
            raise PluginError(
                f"the {self.word} '{name}' is provided by {owners}: uninstall one or drop its file, none is preferred."
            )
        return claims[0]

    def get(self, name: str) -> Any:
        """Return the class of this name; in `models` its spec, in `catalogues` the content of the file.

        Raises:
            PluginError: an unknown, ambiguous or broken plugin, with its origin and the reason.
        """
        plugin = self.plugin(name)
        if plugin.file is not None:
            cls = self.from_files[plugin.target][1]
            if isinstance(cls, UnfitError):
                raise PluginError(broken(plugin, cls)) from cls
            return cls
        if name not in self.loaded:
            try:
                self.loaded[name] = self._load(plugin)
            except KeyboardInterrupt:
                raise
            except BaseException as error:  # a plugin may raise anything at import
                self.failures[name] = error
                raise PluginError(broken(plugin, error)) from error
            self.failures.pop(name, None)
        return self.loaded[name]

    def load_all(self) -> dict[str, Any]:
        """Return every usable plugin of the slot by name; `failures` holds the errors of the others."""
        usable = {}
        for name in self.names():
            try:
                usable[name] = self.get(name)
            except PluginError as error:
                self.failures.setdefault(name, error)
        return usable

    def classes(self) -> dict[str, type]:
        """Return the classes that are imported or registered from files, by name."""
        return self.loaded | {plugin.name: cls for plugin, cls in self.from_files.values() if isinstance(cls, type)}

    def forget(self, name: str) -> None:
        """Remove this name from the cache; the next `get` reads or imports it again."""
        self.loaded.pop(name, None)
        self.from_files = {key: value for key, value in self.from_files.items() if value[0].name != name}

    def register(self, cls: type, file: str) -> Plugin:
        """Add a class of a plugin file; one that is not a valid part of the slot is added as broken."""
        plugin = Plugin(self.name, cls.__name__, f"{cls.__module__}:{cls.__name__}", file, "", file)
        self.from_files[plugin.target] = (plugin, cls)
        try:
            self._check_class(cls, plugin)
        except UnfitError as error:
            self.from_files[plugin.target] = (plugin, error)
        return plugin

    def _load(self, plugin: Plugin) -> Any:
        if self.reader is not None:
            return load_target(self.reader)(plugin)
        target = load_target(plugin.target)
        if self.base is not None:
            self._check_class(target, plugin)
        elif not isinstance(target, dict) or "class_path" not in target:
            raise UnfitError(f"expected a spec (a dict with class_path and init_args), got {type(target).__name__}.")
        return target

    def _check_class(self, cls: Any, plugin: Plugin) -> None:
        base = self.base_class()
        if not isinstance(cls, type) or not issubclass(cls, base):
            raise UnfitError(f"expected a class deriving from {base.__module__}.{base.__name__}, got {cls!r}.")
        self._check_version(cls, plugin)  # first, since a class of another version may lack renamed methods
        if isabstract(cls):
            missing = ", ".join(sorted(getattr(cls, "__abstractmethods__", ())))
            raise UnfitError(f"{cls.__name__} does not implement {missing}, which zoo.{self.name} asks for.")
        if cls.__name__ != plugin.name:
            raise UnfitError(f"its class is called {cls.__name__}; an entry point is named like its class.")
        if packed := packed_arguments(cls, base):
            raise UnfitError(
                f"{cls.__name__}'s constructor takes {packed}; expected each argument by its name, with its type, so "
                "that help, configurations and checkpoints can list it."
            )

    def _check_version(self, cls: type, plugin: Plugin) -> None:
        """Raise UnfitError for a plugin that was written for an unsupported version of the slot."""
        from importlib.metadata import version

        written_for = getattr(cls, "api_version", 1)
        if type(written_for) is not int:
            raise UnfitError(f"{cls.__name__}.api_version is {written_for!r}; expected a whole number, such as 1.")
        if self.oldest <= written_for <= self.version:
            return
        known = f"version {self.version}" if self.oldest == self.version else f"versions {self.oldest}–{self.version}"
        ours = f"ablation-zoo {version('ablation-zoo')}"
        mismatch = f"it was written for version {written_for} of zoo.{self.name}, and {ours} has {known}"
        if written_for > self.version:
            other = "use an older copy of the file" if plugin.file else f"install an older {plugin.distribution}"
            raise UnfitError(f"{mismatch}: upgrade ablation-zoo, or {other}.")
        other = "adapt the file" if plugin.file else f"upgrade {plugin.distribution}"
        raise UnfitError(f"{mismatch}: {other}, or install an older ablation-zoo.")


def nearest(name: str, known: list[str], listed: bool = True) -> str:
    """Return the end of a sentence about an unknown name.

    Example:
        >>> nearest("topk", ["TopK", "NoPatches"])
        '; did you mean TopK? Known: TopK, NoPatches.'
    """
    lowercase = {option.lower(): option for option in known}
    close = [lowercase[match] for match in difflib.get_close_matches(name.lower(), lowercase, n=2, cutoff=0.5)]
    hint = f"; did you mean {' or '.join(close)}?" if close else "."
    return f"{hint} Known: {', '.join(known) or 'none'}." if listed else hint


def broken(plugin: Plugin, error: BaseException) -> str:
    """Return the sentence about a plugin that is installed but cannot be used."""
    reason = str(error) if isinstance(error, UnfitError) else f"{type(error).__name__}: {error}"
    return f"'{plugin.name}' is installed ({plugin.origin}) but failed to load: {reason}"


def packed_arguments(cls: type, base: type) -> str:
    """Return the `*args` and `**kwargs` of a plugin's own constructor, as text; empty if it takes none."""
    owner = next(parent for parent in cls.__mro__ if "__init__" in vars(parent))
    if not issubclass(owner, base):  # the constructor of nn.Module, which takes both
        return ""
    parameters = inspect.signature(owner.__init__).parameters.values()
    packed = [each for each in parameters if each.kind in (each.VAR_POSITIONAL, each.VAR_KEYWORD)]
    return " and ".join(f"{'*' if each.kind is each.VAR_POSITIONAL else '**'}{each.name}" for each in packed)


def load_target(target: str) -> Any:
    """Import the attribute of an import target, `module:attribute`."""
    module, _, attribute = target.partition(":")
    if not module or not attribute.isidentifier():
        raise UnfitError(f"its entry point is '{target}'; expected module:Class.")
    return getattr(importlib.import_module(module), attribute)
