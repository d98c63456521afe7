"""Colour jitter: brightness, contrast, saturation and hue change a little, in random order, as in torchvision's."""

from collections.abc import Callable

import torch
from torch import Tensor
from torchvision.transforms import functional as tv

from zoo.core.parts import Augmentation
from zoo.core.seeding import Draws
from zoo.matting.parts import MattingBatch
from zoo_plugins.augmentations.chosen import Side, change_chosen, check_range, check_side

ADJUSTMENTS: tuple[Callable[[Tensor, float], Tensor], ...] = (
    tv.adjust_brightness,
    tv.adjust_contrast,
    tv.adjust_saturation,
    tv.adjust_hue,
)


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

    def forward(self, batch: MattingBatch, draws: Draws) -> MattingBatch:
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

    def forward(self, batch: MattingBatch, draws: Draws) -> MattingBatch:
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


def draw_jitter(draws: Draws, strengths: tuple[float, float, float, float]) -> tuple[Tensor, Tensor]:
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
    adjusted = []
    for image, own_amounts, own_order in zip(images, amounts.tolist(), order.tolist(), strict=True):
        for index in own_order:
            neutral = 0 if ADJUSTMENTS[index] is tv.adjust_hue else 1
            if own_amounts[index] != neutral:
                image = ADJUSTMENTS[index](image, own_amounts[index])
        adjusted.append(image)
    return torch.stack(adjusted)
