"""Cut people out of an image, a folder of images or a video: alone, with an image of the empty background, or a guide.

Results are saved as `DIR/alpha/NAME.png` and so on, one folder per kind; for a video as `DIR/alpha/NAME.mp4`. For one
image or video, `-o out.png` writes one file.
"""

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from zoo.hub import defaults
from zoo.runner.help import Parser, add_json, print_json
from zoo.runner.model_arguments import add_model_arguments, model_name

if TYPE_CHECKING:
    from zoo.matting.matte_files import MatteFiles

KINDS = ("alpha", "foreground", "rgba", "composite", "error", "refined")
FORMATS = ("png", "png16", "exr")
"""Both as in `zoo.matting.matte_files`, which is slow to import."""


def add_arguments(parser: Parser) -> None:
    """Add the command's arguments."""
    parser.add_argument("source", metavar="SOURCE", type=Path, help="an image, a folder of images or a video")
    parser.add_argument(
        "background",
        metavar="BACKGROUND",
        type=Path,
        nargs="?",
        help="an image of the same place without the person, by the same camera; for a folder also a folder of them, "
        "named like the sources; none for a model without captured background",
    )
    parser.add_argument(
        "--background",
        dest="from_clip",
        choices=("estimate",),
        help="estimate: make BACKGROUND from a video in which the person moves before a camera that stands still or "
        "turns slowly, and keep it as a PNG file with the results",
    )
    parser.add_argument(
        "--guide",
        metavar="MASK",
        type=Path,
        help="for a model with a guide, a grey image that is white where the foreground is and black elsewhere; for a "
        "folder also a folder of them, for a video also a video (default: the people that the model finds itself)",
    )
    parser.add_argument(
        "-o", "--output", metavar="OUT", type=Path, required=True, help="folder of the results, or one file"
    )
    parser.add_rare(
        "--base-scale",
        metavar="S",
        type=float,
        help="size of the base network's input relative to the image (default: about the size of the images that the "
        "checkpoint was trained on; the paper takes 0.25 for HD and 0.125 for 4K)",
    )
    parser.add_argument(
        "--save",
        nargs="+",
        choices=KINDS,
        metavar="KIND",
        help=f"kinds of results: {' '.join(KINDS)} (default: alpha composite; of one file rgba, with a new background "
        "or in MP4 composite)",
    )
    parser.add_argument(
        "--new-background",
        metavar="X",
        help="background of the composite: an image, a colour (green, '#00ff00') or, for a video, a video (default: "
        "light green)",
    )
    parser.add_rare(
        "--align",
        choices=("auto", "on", "off"),
        default="auto",
        help="warp the background onto the source first: auto where the camera moved, on always, off never (default: "
        "auto)",
    )
    parser.add_rare(
        "--frames", action="store_true", help="write each frame of a video as DIR/KIND/NAME/000000.png, without loss"
    )
    parser.add_rare(
        "--format",
        choices=FORMATS,
        help="of images and frames: png (8 bits) or png16, both in sRGB with straight alpha, or exr, in linear light "
        "with premultiplied alpha (default: by the ending of OUT, otherwise png)",
    )
    parser.add_rare(
        "--estimate-foreground",
        action="store_true",
        help="take the foreground's colours from pymatting's estimate instead of the network (extra pymatting)",
    )
    parser.add_rare(
        "--despill",
        metavar="COLOUR",
        help="remove the light of a screen of this colour from the foreground: green, blue or '#RRGGBB'",
    )
    parser.add_rare(
        "--decoder",
        metavar="DEVICE",
        help="decode the video on a device of this kind, such as cuda, vaapi or videotoolbox (default: the CPU)",
    )
    parser.add_rare("--deinterlace", action="store_true", help="join the two fields of each frame of a video")
    parser.add_rare(
        "--precision",
        choices=("32", "bf16", "16"),
        default="32",
        help="bf16 or 16 computes in half precision, which some devices do faster; alpha differs by some hundredths in "
        "places (default: 32)",
    )
    parser.add_rare(
        "--compile",
        action="store_true",
        help="compile the base network first, which takes about half a minute and then saves up to a tenth of every "
        "frame's time: for long videos",
    )
    add_model_arguments(parser, defaults.MATTING, f", without BACKGROUND {defaults.MATTING_WITHOUT_BACKGROUND}")
    add_json(parser, "the files written")


def run(arguments: argparse.Namespace) -> int:
    """Matte; return 0 when everything was written.

    Raises:
        ZooError: bad input.
    """
    _refuse_missing(arguments.source, "SOURCE", "an image, a folder of images or a video")
    if arguments.background is not None:
        _refuse_missing(arguments.background, "BACKGROUND", "an image or a folder of images")
    if arguments.guide is not None:
        _refuse_missing(arguments.guide, "--guide", "a grey image, a folder of them or a video")
    if arguments.from_clip is not None:
        _refuse_estimating(arguments)
    name, checkpoint = _model(arguments), None
    if arguments.checkpoint is not None and arguments.model is not None:
        name, checkpoint = arguments.model, arguments.checkpoint

    from zoo.media.progress import waiting

    with waiting("Loading the model"):
        from zoo.matting.cutout import CutOut, screen_colour
        from zoo.matting.inference import load_matting, matte_files
        from zoo.matting.matte_files import MatteFiles
        from zoo.media.run import one_line_warnings

        results = MatteFiles(
            arguments.output, arguments.save, arguments.new_background, arguments.frames, arguments.format
        )
        screen = None if arguments.despill is None else screen_colour(arguments.despill)
        cutout = CutOut(screen, results.linear, arguments.estimate_foreground)
        matting = load_matting(
            name,
            checkpoint,
            arguments.device,
            arguments.precision,
            arguments.base_scale,
            arguments.compile,
            results.need_foreground,
            cutout,
        )
    with one_line_warnings():
        background = arguments.background if arguments.from_clip is None else _estimated(arguments, results)
        written = matte_files(
            matting,
            arguments.source,
            background,
            results,
            "auto" if arguments.align == "auto" else arguments.align == "on",
            decoder=arguments.decoder,
            deinterlace=arguments.deinterlace,
            guide=arguments.guide,
        )
    if arguments.json:
        print_json({"output": arguments.output, "written": written})
        return 0
    results_text = "1 result" if len(written) == 1 else f"{len(written)} results"
    hint = ""
    if arguments.save is None and arguments.new_background is None and results.file is None:
        hint = " Next: --save rgba writes it with transparency, --new-background IMAGE before another place."
    print(f"{results_text} in {arguments.output}: {' '.join(results.save)}.{hint}")
    return 0


def _model(arguments: argparse.Namespace) -> str:
    """Return the name of the model: without `--model`, the default for what was given."""
    if (arguments.model or arguments.checkpoint or arguments.background or arguments.from_clip) is None:
        print(
            f"No background was given, so {defaults.MATTING_WITHOUT_BACKGROUND} is used.",
            file=sys.stderr if arguments.json else None,
        )
        return defaults.MATTING_WITHOUT_BACKGROUND
    return model_name(arguments)


def _refuse_estimating(arguments: argparse.Namespace) -> None:
    """Raise ValueError where a background cannot be estimated or is not needed."""
    from zoo.media.videos import is_video

    if arguments.background is not None:
        raise ValueError(
            f"got BACKGROUND {arguments.background} and --background estimate; expected one: leave one of them out."
        )
    if not is_video(arguments.source) or arguments.source.is_dir():
        raise ValueError(
            f"--background estimate needs a video in which the person moves, and {arguments.source} is none: give "
            "BACKGROUND, an image of the place without the person."
        )


def _estimated(arguments: argparse.Namespace, results: "MatteFiles") -> Path:
    """Write the background estimated from the video next to the results, and return its path."""
    from zoo.matting.estimate import estimate_background
    from zoo.media.images import write_image

    path = results.folder / "background" / f"{arguments.source.stem}.png"
    if results.file is not None:
        path = results.file.with_suffix(".background.png")
    estimate = estimate_background(arguments.source, arguments.decoder)
    write_image(path, estimate.background)
    unseen = f"; {estimate.unseen:.1%} of it is never seen and painted from its surroundings" if estimate.unseen else ""
    print(
        f"Background of {estimate.frames} frames in {path}, to give as BACKGROUND next time{unseen}.",
        file=sys.stderr if arguments.json else None,
    )
    return path


def _refuse_missing(path: Path, argument: str, expected: str) -> None:
    if not path.exists():
        raise ValueError(f"{argument} {path} does not exist; expected {expected}: check the path.")
