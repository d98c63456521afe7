"""Cut people out of a picture, a folder of pictures or a video, given a picture of the empty place.

Results land as `DIR/alpha/NAME.png` and so on, one folder a kind; for a video as `DIR/alpha/NAME.mp4`.
"""

import argparse
import sys
import warnings
from pathlib import Path
from typing import Any

from zoo.runner.model_arguments import add_model_arguments, load_model, model_name

DEFAULT_MODEL = "bgmv2_mobilenetv2-synthetic"
"""What is loaded without `--model`: weights that come with the package, so that it works offline."""

KINDS = ("alpha", "foreground", "rgba", "composite", "error", "refined")
"""As in `zoo.matting.inference`, which is slow to import."""


PRECISIONS = {"32": "float32", "bf16": "bfloat16", "16": "float16"}
"""By Lightning's names, torch's."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command's arguments."""
    parser.add_argument("source", metavar="SOURCE", type=Path, help="a picture, a folder of pictures or a video")
    parser.add_argument(
        "background",
        metavar="BACKGROUND",
        type=Path,
        help="a picture of the same place without the person, by the same camera; for a folder also a folder of them, "
        "named like the sources",
    )
    parser.add_argument("-o", "--output", metavar="DIR", type=Path, required=True, help="where the results land")
    parser.add_argument(
        "--base-scale",
        metavar="S",
        type=float,
        help="size at which the base network sees the picture, relative to it (default: about as large as the pictures "
        "that the checkpoint was trained on; the paper takes 0.25 for HD and 0.125 for 4K)",
    )
    parser.add_argument(
        "--save",
        nargs="+",
        choices=KINDS,
        default=("alpha", "composite"),
        metavar="KIND",
        help=f"which results: {' '.join(KINDS)} (default: alpha composite)",
    )
    parser.add_argument(
        "--new-background",
        metavar="X",
        help="what stands behind the foreground in the composite: a picture, a colour (green, '#00ff00') or, behind a "
        "video, a video (default: light green)",
    )
    parser.add_argument(
        "--align", action="store_true", help="lay the background over the source first, if the camera moved a little"
    )
    parser.add_argument(
        "--frames", action="store_true", help="write each frame of a video as DIR/KIND/NAME/000000.png, without loss"
    )
    parser.add_argument(
        "--decoder",
        metavar="DEVICE",
        help="let a device of this kind decode the video, such as cuda, vaapi or videotoolbox (default: the CPU)",
    )
    parser.add_argument(
        "--precision",
        choices=PRECISIONS,
        default="32",
        help="bf16 or 16 computes in half precision, which some devices do faster; alpha differs by some hundredths in "
        "places (default: 32)",
    )
    parser.add_argument(
        "--compile",
        action="store_true",
        help="let torch compile the base network first, which takes about half a minute and then up to a tenth off "
        "every frame: for long videos",
    )
    add_model_arguments(parser, DEFAULT_MODEL)


def run(arguments: argparse.Namespace) -> int:
    """Matte; 0 when everything was written.

    Raises:
        ValueError: in one sentence, whatever is wrong with the input.
    """
    name = model_name(arguments)
    _refuse_missing(arguments.source, "SOURCE", "a picture, a folder of pictures or a video")
    _refuse_missing(arguments.background, "BACKGROUND", "a picture or a folder of pictures")

    from zoo.matting.inference import MattingWarning, Results, matte_files

    results = Results(arguments.output, arguments.save, arguments.new_background)
    matting = _fast(load_model(arguments), arguments, name, results.need_foreground)
    with warnings.catch_warnings():
        warnings.simplefilter("always", MattingWarning)
        warnings.showwarning = _show_warning
        written = matte_files(
            matting,
            arguments.source,
            arguments.background,
            results,
            align=arguments.align,
            frames=arguments.frames,
            decoder=arguments.decoder,
        )
    print(f"{len(written)} results in {arguments.output}: {' '.join(results.save)}")
    return 0


def _fast(model: Any, arguments: argparse.Namespace, name: str, foreground: bool) -> Any:
    """The model made fast, with its base network seeing pictures at the scale asked for, otherwise as large as in its
    training, or at its own scale where nothing says how large that was.
    """
    import torch

    from zoo.matting.base_scale import FittingScale, trained_side
    from zoo.matting.fast import FastMatting
    from zoo.matting.net import MattingNetwork

    if not isinstance(getattr(model, "network", None), MattingNetwork):
        if arguments.base_scale is not None or arguments.precision != "32" or arguments.compile:
            raise ValueError(f"{name} holds a {type(model).__name__}; expected a background matting model.")
        return model
    fast = FastMatting(model.network, foreground, compiled=arguments.compile)
    fast.to(getattr(torch, PRECISIONS[arguments.precision]))
    if arguments.base_scale is not None:
        fast.network.set_base_scale(arguments.base_scale)
        return fast
    side = trained_side(model.record) if model.record is not None else None
    return fast if side is None else FittingScale(fast, side)


def _refuse_missing(path: Path, argument: str, expected: str) -> None:
    if not path.exists():
        raise ValueError(f"{argument} {path} does not exist; expected {expected}: check the path.")


def _show_warning(message: Warning | str, *details: Any, **more: Any) -> None:
    """One line, without the line of code that Python adds."""
    print(f"warning: {message}", file=sys.stderr)
