"""Draw what the commands `zoo matte` and `zoo head` make of one photograph with the bundled weights.

    python -m benchmarks.one_photograph -o docs/pictures/one_photograph.jpg

The photograph is scikit-image's portrait of an astronaut by NASA, in the public domain, which no training has seen.
"""

import argparse
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
from skimage.data import astronaut

import zoo
from zoo.heads.inference import predict_heads
from zoo.heads.results import HeadFiles
from zoo.hub import defaults
from zoo.matting.inference import load_matting
from zoo.matting.results import NewBackground, render
from zoo.media.images import read_image, to_uint8
from zoo.training.pictures import contact_sheet


def main() -> None:
    """Matte the photograph, find its head, and write both beside it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("photograph", type=Path, nargs="?", help="another photograph")
    parser.add_argument("--model", default=defaults.MATTING_WITHOUT_BACKGROUND, help="a checkpoint or catalogue name")
    parser.add_argument("-o", "--output", type=Path, required=True, help="the image file to write")
    arguments = parser.parse_args()
    photograph = to_uint8(read_image(arguments.photograph)) if arguments.photograph else astronaut()
    output = load_matting(arguments.model, device="cpu")(photograph, None)
    colour = NewBackground("#4caf50").at(Fraction(0), output.alpha)
    alpha, composite = to_uint8(render(output, "alpha")), to_uint8(render(output, "composite", colour))
    network: Any = zoo.load(defaults.HEADS)
    heads = predict_heads(network, photograph)
    drawn = HeadFiles(arguments.output.parent, ["overlay"]).overlay(photograph, heads)
    tiles = [photograph, np.repeat(alpha.reshape(*alpha.shape[:2], 1), 3, 2), composite, drawn]
    contact_sheet([tiles], ("photograph", "alpha", "on another colour", "head")).save(arguments.output, quality=88)


if __name__ == "__main__":
    main()
