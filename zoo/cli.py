"""`zoo`: the command line.

`fit`, `validate`, `test` and `predict` are Lightning's; every other command is one file in `zoo.commands`. Neither
torch nor any plugin is imported before a command needs it.
"""

import argparse
import importlib
import os
import re
import signal
import sys
import traceback
from collections.abc import Iterator, Sequence
from types import ModuleType
from typing import NoReturn

LIGHTNING = {
    "fit": "Train a model.",
    "validate": "Measure a checkpoint on its validation set.",
    "test": "Measure a checkpoint on its test sets.",
    "predict": "Run a checkpoint on pictures.",
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
    "data",
    "study",
    "diff",
    "convert",
    "export",
    "push",
    "bench",
)
ANYWHERE = "Every command takes --plugin FILE, a Python file with parts of yours, once or several times."
EXPECTED = (ValueError, LookupError, OSError, FloatingPointError)
"""What our own code raises for bad input, with one sentence; raised by other code, its traceback is shown as well."""


def main(args: Sequence[str] | None = None) -> int:
    """Run one command, in process.

    Args:
        args: the words after `zoo`; None takes those of the process.

    Returns:
        The exit code: 0, or 1 when the command failed, 2 when it was not understood, 130 or 143 when it was ended from
        outside.
    """
    words, plugin_files = without_plugins(sys.argv[1:] if args is None else args)
    if not words or words[0] in ("-h", "--help", "help"):
        print(overview())
        return 0
    if words[0] in ("--version", "-V"):
        from importlib.metadata import version

        print(f"ablation-zoo {version('ablation-zoo')}")
        return 0
    length = 2 if " ".join(words[:2]) in COMMANDS else 1
    command, rest = " ".join(words[:length]), words[length:]
    if command not in LIGHTNING and command not in COMMANDS:
        from zoo.core.registry import nearest

        print(f"zoo: there is no command '{command}'{nearest(command, [*LIGHTNING, *COMMANDS])}", file=sys.stderr)
        return 2
    try:
        register(plugin_files)
        return run_lightning(command, rest) if command in LIGHTNING else run_other(command, rest, plugin_files)
    except EXPECTED as error:
        ours = next((cause for cause in causes(error) if is_ours(cause)), None)
        if os.environ.get("ZOO_TRACEBACK") or ours is None:
            traceback.print_exc()
        print(f"zoo {command}: {' '.join(sentence(ours or error).split())}", file=sys.stderr)
        return 2 if type(error).__name__ == "CommandLineError" else 1
    except KeyboardInterrupt:
        print(f"zoo {command}: interrupted.", file=sys.stderr)
        return 130
    except SystemExit as exit_:
        if type(exit_).__name__ == "SIGTERMException":  # Lightning's; known by its name, since it may not be imported
            print(f"zoo {command}: asked to end (SIGTERM).", file=sys.stderr)
            return 128 + signal.SIGTERM
        return exit_.code if isinstance(exit_.code, int) else int(exit_.code is not None)


def run() -> None:
    """The `zoo` script."""
    sys.exit(main())


def without_plugins(words: Sequence[str]) -> tuple[list[str], list[str]]:
    """The words without `--plugin FILE`, which every command takes, and the files."""
    rest: list[str] = []
    files: list[str] = []
    remaining = iter(words)
    for word in remaining:
        option, equals, value = word.partition("=")
        if option != "--plugin":
            rest.append(word)
        else:
            files.append(value if equals else next(remaining, ""))
    return rest, files


def register(plugin_files: Sequence[str]) -> None:
    """Register the parts in files; PluginError for one that cannot be used, or two of one name."""
    if plugin_files:  # this imports torch
        from zoo.core.registry import load_plugin_files

        load_plugin_files(plugin_files)


def run_lightning(command: str, arguments: list[str]) -> int:
    """One of Lightning's commands."""
    from zoo.core.command_line import run_command

    run_command(command, arguments)
    return 0


def run_other(command: str, arguments: list[str], plugin_files: list[str]) -> int:
    """A command of `zoo.commands`; it finds the files that were given with `--plugin` in `arguments.plugins`."""
    module = command_module(command)
    parser = Parser(prog=f"zoo {command}", description=(module.__doc__ or "").strip(), allow_abbrev=False)
    module.add_arguments(parser)
    parsed = parser.parse_args(arguments, argparse.Namespace(plugins=plugin_files))
    try:
        code = module.run(parsed)
        sys.stdout.flush()
    except BrokenPipeError:  # the reader has seen enough, as in `zoo list | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    return code


def command_module(command: str) -> ModuleType:
    """The file of a command that is not Lightning's; of `head submit`, `zoo/commands/head_submit.py`."""
    return importlib.import_module(f"zoo.commands.{command.replace(' ', '_')}")


class Parser(argparse.ArgumentParser):
    """A parser that answers a command line it does not understand with one sentence instead of the usage."""

    def format_help(self) -> str:
        return f"{super().format_help()}\n{ANYWHERE}\n"

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{self.prog}: {message.rstrip('.')}; `{self.prog} --help` explains it.\n")


def overview() -> str:
    """The help of `zoo` alone: one line a command."""
    helps = dict(LIGHTNING)
    for name in COMMANDS:
        helps[name] = (command_module(name).__doc__ or "").strip().splitlines()[0]
    lines = "\n".join(f"  {name:<12} {text}" for name, text in helps.items())
    return (
        "zoo: an ablation is a combination of plugins.\n\nusage: zoo COMMAND [options]; `zoo COMMAND --help` "
        f"explains one.\n\n{lines}\n\n{ANYWHERE}"
    )


def causes(error: BaseException) -> Iterator[BaseException]:
    """The error and what led to it: a sentence of ours may come wrapped by the parser that was building the part."""
    current: BaseException | None = error
    while current is not None:
        yield current
        current = current.__cause__ or current.__context__


def sentence(error: BaseException) -> str:
    """The error's message, without the traceback that one from a worker process carries in its text."""
    text = str(error)
    caught = re.match(r"Caught (\w+) in DataLoader worker", text)
    return text.rpartition(f"{caught[1]}: ")[2] if caught else text


def is_ours(error: BaseException) -> bool:
    """Whether the error was raised by the zoo or a part, on purpose, rather than somewhere in a library."""
    if type(error).__module__.startswith("zoo."):
        return True
    last = error.__traceback__
    while last is not None and last.tb_next is not None:
        last = last.tb_next
    if last is None or isinstance(error, KeyError | IndexError):  # what a mistake in code looks like
        return False
    return last.tb_frame.f_globals.get("__name__", "").split(".")[0] in {"zoo"} | plugin_packages()


def plugin_packages() -> set[str]:
    """The top-level packages that plugins live in, built-in or not, and the modules of plugin files."""
    from zoo.core.registry import SLOTS

    return {
        plugin.target.split(":")[0].split(".")[0]
        for slot in SLOTS.values()
        for claims in slot.plugins().values()
        for plugin in claims
    }
