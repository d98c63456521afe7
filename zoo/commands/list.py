"""List the plugins of every slot, or of one."""

import argparse
from dataclasses import asdict

from zoo.core.registry import get_slot, slots
from zoo.core.slot import UnfitError
from zoo.runner.help import add_json, print_json


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("slot", nargs="?", help=f"one of {', '.join(slots())} (default: all)")
    add_json(parser, "for each slot a list of name, target, distribution and version")


def run(arguments: argparse.Namespace) -> int:
    """Print the names; return 0."""
    chosen = [get_slot(arguments.slot)] if arguments.slot else list(slots().values())
    if arguments.json:
        plugins = {
            slot.name: [asdict(plugin) for claims in slot.plugins().values() for plugin in claims] for slot in chosen
        }
        print_json(plugins)
        return 0
    for slot in chosen:
        print(f"{slot.name:<24} {(slot.base or 'data').replace(':', '.')}")
        for name, claims in slot.plugins().items():
            owners = ", ".join(claim.origin for claim in claims)
            note = "   (ambiguous: see zoo doctor)" if len(claims) > 1 else ""
            if isinstance(error := slot.from_files.get(claims[0].target, (None, None))[1], UnfitError):
                note = f"   (broken: {str(error).rstrip('.')})"
            print(f"  {name:<22} {owners}{note}")
    example = arguments.slot or chosen[0].name
    print(f"\n`zoo show {example}` says what a part of that slot must do, `zoo show NAME` what a part does.")
    return 0
