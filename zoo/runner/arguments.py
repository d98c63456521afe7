"""Expansion of checkpoints, named models and shipped configurations into configuration files for the parser.

In LightningCLI, later settings override earlier ones, so the order alone makes "checkpoint < YAML < command line": the
settings of a checkpoint become the first `--config`, and `--model=NAME` becomes a `--config` with the spec of the named
model at the same position.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from zoo.core.errors import ZooError
from zoo.core.nested import class_names
from zoo.core.plain_yaml import to_yaml
from zoo.core.registry import get_slot
from zoo.core.spec import copy_plain
from zoo.hub.pull import catalogue_entry, weights_file
from zoo.runner.configs import shipped
from zoo.runner.overrides import Source, as_source, as_words, class_at, replace_slots, resolve_names
from zoo.runner.parser_errors import CommandLineError
from zoo.runner.values import imported, read_value
from zoo.training.models import named_spec
from zoo.weights.published import is_safetensors
from zoo.weights.reading import configuration, readable


@contextmanager
def expanded(command: str, arguments: list[str]) -> Iterator[list[str]]:
    """Yield the expanded arguments of a command; the temporary files in them exist inside the block.

    Raises:
        ZooError: `--ckpt_path` names no readable checkpoint of ours, nor weights in the catalogue.
        PluginError: `--model` names a model that cannot be used.
    """
    with TemporaryDirectory(prefix="zoo-") as folder:
        sources = [source for option, value in pairs(arguments) for source in sources_of(command, option, value)]
        # The settings of a checkpoint come first, so that all others override them.
        sources.sort(key=lambda source: not source.from_checkpoint)
        choose_help(sources)
        replace_slots(sources)
        for source in sources:
            resolve_names(source)
        words: list[str] = []
        for position, source in enumerate(sources):
            if source.path or source.opaque:
                words += as_words(source)
            elif source.settings:
                words += ["--config", write(Path(folder) / f"config-{position}.yaml", source.settings)]
        if command == "predict" and not any(option.startswith("--return_predictions") for option in words):
            words.append("--return_predictions=false")  # they are written to files and would fill the memory
        yield words


def sources_of(command: str, option: str, value: str | None) -> Iterator[Source]:
    """Yield the sources that an option stands for: files are read, named models and checkpoints expanded."""
    if option in ("--config", "-c") and value is not None:
        yield file_source(shipped(value))
    elif option in ("--model", "--data") and value and value.endswith((".yaml", ".yml")) and Path(value).is_file():
        yield file_source(Path(value), option.lstrip("-"))
    elif option == "--model" and value in get_slot("models").names():
        yield Source((), {"model": copy_plain(get_slot("models").get(value))}, "--config", None, replaces=("model",))
    elif option == "--ckpt_path" and value:
        entry = catalogue_entry(value)
        if entry is not None and entry.model is not None:
            settings = official(command, value, entry.model, entry.arguments)
            yield Source((), settings, "--config", None, from_checkpoint=True)
            return
        path = Path(weights_file(value))
        path = readable(path) if command == "fit" else path
        settings = configuration(str(path), command)
        if is_safetensors(path):  # not the name of the run that they were trained in
            settings["name"] = entry.name if entry is not None else path.stem
        if command == "fit":
            run = run_settings(path)
            settings = run | settings | {"trainer": run.get("trainer", {}) | settings["trainer"]}
        yield Source((), settings, "--config", None, from_checkpoint=True)
        yield as_source("--ckpt_path", str(path), read_value)
        # Lightning's own reader must not unpickle anything but tensors and plain data either.
        yield as_source("--weights_only", "true", read_value)
    else:
        yield as_source(option, value, read_value)


def choose_help(sources: list[Source]) -> None:
    """Complete options such as `--model.help` by the class that the other sources choose, and put them last, in place.

    Raises:
        CommandLineError: no source chooses one.
    """
    sources.sort(key=lambda source: source.option.endswith(".help"))
    for source in sources:
        if source.option.endswith(".help") and source.text is None:
            chosen = [name for other in sources if (name := class_at(other, source.path[:-1])) is not None]
            if not chosen:
                names = ", ".join(get_slot("modules").names()) if source.path == ("model", "help") else "TopK"
                raise CommandLineError(
                    f"{source.option} needs a class, {source.option}=CLASS (such as {names}), or a configuration that "
                    "chooses one, --config matting/quickstart."
                )
            source.text = chosen[-1]


def run_settings(checkpoint: Path) -> dict[str, Any]:
    """Return the settings of the trainer and the folder of runs that the run of a checkpoint was started with.

    Read from config.yaml in the run's directory. A class whose module is not imported is left out, with a message,
    since a file must not decide what is imported.
    """
    file = checkpoint.parent.parent / "config.yaml"
    settings = file_source(file).settings or {}
    trainer = {}
    for key, value in (settings.get("trainer") or {}).items():
        if foreign := [name for name in class_names(value) if imported(name) is None]:
            print(f"{file}: trainer.{key} holds {', '.join(foreign)} and is left out; give --trainer.{key} to keep it.")
        else:
            trainer[key] = value
    return {key: settings[key] for key in ("runs",) if key in settings} | {"trainer": trainer}


def file_source(path: Path, key: str | None = None) -> Source:
    """Return the source of a file with settings, those of `key` if given; one without a mapping is for the parser."""
    try:
        settings = read_value(path.read_text(encoding="utf-8"))
    except UnicodeDecodeError as error:
        raise CommandLineError(f"{path} is not text in UTF-8.") from error
    except Exception:  # the parser reports the error
        settings = None
    if not isinstance(settings, dict):
        return Source((), None, "--config", str(path), opaque=True)
    return Source((), settings if key is None else {key: settings}, "--config", None)


def official(command: str, name: str, model: str, replacements: dict[str, Any]) -> dict[str, Any]:
    """Return the settings for official weights, which Lightning cannot read: their model, initialised from them."""
    if command == "fit":
        raise ZooError(
            f"{name} holds weights alone, from which no training can be resumed: start one from them with "
            f"--model={model} --model.checkpoint={name}."
        )
    return {"model": named_spec(model, name, replacements)}


def pairs(arguments: list[str]) -> Iterator[tuple[str, str | None]]:
    """Yield options with their values, from `--option value` or `--option=value`; None for an option without one.

    Example:
        >>> list(pairs(["--name=x", "--config", "a.yaml", "--help"]))
        [('--name', 'x'), ('--config', 'a.yaml'), ('--help', None)]
    """
    position = 0
    while position < len(arguments):
        option, equals, value = arguments[position].partition("=")
        position += 1
        if equals:
            yield option, value
        elif position < len(arguments) and not arguments[position].startswith("-"):
            yield option, arguments[position]
            position += 1
        else:
            yield option, None


def write(path: Path, settings: dict[str, Any]) -> str:
    """Write settings as YAML and return the path as text."""
    path.write_text(to_yaml(settings))
    return str(path)
