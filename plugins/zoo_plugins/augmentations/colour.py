"""Colour jitter: brightness, contrast, saturation and hue change a little, in random order, as in torchvision's.

The four adjustments give what torchvision's of the same names give, for pictures with an amount each, in a fraction of
the time. On a CPU they are compiled, and run on as many pixels at a time as its cache holds.
"""

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from zoo.core.compiled import compiled
from zoo.core.parts import Augmentation
from zoo.core.seeding import RandomStream
from zoo.matting.parts import MattingBatch
from zoo_plugins.augmentations.chosen import Side, change_chosen, check_range, check_side


class ColourJitter(Augmentation):
    """Changes the colours of the foreground or of the background, before the two meet; alpha stays.

    Args:
        side: `foreground` or `background`.
        brightness, contrast, saturation: the factor is drawn from 1 ± this.
        hue: the turn of the hue is drawn from ± this, in turns of the colour circle.
        probability: of changing a sample.
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
        super().__init__()
        check_side(self, side)
        check_jitter(self, probability, brightness, contrast, saturation, hue)
        self.side, self.probability = side, probability
        self.strengths = (brightness, contrast, saturation, hue)

    def forward(self, batch: MattingBatch, draws: RandomStream) -> MattingBatch:
        chosen = draws.chance(self.probability)
        amounts, order = draw_jitter(draws, self.strengths)
        return change_chosen(batch, [self.side], chosen, lambda images: jitter(images, amounts[chosen], order[chosen]))


class BackgroundJitter(Augmentation):
    """Changes the colours of the captured background only: another exposure and white balance than the source's.

    Args:
        probability: of changing a sample; 0.8 in the official code, 0.3 in the paper.
        brightness, contrast, saturation: the factor is drawn from 1 ± this.
        hue: the turn of the hue is drawn from ± this, in turns of the colour circle.
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
        super().__init__()
        check_jitter(self, probability, brightness, contrast, saturation, hue)
        self.probability = probability
        self.strengths = (brightness, contrast, saturation, hue)

    def forward(self, batch: MattingBatch, draws: RandomStream) -> MattingBatch:
        chosen = draws.chance(self.probability)
        amounts, order = draw_jitter(draws, self.strengths)
        return change_chosen(
            batch, ["background"], chosen, lambda images: jitter(images, amounts[chosen], order[chosen])
        )


def check_jitter(
    part: object, probability: float, brightness: float, contrast: float, saturation: float, hue: float
) -> None:
    """ValueError naming the argument that is out of its range."""
    check_range(part, 0, 1, probability=probability, brightness=brightness, contrast=contrast, saturation=saturation)
    check_range(part, 0, 0.5, hue=hue)


def draw_jitter(draws: RandomStream, strengths: tuple[float, float, float, float]) -> tuple[Tensor, Tensor]:
    """Draw how each sample's colours change.

    Returns:
        (B, 4) amounts, in the order of `ADJUSTMENTS` (factors about 1, hue about 0), and (B, 4) the order in which they
        are applied.
    """
    brightness, contrast, saturation, hue = strengths
    amounts = [draws.uniform(1 - strength, 1 + strength) for strength in (brightness, contrast, saturation)]
    amounts.append(draws.uniform(-hue, hue))
    order = torch.stack([draws.uniform() for _ in ADJUSTMENTS], dim=1).argsort(dim=1)
    return torch.stack(amounts, dim=1), order


def jitter(images: Tensor, amounts: Tensor, order: Tensor) -> Tensor:
    """Adjust the colours of (n, 3, H, W) pictures by amounts and in orders of shape (n, 4), from `draw_jitter`."""
    if images.device.type != "cpu" or images.dtype != torch.float32:
        return jitter_together(images, amounts, order)
    adjusted = torch.empty(images.shape, dtype=images.dtype)
    planes = (tensor.contiguous().flatten(2).numpy() for tensor in (images, adjusted))
    for picture, result, *own in zip(*planes, amounts.float().numpy(), order.numpy(), strict=True):
        _adjust(picture, result, *own)
    return adjusted


def jitter_together(images: Tensor, amounts: Tensor, order: Tensor) -> Tensor:
    """As `jitter`, the pictures that have an order in common at once."""
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
    """Mix (n, 3, H, W) pictures with black; factors (n, 1, 1, 1) are the pictures' shares, and may be above 1."""
    return (images * factors).clamp_(0, 1)


def adjust_contrast(images: Tensor, factors: Tensor) -> Tensor:
    """Mix (n, 3, H, W) pictures with their mean grey; factors (n, 1, 1, 1) as for the brightness."""
    return (images * factors).add_(grey(images).mean((2, 3), keepdim=True) * (1 - factors)).clamp_(0, 1)


def adjust_saturation(images: Tensor, factors: Tensor) -> Tensor:
    """Mix (n, 3, H, W) pictures with their greys; factors (n, 1, 1, 1) as for the brightness."""
    return (images * factors).add_(grey(images).mul_(1 - factors)).clamp_(0, 1)


def adjust_hue(images: Tensor, turns: Tensor) -> Tensor:
    """Turn the hue of (n, 3, H, W) pictures by (n, 1, 1, 1) turns of the colour circle.

    In sixths of a turn, red is at 0, green at 2, blue at 4. A channel is as bright as the brightest within one sixth of
    its own place, as dark as the darkest from two sixths on, and between the two in between.
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
    sixths.div_(torch.where(spread > 0, spread, 1)).add_(6 * turns)
    sixths.sub_((sixths / 6).floor_(), alpha=6)
    shares = torch.cat([(sixths - 3).abs_().sub_(1), 2 - (sixths - 2).abs_(), 2 - (sixths - 4).abs_()], 1)
    return shares.clamp_(0, 1).mul_(spread).add_(lowest)


def grey(images: Tensor) -> Tensor:
    """(n, 3, H, W) → (n, 1, H, W), with torchvision's weights."""
    red, green, blue = images.split(1, 1)
    return (red * 0.2989).add_(green, alpha=0.587).add_(blue, alpha=0.114)


ADJUSTMENTS: tuple[tuple[Callable[[Tensor, Tensor], Tensor], float], ...] = (
    (adjust_brightness, 1),
    (adjust_contrast, 1),
    (adjust_saturation, 1),
    (adjust_hue, 0),
)
"""In the order of `draw_jitter`'s amounts, each with the amount that changes nothing."""


BLOCK = 2048
"""Pixels whose three channels fit into the fastest cache."""


@compiled
def _adjust(picture: np.ndarray, result: np.ndarray, amounts: np.ndarray, order: np.ndarray) -> None:
    """`jitter` of one picture: from (3, pixels) to (3, pixels), float32, with four amounts and their order.

    What comes before the contrast is done first for all pixels, since the contrast needs the mean of what it gives.
    """
    one, zero = np.float32(1), np.float32(0)
    count = picture.shape[1]
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
                red[:], green[:], blue[:] = picture[0, first:last], picture[1, first:last], picture[2, first:last]
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
