"""Soft and sharp: the box blur and the sharpening of Pillow, which the official code uses, on tensors."""

import torch
import torch.nn.functional as F
from torch import Tensor

from zoo.core.parts import Augmentation
from zoo.core.seeding import RandomStream
from zoo.matting.parts import MattingBatch
from zoo_plugins.augmentations.chosen import PICTURES, Side, change_chosen, check_range, check_side


class BoxBlur(Augmentation):
    """Blurs one side of the batch with a box of random size.

    Args:
        side: `foreground` (with its alpha) or `background`.
        probability: of changing a sample.
        radius: largest radius in pixels of the canvas; whole radii from 0 (no blur) to this one are equally likely.
    """

    phase = "canvas"

    def __init__(self, side: Side, probability: float = 0.1, radius: int = 5) -> None:
        super().__init__()
        check_side(self, side)
        check_range(self, 0, 1, probability=probability)
        check_range(self, 0, 1000, radius=radius)
        self.side, self.probability, self.radius = side, probability, radius

    def forward(self, batch: MattingBatch, draws: RandomStream) -> MattingBatch:
        chosen = draws.chance(self.probability)
        widths = (2 * draws.integers(0, self.radius + 1) + 1)[chosen]
        return change_chosen(batch, PICTURES[self.side], chosen, lambda images: box_blur(images, widths))


class Sharpen(Augmentation):
    """Sharpens one side of the batch as Pillow's SHARPEN does, clamped to [0, 1].

    That kernel (32 in the middle, −2 around, over 16) adds 9/8 of the difference to the 3×3 mean. Pillow leaves the
    outermost pixels as they are; here they are sharpened with the border repeated.

    Args:
        side: `foreground` (with its alpha) or `background`.
        probability: of changing a sample.
    """

    phase = "canvas"

    def __init__(self, side: Side, probability: float = 0.1) -> None:
        super().__init__()
        check_side(self, side)
        check_range(self, 0, 1, probability=probability)
        self.side, self.probability = side, probability

    def forward(self, batch: MattingBatch, draws: RandomStream) -> MattingBatch:
        return change_chosen(batch, PICTURES[self.side], draws.chance(self.probability), _sharpen)


def box_blur(images: Tensor, widths: Tensor) -> Tensor:
    """The mean over a square around each pixel, the border repeated outwards.

    Args:
        images: (n, C, H, W).
        widths: (n,) whole numbers ≥ 1, the side of each picture's square; an even one reaches one pixel further right
            and down.
    """
    blurred = [_mean_over_square(image, width) for image, width in zip(images.split(1), widths.tolist(), strict=True)]
    return torch.cat(blurred)


def _mean_over_square(image: Tensor, width: int) -> Tensor:
    before, after = (width - 1) // 2, width // 2
    padded = F.pad(image, (before, after, before, after), mode="replicate")
    return _sums(_sums(padded, width, 3), width, 2).div_(width**2)


def _sums(image: Tensor, width: int, axis: int) -> Tensor:
    """The sum of `width` neighbours along an axis, from each that has so many: of 1, 2, 4, … first, then of these."""
    length = image.shape[axis] - width + 1
    result, reached = None, 0
    pairs, span = image, 1
    while span <= width:
        if width & span:
            part = pairs.narrow(axis, reached, length)
            result = part.clone() if result is None else result.add_(part)
            reached += span
        if 2 * span <= width:
            some = pairs.shape[axis] - span
            pairs = pairs.narrow(axis, 0, some) + pairs.narrow(axis, span, some)
        span *= 2
    assert result is not None
    return result


def _sharpen(images: Tensor) -> Tensor:
    mean = box_blur(images, torch.full((len(images),), 3))
    return mean.lerp_(images, 1 + 9 / 8).clamp_(0, 1)
