"""Print a script with which bash or zsh complete commands, options and names after TAB.

For bash, write it to ~/.local/share/bash-completion/completions/zoo; for zsh, to a file `_zoo` in a folder of `fpath`.
Repeat this after installing plugins.
"""

import argparse
from pathlib import Path

from zoo.runner.help import Parser, lightning_parser


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("shell", choices=("bash", "zsh"), help="the shell that reads the script")


def run(arguments: argparse.Namespace) -> int:
    """Print the script; return 0."""
    import shtab

    print(shtab.complete(whole_parser(), arguments.shell))
    return 0


def whole_parser() -> argparse.ArgumentParser:
    """Return one parser for all commands, whose arguments say what completes them."""
    from zoo.cli import COMMANDS, LIGHTNING, command_module

    whole = Parser(prog="zoo")
    commands = whole.add_subparsers(parser_class=Parser)
    for name, text in LIGHTNING.items():
        complete(commands._name_parser_map.setdefault(name, lightning_parser(name, text)))
    return whole
