"""Time fast paths against the plain code that computes the same, interleaved, on this machine.

Each case is first checked for equal results and then timed: the median of several repeats, and the quartiles. The exit
code is 1 when a result differs from its plain reference. A missed target is only shown.
"""

import argparse
import importlib
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table

from benchmarks import OFFICIAL, SUBJECTS
from benchmarks.cases import Measured, measure
from benchmarks.record import COLUMNS, make_record, row, write_record
from zoo.core.errors import explain, on_purpose
from zoo.measure.timing import threads


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one benchmark and return the exit code.

    Args:
        arguments: the words after `python -m benchmarks`; None takes those of the process.
    """
    words = list(sys.argv[1:] if arguments is None else arguments)
    try:
        if words[:1] == ["real"]:
            return importlib.import_module("benchmarks.real").main(words[1:])
        return run(make_parser().parse_args(words))
    except Exception as error:
        if not on_purpose(error):
            raise
        print(f"benchmarks: {explain(error)}", file=sys.stderr)
        return 1


def make_parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    parser = argparse.ArgumentParser("python -m benchmarks", description=__doc__, allow_abbrev=False)
    subjects = f"{{{','.join(SUBJECTS)}}}"
    parser.add_argument("subject", choices=SUBJECTS, metavar=subjects, help="what to measure")
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write machine, settings and every number there")
    parser.add_argument("--repeats", type=positive, metavar="N", help="how often each case is timed (default: 15)")
    parser.add_argument("--threads", type=positive, metavar="N", help="threads of torch (default: torch's own choice)")
    parser.add_argument(
        "--against",
        type=Path,
        metavar="CHECKOUT",
        help="for matting, data and train: compare with the official code in this checkout; the code is executed",
    )
    parser.add_argument("--quick", action="store_true", help="small sizes and 2 repeats, to see that everything runs")
    return parser


def run(arguments: argparse.Namespace) -> int:
    """Measure, print the table, write the record; return 1 when a result differs from its reference.

    Raises:
        ValueError: the JSON file cannot be written, or there is no official code to compare with.
    """
    path: Path | None = arguments.json
    if path is not None and (path.is_dir() or not path.parent.is_dir()):
        raise ValueError(f"--json {path}: expected a file in a folder that exists.")  # before minutes of measuring
    official = official_digest(arguments.subject, arguments.against)
    repeats = arguments.repeats or (2 if arguments.quick else 15)
    with threads(arguments.threads):
        measured = measure_all(arguments.subject, repeats, arguments.quick, arguments.against)
        record = make_record(arguments.subject, measured, repeats, arguments.quick, official)
    show(record)
    if path is not None:
        write_record(record, path)
        print(f"Wrote {path}.")
    unequal = [f"{each.case.name} ({each.case.setting})" for each in measured if each.equal is False]
    if unequal:
        print(f"benchmarks: {', '.join(unequal)}: not equal to the plain reference, so not timed.", file=sys.stderr)
    return 1 if unequal else 0


def positive(text: str) -> int:
    """Return the text as a whole number of at least 1."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"got {text!r}; expected a whole number from 1 on")
    return int(text)


def official_digest(subject: str, against: Path | None) -> str | None:
    """Return the SHA-256 of the official code in the checkout; None without a checkout.

    Raises:
        ValueError: the checkout has no such code, or the subject has no official code.
    """
    if against is None:
        return None
    if subject not in OFFICIAL:
        raise ValueError(f"--against goes with {', '.join(OFFICIAL)}; {subject} runs no official code.")
    return importlib.import_module(OFFICIAL[subject]).checkout_digest(against)


def measure_all(subject: str, repeats: int, quick: bool, against: Path | None) -> list[Measured]:
    """Measure each case of the subject; the name of the current one is shown on stderr."""
    measured = []
    with Console(stderr=True).status("preparing") as status:
        options = {} if against is None else {"against": against}
        for case in importlib.import_module(f"benchmarks.{subject}").cases(quick, **options):
            status.update(f"{case.name}, {case.setting}")
            measured.append(measure(case, repeats))
    return measured


def show(record: dict[str, Any]) -> None:
    """Print the machine and the table."""
    table = Table(*COLUMNS[:1], box=box.SIMPLE, padding=(0, 1, 0, 0))
    for column in ("ours", *COLUMNS[3:]):
        table.add_column(column, justify="right", no_wrap=True)
    for values in record["cases"]:
        name, ours, quartiles, *cells = row(values)
        table.add_row(name.replace(", ", "\n", 1), f"{ours}\n[dim]{quartiles}", *cells, end_section=True)
    machine = record["machine"]
    versions = ", ".join(f"{package} {version}" for package, version in machine["versions"].items())
    console = Console(highlight=False)
    console.print(table)
    console.print(f"{machine['processor']}, {machine['cores']} cores, {machine['threads']} threads; {versions}.")
    if record["official"]:
        console.print(f"Plain is the official code, SHA-256 {record['official'][:16]}.")
    if record["quick"]:
        console.print("Small sizes: these times say nothing.")


if __name__ == "__main__":
    sys.exit(main())
