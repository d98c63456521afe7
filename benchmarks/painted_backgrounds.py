"""Matte photographs that were not used in training, and write a sheet of the results.

    python -m benchmarks.painted_backgrounds -o docs/pictures/real_photographs.jpg

The photographs are those that `SyntheticMattes` holds out. No photograph of their backgrounds without the subject
exists, so the background is painted: a generous outline around the subject is filled smoothly from its border
(Laplace's equation). Inside the outline the painted background differs from the real one, which is harder than a
captured background. Outside the outline it is exactly the photograph, which is easier. There is no true alpha: the
sheet is for looking at.
"""

import argparse
from fractions import Fraction
from pathlib import Path

import numpy as np
import scipy.sparse
import scipy.sparse.linalg
import skimage.draw
from PIL import Image
from zoo_plugins.synthetic.drawing import photographs

from zoo.matting.inference import load_matting
from zoo.matting.results import NewBackground, render
from zoo.media.images import read_image, to_uint8
from zoo.training.pictures import contact_sheet

OUTLINES = {
    "astronaut.png": "150,70 155,40 175,20 205,8 240,6 275,15 302,42 312,80 306,115 292,140 272,160 290,182 310,215 "
    "324,236 352,246 364,285 374,333 400,335 432,340 462,356 487,395 502,440 511,450 511,511 12,511 14,440 18,370 "
    "30,310 42,268 66,232 102,206 108,180 122,154 148,140 165,138 160,125 150,108",
    "chelsea.png": "42,0 28,60 28,120 18,140 0,148 0,299 310,299 335,250 362,205 370,150 372,95 396,62 405,0",
    "motorcycle_left.png": "92,188 138,138 165,136 200,162 240,172 300,188 328,183 340,165 326,135 333,106 366,102 "
    "392,122 430,112 468,102 486,70 500,50 556,98 548,106 562,118 584,112 590,148 565,190 584,252 628,272 654,303 "
    "646,322 676,360 696,410 686,444 652,460 606,454 555,418 520,367 500,325 480,345 450,386 364,388 355,444 312,444 "
    "316,385 280,386 242,406 200,414 156,400 120,352 110,310 114,275 134,254 94,254",
    "rocket.jpg": "302,150 311,121 322,114 335,148 342,180 347,348 364,352 364,402 381,402 381,426 259,426 259,402 "
    "278,398 280,358 298,352 298,180",
}
"""Outlines around the subjects, x,y in pixels."""


def painted_background(photograph: np.ndarray, outline: str) -> np.ndarray:
    """Return the photograph with the inside of the outline painted over, (H, W, 3) uint8."""
    corners = np.array([point.split(",") for point in outline.split()], float)
    inside = skimage.draw.polygon2mask(photograph.shape[:2], corners[:, ::-1])
    painted = photograph.astype(float)
    rows, columns = np.nonzero(inside)
    number = np.zeros(inside.shape, int)
    number[inside] = np.arange(len(rows))
    neighbours, known = np.zeros(len(rows)), np.zeros((len(rows), 3))
    links = scipy.sparse.coo_array((len(rows), len(rows)))
    for down, right in ((0, 1), (1, 0), (0, -1), (-1, 0)):
        y, x = rows + down, columns + right
        within = (
            (y >= 0) & (y < inside.shape[0]) & (x >= 0) & (x < inside.shape[1])
        )  # the border of the image is no neighbour
        here = np.flatnonzero(within)
        y, x = y[within], x[within]
        neighbours[here] += 1
        unknown = inside[y, x]
        known[here[~unknown]] += painted[y[~unknown], x[~unknown]]
        pairs = (here[unknown], number[y[unknown], x[unknown]])
        links += scipy.sparse.coo_array((np.ones(len(pairs[0])), pairs), links.shape)
    equations = scipy.sparse.diags_array(neighbours) - links
    painted[inside] = scipy.sparse.linalg.spsolve(scipy.sparse.csc_array(equations), known)
    return np.rint(painted.clip(0, 255)).astype(np.uint8)


def main() -> None:
    """Matte every photograph; write a row each: photograph, painted background, alpha, subject on another colour."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="bgmv2_mobilenetv2-synthetic", help="a checkpoint or catalogue name")
    parser.add_argument("-o", "--output", type=Path, required=True, help="the image file to write")
    arguments = parser.parse_args()
    matting = load_matting(arguments.model, device="cpu")
    green = NewBackground("#4caf50")
    rows = []
    for name, outline in OUTLINES.items():
        photograph = to_uint8(read_image(photographs.folder() / name, "RGB"))
        background = painted_background(photograph, outline)
        output = matting(photograph, background)
        alpha = to_uint8(render(output, "alpha"))
        composite = to_uint8(render(output, "composite", green.at(Fraction(0), output.alpha)))
        tiles = [photograph, background, np.repeat(alpha.reshape(*alpha.shape[:2], 1), 3, 2), composite]
        rows.append(
            [np.asarray(Image.fromarray(tile).resize((300, 300 * tile.shape[0] // tile.shape[1]))) for tile in tiles]
        )
    contact_sheet(rows, ("photograph", "painted background", "alpha", "on another colour")).save(
        arguments.output, quality=85
    )


if __name__ == "__main__":
    main()
