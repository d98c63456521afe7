"""Pictures of samples: inputs and outputs of the network, in contact sheets of validation with a row a sample."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch.nn.functional as F
from lightning.pytorch.loggers import Logger
from PIL import Image
from torch import Tensor

from zoo.matting.compose import composite
from zoo.matting.parts import MattingBatch, MattingOutput
from zoo.training.pictures import contact_sheet, log_picture

COLUMNS = ("source", "background", "true alpha", "alpha", "error map", "refined cells", "composite")
NEW_BACKGROUND = (0.47, 0.78, 0.55)
"""A flat green, on which fringes and lost hair show."""


def sheet(samples: Sequence[tuple[MattingBatch, MattingOutput]], side: int = 192) -> Image.Image:
    """Return a picture with a row a sample and a column for each of `COLUMNS`; `side` is the longer side of a tile.

    Example:
        >>> import torch
        >>> image, alpha = torch.rand(1, 3, 8, 8), torch.rand(1, 1, 8, 8)
        >>> output = MattingOutput(alpha, image, alpha, image, alpha, alpha[..., :2, :2])
        >>> sheet([(MattingBatch(image, image, alpha, image), output)], side=8).width > 7 * 8
        True
    """
    return contact_sheet([row for batch, output in samples for row in tiles(batch, output, side)], COLUMNS)


def tiles(batch: MattingBatch, output: MattingOutput, side: int) -> list[list[np.ndarray]]:
    """Return the tiles of each sample of a batch, uint8 (h, w, 3)."""
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
    size = tile_size(batch.source, side)
    prepared = [as_bytes(column, size) for column in columns]
    return [[column[index] for column in prepared] for index in range(len(alpha))]


def result_tiles(batch: MattingBatch, output: MattingOutput, side: int) -> list[dict[str, np.ndarray]]:
    """Return source, true alpha and alpha of each sample, uint8 (h, w, 3); small images are not enlarged.

    Example:
        >>> import torch
        >>> image, alpha = torch.rand(1, 3, 8, 8), torch.rand(1, 1, 8, 8)
        >>> output = MattingOutput(alpha, image, alpha, image, alpha, alpha)
        >>> result_tiles(MattingBatch(image, image, alpha, image), output, 4)[0]["alpha"].shape
        (4, 4, 3)
    """
    size = tile_size(batch.source, min(side, max(batch.source.shape[-2:])))
    images = {"source": batch.source, "true alpha": batch.alpha, "alpha": output.alpha.float()}
    prepared = {name: as_bytes(image, size) for name, image in images.items()}
    return [{name: tiles[index] for name, tiles in prepared.items()} for index in range(len(batch.alpha))]


def tile_size(images: Tensor, side: int) -> tuple[int, int]:
    """Return height and width of a tile whose longer side is `side`."""
    height, width = images.shape[-2:]
    scale = side / max(height, width)
    return max(1, round(height * scale)), max(1, round(width * scale))


def as_bytes(images: Tensor, size: tuple[int, int]) -> np.ndarray:
    """Convert (B, 1 or 3, h, w) in [0, 1] to uint8 (B, *size, 3)."""
    shrinks = images.shape[-2] > size[0] or images.shape[-1] > size[1]
    how: dict[str, Any] = {"mode": "bilinear", "antialias": True} if shrinks else {}
    images = F.interpolate(images.detach(), size, **how)
    images = images.clamp(0, 1).expand(-1, 3, -1, -1).permute(0, 2, 3, 1)
    return (images * 255).round().byte().cpu().numpy()


def log_sheet(
    samples: Sequence[tuple[MattingBatch, MattingOutput]],
    directory: str | None,
    loggers: Sequence[Logger],
    name: str,
    step: int,
) -> None:
    """Write the sheet as `pictures/NAME.png` into the run directory, and log it to every logger that takes images."""
    log_picture(sheet(samples), " | ".join(COLUMNS), directory, loggers, name, step)
