"""Sample pictures of a report: outputs of the rows' networks for the same test samples, side by side."""

import io
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from PIL import Image, ImageDraw

from zoo.study.report.rows import ReportedRow
from zoo.study.run.samples import PICTURES, SIDE, Sample, read_tiles
from zoo.training.pictures import contact_sheet

ROWS, SAMPLES, PER_LINE = 11, 6, 7
"""At most so many rows in addition to the baseline, samples of all test sets together, and tiles side by side."""

HEADING, MARGIN = 24, 4
"""Pixels above each sample of the sheet, and left of its name."""

QUALITY = 85
"""JPEG quality, 0 to 100: a page with all tiles stays below 3 MB."""


class PicturedSample(NamedTuple):
    """One sample with its tiles by name: the inputs and the ground truth, then the output of each row."""

    title: str
    tiles: dict[str, np.ndarray]


def gather_pictures(rows: Sequence[ReportedRow], sets: Sequence[str]) -> list[PicturedSample]:
    """Return the samples that runs of the first seed kept as images; empty where there are none.

    Args:
        rows: whose outputs are shown, in their order.
        sets: the test sets whose samples are shown, in their order.
    """
    tiles = {row.name: read_tiles(row.first_run.directory / PICTURES) for row in rows if row.first_run is not None}
    pictured = []
    for sample in choose({sample for of_row in tiles.values() for sample in of_row}, sets):
        own = {row: of_row[sample] for row, of_row in tiles.items() if of_row.get(sample)}
        inputs = list(next(iter(own.values())).items())[:-1]
        outputs = {row: list(named.values())[-1] for row, named in own.items()}
        pictured.append(PicturedSample(f"{sample.set}, picture {sample.number}", dict(inputs) | outputs))
    return pictured


def choose(samples: set[Sample], sets: Sequence[str]) -> list[Sample]:
    """Return as many samples of each test set as there is room for."""
    per_set = max(1, SAMPLES // max(1, len(sets)))
    candidates = (Sample(name, number) for name in sets for number in range(per_set))
    return [sample for sample in candidates if sample in samples][:SAMPLES]


def sheet(pictured: Sequence[PicturedSample]) -> Image.Image:
    """Return all samples below one another, each under its title with as many lines of named tiles as it needs."""
    parts = []
    for sample in pictured:
        names, tiles = list(sample.tiles), [enlarged(tile) for tile in sample.tiles.values()]
        starts = range(0, len(names), PER_LINE)
        lines = [contact_sheet([tiles[start : start + PER_LINE]], names[start : start + PER_LINE]) for start in starts]
        title = Image.new("RGB", (lines[0].width, HEADING), "white")
        ImageDraw.Draw(title).text((MARGIN, HEADING // 3), sample.title, fill="black", font_size=14)
        parts += [title, *lines]
    canvas = Image.new("RGB", (max(part.width for part in parts), sum(part.height for part in parts)), "white")
    top = 0
    for part in parts:
        canvas.paste(part, (0, top))
        top += part.height
    return canvas


def enlarged(tile: np.ndarray) -> np.ndarray:
    """Return a small tile enlarged, each pixel a square, so that its name has room above it."""
    times = max(1, SIDE // max(tile.shape[:2]))
    return tile.repeat(times, axis=0).repeat(times, axis=1)


def jpeg(tile: np.ndarray) -> bytes:
    """Return a tile as a JPEG file."""
    file = io.BytesIO()
    Image.fromarray(tile).save(file, format="JPEG", quality=QUALITY)
    return file.getvalue()
