"""Pull weights by name: download, check and keep them.

What was pulled works offline. Prints where the file is.
"""

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from zoo.hub.catalogue import Entry


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command's arguments."""
    parser.add_argument(
        "name", metavar="NAME[@REVISION]", nargs="?", help="a name from `zoo pull --list`, such as bgmv2_resnet50"
    )
    parser.add_argument(
        "--accept-licence", action="store_true", help="accept a licence that forbids commercial use without being asked"
    )
    parser.add_argument(
        "--accept-change",
        action="store_true",
        help="take a file that has changed upstream since the first pull, and pin it instead",
    )
    parser.add_argument("--offline", action="store_true", help="ask no network (also where ZOO_OFFLINE is 1)")
    parser.add_argument(
        "--from", dest="file", metavar="FILE", type=Path, help="take this file, got in another way, instead"
    )
    others = parser.add_mutually_exclusive_group()
    others.add_argument("--list", action="store_true", help="list all weights that can be pulled")
    others.add_argument("--remove", metavar="NAME", help="remove what was pulled under a name")
    others.add_argument("--clear", action="store_true", help="remove everything that was pulled")


def run(arguments: argparse.Namespace) -> int:
    """Pull, list or remove; 0 when that was done.

    Raises:
        ValueError: in one sentence, whatever is wrong.
    """
    if arguments.list or arguments.remove or arguments.clear:
        if arguments.name is not None:
            raise ValueError(
                f"{arguments.name} was given beside --list, --remove NAME or --clear; expected one of them."
            )
        return show_list() if arguments.list else remove_one(arguments.remove) if arguments.remove else clear()
    from zoo.hub.catalogue import find_entry

    if arguments.name is None:
        raise ValueError("no name was given; expected one of `zoo pull --list`.")
    path = pull_asking(arguments)
    entry = find_entry(arguments.name)
    if entry.note:
        print(f"{entry.name}: {entry.note}", file=sys.stderr)
    print(path)
    return 0


def pull_asking(arguments: argparse.Namespace) -> Path:
    """Pull; at a terminal, a licence that has to be accepted is asked for."""
    from zoo.hub.catalogue import find_entry
    from zoo.hub.pull import LicenceError, pull

    options = {
        "accept_change": arguments.accept_change,
        "offline": True if arguments.offline else None,
        "file": arguments.file,
    }
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


def show_list() -> int:
    """One line for each name, and what is wrong with others."""
    from zoo.hub.catalogue import all_entries, ambiguous, unusable

    entries = all_entries()
    rows = [("name", "task", "licence", "size", "here", "short name")]
    rows += [row(claims[0]) for name, claims in entries.items() if len(claims) == 1 and name == claims[0].name]
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    for cells in rows:
        print("  ".join(cell.ljust(width) for cell, width in zip(cells, widths, strict=True)).rstrip())
    for problem in [*(ambiguous(name, claims) for name, claims in entries.items() if len(claims) > 1), *unusable()]:
        print(f"PROBLEM: {problem}")
    return 0


def row(entry: "Entry") -> tuple[str, str, str, str, str, str]:
    """What the list says of an entry."""
    from rich.filesize import decimal

    licence = f"{entry.licence.name}{', non-commercial' if entry.licence.non_commercial else ''}"
    size, here = whereabouts(entry)
    return entry.name, entry.task, licence, "unknown" if size is None else decimal(size), here, entry.short_name or ""


def whereabouts(entry: "Entry") -> tuple[int | None, str]:
    """The size of an entry's file as far as it is known, and whether it is here; its content is not looked at."""
    from zoo.hub.pins import expected
    from zoo.hub.pull import cached_file, located

    try:
        path = located(entry) or cached_file(entry)
        size = expected(entry).size
    except ValueError:  # pulling it says what is wrong
        return entry.size, "no"
    if not path.is_file():
        return size, "no"
    return path.stat().st_size, "bundled" if entry.source.scheme == "package" else "yes"


def remove_one(name: str) -> int:
    """Remove what was pulled under a name."""
    from zoo.hub.pull import remove

    print(f"Removed {remove(name)}.")
    return 0


def clear() -> int:
    """Remove everything that was pulled."""
    from zoo.hub.pull import pulled, remove

    folders = pulled()
    for folder in folders:
        print(f"Removed {remove(folder.name)}.")
    if not folders:
        print("Nothing was pulled.")
    return 0
