"""Capture effects: the person's shadow, sensor noise, light and camera that changed between the two images."""

from functools import partial
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from zoo.core.seeding import RandomStream
from zoo.matting.parts import MattingAugmentation, MattingBatch
from zoo_plugins.augmentations import change_chosen, check_limits, check_range
from zoo_plugins.augmentations.blur import box_blur
from zoo_plugins.augmentations.geometry import SMALLEST_SCALE, random_theta, sample, sampling_grid

OFFICIAL_SIZE = 2048
"""Side in pixels of the canvas that the official blur of the shadow is meant for."""


class Shadow(MattingAugmentation):
    """The person's shadow on the scene; the captured background has none.

    The shadow is the faint alpha matte, moved by an affine map of its own and blurred; it is subtracted from the scene.

    Args:
        probability: of changing a sample.
        strength: of the darkest shadow, sampled from 0 to this.
        degrees, translate, scale, shear: the affine map, as in `RandomAffine`.
        blur: smallest and largest side of the blurring box in pixels for an image whose longer side is 2048; in
            proportion at other sizes.

    Example:
        >>> import torch
        >>> image, alpha = torch.rand(1, 3, 8, 8), torch.rand(1, 1, 8, 8)
        >>> batch = MattingBatch(image, image, alpha, image)
        >>> Shadow(probability=0.0)(batch, RandomStream([7], "x")).source.equal(image)
        True
    """

    phase = "scene"

    def __init__(
        self,
        probability: float = 0.3,
        strength: float = 0.3,
        degrees: float = 5.0,
        translate: float = 0.2,
        scale: tuple[float, float] = (0.5, 1.5),
        shear: float = 5.0,
        blur: tuple[int, int] = (20, 39),
    ) -> None:
        super().__init__()
        check_range(self, 0, 1, probability=probability, strength=strength, translate=translate)
        check_range(self, 0, 180, degrees=degrees)
        check_range(self, 0, 80, shear=shear)
        check_limits(self, SMALLEST_SCALE, scale=scale)
        check_limits(self, 1, blur=blur)
        self.probability, self.strength, self.blur = probability, strength, blur
        self.degrees, self.translate, self.scale, self.shear = degrees, translate, scale, shear

    def forward(self, batch: MattingBatch, random: RandomStream) -> MattingBatch:
        size = batch.alpha.shape[-2:]
        chosen = random.chance(self.probability)
        strength = random.uniform(0, self.strength)
        theta = random_theta(random, size, self.degrees, self.translate, self.scale, self.shear)
        blur = random.integers(self.blur[0], self.blur[1] + 1) * max(size) / OFFICIAL_SIZE
        if not chosen.any():
            return batch
        faint = batch.alpha[chosen] * strength[chosen].to(batch.alpha).view(-1, 1, 1, 1)
        moved = sample(faint, sampling_grid(theta[chosen], faint), "zeros")
        shadow = box_blur(moved, blur[chosen].round().clamp(min=1).int())
        return change_chosen(batch, ["source"], chosen, lambda scene: (scene - shadow).clamp(0, 1))


class SensorNoise(MattingAugmentation):
    """Independent Gaussian noise on source and captured background, each of its own strength, clamped to [0, 1].

    Args:
        probability: of changing a sample.
        sigma: the largest standard deviation.
        uniform_in: which of the two is sampled uniformly: the `deviation` up to sigma (official code: σ ≤ 0.03) or the
            `variance` up to sigma² (paper: σ² ≤ 0.03, so sigma 0.1732).

    Example:
        >>> import torch
        >>> image, alpha = torch.rand(1, 3, 8, 8), torch.rand(1, 1, 8, 8)
        >>> batch = MattingBatch(image, image, alpha, image)
        >>> SensorNoise(probability=1.0)(batch, RandomStream([7], "x")).source.equal(image)
        False
    """

    phase = "captured"

    def __init__(
        self, probability: float = 0.4, sigma: float = 0.03, uniform_in: Literal["deviation", "variance"] = "deviation"
    ) -> None:
        super().__init__()
        check_range(self, 0, 1, probability=probability, sigma=sigma)
        if uniform_in not in ("deviation", "variance"):
            raise ValueError(f"SensorNoise(uniform_in={uniform_in!r}): expected 'deviation' or 'variance'.")
        self.probability, self.sigma, self.uniform_in = probability, sigma, uniform_in

    def forward(self, batch: MattingBatch, random: RandomStream) -> MattingBatch:
        chosen = random.chance(self.probability)
        sigmas = [self._deviation(random.uniform()) for _ in range(2)]
        if not chosen.any():
            return batch
        noises = random[chosen].normal(2, *batch.source.shape[1:]).unbind(1)
        for name, sigma, noise in zip(("source", "background"), sigmas, noises, strict=True):
            scaled = noise * sigma[chosen].to(noise).view(-1, 1, 1, 1)
            batch = change_chosen(batch, [name], chosen, partial(_add, scaled))
        return batch

    def _deviation(self, position: Tensor) -> Tensor:
        return self.sigma * (position if self.uniform_in == "deviation" else position.sqrt())


def _add(noise: Tensor, images: Tensor) -> Tensor:
    return (images + noise).clamp(0, 1)


class LightChange(MattingAugmentation):
    """Other light in places of the captured background, as when clouds move between shots; not in the official code.

    Each colour is multiplied by a smooth random field around 1.

    Args:
        probability: of changing a sample.
        strength: largest standard deviation of the field.
        cells: smallest and largest number of cells of the field along each axis.

    Example:
        >>> import torch
        >>> image, alpha = torch.rand(1, 3, 32, 32), torch.rand(1, 1, 32, 32)
        >>> batch = MattingBatch(image, image, alpha, image)
        >>> changed = LightChange(probability=1.0)(batch, RandomStream([7], "x"))
        >>> changed.source.equal(image), changed.background.equal(image)
        (True, False)
    """

    phase = "captured"

    def __init__(self, probability: float = 0.3, strength: float = 0.15, cells: tuple[int, int] = (2, 8)) -> None:
        super().__init__()
        check_range(self, 0, 1, probability=probability, strength=strength)
        check_limits(self, 1, cells=cells)
        self.probability, self.strength, self.cells = probability, strength, cells

    def forward(self, batch: MattingBatch, random: RandomStream) -> MattingBatch:
        chosen = random.chance(self.probability)
        strength = random.uniform(0, self.strength)
        cells = random.integers(self.cells[0], self.cells[1] + 1)
        if not chosen.any():
            return batch
        height, width = batch.background.shape[-2:]
        fields = []
        for index in chosen.nonzero().flatten().tolist():
            own = random[one_of(len(chosen), index)].normal(3, *[int(cells[index])] * 2)
            fields.append(F.interpolate(own, (height, width), mode="bicubic") * float(strength[index]))
        light = 1 + torch.cat(fields).to(batch.background)
        return change_chosen(batch, ["background"], chosen, lambda image: (image * light).clamp(0, 1))


def one_of(count: int, index: int) -> Tensor:
    """Return the mask of one sample of `count`."""
    return torch.arange(count) == index


class BackgroundAffine(MattingAugmentation):
    """Moves the captured background a little against the source: the camera was not quite still.

    Uncovered borders are filled by the mirror image, not with black as in the official code.

    Args:
        probability: of changing a sample.
        degrees: largest rotation, either way.
        translate: largest movement along each axis, as a fraction of the image.

    Example:
        >>> import torch
        >>> image, alpha = torch.rand(1, 3, 8, 8), torch.rand(1, 1, 8, 8)
        >>> batch = MattingBatch(image, image, alpha, image)
        >>> BackgroundAffine(probability=1.0)(batch, RandomStream([7], "x")).background.shape
        torch.Size([1, 3, 8, 8])
    """

    phase = "captured"

    def __init__(self, probability: float = 0.3, degrees: float = 1.0, translate: float = 0.01) -> None:
        super().__init__()
        check_range(self, 0, 1, probability=probability, translate=translate)
        check_range(self, 0, 180, degrees=degrees)
        self.probability, self.degrees, self.translate = probability, degrees, translate

    def forward(self, batch: MattingBatch, random: RandomStream) -> MattingBatch:
        chosen = random.chance(self.probability)
        theta = random_theta(random, batch.background.shape[-2:], self.degrees, self.translate, (1.0, 1.0), 0.0)
        if not chosen.any():
            return batch
        grid = sampling_grid(theta[chosen], batch.background)
        return change_chosen(batch, ["background"], chosen, lambda images: sample(images, grid, "reflection"))
