"""Hidden confounds of overriding, announced: arguments that a newly chosen class inherits, and parts that vanished.

The parser keeps arguments of equal names when the class of a slot changes, in every form of override: `output_stride=8`
survives from one backbone to the next. Here the settings of the first configuration are compared with the final ones.
"""

import argparse
import inspect
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

from jsonargparse import Namespace
from lightning.pytorch.cli import LightningArgumentParser

from zoo.core.plain_yaml import from_yaml
from zoo.core.registry import imported
from zoo.runner.arguments import pairs

Options = list[tuple[str, str | None]]

CHANGING = ("--model", "--data", "--config", "-c")
"""How options begin that may change the class of a slot."""


def carried_over(parser: LightningArgumentParser, args: list[str], config: Namespace) -> list[str]:
    """A message for each slot whose class was changed and that kept arguments nobody gave, and for parts that went.

    Args:
        parser: of the command.
        args: what it was given.
        config: what it made of them.
    """
    given = list(pairs(args))
    if not any(option.startswith(CHANGING) for option, _ in given[1:]) or is_as_written(given, config):
        return []
    before, later = first_settings(parser, given)
    if before is None:
        return []
    spoken = set(spoken_keys(later))
    old_slots, new_slots = dict(slots(before)), dict(slots(config))
    messages = []
    for path, new in new_slots.items():
        old = old_slots.get(path)
        if old is None or old.class_path == new.class_path or not path.startswith(("model", "data")):
            continue
        kept = [f"{name}={value}" for name, value in inherited(old, new) if f"{path}.{name}" not in spoken]
        if kept:
            messages.append(f"{path}: {short(new)} keeps {', '.join(kept)} from {short(old)}.")
    return messages + [
        f"{path} no longer has {', '.join(names)}." for path, names in vanished(old_slots, new_slots).items()
    ]


def is_as_written(given: Options, config: Namespace) -> bool:
    """Whether the first configuration names every class of the settings, each in its place, and no other.

    Then none was changed, and the parser, which needs half a second for a configuration, is not asked again.
    """
    option, file = given[0]
    if option not in ("--config", "-c") or file is None:
        return False
    written = from_yaml(Path(file).read_text(encoding="utf-8"))
    return isinstance(written, dict) and all(
        dict(named_classes(written.get(key))) == dict(named_classes(config.get(key))) for key in ("model", "data")
    )


def named_classes(settings: Any, path: str = "") -> Iterator[tuple[str, str]]:
    """The name of every class with its place in settings, parsed or plain."""
    settings = vars(settings) if isinstance(settings, Namespace) else settings
    if not isinstance(settings, dict):
        return
    if isinstance(name := settings.get("class_path"), str):
        yield path, name.rpartition(".")[2]
        yield from named_classes(settings.get("init_args"), path)
        return
    for key, value in settings.items():
        yield from named_classes(value, f"{path}.{key}")


def vanished(old: Collection[str], new: Collection[str]) -> dict[str, list[str]]:
    """What is gone from dicts of parts that have others: a configuration that lists some loss terms replaces all."""
    gone: dict[str, list[str]] = {}
    for path in old:
        parent, _, name = path.rpartition(".")
        if path not in new and parent.count(".") and any(other.startswith(f"{parent}.") for other in new):
            gone.setdefault(parent, []).append(name)
    return gone


def first_settings(parser: LightningArgumentParser, given: Options) -> tuple[Namespace | None, Options]:
    """The settings by the first configurations that are complete, and the options after them; None where none are."""
    configs: list[str] = []
    for position, (option, value) in enumerate(given):
        if option in ("--config", "-c") and value is not None:
            configs += [option, value]
            try:
                return parser.parse_args(configs), given[position + 1 :]
            except argparse.ArgumentError:
                continue
    return None, []


def slots(settings: Any, path: str = "") -> Iterator[tuple[str, Namespace]]:
    """Every class in parsed settings with its place, as it is typed: `model.selector`."""
    if isinstance(settings, Namespace) and isinstance(settings.get("class_path"), str):
        yield path, settings
        settings = settings.get("init_args")
    if isinstance(settings, Namespace):
        settings = vars(settings)
    if isinstance(settings, dict):
        for key, value in settings.items():
            yield from slots(value, f"{path}.{key}" if path else key)


def inherited(old: Namespace, new: Namespace) -> Iterator[tuple[str, Any]]:
    """Arguments that both classes have with the same value, where it is not the new class's default."""
    before, after = (vars(settings.get("init_args") or Namespace()) for settings in (old, new))
    defaults = default_arguments(new.class_path)
    for name, value in after.items():
        if name in before and before[name] == value and defaults.get(name, inspect.Parameter.empty) != value:
            yield name, value


def default_arguments(path: str) -> dict[str, Any]:
    """The defaults of the class at an import path."""
    cls = imported(path)
    return (
        {}
        if cls is None
        else {name: parameter.default for name, parameter in inspect.signature(cls.__init__).parameters.items()}
    )


def spoken_keys(given: Options) -> Iterator[str]:
    """The keys that options give values for, those in configuration files and in values written as YAML too."""
    for option, value in given:
        if option in ("--config", "-c") and value is not None:
            yield from keys(from_yaml(Path(value).read_text(encoding="utf-8")))
            continue
        key = option.removeprefix("--").replace(".init_args", "")
        yield key
        if value is not None and value.startswith("{"):
            yield from keys(from_yaml(value), key)


def keys(settings: Any, path: str = "") -> Iterator[str]:
    """The dotted keys of nested settings, without the `init_args` between them."""
    if not isinstance(settings, dict):
        return
    for key, value in settings.items():
        inner = path if key == "init_args" else f"{path}.{key}" if path else str(key)
        yield inner
        yield from keys(value, inner)


def short(settings: Namespace) -> str:
    """The name of a class."""
    return settings.class_path.rpartition(".")[2]
