"""Print a script with which bash or zsh complete commands, options and names after TAB.

For bash, write it to ~/.local/share/bash-completion/completions/zoo; for zsh, to a file `_zoo` in a folder of `fpath`.
Repeat this after installing plugins. Nothing of this package runs when TAB is pressed.
"""

import argparse
from pathlib import Path
from typing import Any

from zoo.runner.configs import CONFIGS
from zoo.runner.help import Parser, lightning_parser


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("shell", choices=("bash", "zsh"), help="the shell that reads the script")


def run(arguments: argparse.Namespace) -> int:
    """Print the script; return 0."""
    import shtab

    print(shtab.complete(whole_parser(), arguments.shell))
    return 0


def whole_parser() -> Parser:
    """Return one parser for all commands, with the names that there are as choices, and files where one is expected."""
    from zoo.commands import COMMANDS, LIGHTNING, command_module
    from zoo.core.registry import get_slot, slots
    from zoo.hub.catalogue import all_entries

    plugins = sorted({name for slot in slots().values() for name in slot.names()})
    models, weights = get_slot("models").names(), sorted(all_entries())
    names: dict[tuple[str, str], list[str]] = {
        ("list", "slot"): [*slots()],
        ("show", "name"): [*slots(), *plugins, *weights, "study"],
        ("pull", "name"): weights,
        **{(command, "model"): models for command in LIGHTNING},
        **{(command, "model"): weights for command in ("matte", "head")},
    }
    whole = Parser(prog="zoo")
    commands = whole.add_subparsers(parser_class=Parser)
    for name, text in LIGHTNING.items():
        known = lightning_parser(name, text, placeholders=False)
        commands.add_parser(name, help=text, parents=[known], add_help=False)
    for name in COMMANDS:
        if " " not in name:
            module = command_module(name)
            text = (module.__doc__ or "").strip().partition("\n")[0]
            module.add_arguments(commands.add_parser(name, help=text))
    for name, parser in commands.choices.items():
        add_names(name, parser, names)
    return whole


def add_names(command: str, parser: argparse.ArgumentParser, names: dict[tuple[str, str], list[str]]) -> None:
    """Give the arguments of a command, and of the actions below it, what completes them; for `names` see above."""
    import shtab

    for action in parser._actions:  # argparse has no other access to them
        if isinstance(action.choices, dict):
            for below in action.choices.values():
                add_names(command, below, names)
        elif (command, action.dest) in names:
            action.choices = names[command, action.dest]
        elif action.dest == "config" or (command, action.dest) == ("study", "file"):
            action.complete = configurations("studies" if command == "study" else "[!s]*")  # type: ignore[attr-defined]
        elif action.type is Path or action.dest in ("ckpt_path", "checkpoint", "before", "after"):
            action.complete = shtab.FILE  # type: ignore[attr-defined]


def configurations(folders: str) -> dict[str, Any]:
    """Return how shipped configurations and files are completed."""
    known = " ".join(
        sorted(str(file.relative_to(CONFIGS).with_suffix("")) for file in CONFIGS.glob(f"{folders}/*.yaml"))
    )
    function = "_zoo_studies" if folders == "studies" else "_zoo_configurations"
    preamble = {
        "bash": f'{function}() {{ compgen -W "{known}" -- "$1"; compgen -f -- "$1"; }}',
        "zsh": f"{function}() {{ _alternative 'shipped:shipped:({known})' 'files:file:_files' }}",
    }
    return {"bash": function, "zsh": function, "preamble": preamble}
