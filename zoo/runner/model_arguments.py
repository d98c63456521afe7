"""Options for the model and its device, shared by `zoo matte` and `zoo head`."""

import argparse
from typing import Any


def add_model_arguments(parser: argparse.ArgumentParser, default: str | None = None, otherwise: str = "") -> None:
    """Add `--model`, `--checkpoint` and `--device` to a parser.

    Args:
        default: catalogue name of the default model; None if the user must choose one.
        otherwise: what help says of another default, such as ", without BACKGROUND NAME".
    """
    parser.add_argument(
        "--model",
        metavar="CKPT_OR_NAME",
        help="a checkpoint, such as runs/.../last.ckpt, or a name from `zoo pull --list`"
        + (f" (default: {default}{otherwise}; bundled with the package)" if default else ""),
    )
    parser.add_argument(
        "--checkpoint",
        metavar="FILE",
        help="weights that do not say which model they belong to, such as official ones; --model is then the name of "
        "that model, such as bgmv2_resnet50",
    )
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda, cuda:1, mps (default: auto, the fastest)")
    parser.set_defaults(default_model=default)  # --model itself has none, since --checkpoint alone is valid


def model_name(arguments: argparse.Namespace) -> str:
    """Return the name of the model in messages and results: its file or its name.

    Raises:
        ValueError: no model is chosen and there is no default.
    """
    name = arguments.checkpoint or arguments.model or arguments.default_model
    if name is None:
        raise ValueError(
            "no model was given; expected --model with a checkpoint, such as runs/.../last.ckpt, or a name from "
            "`zoo pull --list`."
        )
    return name


def load_model(arguments: argparse.Namespace) -> Any:
    """Return the chosen model in evaluation mode, on its device.

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
