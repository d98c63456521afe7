"""Measure models on real photographs that you have: mattes with a captured background, and faces with 68 points.

    python -m benchmarks real --mattes FOLDER --faces FOLDER --sheet sheet.jpg

Mattes are files that share the beginning of their name, in one folder:

- `NAME_img.png`, the photograph; `NAME_back.png`, the captured background; `NAME_ref.png`, the reference alpha;
- or, instead of the photograph, `NAME_fgr.png`, straight foreground colours, which are composited by the reference
  alpha over the background.

Faces are images beside files `*.xml` in the format of dlib: `image` with `file`, in it `box`, in it 68 `part` with `x`
and `y`. Boxes without 68 points are passed over.

Every model runs as the commands `zoo matte` and `zoo head` do without options; one without captured background gets no
`NAME_back.png`, and its guide alone is measured too. Nothing of the folders is kept besides the sheet.
"""

import argparse
import tempfile
import warnings
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image, ImageDraw
from rich import box
from rich.console import Console
from rich.table import Table
from scipy import ndimage

from zoo.core.spec import build
from zoo.heads.crop import widened
from zoo.heads.detection import find_head_boxes
from zoo.heads.inference import predict_head
from zoo.heads.parts import Detector
from zoo.hub import defaults
from zoo.matting.inference import load_matting, matte_files
from zoo.matting.matte_files import MatteFiles
from zoo.matting.parts import Guide
from zoo.media.images import read_image, to_tensor, to_uint8
from zoo.training.models import load
from zoo.training.pictures import contact_sheet

MEASURED_SIDE = 512
"""Longer side in pixels at which mattes are compared: references are not exact to a pixel."""
BAND = 6
"""Pixels of that size to both sides of the outline that are its band."""
POINT_MARGINS = (0.09, 0.57, 0.09, 0.02)
"""From the extent of the 68 points to the head: left, top, right, bottom, as fractions of the extent (median of 152
rendered frontal heads)."""
OUTER_EYES = (36, 45)
POINTS = 68


class Case(NamedTuple):
    """A photograph, its captured background and its reference alpha."""

    name: str
    image: np.ndarray
    background: np.ndarray
    reference: np.ndarray


def main(arguments: Sequence[str]) -> int:
    """Measure, print the tables and write the sheet; return the exit code."""
    parsed = make_parser().parse_args(arguments)
    if parsed.mattes is None and parsed.faces is None:
        raise ValueError("there is nothing to measure: give --mattes FOLDER, --faces FOLDER or both.")
    rows: list[list[np.ndarray]] = []
    if parsed.mattes is not None:
        rows += measure_mattes(parsed.mattes, parsed.model)
    if parsed.faces is not None:
        rows += measure_faces(parsed.faces, parsed.head, parsed.detector)
    if parsed.sheet is not None:
        width = max(len(row) for row in rows)
        blank = np.full_like(rows[0][0], 255)
        contact_sheet([row + [blank] * (width - len(row)) for row in rows], ("",) * width).save(
            parsed.sheet, quality=88
        )
        print(f"Wrote {parsed.sheet}.")
    return 0


def make_parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    parser = argparse.ArgumentParser(
        "python -m benchmarks real", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--mattes", type=Path, metavar="FOLDER", help="photographs with backgrounds and references")
    parser.add_argument("--faces", type=Path, metavar="FOLDER", help="photographs with dlib's XML of 68 points")
    parser.add_argument("--model", default=defaults.MATTING, help=f"matting model (default: {defaults.MATTING})")
    parser.add_argument("--head", default=defaults.HEADS, help=f"head model (default: {defaults.HEADS})")
    parser.add_argument("--detector", default="BlazeFace", help="a part of zoo.detectors (default: BlazeFace)")
    parser.add_argument("--sheet", type=Path, metavar="FILE", help="write the results as one image to look at")
    return parser


def measure_mattes(folder: Path, model: str) -> list[list[np.ndarray]]:
    """Print the errors of every matte; return a row of the sheet for each."""
    matting = load_matting(model, device="cpu")
    network = matting.network
    guide = network.guide if network is not None and not network.captured_background else None
    other = "best threshold" if guide is None else "guide alone"
    table = Table("matte", "MAD", "in the band", "largest piece of background", f"{other}, MAD", box=box.SIMPLE)
    rows = []
    with tempfile.TemporaryDirectory() as scratch:
        for case in read_mattes(folder):
            image, background = Path(scratch) / f"{case.name}.png", None
            Image.fromarray(case.image).save(image)
            if guide is None:
                background = Path(scratch) / f"{case.name}_back.png"
                Image.fromarray(case.background).save(background)
            results = MatteFiles(str(Path(scratch) / "out"), ["alpha"])
            with warnings.catch_warnings(record=True) as caught:
                warnings.simplefilter("always")
                (written,) = matte_files(matting, image, background, results, progress=False)
            alpha = read_alpha(written)
            found, expected = reduced(alpha), reduced(case.reference)
            difference = np.abs(found - expected)
            numbers = [
                1000 * difference.mean(),
                1000 * difference[band(expected)].mean(),
                100 * largest_piece(found, expected),
                1000 * (best_threshold(case) if guide is None else guide_error(guide, case)),
            ]
            table.add_row(case.name, *(f"{number:.3g}" for number in numbers))
            for warning in caught:
                print(f"{case.name}: {warning.message}")
            over = case.image * alpha[..., None] + np.array([76, 175, 80]) * (1 - alpha[..., None])
            rows.append([tile(case.image), tile(alpha * 255), tile(case.reference * 255), tile(over)])
    Console(width=120).print(f"{model}: errors ×1000, pieces in % of the image", table)
    return rows


def read_mattes(folder: Path) -> Iterator[Case]:
    """Yield the mattes of a folder.

    Raises:
        ValueError: it has none.
    """
    references = sorted(folder.glob("*_ref.png"))
    if not references:
        raise ValueError(f"{folder} has no files NAME_ref.png; expected NAME_img.png, NAME_back.png, NAME_ref.png.")
    for path in references:
        name = path.name.removesuffix("_ref.png")
        reference = read_alpha(path)
        background = to_uint8(read_image(folder / f"{name}_back.png"))
        photograph = folder / f"{name}_img.png"
        if photograph.is_file():
            image = to_uint8(read_image(photograph))
        else:
            foreground = to_uint8(read_image(folder / f"{name}_fgr.png"))
            alpha = reference[..., None]
            image = np.rint(foreground * alpha + background * (1 - alpha)).astype(np.uint8)
        yield Case(name, image, background, reference)


def read_alpha(path: Path) -> np.ndarray:
    """Return an alpha (H, W) in [0, 1] from its file."""
    return to_uint8(read_image(path, "L")).astype(np.float32) / 255


def reduced(alpha: np.ndarray) -> np.ndarray:
    """Return the alpha with `MEASURED_SIDE` on its longer side."""
    scale = MEASURED_SIDE / max(alpha.shape)
    size = round(alpha.shape[1] * scale), round(alpha.shape[0] * scale)
    return np.asarray(Image.fromarray(alpha).resize(size, Image.Resampling.BOX))


def band(reference: np.ndarray) -> np.ndarray:
    """Return where the outline is near, a mask of the reference's size."""
    solid = reference > 0.5
    edge = solid ^ ndimage.binary_erosion(solid, border_value=1)
    soft = (reference > 0.05) & (reference < 0.95)
    return ndimage.binary_dilation(edge | soft, iterations=BAND)


def largest_piece(alpha: np.ndarray, reference: np.ndarray) -> float:
    """Return the largest connected piece of background that is cut out as foreground, as a fraction of the image."""
    wrong = (alpha > 0.5) & ~ndimage.binary_dilation(reference > 0.05, iterations=BAND)
    pieces, count = ndimage.label(wrong)
    return float(np.bincount(pieces.ravel())[1:].max() / wrong.size) if count else 0.0


def best_threshold(case: Case) -> float:
    """Return the error of the difference of image and background at the fixed threshold that fits best."""
    difference = reduced(np.abs(case.image.astype(np.float32) - case.background).max(axis=2) / 255)
    expected = reduced(case.reference)
    return min(float(np.abs((difference > step / 100) - expected).mean()) for step in range(1, 100))


@torch.no_grad()
def guide_error(guide: Guide, case: Case) -> float:
    """Return the error of what the guide finds in the photograph, enlarged."""
    found = guide(to_tensor(case.image)[None])
    if found is None:
        return float("nan")
    alpha = F.interpolate(found, case.reference.shape, mode="bilinear")[0, 0].numpy()
    return float(np.abs(reduced(alpha) - reduced(case.reference)).mean())


def measure_faces(folder: Path, model: str, detector: str) -> list[list[np.ndarray]]:
    """Print the errors of all faces; return the rows of the sheet, an image each with all that was found."""
    network: Any = load(model)
    finder: Detector = build({"class_path": detector})
    by_box, by_eyes, own, found, more, total, tiles = [], [], [], 0, 0, 0, []
    for path, faces in read_faces(folder):
        image = to_uint8(read_image(path))
        try:
            heads = find_head_boxes(image, finder)
        except ValueError:  # none
            heads = []
        drawn = Image.fromarray(image)
        matched: set[int] = set()
        for points in faces:
            total += 1
            low, high = points.min(0), points.max(0)
            head_box = widened((*low, *(high - low)), image.shape[:2], POINT_MARGINS)
            number = next((n for n, head in enumerate(heads) if n not in matched and shows(head.box, points)), None)
            matched |= set() if number is None else {number}
            head = predict_head(network, image, head_box)
            error = np.linalg.norm(head.landmarks - points, axis=1).mean()
            by_box.append(error / np.sqrt(head_box[2] * head_box[3]))
            by_eyes.append(error / eye_distance(points))
            draw_points(drawn, head.landmarks)
            if number is not None:
                head = predict_head(network, image, heads[number].box)
                own.append(np.linalg.norm(head.landmarks - points, axis=1).mean() / eye_distance(points))
        found, more = found + len(matched), more + len(heads) - len(matched)
        tiles.append(tile(np.asarray(drawn)))
    table = Table("faces", "NME of the box", "NME of the eyes", "found", "more found", box=box.SIMPLE)
    numbers = (f"{100 * np.mean(by_box):.2f} %", f"{100 * np.mean(by_eyes):.2f} %")
    table.add_row(str(total), *numbers, f"{found} by {detector}", str(more))
    Console(width=120).print(f"{model}: boxes given; error of the 68 points of the mesh", table)
    if own:
        print(f"With the boxes of {detector}: {100 * np.mean(own):.2f} % of the distance of the outer eye corners.")
    return [tiles[start : start + 4] for start in range(0, len(tiles), 4)]


def read_faces(folder: Path) -> Iterator[tuple[Path, list[np.ndarray]]]:
    """Yield each image with the 68 points, (68, 2) pixels, of each of its faces."""
    files = sorted(folder.glob("*.xml"))
    if not files:
        raise ValueError(f"{folder} has no .xml file; expected dlib's list of images with boxes and 68 parts.")
    for file in files:
        for entry in ElementTree.parse(file).getroot().iter("image"):
            every = [
                np.array([[float(part.get("x", 0)), float(part.get("y", 0))] for part in face.iter("part")])
                for face in entry.iter("box")
            ]
            faces = [points for points in every if len(points) == POINTS]
            if faces:
                yield folder / str(entry.get("file")), faces


def eye_distance(points: np.ndarray) -> float:
    """Return the distance of the outer corners of the eyes."""
    return float(np.linalg.norm(points[OUTER_EYES[0]] - points[OUTER_EYES[1]]))


def shows(head_box: tuple[float, float, float, float], points: np.ndarray) -> bool:
    """Return whether a box is that of the face: around the middle of the points and of about their size."""
    x, y, width, height = head_box
    middle, extent = points.mean(0), float(np.ptp(points[:, 1]))
    return x < middle[0] < x + width and y < middle[1] < y + height and extent < height < 3.5 * extent


def draw_points(image: Image.Image, points: np.ndarray) -> None:
    """Draw points as small green discs."""
    draw = ImageDraw.Draw(image)
    for x, y in points:
        draw.ellipse((x - 1.2, y - 1.2, x + 1.2, y + 1.2), fill=(60, 220, 80))


def tile(pixels: np.ndarray) -> np.ndarray:
    """Return an image within 480×300 pixels, on white, (300, 480, 3)."""
    image = Image.fromarray(np.rint(pixels).astype(np.uint8)).convert("RGB")
    image.thumbnail((480, 300))
    sheet = Image.new("RGB", (480, 300), "white")
    sheet.paste(image, ((480 - image.width) // 2, (300 - image.height) // 2))
    return np.asarray(sheet)
