"""Contact sheets, and where they are logged: every task shows what its network made of a few samples."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from lightning.pytorch.loggers import Logger
from PIL import Image, ImageDraw

from zoo.media.images import write_image

HEADING = 16
GAP = 2
"""Pixels above the first row, and between tiles."""


def contact_sheet(rows: Sequence[Sequence[np.ndarray]], columns: Sequence[str]) -> Image.Image:
    """A picture with a row a sample and a named column a tile.

    Args:
        rows: tiles (h, w, 3) uint8, all of a row of one size; as many a row as there are columns.
        columns: what stands above them.
    """
    width = max(row[0].shape[1] for row in rows) + GAP
    height = HEADING + sum(row[0].shape[0] + GAP for row in rows)
    canvas = Image.new("RGB", (len(columns) * width, height), "white")
    draw = ImageDraw.Draw(canvas)
    for column, name in enumerate(columns):
        draw.text((column * width + 4, 2), name, fill="black")
    top = HEADING
    for row in rows:
        for column, tile in enumerate(row):
            canvas.paste(Image.fromarray(tile), (column * width, top))
        top += row[0].shape[0] + GAP
    return canvas


def log_picture(
    picture: Image.Image, caption: str, directory: str | None, loggers: Sequence[Logger], name: str, step: int
) -> None:
    """Write a picture as `pictures/NAME.png` into the run directory, and hand it to every logger that takes images."""
    if directory is not None:
        write_image(Path(directory) / "pictures" / f"{name}.png", np.asarray(picture))
    for logger in loggers:
        log_image: Any = getattr(logger, "log_image", None)
        if log_image is not None:
            log_image(key="validation/pictures", images=[picture], caption=[caption], step=step)
