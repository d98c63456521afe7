"""Which model a command runs, and where: what `zoo matte` and `zoo head` share."""

import argparse
from typing import Any


def add_model_arguments(parser: argparse.ArgumentParser, default: str | None = None) -> None:
    """Declare `--model`, `--checkpoint` and `--device`.

    Args:
        default: the catalogue's name of what is loaded when none is given; None where one must be.
    """
    parser.add_argument(
        "--model",
        metavar="CKPT_OR_NAME",
        help="a checkpoint, such as runs/.../last.ckpt, or a name from `zoo pull --list`"
        + (f" (default: {default}, which comes with the package)" if default else ""),
    )
    parser.add_argument(
        "--checkpoint",
        metavar="FILE",
        help="weights that do not say which model they belong to, such as official ones; --model is then the name of "
        "that model, such as bgmv2_resnet50",
    )
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda, cuda:1, mps (default: auto, the fastest)")
    parser.set_defaults(default_model=default)  # not that of --model: with --checkpoint, no name is asked for


def model_name(arguments: argparse.Namespace) -> str:
    """What the model is called in messages and results: the file or name that was given.

    Raises:
        ValueError: none was given, and there is none by default.
    """
    name = arguments.checkpoint or arguments.model or arguments.default_model
    if name is None:
        raise ValueError(
            "no model was given; expected --model with a checkpoint, such as runs/.../last.ckpt, or a name from "
            "`zoo pull --list`."
        )
    return name


def load_model(arguments: argparse.Namespace) -> Any:
    """The model in evaluation mode, on its device.

    Raises:
        ValueError: no model, no such device, or weights that do not fit.
    """
    name = model_name(arguments)

    from zoo.measure.device import choose_device
    from zoo.training.models import create_model, load

    device = choose_device(arguments.device)
    if arguments.checkpoint is not None and arguments.model is not None:
        return create_model(arguments.model, checkpoint=arguments.checkpoint).eval().to(device)
    return load(name).to(device)
