"""Resolved settings: changed by dotted keys, and parsed by the command line's own parser.

Keys are written as on the command line, without the `init_args` between a part and its arguments.
"""

import argparse
import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from jsonargparse import ArgumentParser, capture_parser

from zoo.core.errors import ZooError
from zoo.core.plain_yaml import to_yaml
from zoo.core.plugin_files import load_plugin_files
from zoo.core.registry import find_class
from zoo.core.slot import nearest
from zoo.core.spec import copy_plain
from zoo.runner.arguments import expanded
from zoo.runner.lightning import STRICT, CommandLineError, ZooCLI, ZooParser, check_registered, plain
from zoo.runner.overrides import with_import_paths
from zoo.runner.parser_errors import sentence
from zoo.study.setting_differences import is_part

COMMAND = "fit"


def changed(settings: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """Return a copy of the settings with values replaced, in order; a class replaces its slot with all arguments.

    Raises:
        ValueError: a key leads through a value that has no keys, or a part that is not there.
    """
    result = copy_plain(dict(settings))
    for key, value in changes.items():
        put(result, key, copy_plain(value), settings)
    return result


def put(settings: dict[str, Any], key: str, value: Any, before: Mapping[str, Any]) -> None:
    """Set the value of a dotted key, in place; ValueError for a new name where there were only parts `before`."""
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
    """Return the mapping that holds the keys below a part, or below a mapping."""
    return settings.setdefault("init_args", {}) if is_part(settings) else settings


class Resolver:
    """The parser of `zoo fit`, for configurations and changed settings; `plugins` are Python files with parts.

    Raises ZooError for a missing file, an unknown key, part or argument, or a value of another type.
    """

    def __init__(self, plugins: Iterable[Path] = ()) -> None:
        load_plugin_files(map(str, plugins))
        self.parser = capture_parser(lambda: ZooCLI([COMMAND]))
        self.parsers: dict[tuple[str, str, frozenset[str]], ArgumentParser] = {}

    def files(self, names: Iterable[str]) -> dict[str, Any]:
        """Return the resolved settings of configurations, each over the one before it."""
        return parse(self.parser, [f"--config={name}" for name in names])

    def settings(self, settings: dict[str, Any], start: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """Return settings parsed again: checked, and with defaults filled in for parts that were replaced.

        Args:
            settings: which may be those of `start` with changes.
            start: resolved settings. Where the changes are arguments of model and data, only these are parsed.
        """
        if start is not None:
            # Arguments do not depend on one another. What cannot be read is reported by the whole parser.
            with suppress(argparse.ArgumentError, ValueError, TypeError, LookupError):
                return {key: self.section(key, value, start[key]) for key, value in settings.items()}
        with TemporaryDirectory(prefix="zoo-study-") as folder:
            file = Path(folder) / "config.yaml"
            file.write_text(to_yaml(settings))
            parsed = parse(self.parser, [f"--config={file}"])
        return {key: parsed[key] for key in [*settings, *parsed]}

    def section(self, key: str, value: Any, before: Any) -> Any:
        """Return model or data with the arguments parsed that differ from resolved ones; ValueError for other keys."""
        if as_json(value) == as_json(before):
            return before
        whole = key not in ("model", "data") or value.keys() != {"class_path", "init_args"}
        if whole or value["class_path"] != before["class_path"]:
            raise ValueError(f"{key} must be parsed as a whole.")
        known = before["init_args"]
        changes = {name: item for name, item in value["init_args"].items() if as_json(item) != as_json(known[name])}
        kept = frozenset(known.keys() - changes.keys())
        parser = self.parsers.get((key, value["class_path"], kept))
        if parser is None:
            parser = self.parsers[key, value["class_path"], kept] = ZooParser(**STRICT)
            parser.add_class_arguments(find_class(value["class_path"]), key, skip=set(kept), fail_untyped=False)
        parsed = parser.parse_object({key: with_import_paths(changes, (key,))})
        check_registered(parsed)
        return {"class_path": value["class_path"], "init_args": {**known, **plain(parser, parsed)[key]}}


def as_json(value: Any) -> str:
    """Return a value as text, in which 1, 1.0 and true differ."""
    return json.dumps(value, default=str)


def parse(parser: ArgumentParser, options: list[str]) -> dict[str, Any]:
    """Return the settings that a parser makes of options; ZooError where it does not understand them.

    The options are prepared as those of `zoo fit`: registered names are resolved, and a class replaces its slot.
    """
    with as_study_errors(), expanded(COMMAND, options) as words:
        parsed = parser.parse_args(words)
        check_registered(parsed)
    resolved = plain(parser, parsed)
    resolved.pop("config", None)
    return resolved


@contextmanager
def as_study_errors() -> Iterator[None]:
    """Turn errors of the parser inside the block into one sentence."""
    try:
        yield
    except argparse.ArgumentError as error:
        raise ZooError(re.sub(r"--(?=(model|data|trainer)\b)", "", sentence(COMMAND, str(error)))) from None
    except CommandLineError as error:
        raise ZooError(str(error)) from error


def make_from_options(cls: Callable[..., Any], name: str, options: list[str]) -> Any:
    """Return an object of a class, made from options of the command line such as `--engine.slots=2`.

    Raises:
        ZooError: an option that the class does not have, or a value of another type.
    """
    parser = ArgumentParser(exit_on_error=False)
    parser.add_class_arguments(cls, name)
    with as_study_errors():
        return parser.instantiate(parser.parse_args(options))[name]
