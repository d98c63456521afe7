"""Pull weights by name: download, check and cache them, and print the path of the file.

Pulled weights work offline.
"""

import argparse
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from zoo.runner.help import add_json, print_json

if TYPE_CHECKING:
    from zoo.hub.catalogue import Entry

NEXT = {"matting": "zoo matte IMAGE [BACKGROUND] -o mattes", "heads": "zoo head IMAGE -o heads"}
"""What one does with the weights of a task."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument(
        "name", metavar="NAME[@REVISION]", nargs="?", help="a name from `zoo pull --list`, or hf://OWNER/REPO"
    )
    parser.add_argument(
        "--accept-licence", action="store_true", help="accept a licence that forbids commercial use without being asked"
    )
    parser.add_argument(
        "--accept-change", action="store_true", help="accept a file that has changed since the first pull, and pin it"
    )
    parser.add_argument("--offline", action="store_true", help="use no network (also where ZOO_OFFLINE is 1)")
    parser.add_argument("--from", dest="file", metavar="FILE", type=Path, help="copy this file instead of downloading")
    add_json(parser, "with --list a list of weights, otherwise name and path")
    others = parser.add_mutually_exclusive_group()
    others.add_argument("--list", action="store_true", help="list all weights that can be pulled")
    others.add_argument("--remove", metavar="NAME", help="remove the pulled files of a name")
    others.add_argument("--clear", action="store_true", help="remove all pulled files")


def run(arguments: argparse.Namespace) -> int:
    """Pull, list or remove; return 0.

    Raises:
        ValueError: the input is wrong, or the weights cannot be pulled.
    """
    if arguments.list or arguments.remove or arguments.clear:
        if arguments.name is not None:
            raise ValueError(
                f"{arguments.name} was given beside --list, --remove NAME or --clear; expected one of them."
            )
        if arguments.list and arguments.json:
            print_json([entry_data(entry) for entry in listed()])
        elif arguments.list:
            print_list()
        else:
            remove_pulled(arguments.remove)
        return 0
    from zoo.hub.pull import catalogue_entry

    if arguments.name is None:
        raise ValueError("no name was given; expected one of `zoo pull --list`.")
    path = pull_interactively(arguments)
    entry = catalogue_entry(arguments.name)
    if entry is not None and entry.note:
        print(f"{entry.name}: {entry.note}", file=sys.stderr)
    if arguments.json:
        print_json({"name": entry.name if entry else arguments.name, "path": path})
        return 0
    print(path)
    if sys.stdout.isatty() and entry is not None and entry.task in NEXT:
        print(f"Next: {NEXT[entry.task]} --model {entry.name}", file=sys.stderr)
    return 0


def pull_interactively(arguments: argparse.Namespace) -> Path:
    """Pull and return the file; at a terminal, ask whether to accept a licence that has to be accepted."""
    from zoo.hub.catalogue import find_entry
    from zoo.hub.pull import LicenceError, pull

    offline = True if arguments.offline else None
    options = {"accept_change": arguments.accept_change, "offline": offline, "file": arguments.file}
    try:
        return pull(arguments.name, accept_licence=arguments.accept_licence, **options)
    except LicenceError:
        if not sys.stdin.isatty():
            raise
        entry = find_entry(arguments.name)
        print(f"{entry.name} is published under {entry.licence}.", file=sys.stderr)
        if input("Do you accept this licence? [y/N] ").strip().lower() not in ("y", "yes"):
            raise
    return pull(arguments.name, accept_licence=True, **options)


def listed() -> "list[Entry]":
    """Return all weights that can be pulled, each once."""
    from zoo.hub.catalogue import all_entries

    return [claims[0] for name, claims in all_entries().items() if len(claims) == 1 and name == claims[0].name]


def entry_data(entry: "Entry") -> dict[str, Any]:
    """Return an entry as plain data, with its state on this machine."""
    size, state = local_state(entry)
    more = {"short_name": entry.short_name, "source": entry.source.address, "size": size, "here": state}
    return asdict(entry) | more | {"ledger": [asdict(origin) for origin in entry.ledger]}


def print_list() -> None:
    """Print a line for each name, the licences of all that went into the weights, and the problems with others."""
    from zoo.hub.catalogue import ambiguous_names, catalogue_problems

    entries = listed()
    print_table([("name", "task", "licence", "size", "here", "short name"), *map(row, entries)])
    ledger = [("weights", "part", "from", "licence", "commercial use")]
    for entry in entries:
        for origin in entry.ledger:
            allowed = "unknown" if origin.commercial is None else "yes" if origin.commercial else "no"
            what = "" if origin.part == "weights" else origin.name
            ledger.append((entry.name, origin.part, what, origin.licence, allowed))
    print()
    print_table(ledger)
    for problem in [*ambiguous_names().values(), *catalogue_problems()]:
        print(f"PROBLEM: {problem}")


def print_table(rows: Sequence[Sequence[str]]) -> None:
    """Print rows of cells in columns."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    for cells in rows:
        print("  ".join(cell.ljust(width) for cell, width in zip(cells, widths, strict=True)).rstrip())


def row(entry: "Entry") -> tuple[str, str, str, str, str, str]:
    """Return the cells of an entry in the list."""
    from rich.filesize import decimal

    licence = f"{entry.licence.name}{', non-commercial' if entry.licence.non_commercial else ''}"
    size, state = local_state(entry)
    return entry.name, entry.task, licence, "unknown" if size is None else decimal(size), state, entry.short_name or ""


def local_state(entry: "Entry") -> tuple[int | None, str]:
    """Return the size of an entry's file, None if unknown, and whether it is on this machine; do not read the file."""
    from zoo.hub.checksums import expected_content
    from zoo.hub.pull import cached_file, usable_without_pull

    try:
        path = usable_without_pull(entry) or cached_file(entry)
        size = expected_content(entry).size
        if not path.is_file():
            return size, "no"
    except (ValueError, OSError):  # reported when it is pulled
        return entry.size, "no"
    return path.stat().st_size, "bundled" if entry.source.scheme == "package" else "yes"


def remove_pulled(name: str | None) -> None:
    """Remove the pulled files of a name, or all of them."""
    from zoo.hub.pull import pulled, remove

    names = [folder.name for folder in pulled()] if name is None else [name]
    for one in names:
        print(f"Removed {remove(one)}.")
    if not names:
        print("Nothing was pulled.")
