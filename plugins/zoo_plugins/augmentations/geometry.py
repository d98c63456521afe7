"""Movements: random affine maps and mirror images.

An affine map turns, scales and shears the picture about its middle and then moves it, in torchvision's convention
(`shear` slants along x only). Pictures are sampled bilinearly without antialias, as in the official code; translations
are not rounded to whole pixels.
"""

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from zoo.core.parts import Augmentation
from zoo.core.seeding import RandomStream
from zoo.matting.parts import MattingBatch
from zoo_plugins.augmentations.chosen import PICTURES, Side, change_chosen, check_limits, check_range, check_side

OFFICIAL_SCALE = {"foreground": (0.3, 1.0), "background": (1.0, 2.0)}
SMALLEST_SCALE = 0.01


class RandomAffine(Augmentation):
    """Turns, moves, scales and slants one side of the batch on its canvas.

    Around a foreground that was made smaller there is nothing: alpha 0, black. A background is continued by its mirror
    image, so that no empty border is ever seen (the official code leaves black corners there).

    Args:
        side: `foreground` (with its alpha) or `background`.
        degrees: largest rotation, either way.
        translate: largest movement along each axis, as a share of the canvas.
        scale: smallest and largest scale; 1 is the picture as the canvas holds it. None: 0.3–1 for foregrounds (the
            official base stage uses 0.4–1), 1–2 for backgrounds. The official 1 covers the canvas: for 16:9 mattes that
            lie inside the canvas, the official sizes are 0.53–1.78.
        shear: largest slant along x, in degrees, either way.
        probability: of changing a sample.
    """

    phase = "canvas"

    def __init__(
        self,
        side: Side,
        degrees: float = 5.0,
        translate: float = 0.1,
        scale: tuple[float, float] | None = None,
        shear: float = 5.0,
        probability: float = 1.0,
    ) -> None:
        super().__init__()
        check_side(self, side)
        scale = OFFICIAL_SCALE[side] if scale is None else scale
        check_range(self, 0, 1, probability=probability, translate=translate)
        check_range(self, 0, 180, degrees=degrees)
        check_range(self, 0, 80, shear=shear)
        check_limits(self, SMALLEST_SCALE, scale=scale)
        self.side, self.degrees, self.translate, self.scale, self.shear = side, degrees, translate, scale, shear
        self.probability = probability

    def forward(self, batch: MattingBatch, draws: RandomStream) -> MattingBatch:
        chosen = draws.chance(self.probability)
        where_from = draw_affine(draws, batch.alpha.shape[-2:], self.degrees, self.translate, self.scale, self.shear)
        if not chosen.any():
            return batch
        grid = sampling_grid(where_from[chosen], batch.alpha)
        outside = "zeros" if self.side == "foreground" else "reflection"
        return change_chosen(batch, PICTURES[self.side], chosen, lambda images: sample(images, grid, outside))


class HorizontalFlip(Augmentation):
    """Mirrors one side of the batch, left to right.

    Args:
        side: `foreground` (with its alpha) or `background`.
        probability: of changing a sample.
    """

    phase = "canvas"

    def __init__(self, side: Side, probability: float = 0.5) -> None:
        super().__init__()
        check_side(self, side)
        check_range(self, 0, 1, probability=probability)
        self.side, self.probability = side, probability

    def forward(self, batch: MattingBatch, draws: RandomStream) -> MattingBatch:
        return change_chosen(batch, PICTURES[self.side], draws.chance(self.probability), lambda images: images.flip(-1))


def draw_affine(
    draws: RandomStream, size: Sequence[int], degrees: float, translate: float, scale: Sequence[float], shear: float
) -> Tensor:
    """Draw one affine map a sample and give where each place of the result comes from.

    Args:
        draws: the samples' streams.
        size: height and width of the pictures.
        degrees, translate, scale, shear: as in `RandomAffine`.

    Returns:
        (B, 2, 3) on the CPU: matrices for `torch.nn.functional.affine_grid`, from places of the result to places of the
        picture, both in [−1, 1] along each side.
    """
    angle = draws.uniform(-degrees, degrees) * math.pi / 180
    moved = torch.stack([draws.uniform(-translate, translate), draws.uniform(-translate, translate)], dim=1) * 2
    zoom = draws.uniform(scale[0], scale[1])
    slant = torch.tan(draws.uniform(-shear, shear) * math.pi / 180)
    # The picture is slanted, then turned, then scaled; looking from the result back undoes this in the other order.
    cosine, sine, one, zero = torch.cos(angle), torch.sin(angle), torch.ones_like(angle), torch.zeros_like(angle)
    turn_back = torch.stack([cosine, sine, -sine, cosine], dim=1).view(-1, 2, 2)
    slant_back = torch.stack([one, slant, zero, one], dim=1).view(-1, 2, 2)
    back = slant_back @ turn_back / zoom.view(-1, 1, 1)
    # Angles are true in pixels; the sides of a picture that is not square differ in what [−1, 1] spans.
    spans = torch.tensor([size[1], size[0]], dtype=back.dtype)
    back = back * spans.view(1, 1, 2) / spans.view(1, 2, 1)
    return torch.cat([back, -back @ moved.unsqueeze(2)], dim=2)


def sampling_grid(where_from: Tensor, like: Tensor) -> Tensor:
    """(n, 2, 3) matrices → a grid (n, H, W, 2) for pictures of the size, device and type of `like`.

    As `torch.nn.functional.affine_grid` gives it, in half the time: each place is the sum of what its column and its
    row contribute, and no matrix is multiplied.
    """
    height, width = like.shape[-2:]
    columns, rows = ((torch.arange(length).to(like) * 2 + 1) / length - 1 for length in (width, height))
    by_column, by_row, constant = where_from.to(like).unsqueeze(3).unbind(2)
    grid = like.new_empty(len(where_from), height, width, 2)
    for axis in range(2):
        across, down = by_column[:, axis] * columns, by_row[:, axis] * rows + constant[:, axis]
        torch.add(across[:, None], down[:, :, None], out=grid[..., axis])
    return grid


def sample(images: Tensor, grid: Tensor, outside: str) -> Tensor:
    """Read the pictures at the grid's places; `outside` is `zeros` (nothing) or `reflection` (the mirror image)."""
    return F.grid_sample(images, grid, mode="bilinear", padding_mode=outside, align_corners=False)
