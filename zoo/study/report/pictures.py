"""Sample pictures of a report: what the rows' networks made of the same test samples, side by side."""

import io
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from PIL import Image, ImageDraw

from zoo.study.report.rows import ReportedRow
from zoo.study.run.samples import PICTURES, SIDE, Sample, read_tiles
from zoo.training.pictures import contact_sheet

ROWS = 11
"""Rows that are pictured at most, besides the baseline."""

SAMPLES = 6
"""Samples that are pictured at most, of all test sets together."""

PER_LINE = 7
"""Tiles side by side in the sheet."""

HEADING, MARGIN = 24, 4
"""Pixels of the sheet above each sample, and left of its name."""

QUALITY = 85
"""Of the JPEG pictures, 0 to 100: a page with all of them stays below 3 MB."""


class PicturedSample(NamedTuple):
    """One sample with its tiles by name: what every network was given, and the truth; then each row's result."""

    title: str
    tiles: dict[str, np.ndarray]


def gather_pictures(rows: Sequence[ReportedRow], sets: Sequence[str]) -> list[PicturedSample]:
    """The samples that runs of the first seed kept; empty where none was.

    Args:
        rows: whose results are wanted, in their order.
        sets: the test sets whose samples are wanted, in their order.
    """
    kept = {row.name: read_tiles(row.first_run.directory / PICTURES) for row in rows if row.first_run is not None}
    pictured = []
    for sample in chosen({sample for found in kept.values() for sample in found}, sets):
        own = {row: found[sample] for row, found in kept.items() if found.get(sample)}
        given = list(next(iter(own.values())).items())[:-1]
        results = {row: list(tiles.values())[-1] for row, tiles in own.items()}
        pictured.append(PicturedSample(f"{sample.set}, picture {sample.number}", dict(given) | results))
    return pictured


def chosen(kept: set[Sample], sets: Sequence[str]) -> list[Sample]:
    """As many samples of each test set as there is room for."""
    share = max(1, SAMPLES // max(1, len(sets)))
    wanted = (Sample(name, number) for name in sets for number in range(share))
    return [sample for sample in wanted if sample in kept][:SAMPLES]


def sheet(pictured: Sequence[PicturedSample]) -> Image.Image:
    """All samples below one another, each with as many lines of named tiles as it needs."""
    blocks = [block(sample) for sample in pictured]
    canvas = Image.new("RGB", (max(part.width for part in blocks), sum(part.height for part in blocks)), "white")
    top = 0
    for part in blocks:
        canvas.paste(part, (0, top))
        top += part.height
    return canvas


def block(sample: PicturedSample) -> Image.Image:
    """One sample under its title."""
    names, tiles = list(sample.tiles), [enlarged(tile) for tile in sample.tiles.values()]
    places = range(0, len(names), PER_LINE)
    lines = [contact_sheet([tiles[place : place + PER_LINE]], names[place : place + PER_LINE]) for place in places]
    canvas = Image.new("RGB", (lines[0].width, HEADING + sum(line.height for line in lines)), "white")
    ImageDraw.Draw(canvas).text((MARGIN, HEADING // 3), sample.title, fill="black", font_size=14)
    top = HEADING
    for line in lines:
        canvas.paste(line, (0, top))
        top += line.height
    return canvas


def enlarged(tile: np.ndarray) -> np.ndarray:
    """A small tile, each pixel a square, so that its name has room above it."""
    times = max(1, SIDE // max(tile.shape[:2]))
    return tile.repeat(times, axis=0).repeat(times, axis=1)


def jpeg(tile: np.ndarray) -> bytes:
    """A tile as a JPEG file."""
    file = io.BytesIO()
    Image.fromarray(tile).save(file, format="JPEG", quality=QUALITY)
    return file.getvalue()
