"""Guides made from the true alpha, and their flaws: grown, shrunk, blurred, with holes, moved, missing.

`AlphaGuide` makes the batch's hint; the steps after it spoil the hint, and change nothing where there is none. A hint
that is missing is 0.5, unknown, everywhere; no step changes it. Lengths are fractions of an image's longer side.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from zoo.core.seeding import RandomStream
from zoo.matting.parts import MattingAugmentation, MattingBatch, resize
from zoo_plugins.augmentations import Side, change_chosen, check_limits, check_range, check_side
from zoo_plugins.augmentations.blur import box_blur
from zoo_plugins.augmentations.geometry import random_theta, sample, sampling_grid

UNKNOWN = 0.5


class AlphaGuide(MattingAugmentation):
    """Makes the batch's hint: the true alpha, which the steps after this one spoil.

    Args:
        probability: of giving a sample its alpha. The hint of all others is missing; with 0 the batch has no hint.

    Example:
        >>> image, alpha = torch.rand(1, 3, 8, 8), torch.rand(1, 1, 8, 8)
        >>> batch = MattingBatch(image, image, alpha, image)
        >>> AlphaGuide(probability=1.0)(batch, RandomStream([7], "x")).hint.equal(alpha)
        True
    """

    phase = "captured"

    def __init__(self, probability: float = 0.9) -> None:
        super().__init__()
        check_range(self, 0, 1, probability=probability)
        self.probability = probability

    def forward(self, batch: MattingBatch, random: RandomStream) -> MattingBatch:
        chosen = random.chance(self.probability)
        if self.probability == 0:
            return batch
        return batch._replace(hint=torch.where(chosen.to(batch.alpha.device).view(-1, 1, 1, 1), batch.alpha, UNKNOWN))


class GuideGrowth(MattingAugmentation):
    """Grows the hint by a random length, or shrinks it where that is negative (dilation and erosion by a square).

    Args:
        probability: of changing a sample.
        growth: smallest and largest length.

    Example:
        >>> image, hint = torch.rand(1, 3, 9, 9), torch.zeros(1, 1, 9, 9)
        >>> hint[..., 4, 4] = 1
        >>> batch = MattingBatch(image, image, hint, image, hint=hint)
        >>> GuideGrowth(1.0, growth=(0.12, 0.12))(batch, RandomStream([7], "x")).hint.sum()
        tensor(9.)
    """

    phase = "captured"

    def __init__(self, probability: float = 0.8, growth: tuple[float, float] = (-0.02, 0.02)) -> None:
        super().__init__()
        check_range(self, 0, 1, probability=probability)
        check_limits(self, -1, growth=growth)
        self.probability, self.growth = probability, growth

    def forward(self, batch: MattingBatch, random: RandomStream) -> MattingBatch:
        chosen = random.chance(self.probability)
        growth = random.uniform(*self.growth)[chosen]
        if batch.hint is None:
            return batch
        radii = (growth * max(batch.hint.shape[-2:])).round().int().tolist()
        return change_chosen(batch, ["hint"], chosen, lambda hints: grown(hints, radii))


class GuideBlur(MattingAugmentation):
    """Blurs the hint twice with a box of random size, which removes hair and fingers first.

    Args:
        probability: of changing a sample.
        radius: largest radius of the box.

    Example:
        >>> image, hint = torch.rand(1, 3, 8, 8), torch.eye(8)[None, None]
        >>> batch = MattingBatch(image, image, hint, image, hint=hint)
        >>> GuideBlur(1.0, radius=0.5)(batch, RandomStream([7], "x")).hint.max() < 1
        tensor(True)
    """

    phase = "captured"

    def __init__(self, probability: float = 0.8, radius: float = 0.02) -> None:
        super().__init__()
        check_range(self, 0, 1, probability=probability, radius=radius)
        self.probability, self.radius = probability, radius

    def forward(self, batch: MattingBatch, random: RandomStream) -> MattingBatch:
        chosen = random.chance(self.probability)
        radius = random.uniform(0, self.radius)[chosen]
        if batch.hint is None:
            return batch
        widths = 2 * (radius * max(batch.hint.shape[-2:])).round().int() + 1
        return change_chosen(batch, ["hint"], chosen, lambda hints: box_blur(box_blur(hints, widths), widths))


class GuideHoles(MattingAugmentation):
    """Blobs where the hint is wrong: holes in the foreground, or islands in the background.

    Args:
        side: `foreground` (holes, where it becomes 0) or `background` (islands, where it becomes 1).
        probability: of changing a sample.
        fraction: largest fraction of the image under blobs.
        cells: blobs are about as large as the cells of a grid with this many along each side.

    Example:
        >>> image, hint = torch.rand(1, 3, 64, 64), torch.ones(1, 1, 64, 64)
        >>> batch = MattingBatch(image, image, hint, image, hint=hint)
        >>> 0.5 < GuideHoles("foreground", 1.0, fraction=0.5)(batch, RandomStream([7], "x")).hint.mean() < 1
        tensor(True)
    """

    phase = "captured"

    def __init__(self, side: Side, probability: float = 0.2, fraction: float = 0.1, cells: int = 8) -> None:
        super().__init__()
        check_side(self, side)
        check_range(self, 0, 1, probability=probability, fraction=fraction)
        check_range(self, 2, 1000, cells=cells)
        self.side, self.probability, self.fraction, self.cells = side, probability, fraction, cells

    def forward(self, batch: MattingBatch, random: RandomStream) -> MattingBatch:
        chosen = random.chance(self.probability)
        fraction = random.uniform(0, self.fraction)[chosen]
        if batch.hint is None or not chosen.any():
            return batch
        noise = resize(random[chosen].normal(1, self.cells, self.cells), (batch.hint.shape[-2], batch.hint.shape[-1]))
        levels = [own.flatten().quantile(1 - float(part)) for own, part in zip(noise, fraction, strict=True)]
        blobs = noise > torch.stack(levels).view(-1, 1, 1, 1)

        def spoil(hints: Tensor) -> Tensor:
            wrong, value = (hints > UNKNOWN, 0.0) if self.side == "foreground" else (hints < UNKNOWN, 1.0)
            return hints.masked_fill(blobs & wrong, value)

        return change_chosen(batch, ["hint"], chosen, spoil)


class GuideShift(MattingAugmentation):
    """Moves the hint; uncovered borders are filled by the mirror image.

    Args:
        probability: of changing a sample.
        translate: largest movement along each axis.

    Example:
        >>> image, hint = torch.rand(1, 3, 8, 8), torch.eye(8)[None, None]
        >>> batch = MattingBatch(image, image, hint, image, hint=hint)
        >>> GuideShift(1.0)(batch, RandomStream([7], "x")).hint.equal(hint)
        False
    """

    phase = "captured"

    def __init__(self, probability: float = 0.3, translate: float = 0.02) -> None:
        super().__init__()
        check_range(self, 0, 1, probability=probability, translate=translate)
        self.probability, self.translate = probability, translate

    def forward(self, batch: MattingBatch, random: RandomStream) -> MattingBatch:
        chosen = random.chance(self.probability)
        theta = random_theta(random, batch.alpha.shape[-2:], 0.0, self.translate, (1.0, 1.0), 0.0)
        if batch.hint is None or not chosen.any():
            return batch
        grid = sampling_grid(theta[chosen], batch.hint)
        return change_chosen(batch, ["hint"], chosen, lambda hints: sample(hints, grid, "reflection"))


def grown(hints: Tensor, radii: list[int]) -> Tensor:
    """Return masks (n, 1, H, W) dilated by squares of these radii, eroded where a radius is negative.

    Example:
        >>> grown(torch.tensor([[[[0.0, 1.0, 1.0, 1.0]]]]), [-1])
        tensor([[[[0., 0., 1., 1.]]]])
    """
    results = []
    for hint, radius in zip(hints.split(1), radii, strict=True):
        sign, width = (1 if radius >= 0 else -1), 2 * abs(radius) + 1
        rows = F.max_pool2d(sign * hint, (width, 1), 1, (abs(radius), 0))
        results.append(sign * F.max_pool2d(rows, (1, width), 1, (0, abs(radius))))
    return torch.cat(results)
