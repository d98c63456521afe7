"""The parser of every command that is not Lightning's, and what the help of all commands says."""

import argparse
from typing import NoReturn

ANYWHERE = "Every command takes --plugin FILE, a Python file with parts of yours, once or several times."


class Parser(argparse.ArgumentParser):
    """A parser that answers a command line it does not understand with one sentence instead of the usage."""

    def format_help(self) -> str:
        return f"{super().format_help()}\n{ANYWHERE}\n"

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{self.prog}: {message.rstrip('.')}; `{self.prog} --help` explains it.\n")
