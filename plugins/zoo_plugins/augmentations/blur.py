"""Box blur and sharpening as in Pillow, which the official code uses, on tensors."""

import torch
import torch.nn.functional as F
from torch import Tensor

from zoo.core.seeding import RandomStream
from zoo.matting.parts import MattingAugmentation, MattingBatch
from zoo_plugins.augmentations import IMAGES, Side, change_chosen, check_range, check_side


class BoxBlur(MattingAugmentation):
    """Blurs one side of the batch with a box of random size.

    Args:
        side: `foreground` (with its alpha) or `background`.
        probability: of changing a sample.
        radius: largest radius in pixels of the canvas; whole radii from 0 (no blur) to this one are equally likely.

    Example:
        >>> image, alpha = torch.rand(1, 3, 8, 8), torch.rand(1, 1, 8, 8)
        >>> batch = MattingBatch(image, image, alpha, image)
        >>> BoxBlur("background", probability=1.0)(batch, RandomStream([7], "x")).background.shape
        torch.Size([1, 3, 8, 8])
    """

    phase = "canvas"

    def __init__(self, side: Side, probability: float = 0.1, radius: int = 5) -> None:
        super().__init__()
        check_side(self, side)
        check_range(self, 0, 1, probability=probability)
        check_range(self, 0, 1000, radius=radius)
        self.side, self.probability, self.radius = side, probability, radius

    def forward(self, batch: MattingBatch, random: RandomStream) -> MattingBatch:
        chosen = random.chance(self.probability)
        widths = (2 * random.integers(0, self.radius + 1) + 1)[chosen]
        return change_chosen(batch, IMAGES[self.side], chosen, lambda images: box_blur(images, widths))


class Sharpen(MattingAugmentation):
    """Sharpens one side of the batch as Pillow's SHARPEN does, clamped to [0, 1].

    That kernel (32 in the middle, −2 around, over 16) adds 9/8 of the difference to the 3×3 mean. Pillow leaves the
    outermost pixels as they are; here they are sharpened with the border repeated.

    Args:
        side: `foreground` (with its alpha) or `background`.
        probability: of changing a sample.

    Example:
        >>> image, alpha = torch.rand(1, 3, 8, 8), torch.rand(1, 1, 8, 8)
        >>> batch = MattingBatch(image, image, alpha, image)
        >>> Sharpen("foreground", probability=1.0)(batch, RandomStream([7], "x")).alpha.shape
        torch.Size([1, 1, 8, 8])
    """

    phase = "canvas"

    def __init__(self, side: Side, probability: float = 0.1) -> None:
        super().__init__()
        check_side(self, side)
        check_range(self, 0, 1, probability=probability)
        self.side, self.probability = side, probability

    def forward(self, batch: MattingBatch, random: RandomStream) -> MattingBatch:
        return change_chosen(batch, IMAGES[self.side], random.chance(self.probability), _sharpen)


def box_blur(images: Tensor, widths: Tensor) -> Tensor:
    """Return the mean over a square around each pixel, the border repeated outwards.

    Args:
        images: (n, C, H, W).
        widths: (n,) whole numbers ≥ 1, the side of each image's square; an even one reaches one pixel further right and
            down.

    Example:
        >>> box_blur(torch.tensor([[[[0.0, 3.0, 0.0]]]]), torch.tensor([3]))
        tensor([[[[1., 1., 1.]]]])
    """
    blurred = [_mean_over_square(image, width) for image, width in zip(images.split(1), widths.tolist(), strict=True)]
    return torch.cat(blurred)


def _mean_over_square(image: Tensor, width: int) -> Tensor:
    before, after = (width - 1) // 2, width // 2
    padded = F.pad(image, (before, after, before, after), mode="replicate")
    return _sums(_sums(padded, width, 3), width, 2).div_(width**2)


def _sums(image: Tensor, width: int, axis: int) -> Tensor:
    """Return the sums of `width` neighbours along an axis, from sums of 1, 2, 4, … neighbours."""
    length = image.shape[axis] - width + 1
    result, reached = None, 0
    sums, span = image, 1
    while span <= width:
        if width & span:
            part = sums.narrow(axis, reached, length)
            result = part.clone() if result is None else result.add_(part)
            reached += span
        if 2 * span <= width:
            count = sums.shape[axis] - span
            sums = sums.narrow(axis, 0, count) + sums.narrow(axis, span, count)
        span *= 2
    assert result is not None
    return result


def _sharpen(images: Tensor) -> Tensor:
    mean = box_blur(images, torch.full((len(images),), 3))
    return mean.lerp_(images, 1 + 9 / 8).clamp_(0, 1)
