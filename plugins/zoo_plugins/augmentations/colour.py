"""Colour jitter: brightness, contrast, saturation and hue change a little, in random order, as in torchvision's.

The four adjustments equal torchvision's of the same names, with an amount for each image, in a fraction of the time. On
a CPU they are compiled, and run on as many pixels at a time as its cache holds.
"""

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from zoo.core.compiled import compiled
from zoo.core.seeding import RandomStream
from zoo.matting.parts import MattingAugmentation, MattingBatch
from zoo_plugins.augmentations import Side, change_chosen, check_range, check_side


class _Jitter(MattingAugmentation):
    """Changes the colours of one image of the batch."""

    def __init__(
        self, image: str, probability: float, brightness: float, contrast: float, saturation: float, hue: float
    ) -> None:
        super().__init__()
        check_jitter(self, probability, brightness, contrast, saturation, hue)
        self.image, self.probability, self.strengths = image, probability, (brightness, contrast, saturation, hue)

    def forward(self, batch: MattingBatch, random: RandomStream) -> MattingBatch:
        chosen = random.chance(self.probability)
        amounts, order = random_jitter(random, self.strengths)
        return change_chosen(batch, [self.image], chosen, lambda images: jitter(images, amounts[chosen], order[chosen]))


class ColourJitter(_Jitter):
    """Changes the colours of the foreground or of the background, before the two meet; alpha stays.

    Args:
        side: `foreground` or `background`.
        brightness, contrast, saturation: the factor is sampled from 1 ± this.
        hue: the rotation of the hue is sampled from ± this, in full rotations of the colour circle.
        probability: of changing a sample.

    Example:
        >>> image, alpha = torch.rand(1, 3, 8, 8), torch.rand(1, 1, 8, 8)
        >>> batch = MattingBatch(image, image, alpha, image)
        >>> ColourJitter("foreground")(batch, RandomStream([7], "x")).alpha.equal(alpha)
        True
    """

    phase = "canvas"

    def __init__(
        self,
        side: Side,
        brightness: float = 0.15,
        contrast: float = 0.15,
        saturation: float = 0.15,
        hue: float = 0.05,
        probability: float = 1.0,
    ) -> None:
        check_side(self, side)
        super().__init__(side, probability, brightness, contrast, saturation, hue)


class BackgroundJitter(_Jitter):
    """Changes the colours of the captured background only: another exposure and white balance than the source's.

    Args:
        probability: of changing a sample; 0.8 in the official code, 0.3 in the paper.
        brightness, contrast, saturation: the factor is sampled from 1 ± this.
        hue: the rotation of the hue is sampled from ± this, in full rotations of the colour circle.

    Example:
        >>> image, alpha = torch.rand(1, 3, 8, 8), torch.rand(1, 1, 8, 8)
        >>> batch = MattingBatch(image, image, alpha, image)
        >>> BackgroundJitter(probability=0.0)(batch, RandomStream([7], "x")).background.equal(image)
        True
    """

    phase = "captured"

    def __init__(
        self,
        probability: float = 0.8,
        brightness: float = 0.18,
        contrast: float = 0.18,
        saturation: float = 0.18,
        hue: float = 0.1,
    ) -> None:
        super().__init__("background", probability, brightness, contrast, saturation, hue)


def check_jitter(
    part: object, probability: float, brightness: float, contrast: float, saturation: float, hue: float
) -> None:
    """Raise ValueError for an argument that is out of its range.

    Example:
        >>> check_jitter("any part", 1.0, 0.2, 0.2, 0.2, 0.1)
    """
    check_range(part, 0, 1, probability=probability, brightness=brightness, contrast=contrast, saturation=saturation)
    check_range(part, 0, 0.5, hue=hue)


def random_jitter(random: RandomStream, strengths: tuple[float, float, float, float]) -> tuple[Tensor, Tensor]:
    """Sample the change of each sample's colours.

    Returns:
        (B, 4) amounts, in the order of `ADJUSTMENTS` (factors about 1, hue about 0), and (B, 4) the order in which they
        are applied.

    Example:
        >>> amounts, order = random_jitter(RandomStream([1, 2], "x"), (0.2, 0.2, 0.2, 0.1))
        >>> amounts.shape, order.sort(1).values.tolist()
        (torch.Size([2, 4]), [[0, 1, 2, 3], [0, 1, 2, 3]])
    """
    brightness, contrast, saturation, hue = strengths
    amounts = [random.uniform(1 - strength, 1 + strength) for strength in (brightness, contrast, saturation)]
    amounts.append(random.uniform(-hue, hue))
    order = torch.stack([random.uniform() for _ in ADJUSTMENTS], dim=1).argsort(dim=1)
    return torch.stack(amounts, dim=1), order


def jitter(images: Tensor, amounts: Tensor, order: Tensor) -> Tensor:
    """Adjust the colours of (n, 3, H, W) images by amounts and in orders of shape (n, 4), from `random_jitter`.

    Example:
        >>> amounts, order = torch.tensor([[0.5, 1, 1, 0]]), torch.arange(4)[None]
        >>> jitter(torch.full((1, 3, 1, 1), 0.5), amounts, order).flatten()
        tensor([0.2500, 0.2500, 0.2500])
    """
    if images.device.type != "cpu" or images.dtype != torch.float32:
        return jitter_together(images, amounts, order)
    adjusted = torch.empty(images.shape, dtype=images.dtype)
    planes = (tensor.contiguous().flatten(2).numpy() for tensor in (images, adjusted))
    for image, result, *own in zip(*planes, amounts.float().numpy(), order.numpy(), strict=True):
        _adjust(image, result, *own)
    return adjusted


def jitter_together(images: Tensor, amounts: Tensor, order: Tensor) -> Tensor:
    """Adjust images of one order together, as `jitter` does."""
    adjusted = torch.empty_like(images)
    for own_order in order.unique(dim=0):
        alike = (order == own_order).all(1)
        group = images[alike]
        for index in own_order.tolist():
            own_amounts, (adjust, neutral) = amounts[alike, index], ADJUSTMENTS[index]
            if (own_amounts != neutral).any():
                group = adjust(group, own_amounts.to(group).view(-1, 1, 1, 1))
        adjusted[alike] = group
    return adjusted


def adjust_brightness(images: Tensor, factors: Tensor) -> Tensor:
    """Mix (n, 3, H, W) images with black; factors (n, 1, 1, 1) are the images' fractions, and may be above 1."""
    return (images * factors).clamp_(0, 1)


def adjust_contrast(images: Tensor, factors: Tensor) -> Tensor:
    """Mix (n, 3, H, W) images with their mean grey; factors (n, 1, 1, 1) as for the brightness."""
    return (images * factors).add_(grey(images).mean((2, 3), keepdim=True) * (1 - factors)).clamp_(0, 1)


def adjust_saturation(images: Tensor, factors: Tensor) -> Tensor:
    """Mix (n, 3, H, W) images with their greys; factors (n, 1, 1, 1) as for the brightness."""
    return (images * factors).add_(grey(images).mul_(1 - factors)).clamp_(0, 1)


def adjust_hue(images: Tensor, rotations: Tensor) -> Tensor:
    """Rotate the hue of (n, 3, H, W) images by (n, 1, 1, 1) full rotations of the colour circle.

    In sixths of a rotation, red is at 0, green at 2, blue at 4. A channel has the highest value within one sixth of its
    own hue, the lowest from two sixths on, and is linear in between.
    """
    red, green, blue = images.split(1, 1)
    highest = torch.maximum(torch.maximum(red, green), blue)
    lowest = torch.minimum(torch.minimum(red, green), blue)
    spread = highest - lowest
    sixths = torch.where(
        highest == red,
        green - blue,
        torch.where(highest == green, (blue - red).add_(spread, alpha=2), (red - green).add_(spread, alpha=4)),
    )
    sixths.div_(torch.where(spread > 0, spread, 1)).add_(6 * rotations)
    sixths.sub_((sixths / 6).floor_(), alpha=6)
    levels = torch.cat([(sixths - 3).abs_().sub_(1), 2 - (sixths - 2).abs_(), 2 - (sixths - 4).abs_()], 1)
    return levels.clamp_(0, 1).mul_(spread).add_(lowest)


def grey(images: Tensor) -> Tensor:
    """Return the grey of (n, 3, H, W), (n, 1, H, W), with torchvision's weights."""
    red, green, blue = images.split(1, 1)
    return (red * 0.2989).add_(green, alpha=0.587).add_(blue, alpha=0.114)


ADJUSTMENTS: tuple[tuple[Callable[[Tensor, Tensor], Tensor], float], ...] = (
    (adjust_brightness, 1),
    (adjust_contrast, 1),
    (adjust_saturation, 1),
    (adjust_hue, 0),
)
"""In the order of `random_jitter`'s amounts, each with its neutral amount."""


BLOCK = 2048
"""Number of pixels whose three channels fit into the fastest cache."""


@compiled
def _adjust(image: np.ndarray, result: np.ndarray, amounts: np.ndarray, order: np.ndarray) -> None:
    """Adjust one image from (3, pixels) to (3, pixels), float32, with four amounts and their order.

    The steps before the contrast run first on all pixels, since the contrast needs the mean of their result.
    """
    one, zero = np.float32(1), np.float32(0)
    count = image.shape[1]
    total = 0.0
    mean = zero
    contrast = 0
    while order[contrast] != 1:
        contrast += 1
    for part in range(2):
        steps = order[:contrast] if part == 0 else order[contrast:]
        for first in range(0, count, BLOCK):
            last = min(first + BLOCK, count)
            red, green, blue = result[0, first:last], result[1, first:last], result[2, first:last]
            if part == 0:
                red[:], green[:], blue[:] = image[0, first:last], image[1, first:last], image[2, first:last]
            for step in steps:
                amount = amounts[step]
                rest = one - amount
                if step == 0 and amount != one:
                    for plane in (red, green, blue):
                        for n in range(last - first):
                            plane[n] = min(max(plane[n] * amount, zero), one)
                elif step == 1 and amount != one:
                    anchor = rest * mean
                    for plane in (red, green, blue):
                        for n in range(last - first):
                            plane[n] = min(max(plane[n] * amount + anchor, zero), one)
                elif step == 2 and amount != one:
                    for n in range(last - first):
                        grey = np.float32(0.2989) * red[n] + np.float32(0.587) * green[n] + np.float32(0.114) * blue[n]
                        red[n] = min(max(red[n] * amount + rest * grey, zero), one)
                        green[n] = min(max(green[n] * amount + rest * grey, zero), one)
                        blue[n] = min(max(blue[n] * amount + rest * grey, zero), one)
                elif step == 3 and amount != zero:
                    turn = np.float32(6) * amount
                    for n in range(last - first):
                        r, g, b = red[n], green[n], blue[n]
                        highest, lowest = max(max(r, g), b), min(min(r, g), b)
                        spread = highest - lowest
                        by_blue = (r - g) + np.float32(4) * spread
                        by_green = (b - r) + np.float32(2) * spread
                        sixths = g - b if highest == r else (by_green if highest == g else by_blue)
                        sixths = sixths / (spread if spread > zero else one) + turn
                        sixths -= np.float32(6) * np.floor(sixths / np.float32(6))
                        from_red, from_green = abs(sixths - np.float32(3)), abs(sixths - np.float32(2))
                        from_blue = abs(sixths - np.float32(4))
                        red[n] = min(max(from_red - one, zero), one) * spread + lowest
                        green[n] = min(max(np.float32(2) - from_green, zero), one) * spread + lowest
                        blue[n] = min(max(np.float32(2) - from_blue, zero), one) * spread + lowest
            if part == 0 and amounts[1] != one:
                for n in range(last - first):
                    total += np.float32(0.2989) * red[n] + np.float32(0.587) * green[n] + np.float32(0.114) * blue[n]
        mean = np.float32(total / count)
