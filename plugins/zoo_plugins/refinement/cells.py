"""Patches as a list of cells: which are selected, cutting them out of a picture, writing them back."""

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from zoo.matting.parts import PATCH

ROW = {torch.float32: torch.complex128, torch.float16: torch.float64, torch.bfloat16: torch.float64}
"""A number as large as a row of a patch, by dtype: where rows are only moved, one such is faster moved than four."""


class Cells(NamedTuple):
    """Squares by image, row and column on a grid of squares, (P,) each; of patches, where nothing else is said."""

    image: Tensor
    row: Tensor
    column: Tensor

    def some(self, which: Tensor | slice) -> "Cells":
        """Those that an index, a mask or a slice chooses."""
        return Cells(*(values[which] for values in self))

    @property
    def number(self) -> int:
        """How many there are."""
        return len(self.image)


def selection(score: Tensor, patches: int | None) -> Tensor:
    """Which patches are refined, as booleans: those of score above 0, at most the `patches` highest of each image."""
    positive = score > 0
    if patches is None or patches >= score[0].numel():
        return positive
    best = score.flatten(1).topk(patches, 1, sorted=False).indices
    among_best = torch.zeros_like(positive).flatten(1).scatter(1, best, torch.ones_like(best, dtype=torch.bool))
    return positive & among_best.view_as(positive)


def crop(x: Tensor, cells: Cells, size: int, margin: int) -> Tensor:
    """The cells' squares with a margin, zeros beyond the border: (B, C, H, W) → (P, C, s, s), s = size + 2·margin."""
    side = size + 2 * margin
    windows = F.pad(x, (margin,) * 4).permute(0, 2, 3, 1).unfold(1, side, size).unfold(2, side, size)
    return windows[cells.image, cells.row, cells.column]


def write(x: Tensor, cells: Cells, patches: Tensor) -> Tensor:
    """A copy of x (B, C, H, W) with the patches (P, C, 4, 4) at the cells."""
    grid = by_patches(x).index_put((cells.image, cells.row, cells.column), patches.to(x.dtype))
    return grid.permute(0, 3, 1, 4, 2, 5).reshape(x.shape)


def write_into(x: Tensor, cells: Cells, patches: Tensor) -> None:
    """Write the patches (P, C, 4, 4) into x (B, C, H, W) itself, which is contiguous."""
    patches = patches.to(x.dtype)
    if x.dtype in ROW:
        row = ROW[x.dtype]
        x, patches = x.view(-1).view(row).view(*x.shape[:3], -1), patches.contiguous().view(row)
    by_patches(x, patches.shape[3]).index_put_((cells.image, cells.row, cells.column), patches)


def by_patches(x: Tensor, width: int = PATCH) -> Tensor:
    """x (B, C, H, W) as its patches, (B, H/4, W/width, C, 4, width)."""
    batch, channels, height, columns = x.shape
    return x.view(batch, channels, height // PATCH, PATCH, columns // width, width).permute(0, 2, 4, 1, 3, 5)
