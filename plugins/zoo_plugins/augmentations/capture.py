"""In front of the camera and in it: the person's shadow, sensor noise, a camera that moved between the two pictures."""

from functools import partial
from typing import Literal

from torch import Tensor

from zoo.core.parts import Augmentation
from zoo.core.seeding import RandomStream
from zoo.matting.parts import MattingBatch
from zoo_plugins.augmentations.blur import box_blur
from zoo_plugins.augmentations.chosen import change_chosen, check_limits, check_range
from zoo_plugins.augmentations.geometry import SMALLEST_SCALE, draw_affine, sample, sampling_grid

OFFICIAL_SIZE = 2048
"""The canvas, in pixels, for which the official blur of the shadow is given."""


class Shadow(Augmentation):
    """The person's shadow on the scene; the captured background has none.

    The shadow is the alpha matte, made faint, moved by an affine map of its own, and blurred; it is subtracted from the
    scene.

    Args:
        probability: of changing a sample.
        strength: the darkest shadow; each is drawn from 0 to this.
        degrees, translate, scale, shear: the affine map, as in `RandomAffine`.
        blur: smallest and largest side of the blurring box in pixels at a picture of 2048; in proportion at other sizes
            (of the longer side).
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

    def forward(self, batch: MattingBatch, draws: RandomStream) -> MattingBatch:
        size = batch.alpha.shape[-2:]
        chosen = draws.chance(self.probability)
        strength = draws.uniform(0, self.strength)
        where_from = draw_affine(draws, size, self.degrees, self.translate, self.scale, self.shear)
        blur = draws.integers(self.blur[0], self.blur[1] + 1) * max(size) / OFFICIAL_SIZE
        if not chosen.any():
            return batch
        faint = batch.alpha[chosen] * strength[chosen].to(batch.alpha).view(-1, 1, 1, 1)
        moved = sample(faint, sampling_grid(where_from[chosen], faint), "zeros")
        shadow = box_blur(moved, blur[chosen].round().clamp(min=1).int())
        return change_chosen(batch, ["source"], chosen, lambda scene: (scene - shadow).clamp(0, 1))


class SensorNoise(Augmentation):
    """Gaussian noise on source and captured background, independent and each of its own strength, clamped to [0, 1].

    Args:
        probability: of changing a sample.
        sigma: the largest standard deviation.
        uniform_in: what is drawn uniformly: the `deviation` up to sigma (official code: σ ≤ 0.03) or the `variance` up
            to sigma² (paper: σ² ≤ 0.03, so sigma 0.1732).
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

    def forward(self, batch: MattingBatch, draws: RandomStream) -> MattingBatch:
        chosen = draws.chance(self.probability)
        sigmas = [self._deviation(draws.uniform()) for _ in range(2)]
        if not chosen.any():
            return batch
        noises = draws[chosen].normal(2, *batch.source.shape[1:]).unbind(1)
        for picture, sigma, noise in zip(("source", "background"), sigmas, noises, strict=True):
            scaled = noise * sigma[chosen].to(noise).view(-1, 1, 1, 1)
            batch = change_chosen(batch, [picture], chosen, partial(_add, scaled))
        return batch

    def _deviation(self, position: Tensor) -> Tensor:
        return self.sigma * (position if self.uniform_in == "deviation" else position.sqrt())


def _add(noise: Tensor, images: Tensor) -> Tensor:
    return (images + noise).clamp(0, 1)


class BackgroundAffine(Augmentation):
    """Moves the captured background a little against the source: the camera was not quite still.

    What the movement leaves open is filled by the mirror image, not with black as in the official code.

    Args:
        probability: of changing a sample.
        degrees: largest rotation, either way.
        translate: largest movement along each axis, as a share of the picture.
    """

    phase = "captured"

    def __init__(self, probability: float = 0.3, degrees: float = 1.0, translate: float = 0.01) -> None:
        super().__init__()
        check_range(self, 0, 1, probability=probability, translate=translate)
        check_range(self, 0, 180, degrees=degrees)
        self.probability, self.degrees, self.translate = probability, degrees, translate

    def forward(self, batch: MattingBatch, draws: RandomStream) -> MattingBatch:
        chosen = draws.chance(self.probability)
        where_from = draw_affine(draws, batch.background.shape[-2:], self.degrees, self.translate, (1.0, 1.0), 0.0)
        if not chosen.any():
            return batch
        grid = sampling_grid(where_from[chosen], batch.background)
        return change_chosen(batch, ["background"], chosen, lambda images: sample(images, grid, "reflection"))
