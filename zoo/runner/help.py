"""Parser of the commands that are not Lightning's, and the short help of those that are."""

import argparse
import json
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
        self.rare: dict[argparse.Action, str] = {}
        if self.add_help:
            self.add_argument(
                "--help-all", action=HelpAll, nargs=0, help="also show the options that are rarely needed"
            )

    def add_rare(self, *words: Any, **named: Any) -> None:
        """Add an option that only `--help-all` shows."""
        if not self.rare:
            self.rarely_needed = self.add_argument_group("rarely needed")
        action = self.rarely_needed.add_argument(*words, **named)
        self.rare[action], action.help = str(action.help), argparse.SUPPRESS

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


def add_json(parser: Any, content: str = "") -> None:
    """Add `--json` to a parser, which prints one value as JSON instead of text; `content` says what is in it."""
    parser.add_argument("--json", action="store_true", help=f"print JSON{f': {content}' if content else ''}")


def print_json(data: Any) -> None:
    """Print plain data as JSON; a path is its text.

    Example:
        >>> print_json({"files": [1]})
        {
          "files": [
            1
          ]
        }
    """
    print(json.dumps(data, indent=2, ensure_ascii=False, default=str))


class HelpAll(argparse.Action):
    """Option that shows the help with the rare options."""

    def __call__(self, parser: argparse.ArgumentParser, *_: Any) -> NoReturn:
        assert isinstance(parser, Parser)
        for action, text in parser.rare.items():
            action.help = text
        parser.print_help()
        parser.exit()


FIRST = {
    "what": {
        "--config FILE": "a configuration of yours, or a shipped one such as matting/quickstart; later ones override",
        "--ckpt_path FILE": "a checkpoint: `fit` resumes from it, the other commands measure or run it",
        "--model NAME": "a named model, see `zoo list models`",
        "--model.PART CLASS": "another class for a part, see `zoo list`: --model.selector=RandomPatches",
        "--model.PART.ARG VALUE": "an argument of a part: --model.selector.patches=500; --data.… the same for the data",
        "--model.checkpoint FILE": "weights to start from, or a name of `zoo pull --list`",
    },
    "how": {
        "--trainer.max_epochs N": "epochs to train",
        "--data.batch_size N": "samples of a training step",
        "--data.workers N": "processes that read data",
        "--trainer.accelerator NAME": "auto, cpu, gpu; also --trainer.devices and --trainer.precision",
        "--trainer.limit_train_batches N": "shorter epochs, to try something; also limit_val_batches",
        "--seed_everything N": "another seed gives other random numbers (default: 0)",
    },
    "where": {
        "--name NAME": "the run is written to RUNS/NAME/version_N (default: run)",
        "--runs DIR": "folder of the runs (default: runs)",
    },
    "more": {
        "--print_config": "print the resolved configuration and exit",
        "--model.help": "the arguments of the model that the configuration chooses",
        "--model.PART.help": "the arguments of a part; with =CLASS those of another one",
        "--help-all": "every option, also those of Lightning's trainer",
    },
}
"""What `--help` of Lightning's commands shows, in groups."""


def lightning_parser(command: str, description: str, placeholders: bool = True) -> Parser:
    """Return a parser that knows the options of one of Lightning's commands that matter first, and imports nothing.

    Args:
        command: its name.
        description: shown first.
        placeholders: whether options are included whose name holds a word to be replaced, as `--model.PART`.

    Example:
        >>> print(lightning_parser("fit", "Train a model.").format_help().splitlines()[0])
        usage: zoo fit --config FILE [options]
    """
    example = f"zoo {command} --config matting/quickstart --model.selector.patches=500"
    named: dict[str, Any] = {"prog": f"zoo {command}", "usage": f"zoo {command} --config FILE [options]"}
    parser = Parser(**named, add_help=False, description=description, epilog=f"example: {example}", allow_abbrev=False)
    for title, options in FIRST.items():
        group = parser.add_argument_group(title)
        for option, text in options.items():
            name, _, metavar = option.partition(" ")
            if "PART" in name and not placeholders:
                continue
            kind: dict[str, Any] = {"metavar": metavar} if metavar else {"action": "store_true"}
            group.add_argument(name, help=text, **kind)
    return parser
