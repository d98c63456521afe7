"""One file for each command of `zoo` that is not Lightning's own; none imports torch before it must."""

import importlib
from types import ModuleType

LIGHTNING = {
    "fit": "Train a model.",
    "validate": "Measure a checkpoint on its validation set.",
    "test": "Measure a checkpoint on its test sets.",
    "predict": "Run a checkpoint on images.",
}
COMMANDS = (
    "list",
    "show",
    "doctor",
    "pull",
    "matte",
    "head",
    "head submit",
    "head now",
    "demo",
    "data",
    "study",
    "diff",
    "gallery",
    "convert",
    "export",
    "push",
    "completion",
)


def command_module(command: str) -> ModuleType:
    """Return the module of a command that is not Lightning's: `zoo.commands.head_submit` for `head submit`."""
    return importlib.import_module(f"zoo.commands.{command.replace(' ', '_')}")
