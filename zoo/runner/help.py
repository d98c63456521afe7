"""Parser of the commands that are not Lightning's, and the line that the help of all commands ends with."""

import argparse
from typing import NoReturn

ANYWHERE = "Every command takes --plugin FILE, a Python file with parts of yours, once or several times."


class Parser(argparse.ArgumentParser):
    """Argument parser that reports an error in one sentence, without the usage."""

    def format_help(self) -> str:
        return f"{super().format_help()}\n{ANYWHERE}\n"

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{self.prog}: {message.rstrip('.')}; `{self.prog} --help` explains it.\n")
