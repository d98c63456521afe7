"""Find the 3D heads in an image, a folder of images or a video: mesh, pose and landmarks.

Results are saved as `DIR/overlay/NAME.png` and so on, one folder per kind; for a video as `DIR/overlay/NAME.mp4`, and
as `DIR/json/NAME.jsonl` with a line per frame. For one image or video, `-o out.obj` writes one file.
"""

import argparse
import sys
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

from zoo.hub import defaults
from zoo.runner.help import Parser, add_json, print_json
from zoo.runner.model_arguments import add_model_arguments, load_model, model_name

KINDS = ("overlay", "obj", "glb", "json", "landmarks")
"""As in `zoo.heads.head_files`, which is slow to import."""


def add_arguments(parser: Parser) -> None:
    """Add the command's arguments."""
    parser.add_argument("source", metavar="SOURCE", type=Path, help="an image, a folder of images or a video")
    parser.add_argument(
        "-o", "--output", metavar="OUT", type=Path, required=True, help="folder of the results, or one file"
    )
    parser.add_rare(
        "--box",
        metavar="X,Y,WIDTH,HEIGHT",
        type=parse_box,
        help="box of the head, in pixels from the top left, in every image or frame (default: where it is found)",
    )
    parser.add_argument(
        "--heads",
        choices=("one", "all"),
        help="the largest head of each image, or all that are found (default: all; of a video one)",
    )
    parser.add_rare("--detector", metavar="CLASS", default="BlazeFace", help="finds the heads (default: BlazeFace)")
    parser.add_argument(
        "--save",
        nargs="+",
        choices=KINDS,
        metavar="KIND",
        help=f"kinds of results: {' '.join(KINDS)} (default: all; of a video overlay json landmarks, since its meshes "
        "are a file per frame)",
    )
    parser.add_rare("--wire", action="store_true", help="draw the mesh as a wire frame instead of a surface")
    parser.add_rare(
        "--posed",
        action="store_true",
        help="rotate OBJ and GLB meshes as the head in the image (default: they look at the viewer)",
    )
    parser.add_rare("--smooth", action="store_true", help="smooth the heads of a video over time")
    parser.add_rare("--deinterlace", action="store_true", help="join the two fields of each frame of a video")
    add_model_arguments(parser, defaults.HEADS)
    add_json(parser, "the files written")


def run(arguments: argparse.Namespace) -> int:
    """Find heads; return 0 when everything was written.

    Raises:
        ZooError: bad input.
    """
    if not arguments.source.exists():
        raise ValueError(
            f"SOURCE {arguments.source} does not exist; expected an image, a folder of images or a video: check the "
            "path."
        )
    from zoo.media.progress import waiting

    name = model_name(arguments)
    with waiting("Loading the model"):
        from zoo.core.registry import get_slot
        from zoo.heads.head_files import HeadFiles
        from zoo.heads.inference import head_files
        from zoo.media.run import one_line_warnings

        results = HeadFiles(arguments.output, arguments.save, arguments.wire, arguments.posed, name)
        model = load_head_model(arguments)
    detector = get_slot("detectors").get(arguments.detector)()
    with one_line_warnings(), redirect_stdout(sys.stderr if arguments.json else sys.stdout):
        written = head_files(
            model,
            arguments.source,
            results,
            arguments.box,
            arguments.smooth,
            deinterlace=arguments.deinterlace,
            heads=arguments.heads,
            detector=detector,
        )
    if arguments.json:
        print_json({"output": arguments.output, "written": written})
        return 0
    hint = ""
    if arguments.save is None and results.file is None:
        hint = f" Next: see in {arguments.output / 'overlay'} how well the mesh sits; OBJ and GLB open in Blender."
    print(f"{len(written)} {'result' if len(written) == 1 else 'results'} in {arguments.output}.{hint}")
    return 0


def load_head_model(arguments: argparse.Namespace) -> Any:
    """Return the model of 3D heads that the arguments name, on its device.

    Raises:
        ZooError: no model, no such device, or a model of something else.
    """
    model = load_model(arguments)

    from zoo.heads.mesh import HeadModel

    if not isinstance(getattr(model, "head_model", None), HeadModel):
        name = model_name(arguments)
        raise ValueError(f"{name} holds a {type(model).__name__}; expected a model of 3D heads.")
    return model


def parse_box(text: str) -> tuple[float, float, float, float]:
    """Parse four numbers with commas between them."""
    try:
        x, y, width, height = (float(number) for number in text.split(","))
    except ValueError:
        raise argparse.ArgumentTypeError(
            f"'{text}' is no box; expected four numbers x,y,width,height in pixels, such as 120,40,256,300"
        ) from None
    return x, y, width, height
