"""Contact sheets of a few validation samples with the outputs of a network, and their logging."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from lightning.pytorch.loggers import Logger
from PIL import Image, ImageDraw

from zoo.media.images import write_image

HEADING = 16
GAP = 2
"""Height of the heading and gap between tiles, in pixels."""


def contact_sheet(rows: Sequence[Sequence[np.ndarray]], columns: Sequence[str]) -> Image.Image:
    """Return a picture with one row per sample and one named column per tile.

    Args:
        rows: tiles (h, w, 3) uint8, of equal size in a row; one per column.
        columns: headings.

    Example:
        >>> contact_sheet([[np.zeros((8, 10, 3), np.uint8)] * 2], ["alpha", "error"]).size
        (24, 26)
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
    """Write a picture as `pictures/NAME.png` into the run directory and to every logger that takes images."""
    if directory is not None:
        write_image(Path(directory) / "pictures" / f"{name}.png", np.asarray(picture))
    for logger in loggers:
        log_image: Any = getattr(logger, "log_image", None)
        if log_image is not None:
            log_image(key="validation/pictures", images=[picture], caption=[caption], step=step)
