"""Export a checkpoint: as a published file, or as a network for other programs.

`--format safetensors` writes a published file: weights and a description of the model. It can hold no code, and every
command accepts it in place of a checkpoint. The other formats are for programs without this package. Their output is
compared with that of PyTorch, on another batch and, where the size is dynamic, on another size.
"""

import argparse
import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from zoo.training.module import TrainingModule

SUFFIXES = {"safetensors": ".safetensors", "onnx": ".onnx", "torchscript": ".pt", "torch-export": ".pt2"}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("checkpoint", metavar="CKPT", help="a checkpoint, such as runs/.../last.ckpt, or a name")
    parser.add_argument("--format", required=True, choices=list(SUFFIXES), help="what to write")
    parser.add_argument("-o", "--output", type=Path, metavar="OUT", help="default: CKPT with the format's suffix")
    parser.add_argument("--force", action="store_true", help="replace OUT if it exists")
    network = parser.add_argument_group("onnx, torchscript and torch-export")
    network.add_argument(
        "--size",
        nargs=2,
        type=int,
        metavar=("HEIGHT", "WIDTH"),
        help="of the images, in pixels (default: as in training); a matting model downsamples them for its base "
        "network to about the size in training, as in `zoo matte`",
    )
    network.add_argument("--dynamic-size", action="store_true", help="accept images of other sizes too")
    add_card_arguments(parser.add_argument_group("safetensors"))


def add_card_arguments(group: Any) -> None:
    """Declare the arguments that describe a published model, here and in `zoo push`."""
    group.add_argument("--half", action="store_true", help="store weights in half precision: half the size")
    group.add_argument("--licence", metavar="TEXT", help="licence of the weights")
    group.add_argument("--training-data", metavar="TEXT", help="training data of the model")
    group.add_argument(
        "--metrics", type=Path, metavar="FILE", help="JSON with measured metrics: numbers by name, or a result.json"
    )
    group.add_argument("--card", type=Path, metavar="FILE", help="Markdown text for users of the model")


def run(arguments: argparse.Namespace) -> int:
    """Write the file; return 0.

    Raises:
        ValueError: the input is wrong, or a part cannot be exported.
    """
    suffix = SUFFIXES[arguments.format]
    output = arguments.output or Path(arguments.checkpoint).with_suffix(suffix)
    if output.suffix != suffix:
        raise ValueError(f"-o {output}: expected a name ending in {suffix} for --format {arguments.format}.")
    if output.exists() and not arguments.force:
        raise ValueError(f"{output} exists already: pass --force to replace it, or another name with -o.")
    there = next(place for place in output.absolute().parents if place.exists())
    if not there.is_dir() or not os.access(there, os.W_OK):
        problem = "cannot be written to" if there.is_dir() else "is a file"
        raise ValueError(f"{there} {problem}, so {output} cannot be written: give another name with -o.")
    check_options(arguments)
    if arguments.format == "safetensors":
        publish(arguments, output)
        print(f"Wrote {output} ({output.stat().st_size / 1e6:.1f} MB). Next: zoo push {output} DESTINATION")
        return 0
    return export_network(arguments, output)


def check_options(arguments: argparse.Namespace) -> None:
    """Raise ValueError for options of other formats, which would have no effect."""
    publishing = ("half", "licence", "training_data", "metrics", "card")
    for name in ("size", "dynamic_size") if arguments.format == "safetensors" else publishing:
        if getattr(arguments, name):
            raise ValueError(f"--{name.replace('_', '-')} is not for --format {arguments.format}: leave it out.")


def publish(arguments: argparse.Namespace, output: Path) -> None:
    """Write a published file after checking that the model loads.

    Raises:
        ValueError: the checkpoint cannot be loaded, or the card cannot be read.
    """
    from zoo.media.progress import waiting

    with waiting("Loading and checking the model"):
        from zoo.hub.pull import weights_file
        from zoo.weights.published import write
        from zoo.weights.reading import read, rebuild

        card = read_card(arguments)
        path = weights_file(arguments.checkpoint)
        rebuild(path)
        write(output, read(path), card, arguments.half)


def read_card(arguments: argparse.Namespace) -> dict[str, Any]:
    """Return the card of the model from the arguments of `add_card_arguments`.

    Raises:
        ValueError: a file cannot be read, or holds no metrics.
    """
    card = {"licence": arguments.licence, "training_data": arguments.training_data}
    if arguments.metrics is not None:
        card["metrics"] = read_metrics(arguments.metrics)
    if arguments.card is not None:
        card["text"] = read_text(arguments.card, "--card")
    return {name: value for name, value in card.items() if value is not None}


def read_metrics(path: Path) -> dict[str, float]:
    """Return numbers by name from a JSON file; ValueError when there are none."""
    try:
        content = json.loads(read_text(path, "--metrics"))
    except (ValueError, RecursionError) as error:
        raise ValueError(f"--metrics {path} is not readable as JSON: {error}.") from error
    metrics = content.get("metrics", content) if isinstance(content, dict) else None
    if not isinstance(metrics, dict) or not metrics or not {type(value) for value in metrics.values()} <= {int, float}:
        raise ValueError(f'--metrics {path}: expected numbers by name, such as {{"test/one/sad": 1.2}}.')
    return metrics


def read_text(path: Path, option: str) -> str:
    """Return the text of a file that an option names."""
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ValueError(f"{option} {path} cannot be read as text: {error}.") from error


def export_network(arguments: argparse.Namespace, output: Path) -> int:
    """Write the network alone; print its inputs and outputs, and the largest difference from PyTorch; return 0."""
    from zoo.media.progress import waiting

    with waiting("Loading the model"):
        from zoo.training.export import export
        from zoo.training.models import load

        module = load(arguments.checkpoint)
    size = None if arguments.size is None else (arguments.size[0], arguments.size[1])
    if size is not None and min(size) < 1:
        raise ValueError(f"--size {size[0]} {size[1]}: expected height and width in pixels, from 1 on.")
    size = module.fit_size(size)
    with waiting("Exporting, and comparing with PyTorch"):
        exported = export(module, output, arguments.format, size, arguments.dynamic_size)
    print(f"Wrote {output} ({output.stat().st_size / 1e6:.1f} MB).")
    print(f"  inputs      {', '.join(exported.inputs)}: {sizes(module, size, arguments.dynamic_size)}")
    print(f"  outputs     {', '.join(exported.outputs)}")
    worst = max(exported.differences, key=lambda name: exported.differences[name])
    print(f"  difference  from PyTorch at most {exported.differences[worst]:.2g}, in {worst}")
    return 0


def sizes(module: "TrainingModule", size: tuple[int, int], dynamic: bool) -> str:
    """Return a description of the images that the file accepts."""
    if dynamic:
        sides = f"{'square, ' if module.square else ''}sides that are multiples of {module.size_step} pixels"
    else:
        sides = f"{size[0]}×{size[1]} pixels"
    return f"float RGB in [0, 1], any batch, {sides}"
