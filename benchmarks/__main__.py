"""Time fast paths beside the plain code that they equal, by turns, on this machine.

`zoo bench heads` first checks that both give the same, then times them: the median of several repeats, and the
quartiles. The exit code is 1 when a result differs from its plain reference; a missed target is only shown.
"""

import argparse
import importlib
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks import OFFICIAL, SUBJECTS

if TYPE_CHECKING:
    from benchmarks.cases import Measured


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    known = f"{{{','.join(SUBJECTS)}}}"
    parser.add_argument("subject", choices=list(SUBJECTS), metavar=known, help="what is measured")
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write machine, settings and every number there")
    parser.add_argument("--repeats", type=positive, metavar="N", help="how often each is timed (default: 15)")
    parser.add_argument("--threads", type=positive, metavar="N", help="of torch (default: torch's own choice)")
    parser.add_argument(
        "--against",
        type=Path,
        metavar="CHECKOUT",
        help="of matting, data and train: compare with the official code in this checkout of its repository, which is "
        "run",
    )
    parser.add_argument("--quick", action="store_true", help="small sizes, 2 repeats: to see that everything runs")


def run(arguments: argparse.Namespace) -> int:
    """Measure and print; 1 when results differ from their references.

    Raises:
        ValueError: in one sentence, the JSON file cannot be written, or there is no official code to compare with.
    """
    path: Path | None = arguments.json
    if path is not None and (path.is_dir() or not path.parent.is_dir()):
        raise ValueError(f"--json {path}: expected a file in a folder that exists.")  # before minutes of measuring
    official = digest_of(arguments.subject, arguments.against)
    repeats = arguments.repeats or (2 if arguments.quick else 15)
    from benchmarks.record import make_record, write_record
    from zoo.measure.timing import threads

    with threads(arguments.threads):
        measured = measure_all(arguments.subject, repeats, arguments.quick, arguments.against)
        record = make_record(arguments.subject, measured, repeats, arguments.quick, official)
    show(record)
    if path is not None:
        write_record(record, path)
        print(f"Wrote {path}.")
    unequal = [f"{each.case.name} ({each.case.setting})" for each in measured if each.equal is False]
    if unequal:
        print(f"zoo bench: {', '.join(unequal)}: not equal to the plain reference, so not timed.", file=sys.stderr)
    return 1 if unequal else 0


def positive(text: str) -> int:
    """A whole number from 1 on."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"got {text!r}; expected a whole number from 1 on")
    return int(text)


def digest_of(subject: str, against: Path | None) -> str | None:
    """Which official code is run, by its SHA-256.

    Raises:
        ValueError: there is none in the checkout, or the subject has none.
    """
    if against is None:
        return None
    if subject not in OFFICIAL:
        raise ValueError(f"--against goes with {', '.join(OFFICIAL)}; zoo bench {subject} runs no official code.")
    return importlib.import_module(OFFICIAL[subject]).checkout_digest(against)


def measure_all(subject: str, repeats: int, quick: bool, against: Path | None) -> "list[Measured]":
    """Each case of the subject, its name on stderr while it runs."""
    from rich.console import Console

    from benchmarks.cases import measure

    measured = []
    with Console(stderr=True).status("preparing") as status:
        options = {} if against is None else {"against": against}
        for case in importlib.import_module(SUBJECTS[subject]).cases(quick, **options):
            status.update(f"{case.name}, {case.setting}")
            measured.append(measure(case, repeats))
    return measured


def show(record: dict[str, Any]) -> None:
    """Print the machine and the table."""
    from rich import box
    from rich.console import Console
    from rich.table import Table

    from benchmarks.record import COLUMNS, row

    table = Table(*COLUMNS[:1], box=box.SIMPLE, padding=(0, 1, 0, 0))
    for column in ("ours", *COLUMNS[3:]):
        table.add_column(column, justify="right", no_wrap=True)
    for values in record["cases"]:
        what, ours, quartiles, *cells = row(values)
        table.add_row(what.replace(", ", "\n", 1), f"{ours}\n[dim]{quartiles}", *cells, end_section=True)
    machine = record["machine"]
    versions = ", ".join(f"{package} {version}" for package, version in machine["versions"].items())
    console = Console(highlight=False)
    console.print(table)
    console.print(f"{machine['processor']}, {machine['cores']} cores, {machine['threads']} threads; {versions}.")
    if record["official"]:
        console.print(f"Plain is the official code, SHA-256 {record['official'][:16]}.")
    if record["quick"]:
        console.print("Small sizes: these times say nothing.")
