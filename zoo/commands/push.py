"""Publish a model: a published file with its card, in a folder or on the Hugging Face Hub.

Writes NAME.safetensors, NAME.json (checksum, size, licence, data, metrics, versions) and README.md: atomically to a
folder, or in one commit to `hf://owner/repository`.
"""

import argparse
from pathlib import Path
from tempfile import TemporaryDirectory

from zoo.commands.export import add_card_arguments, publish


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("checkpoint", metavar="CKPT", help="a checkpoint, or a published file of `zoo export`")
    parser.add_argument("destination", metavar="DESTINATION", help="a folder, or hf://owner/repository[/name]")
    parser.add_argument(
        "--name",
        metavar="NAME",
        help="name of the published model (default: that of the published file, or of the run)",
    )
    add_card_arguments(parser)


def run(arguments: argparse.Namespace) -> int:
    """Publish the model; return 0.

    Raises:
        ValueError: the input cannot be published, or the destination cannot be written.
    """
    from zoo.weights.push import check_name, push, split_hub

    name = arguments.name
    if arguments.destination.startswith("hf://"):
        name = name or split_hub(arguments.destination)[1]
    name = check_name(name or default_name(arguments.checkpoint))
    with TemporaryDirectory(prefix="zoo-") as folder:
        published = Path(folder) / f"{name}.safetensors"
        publish(arguments, published)
        written = push(published, name, arguments.destination)
    for file in written:
        print(f"Wrote {file}.")
    return 0


def default_name(path: str) -> str:
    """Return the name of a published file, or of the run that wrote a checkpoint."""
    from zoo.weights.checkpoint import record
    from zoo.weights.published import is_safetensors
    from zoo.weights.reading import read

    if is_safetensors(path):
        return Path(path).stem
    return Path(record(read(path), path)["name"]).name
