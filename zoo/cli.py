"""`zoo`: the command line.

`fit`, `validate`, `test` and `predict` are Lightning's; every other command is one file in `zoo.commands`. Neither
torch nor any plugin is imported before a command needs it.
"""

import argparse
import errno
import os
import selectors
import sys
import traceback
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from zoo.commands import COMMANDS, LIGHTNING, command_module
from zoo.core.errors import ZooError, explain, on_purpose
from zoo.runner.help import ANYWHERE, Parser, lightning_parser

NO_PLACE = (errno.EROFS, errno.ENOSPC, errno.EDQUOT)
"""Errors of a disk that is read-only, full, or whose quota is used up."""


def main(args: Sequence[str] | None = None) -> int:
    """Run one command in this process and return its exit code.

    Args:
        args: the words after `zoo`; None means those of the process.

    Returns:
        0, 1 for a failure, 2 for a command line that cannot be understood, 130 or 143 after SIGINT or SIGTERM, 141 when
        nobody reads the output of a training any more.

    Example:
        >>> main(["--version"])
        ablation-zoo 0.2.0
        0
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
        from zoo.core.slot import nearest

        print(f"zoo: there is no command '{command}'{nearest(command, [*LIGHTNING, *COMMANDS])}", file=sys.stderr)
        return 2
    try:
        register(plugin_files)
        return run_lightning(command, rest) if command in LIGHTNING else run_other(command, rest, plugin_files)
    except KeyboardInterrupt:
        print(f"zoo {command}: interrupted.", file=sys.stderr)
        return 130
    except SystemExit as exit_:
        return exit_.code if isinstance(exit_.code, int) else int(exit_.code is not None)
    except Exception as error:
        if isinstance(error, BrokenPipeError) and reader_has_left():
            return 141 if command in LIGHTNING else 0
        if os.environ.get("ZOO_TRACEBACK"):
            traceback.print_exc()
        text = explain(error)
        if "torch" in sys.modules:  # without it no plugin has run
            from zoo.core.promises import explain_with_part

            text = explain_with_part(error)
        if isinstance(error, OSError) and error.errno in NO_PLACE:
            folder = Path(error.filename).parent if isinstance(error.filename, str) else "the folder"
            text = f"{folder} cannot be written to ({error.strerror}): make room, or choose another place."
        if not on_purpose(error):  # the note of an error in a run says where its traceback is
            place = " ".join(getattr(error, "__notes__", [])) or "ZOO_TRACEBACK=1 shows where it happened."
            text = f"{text.rstrip('.')}. {place}"
        print(f"zoo {command}: {text}", file=sys.stderr)
        return error.exit_code if isinstance(error, ZooError) else 1


def run() -> None:
    """Run the `zoo` script: with streams that are closed, or whose encoding lacks our characters.

    No Python that it starts imports modules from the working directory.
    """
    os.environ["PYTHONSAFEPATH"] = "1"
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: SIM115
        elif hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")
    try:
        code = main()
        sys.stdout.flush()
    except BrokenPipeError:
        code = 0 if reader_has_left() else 1
    sys.exit(code)


def reader_has_left() -> bool:
    """Return whether a program that read our output has ended, as in `zoo list | head`; then write to nowhere."""
    left = []
    for number in (1, 2):
        with suppress(OSError, ValueError), selectors.DefaultSelector() as selector:  # of files, and where none is open
            selector.register(number, selectors.EVENT_READ)  # what is to be written to is readable where it has ended
            if selector.select(0) and not os.isatty(number):
                os.dup2(os.open(os.devnull, os.O_WRONLY), number)
                left.append(number)
    return bool(left)


def without_plugins(words: Sequence[str]) -> tuple[list[str], list[str]]:
    """Return the words without `--plugin FILE`, which every command takes, and these files."""
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
    """Register the parts of plugin files; PluginError for an unusable file, or two files of one name."""
    if plugin_files:  # this imports torch
        from zoo.core.plugin_files import load_plugin_files

        load_plugin_files(plugin_files)


def run_lightning(command: str, arguments: list[str]) -> int:
    """Run one of Lightning's commands."""
    if {"-h", "--help"} & {*arguments}:  # which imports nothing, unlike that of Lightning
        print(lightning_parser(command, LIGHTNING[command]).format_help(), end="")
        return 0
    arguments = ["--help" if word == "--help-all" else word for word in arguments]
    from zoo.media.progress import waiting

    with waiting("Loading PyTorch and Lightning"):
        from zoo.media.run import one_line_warnings
        from zoo.runner.lightning import run_command

    with one_line_warnings():
        run_command(command, arguments)
    return 0


def run_other(command: str, arguments: list[str], plugin_files: list[str]) -> int:
    """Run a command of `zoo.commands`, with the plugin files in `arguments.plugins`."""
    module = command_module(command)
    parser = Parser(prog=f"zoo {command}", description=(module.__doc__ or "").strip(), allow_abbrev=False)
    module.add_arguments(parser)
    parsed = parser.parse_args(arguments, argparse.Namespace(plugins=plugin_files))
    return module.run(parsed)


def overview() -> str:
    """Return the help of `zoo` without a command: one line per command."""
    helps = dict(LIGHTNING)
    for name in COMMANDS:
        helps[name] = (command_module(name).__doc__ or "").strip().partition("\n")[0]  # no docstrings with python -OO
    lines = "\n".join(f"  {name:<12} {text}" for name, text in helps.items())
    return (
        "zoo: an ablation is a combination of plugins.\n\nusage: zoo COMMAND [options]; `zoo COMMAND --help` "
        f"explains one.\n\n{lines}\n\n{ANYWHERE}"
    )


if __name__ == "__main__":
    run()
