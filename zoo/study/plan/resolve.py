"""Resolved settings: changed by dotted keys, and understood by the command line's own parser."""

import argparse
import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from jsonargparse import ArgumentParser, capture_parser
from lightning.pytorch.cli import LightningArgumentParser

from zoo.core.differences import is_part
from zoo.core.errors import ZooError
from zoo.core.plain_yaml import to_yaml
from zoo.core.plugin_files import load_plugin_files
from zoo.core.registry import load_plugins
from zoo.core.slots import nearest
from zoo.core.spec import build, copy_plain
from zoo.runner.configs import shipped
from zoo.runner.lightning import CommandLineError, ZooCLI, check_registered, plain
from zoo.runner.parser_errors import sentence
from zoo.training.data import DataModule
from zoo.training.module import TrainingModule


def changed(settings: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """A copy of the settings with values replaced, in order; a class replaces the whole slot, its arguments too.

    Raises:
        ValueError: a key leads through a value that has no keys, or a part that is not there.
    """
    result = copy_plain(dict(settings))
    for key, value in changes.items():
        put(result, key, copy_plain(value), settings)
    return result


def put(settings: dict[str, Any], key: str, value: Any, before: Mapping[str, Any]) -> None:
    """Set the value of a dotted key, in place. Where there were only parts `before`, no name is new by mistake."""
    inside, last, known = settings, key.split("."), before
    while len(last) > 1:
        inside = arguments(inside)
        known = known.get("init_args", {}) if is_part(known) else known
        if last[0] not in inside and known and all(is_part(item) for item in known.values()):
            raise ValueError(f"'{key}' leads through '{last[0]}', which is not there{nearest(last[0], list(inside))}")
        found = known.get(last[0])
        known = found if isinstance(found, Mapping) else {}
        step = inside.setdefault(last[0], {})
        if step is None:
            step = inside[last[0]] = {}
        if not isinstance(step, dict):
            raise ValueError(f"'{key}' leads through '{last[0]}', which is {step!r} and has no keys.")
        inside, last = step, last[1:]
    inside = arguments(inside)
    name = last[0]
    if isinstance(value, str) and is_part(inside.get(name)):
        value = {"class_path": value}
    inside[name] = value


def arguments(settings: dict[str, Any]) -> dict[str, Any]:
    """Where the keys below a part, or below a mapping, are."""
    return settings.setdefault("init_args", {}) if is_part(settings) else settings


COMMAND = "fit"


class TrainerCLI(ZooCLI):
    """The command line without model and data."""

    def add_core_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        parser.add_lightning_class_args(self.trainer_class, "trainer")


class Resolver:
    """The parser of `zoo fit`, made once and asked often.

    Rows of a study share most settings, and understanding those of the data takes long. So model, data and the rest are
    parsed each on its own, and only once where they are the same.

    Args:
        plugins: Python files with parts to register first.
    """

    def __init__(self, plugins: Iterable[Path] = ()) -> None:
        load_plugin_files(map(str, plugins))
        load_plugins()
        self.parser = capture_parser(lambda: ZooCLI([COMMAND]))
        self.sections = {"model": section_parser("model", TrainingModule), "data": section_parser("data", DataModule)}
        self.rest = capture_parser(lambda: TrainerCLI([COMMAND]))
        self.bases: dict[tuple[str, ...], dict[str, Any]] = {}
        self.known: dict[str, dict[str, Any]] = {}

    def files(self, names: Iterable[str]) -> dict[str, Any]:
        """The settings that these configurations come to, each over the one before it.

        Raises:
            ZooError: a file is missing, or the parser does not understand it.
        """
        options = tuple(f"--config={shipped(name)}" for name in names)
        if options not in self.bases:
            self.bases[options] = parse(self.parser, [*options])
            for section in self._divided(self.bases[options]):
                self.known.setdefault(json.dumps(section), section)  # resolved already
        return copy_plain(self.bases[options])

    def settings(self, settings: dict[str, Any]) -> dict[str, Any]:
        """Settings parsed anew: checked, and defaults filled in for parts that were replaced.

        Raises:
            ZooError: an unknown key, part or argument, or a value of another type.
        """
        parsed: dict[str, Any] = {}
        for parser, section in zip((self.rest, *self.sections.values()), self._divided(settings), strict=True):
            parsed |= self._section(parser, section)
        return {key: parsed[key] for key in [*settings, *parsed]}

    def _divided(self, settings: dict[str, Any]) -> list[dict[str, Any]]:
        """The settings in the parts that are parsed each on its own: the rest, then one for each of the sections."""
        rest = {key: value for key, value in settings.items() if key not in self.sections}
        return [rest, *({key: settings.get(key)} for key in self.sections)]

    def _section(self, parser: ArgumentParser, settings: dict[str, Any]) -> dict[str, Any]:
        """A part of the settings, as its parser understands it."""
        text = json.dumps(settings)
        if text not in self.known:
            with TemporaryDirectory(prefix="zoo-study-") as folder:
                file = Path(folder) / "config.yaml"
                file.write_text(to_yaml(settings))
                self.known[text] = parse(parser, [f"--config={file}"])
        return copy_plain(self.known[text])


def section_parser(key: str, base: type) -> LightningArgumentParser:
    """The parser of one key of the settings, where a class deriving from `base` is chosen."""
    parser = LightningArgumentParser(exit_on_error=False, allow_abbrev=False)
    parser.add_argument("--config", action="config")
    parser.add_lightning_class_args(base, key, subclass_mode=True)
    return parser


def parse(parser: ArgumentParser, options: list[str]) -> dict[str, Any]:
    """What a parser makes of options; ZooError where it does not understand them."""
    with as_study_errors():
        parsed = parser.parse_args(options)
        check_registered(parsed)
    resolved = plain(parser, parsed)
    resolved.pop("config", None)
    return resolved


@contextmanager
def as_study_errors() -> Iterator[None]:
    """What the parser complains about inside the block becomes one sentence."""
    try:
        yield
    except argparse.ArgumentError as error:
        raise ZooError(re.sub(r"--(?=(model|data|trainer)\b)", "", sentence(COMMAND, str(error)))) from None
    except CommandLineError as error:
        raise ZooError(str(error)) from error


def make_data(settings: dict[str, Any]) -> DataModule:
    """The data module of resolved settings; what it says about missing files is said here."""
    return build(settings)


def make_from_options(cls: Callable[..., Any], name: str, options: list[str]) -> Any:
    """An object of a class, from options of the command line such as `--engine.slots=2`.

    Raises:
        ZooError: an option that the class does not have, or a value of another type.
    """
    parser = ArgumentParser(exit_on_error=False)
    parser.add_class_arguments(cls, name)
    with as_study_errors():
        return parser.instantiate(parser.parse_args(options))[name]
