"""Draw what the bundled weights make of images that no training has seen, for the documentation.

    python -m benchmarks.pictures photograph -o docs/pictures/one_photograph.jpg
    python -m benchmarks.pictures painted -o docs/pictures/real_photographs.jpg
    python -m benchmarks.pictures worst bgmv2_mobilenetv2-synthetic -o docs/pictures/worst_bgmv2.jpg

`photograph` is what `zoo matte` and `zoo head` make of scikit-image's portrait of an astronaut by NASA, in the public
domain. `worst` shows where weights fail: the images with the largest errors of a synthetic test set.

`painted` mattes the photographs that `SyntheticMattes` holds out. No photograph of their backgrounds without the
subject exists, so the background is painted: a generous outline around the subject is filled smoothly from its border
(Laplace's equation). Inside the outline the painted background differs from the real one, which is harder than a
captured background. Outside the outline it is exactly the photograph, which is easier. There is no true alpha: the
sheet is for looking at.
"""

import argparse
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import scipy.sparse
import scipy.sparse.linalg
import skimage.draw
import torch
from PIL import Image
from skimage.data import astronaut
from zoo_plugins.datasets.synthetic import SyntheticMattes
from zoo_plugins.datasets.synthetic_heads import SyntheticHeads
from zoo_plugins.synthetic.drawing import photographs

import zoo
from zoo.heads.data import EvaluationCrops, HeadEvaluationSet, as_float
from zoo.heads.data import collate as collate_heads
from zoo.heads.head_files import HeadFiles
from zoo.heads.inference import predict_heads
from zoo.heads.pictures import result_tiles
from zoo.hub import defaults
from zoo.matting.compose import composite
from zoo.matting.data import EvaluationSamples, EvaluationSet, collate
from zoo.matting.inference import load_matting
from zoo.matting.matte_files import NewBackground, render
from zoo.matting.pictures import NEW_BACKGROUND, as_bytes
from zoo.media.images import read_image, to_uint8
from zoo.training.pictures import contact_sheet

SIDE = 220
"""Side of a tile of the worst images, in pixels."""

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


def photograph(file: Path | None, output: Path) -> Image.Image:
    """Return a row: the photograph, its alpha, the subject on another colour, and the head."""
    pixels = to_uint8(read_image(file)) if file else astronaut()
    matte = load_matting(defaults.MATTING_WITHOUT_BACKGROUND, device="cpu")(pixels, None)
    network: Any = zoo.load(defaults.HEADS)
    drawn = HeadFiles(output.parent, ["overlay"]).overlay(pixels, predict_heads(network, pixels))
    return contact_sheet([[pixels, *matte_tiles(matte), drawn]], ("photograph", "alpha", "on another colour", "head"))


def painted() -> Image.Image:
    """Return a row for each photograph: itself, the painted background, alpha, the subject on another colour."""
    matting = load_matting(defaults.MATTING, device="cpu")
    rows = []
    for name, outline in OUTLINES.items():
        pixels = to_uint8(read_image(photographs.folder() / name, "RGB"))
        background = painted_background(pixels, outline)
        tiles = [pixels, background, *matte_tiles(matting(pixels, background))]
        rows.append(
            [np.asarray(Image.fromarray(tile).resize((300, 300 * tile.shape[0] // tile.shape[1]))) for tile in tiles]
        )
    return contact_sheet(rows, ("photograph", "painted background", "alpha", "on another colour"))


def matte_tiles(matte: Any) -> list[np.ndarray]:
    """Return alpha and the subject on another colour, (H, W, 3) uint8."""
    alpha = to_uint8(render(matte, "alpha"))
    colour = NewBackground("#4caf50").at(Fraction(0), matte.alpha)
    return [np.repeat(alpha.reshape(*alpha.shape[:2], 1), 3, 2), to_uint8(render(matte, "composite", colour))]


@torch.no_grad()
def worst_mattes(model: Any, count: int, shown: int) -> Image.Image:
    """Return the images of largest mean |alpha - true alpha|, with what the network saw beside the image."""
    people = 0.65 if model.network.captured_background else 1.0
    images = EvaluationSamples(EvaluationSet(SyntheticMattes("test", count=count, size=512, people=people)))
    found = []
    for index in range(count):
        batch = collate([images[index]])
        output = model.compute(batch)
        seen = batch.background if model.network.captured_background else model.network.guide(batch.source, None)
        green = batch.source.new_tensor(NEW_BACKGROUND).view(1, 3, 1, 1).expand_as(batch.source)
        columns = [batch.source, seen, batch.alpha, output.alpha, composite(output.foreground, output.alpha, green)]
        error = float((output.alpha - batch.alpha).abs().mean())
        found.append((error, [as_bytes(column, (SIDE, SIDE))[0] for column in columns]))
    found.sort(key=lambda each: -each[0])
    other = "background" if model.network.captured_background else "guide"
    names = ("image", other, "true alpha", "alpha", "on another colour")
    return contact_sheet([tiles for _, tiles in found[:shown]], names)


@torch.no_grad()
def worst_heads(model: Any, count: int, shown: int) -> Image.Image:
    """Return the heads whose vertices are furthest from the true ones in the crop."""
    dataset = SyntheticHeads("test", count=count, size=224)
    dataset.build(model.head_model)
    crops = EvaluationCrops(HeadEvaluationSet(dataset), model.head_model, model.image_size)
    found = []
    for index in range(count):
        batch = as_float(collate_heads([crops[index]]))
        output = model.compute(batch)
        error = float((output.projected - batch.projected).norm(dim=-1).mean())
        found.append((error, result_tiles(batch, output, model.head_model, SIDE)[0]))
    found.sort(key=lambda each: -each[0])
    return contact_sheet([list(tiles.values()) for _, tiles in found[:shown]], list(found[0][1]))


def main() -> None:
    """Draw the picture and write it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    kinds = parser.add_subparsers(dest="kind", required=True)
    one = kinds.add_parser("photograph", help="one photograph: alpha, another colour, head")
    one.add_argument("file", type=Path, nargs="?", help="another photograph")
    kinds.add_parser("painted", help="photographs with painted backgrounds")
    worst = kinds.add_parser("worst", help="the images with the largest errors of a synthetic test set")
    worst.add_argument("model", help="a checkpoint or catalogue name")
    worst.add_argument("--count", type=int, default=48, help="images of the test set")
    worst.add_argument("--shown", type=int, default=3, help="how many of them are drawn")
    for each in kinds.choices.values():
        each.add_argument("-o", "--output", type=Path, required=True, help="the image file to write")
    arguments = parser.parse_args()
    if arguments.kind == "photograph":
        picture = photograph(arguments.file, arguments.output)
    elif arguments.kind == "painted":
        picture = painted()
    else:
        model: Any = zoo.load(arguments.model)
        draw = worst_heads if hasattr(model, "head_model") else worst_mattes
        picture = draw(model, arguments.count, arguments.shown)
    picture.save(arguments.output, quality=86)


if __name__ == "__main__":
    main()
