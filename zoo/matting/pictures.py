"""Contact sheets of validation: what the network saw and what it made of it, a row a sample."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch.nn.functional as F
from lightning.pytorch.loggers import Logger
from PIL import Image, ImageDraw
from torch import Tensor

from zoo.matting.compose import composite
from zoo.matting.parts import MattingBatch, MattingOutput
from zoo.media.images import write_image

COLUMNS = ("source", "background", "true alpha", "alpha", "error map", "refined cells", "composite")
NEW_BACKGROUND = (0.47, 0.78, 0.55)
"""A flat green: fringes and lost hair show on it."""


def sheet(samples: Sequence[tuple[MattingBatch, MattingOutput]], side: int = 192) -> Image.Image:
    """A picture with a row a sample and a column for each of `COLUMNS`; `side` is the longer side of a tile."""
    rows = [row for batch, output in samples for row in tiles(batch, output, side)]
    width = max(row[0].shape[1] for row in rows)
    heading = 16
    canvas = Image.new("RGB", (len(COLUMNS) * (width + 2), heading + sum(row[0].shape[0] + 2 for row in rows)), "white")
    draw = ImageDraw.Draw(canvas)
    for column, name in enumerate(COLUMNS):
        draw.text((column * (width + 2) + 4, 2), name, fill="black")
    top = heading
    for row in rows:
        for column, tile in enumerate(row):
            canvas.paste(Image.fromarray(tile), (column * (width + 2), top))
        top += row[0].shape[0] + 2
    return canvas


def tiles(batch: MattingBatch, output: MattingOutput, side: int) -> list[list[np.ndarray]]:
    """For each sample of a batch its tiles, uint8 (h, w, 3)."""
    height, width = batch.source.shape[-2:]
    size = (max(1, round(height * side / max(height, width))), max(1, round(width * side / max(height, width))))
    green = batch.source.new_tensor(NEW_BACKGROUND).view(1, 3, 1, 1).expand_as(batch.source)
    alpha = output.alpha.float()
    columns = (
        batch.source,
        batch.background,
        batch.alpha,
        alpha,
        output.error.float(),
        output.refined.float(),
        composite(output.foreground.float(), alpha, green),
    )
    prepared = [as_bytes(column, size) for column in columns]
    return [[column[index] for column in prepared] for index in range(len(alpha))]


def as_bytes(images: Tensor, size: tuple[int, int]) -> np.ndarray:
    """(B, 1 or 3, h, w) in [0, 1] → uint8 (B, *size, 3)."""
    shrinks = images.shape[-2] > size[0] or images.shape[-1] > size[1]
    images = (
        F.interpolate(images.detach(), size, mode="bilinear", antialias=True)
        if shrinks
        else F.interpolate(images.detach(), size)
    )
    images = images.clamp(0, 1).expand(-1, 3, -1, -1).permute(0, 2, 3, 1)
    return (images * 255).round().byte().cpu().numpy()


def log_sheet(
    samples: Sequence[tuple[MattingBatch, MattingOutput]],
    directory: str | None,
    loggers: Sequence[Logger],
    name: str,
    step: int,
) -> None:
    """Write the sheet as `pictures/NAME.png` into the run directory, and hand it to every logger that takes images."""
    picture = sheet(samples)
    if directory is not None:
        write_image(Path(directory) / "pictures" / f"{name}.png", np.asarray(picture))
    for logger in loggers:
        log_image: Any = getattr(logger, "log_image", None)
        if log_image is not None:
            log_image(key="validation/pictures", images=[picture], caption=[" | ".join(COLUMNS)], step=step)
