"""One override rule for the command line: choosing a class replaces the slot.

The same rule for Python is in `zoo.training.models.named_spec`, for studies in `zoo.study.plan.resolve`.

Settings come from *sources* in order: configuration files and options. The parser merges them, and would keep
arguments of equal names when a later source chooses another class. So whatever a later source replaces is removed from
the earlier ones before the parser reads them: no argument of the class before it survives. Giving arguments without a
class changes only these arguments. `model` and `data` themselves are replaced when another class, or a named model, is
chosen.

Paths are written without `init_args`: `model.selector.patches`.
"""

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from zoo.core.registry import find_class, slots
from zoo.core.slot import PluginError
from zoo.runner.parser_errors import CommandLineError

Path = tuple[str, ...]
Read = Callable[[str], Any]


@dataclass
class Source:
    """Settings of one configuration file, or of one option of the command line.

    Args:
        path: position of the settings: () for a file, ("model", "selector") for `--model.selector=…`.
        settings: nested plain data for a file; the value of an option as plain data.
        option: the option as it was typed, `--model.selector`; for a file `--config`.
        text: the value as it was typed.
        replaces: path of the settings that a named model replaces.
        opaque: whether only the parser can interpret it (an unreadable file, an option without value).
        from_checkpoint: whether a checkpoint holds these settings.
    """

    path: Path
    settings: Any
    option: str
    text: str | None
    replaces: Path | None = None
    opaque: bool = False
    from_checkpoint: bool = False


def as_source(option: str, text: str | None, read: Read) -> Source:
    """Return the source of an option with its value."""
    path = tuple(key for key in option.lstrip("-").split(".") if key != "init_args")
    if text is None or not option.startswith("--") or option.endswith("+"):
        return Source(path, None, option, text, opaque=True)
    if path[-1] == "class_path":
        return Source(path[:-1], {"class_path": text}, option, text)
    try:
        return Source(path, read(text), option, text)
    except Exception:  # the parser reports the error
        return Source(path, None, option, text, opaque=True)


def replace_slots(sources: Sequence[Source]) -> None:
    """Remove from each source what a later one replaces, in place.

    Example:
        >>> model = {"class_path": "Model", "init_args": {"part": {"class_path": "A", "init_args": {"width": 3}}}}
        >>> file = Source((), {"model": model}, "--config", None)
        >>> replace_slots([file, Source(("model", "part"), "B", "--model.part", "B")])
        >>> file.settings
        {'model': {'class_path': 'Model', 'init_args': {}}}
    """
    for position, source in enumerate(sources):
        earlier = sources[:position]
        for path in list(chosen_slots(source, earlier)):
            for other in earlier:
                remove(other, path)


def chosen_slots(source: Source, earlier: Sequence[Source]) -> Iterator[Path]:
    """Yield the path of every slot for which a source chooses a class."""
    if source.replaces is not None:
        yield source.replaces
    if source.opaque:
        return
    for path, name, is_class_path in names(source.settings, source.path):
        before = [known for other in earlier if (known := class_at(other, path)) is not None]
        is_slot = len(path) > 1 and (is_class_path or before)
        if is_slot or any(known != class_name(name) for known in before):
            yield path


def names(settings: Any, path: Path) -> Iterator[tuple[Path, str, bool]]:
    """Yield each `class_path` and other text in nested settings, which may name a class, with its path."""
    if isinstance(settings, str) and path:
        yield path, settings, False
    elif isinstance(settings, dict):
        if isinstance(name := settings.get("class_path"), str):
            yield path, name, True
        for key, value in arguments_of(settings).items():
            yield from names(value, (*path, str(key)))


def arguments_of(settings: dict[str, Any]) -> dict[str, Any]:
    """Return the children of a node of nested settings: the arguments of a part, or the entries of a dict."""
    if "class_path" in settings or "init_args" in settings:
        inner = settings.get("init_args")
        return inner if isinstance(inner, dict) else {}
    return settings


def node_at(source: Source, path: Path) -> Any:
    """Return the settings of a source at a path; None where it has none."""
    if source.opaque or path[: len(source.path)] != source.path:
        return None
    node = source.settings
    for key in path[len(source.path) :]:
        node = arguments_of(node).get(key) if isinstance(node, dict) else None
    return node


def class_at(source: Source, path: Path) -> str | None:
    """Return the name of the class that a source chooses at a path; None where it holds no part there."""
    node = node_at(source, path)
    name = node.get("class_path") if isinstance(node, dict) else node
    return class_name(name) if isinstance(name, str) else None


def class_name(path: str) -> str:
    """Return the class name of an import path, `a.b.C` → `C`; a registered name is returned unchanged."""
    return path.rpartition(".")[2]


def remove(source: Source, path: Path) -> None:
    """Remove the settings of a source at a path and below it."""
    if source.path[: len(path)] == path:
        source.settings, source.text = None, None
    elif isinstance(node := node_at(source, path[:-1]), dict):
        arguments_of(node).pop(path[-1], None)


def resolve_names(source: Source) -> None:
    """Replace registered names in a source's model and data by import paths, importing these classes, in place.

    Names that no slot has are left to the parser, which reports them.

    Raises:
        CommandLineError: the plugin is ambiguous or cannot be imported.
    """
    if not source.opaque:
        source.settings = with_import_paths(source.settings, source.path)


def with_import_paths(settings: Any, path: Path) -> Any:
    """Return settings with import paths for registered names, below `model` and `data`."""
    inside = path[:1] in (("model",), ("data",))
    if isinstance(settings, dict):
        resolved = {
            key: with_import_paths(value, (*path, key) if not is_node(key) else path) for key, value in settings.items()
        }
        if inside and isinstance(name := resolved.get("class_path"), str):
            resolved["class_path"] = import_path(name, path)
        return resolved
    return import_path(settings, path) if inside and isinstance(settings, str) else settings


def is_node(key: Any) -> bool:
    """Return whether a key belongs to the form of a part rather than to its arguments."""
    return key in ("class_path", "init_args")


def import_path(name: str, path: Path) -> str:
    """Return the import path of a registered class; other text as it is."""
    owners = [slot for slot in slots().values() if slot.base is not None and name in slot.names()]
    if not owners:
        return name
    try:
        cls = find_class(name)
    except PluginError as error:
        raise CommandLineError(f"{'.'.join(path)}: {error}") from error
    return f"{cls.__module__}.{cls.__qualname__}"


def as_words(source: Source) -> list[str]:
    """Return an option as words for the parser; none if the whole option was replaced."""
    if source.opaque:
        if source.text is None:
            return [source.option]
        return [f"{source.option}={source.text}"] if source.option.startswith("--") else [source.option, source.text]
    if source.text is None:
        return []
    return [f"{source.option}={as_text(source)}"]


def as_text(source: Source) -> str:
    """Return the value of an option: as it was typed, unless it holds a class."""
    settings = source.settings
    if isinstance(settings, dict):
        return settings["class_path"] if source.option.endswith(".class_path") else json.dumps(settings)
    if isinstance(settings, str) and source.path[:1] in (("model",), ("data",)):
        return settings
    return source.text or ""
