"""How a captured background differs from what stood behind the person, in validation and test.

The camera moved a little (*shift*), exposed differently (*gamma*) and was noisy (*noise*). Unlike an augmentation, a
disturbance is fixed: the same sample is disturbed alike in every run, so that two models are compared on the same
pictures.
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from zoo.core.seeding import RandomStream


@dataclass(frozen=True)
class Disturbance:
    """How much the captured background is disturbed.

    The defaults of shift and gamma are those of the paper's test sets; that of the noise is this project's.

    Args:
        shift: the largest movement in pixels, along each axis; movements are fractions of a pixel.
        gamma: lowest and highest exponent of the exposure change.
        noise: standard deviation of the Gaussian noise, of values in [0, 1].
        severity: how many times all this: 0 leaves every picture as it is, 1 is as given, 2 moves twice as far, squares
            the exponent and doubles the noise. The draws do not depend on it, so severities can be compared sample by
            sample.
    """

    shift: float = 0.3
    gamma: tuple[float, float] = (0.85, 1.15)
    noise: float = 0.015
    severity: float = 1.0

    def __post_init__(self) -> None:
        for name in ("shift", "noise", "severity"):
            if getattr(self, name) < 0:
                raise ValueError(f"Disturbance({name}={getattr(self, name)}): expected a number from 0 up.")
        if len(self.gamma) != 2 or not 0 < self.gamma[0] <= self.gamma[1]:
            raise ValueError(f"Disturbance(gamma={list(self.gamma)}): expected low and high, 0 < low <= high.")


def disturb(background: Tensor, disturbance: Disturbance, seed: int) -> Tensor:
    """The background as the camera captured it: shifted, then exposed, then noisy, then clamped to [0, 1].

    Args:
        background: (3, H, W), float in [0, 1].
        disturbance: what may happen; one whose amounts are all 0 (gamma 1) returns the background exactly.
        seed: names the draws; the same seed disturbs the same picture alike, in every process.

    Raises:
        ValueError: the background has another shape or holds integers.
    """
    if background.dim() != 3 or not background.is_floating_point():
        raise ValueError(
            f"cannot disturb a background of shape {tuple(background.shape)} and type {background.dtype}; "
            "expected one picture (3, H, W) of floats in [0, 1]."
        )
    draws = RandomStream([seed], "disturbance", background.device)
    right, down, position = (float(draws.uniform(*limits)) for limits in ((-1, 1), (-1, 1), (0, 1)))
    reach = disturbance.shift * disturbance.severity
    low, high = disturbance.gamma
    gamma = (low + (high - low) * position) ** disturbance.severity
    sigma = disturbance.noise * disturbance.severity

    if reach > 0:
        background = _shift(background, right * reach, down * reach)
    if gamma != 1:
        background = background.clamp(0, 1) ** gamma
    if sigma > 0:
        background = (background + sigma * draws.normal(*background.shape)[0]).clamp(0, 1)
    return background


def _shift(image: Tensor, right: float, down: float) -> Tensor:
    """Move the picture by fractions of a pixel, bilinear; the border pixels fill what it leaves."""
    height, width = image.shape[-2:]
    where_from = torch.tensor(
        [[[1, 0, -2 * right / width], [0, 1, -2 * down / height]]], dtype=image.dtype, device=image.device
    )
    grid = F.affine_grid(where_from, [1, *image.shape], align_corners=False)
    return F.grid_sample(image[None], grid, mode="bilinear", padding_mode="border", align_corners=False)[0]
