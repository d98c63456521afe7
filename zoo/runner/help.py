"""Parser of the commands that are not Lightning's, and the line that the help of all commands ends with."""

import argparse
from typing import Any, NoReturn

ANYWHERE = "Every command takes --plugin FILE, a Python file with parts of yours, once or several times."


class Parser(argparse.ArgumentParser):
    """Argument parser that reports an error in one sentence, without the usage.

    Args:
        prefix: beginning of options that belong to a part, such as `--engine.`; they are collected unparsed in
            `part_options`.
        words, named: as those of `argparse.ArgumentParser`.
    """

    def __init__(self, *words: Any, prefix: str | None = None, **named: Any) -> None:
        super().__init__(*words, **named)
        self.formatter_class = argparse.RawDescriptionHelpFormatter
        self.prefix = prefix

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        if self.prefix is None:
            return super().parse_known_args(args, namespace)
        options: list[str] = []
        others: list[str] = []
        words = iter(args or [])
        for word in words:
            if word.startswith(self.prefix):
                options.append(word if "=" in word else f"{word}={next(words, '')}")
            else:
                others.append(word)
        parsed, unknown = super().parse_known_args(others, namespace)
        parsed.part_options = options
        return parsed, unknown

    def format_help(self) -> str:
        return f"{super().format_help()}\n{ANYWHERE}\n"

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{self.prog}: {message.rstrip('.')}; `{self.prog} --help` explains it.\n")
