"""Turn a checkpoint into a file for others: a published file, or a network for other programs.

`--format safetensors` writes a published file: weights and a description of the model, which every command takes as it
takes a checkpoint, and which can hold no code. The other formats are for programs that know nothing of this package;
what was written is compared with PyTorch, on another batch and, where the size is dynamic, on another size.
"""

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from zoo.training.module import TrainingModule

SUFFIXES = {"safetensors": ".safetensors", "onnx": ".onnx", "torchscript": ".pt", "torch-export": ".pt2"}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
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
        help="of the pictures, in pixels (default: as in training); the base network of a matting model sees them "
        "about as large as those of its training, as in `zoo matte`",
    )
    network.add_argument("--dynamic-size", action="store_true", help="let the file take pictures of other sizes too")
    add_card_arguments(parser.add_argument_group("safetensors"))


def add_card_arguments(group: Any) -> None:
    """What a published file says of its model; as in `zoo push`."""
    group.add_argument("--half", action="store_true", help="store weights in half precision: half the size")
    group.add_argument("--licence", metavar="TEXT", help="under which licence the weights are")
    group.add_argument("--training-data", metavar="TEXT", help="what the model was trained on")
    group.add_argument(
        "--metrics", type=Path, metavar="FILE", help="JSON of what was measured: numbers by name, or a result.json"
    )
    group.add_argument("--card", type=Path, metavar="FILE", help="Markdown for whoever uses the model")


def run(arguments: argparse.Namespace) -> int:
    """Export; 0 when the file was written.

    Raises:
        ValueError: in one sentence, whatever is wrong with the input, or a part that cannot be exported.
    """
    suffix = SUFFIXES[arguments.format]
    output = arguments.output or Path(arguments.checkpoint).with_suffix(suffix)
    if output.suffix != suffix:
        raise ValueError(f"-o {output}: expected a name ending in {suffix} for --format {arguments.format}.")
    if output.exists() and not arguments.force:
        raise ValueError(f"{output} exists already: pass --force to replace it, or another name with -o.")
    refuse_others(arguments)
    if arguments.format == "safetensors":
        publish(arguments, output)
        print(f"Wrote {output} ({output.stat().st_size / 1e6:.1f} MB).")
        return 0
    return export_network(arguments, output)


def refuse_others(arguments: argparse.Namespace) -> None:
    """ValueError for options of the other formats, which would have no effect."""
    publishing = {"half": arguments.half} | {name: getattr(arguments, name) for name in ("licence", "training_data")}
    publishing |= {"metrics": arguments.metrics, "card": arguments.card}
    running = {"size": arguments.size, "dynamic_size": arguments.dynamic_size}
    for name, value in (running if arguments.format == "safetensors" else publishing).items():
        if value:
            raise ValueError(f"--{name.replace('_', '-')} is not for --format {arguments.format}: leave it out.")


def publish(arguments: argparse.Namespace, output: Path) -> None:
    """Write a published file, having seen that it loads.

    Raises:
        ValueError: a checkpoint that cannot be loaded, or a card that cannot be read.
    """
    from zoo.hub.pull import weights_file
    from zoo.weights.checkpoint import read, rebuild
    from zoo.weights.published import write

    card = read_card(arguments)
    path = weights_file(arguments.checkpoint)
    rebuild(path)
    write(output, read(path), card, arguments.half)


def read_card(arguments: argparse.Namespace) -> dict[str, Any]:
    """What `add_card_arguments` says of the model.

    Raises:
        ValueError: a file that cannot be read, or metrics that are none.
    """
    card = {"licence": arguments.licence, "training_data": arguments.training_data}
    if arguments.metrics is not None:
        card["metrics"] = read_metrics(arguments.metrics)
    if arguments.card is not None:
        card["text"] = read_text(arguments.card, "--card")
    return {name: value for name, value in card.items() if value is not None}


def read_metrics(path: Path) -> dict[str, float]:
    """Numbers by name; ValueError when there are none in the file."""
    try:
        found = json.loads(read_text(path, "--metrics"))
    except (ValueError, RecursionError) as error:
        raise ValueError(f"--metrics {path} is not readable as JSON: {error}.") from error
    found = found.get("metrics", found) if isinstance(found, dict) else found
    if not isinstance(found, dict) or not found or not all(type(value) in (int, float) for value in found.values()):
        raise ValueError(f'--metrics {path}: expected numbers by name, such as {{"test/one/sad": 1.2}}.')
    return found


def read_text(path: Path, option: str) -> str:
    """The text of a file that an option names."""
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ValueError(f"{option} {path} cannot be read as text: {error}.") from error


def export_network(arguments: argparse.Namespace, output: Path) -> int:
    """Write the network alone, and say what goes in, what comes out, and how far it is from PyTorch."""
    from zoo.training.export import export
    from zoo.training.models import load

    module = load(arguments.checkpoint)
    asked = None if arguments.size is None else (arguments.size[0], arguments.size[1])
    if asked is not None and min(asked) < 1:
        raise ValueError(f"--size {asked[0]} {asked[1]}: expected height and width in pixels, from 1 on.")
    size = module.fit_size(asked)
    exported = export(module, output, arguments.format, size, arguments.dynamic_size)
    print(f"Wrote {output} ({output.stat().st_size / 1e6:.1f} MB).")
    print(f"  inputs      {', '.join(exported.inputs)}: {sizes(module, size, arguments.dynamic_size)}")
    print(f"  outputs     {', '.join(exported.outputs)}")
    worst = max(exported.differences, key=lambda name: exported.differences[name])
    print(f"  difference  from PyTorch at most {exported.differences[worst]:.2g}, in {worst}")
    return 0


def sizes(module: "TrainingModule", size: tuple[int, int], dynamic: bool) -> str:
    """Which pictures the file takes."""
    pictures = "float RGB in [0, 1], any batch, "
    if not dynamic:
        return pictures + f"{size[0]}×{size[1]} pixels"
    shape = "square, " if module.square else ""
    return pictures + f"{shape}sides that are multiples of {module.size_step} pixels"
