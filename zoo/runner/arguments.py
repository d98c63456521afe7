"""Before the parser sees the command line: checkpoints, named models and shipped configurations become configuration
files.

What LightningCLI reads later wins over what it reads earlier, so order is all that is needed for "checkpoint < YAML <
command line": the checkpoint's own settings become the first `--config`, and `--model=NAME` becomes a `--config` with
the named model's spec in its place.
"""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from zoo.core.errors import ZooError
from zoo.core.plain_yaml import to_yaml
from zoo.core.registry import get_slot
from zoo.hub.pull import catalogued, weights_file
from zoo.runner.configs import shipped
from zoo.training.models import named_spec
from zoo.weights import checkpoint


@contextmanager
def expanded(command: str, arguments: list[str]) -> Iterator[list[str]]:
    """The arguments with checkpoint, named models and shipped configurations in place; temporary files live inside the
    block.

    Raises:
        ZooError: `--ckpt_path` names no readable checkpoint of ours, nor weights in the catalogue.
        PluginError: `--model` names a model that cannot be used.
    """
    with ExitStack() as stack:
        folder = Path(stack.enter_context(TemporaryDirectory(prefix="zoo-")))
        result: list[str] = []
        for position, (option, value) in enumerate(pairs(arguments)):
            if option in ("--config", "-c") and value is not None:
                result += [option, str(shipped(value))]
            elif option == "--model" and value in get_slot("models").names():
                settings = {"model": get_slot("models").get(value)}
                result += ["--config", write(folder / f"model-{position}.yaml", settings)]
            else:
                result += (
                    [option] if value is None else [f"{option}={value}"] if option.startswith("--") else [option, value]
                )
            if option == "--ckpt_path" and value:
                entry = catalogued(value)
                if entry is not None and entry.model is not None:
                    settings, words = official(command, value, entry.model, entry.arguments), []
                else:
                    path = weights_file(value)
                    settings = checkpoint.configuration(path, command)
                    # Nothing but tensors and plain data is let in by Lightning's own reading either.
                    words = [f"--ckpt_path={path}", "--weights_only=true"]
                result = ["--config", write(folder / "checkpoint.yaml", settings), *result[:-1], *words]
        if command == "predict" and not any(option.startswith("--return_predictions") for option in result):
            result.append(
                "--return_predictions=false"
            )  # they are written as they come; kept as well, they would fill the memory
        yield result


def official(command: str, name: str, model: str, replacements: dict[str, Any]) -> dict[str, Any]:
    """The settings for weights of another origin, which Lightning cannot read: their model, which starts from them."""
    if command == "fit":
        raise ZooError(
            f"{name} holds weights alone, from which no training can be resumed: start one from them with "
            f"--model={model} --model.checkpoint={name}."
        )
    return {"model": named_spec(model, name, replacements)}


def pairs(arguments: list[str]) -> Iterator[tuple[str, str | None]]:
    """Options with their values, given as `--option value` or `--option=value`; None for an option without one."""
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
    """Write settings as YAML; returns the path as text."""
    path.write_text(to_yaml(settings))
    return str(path)
