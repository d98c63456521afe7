"""Perturbation of the captured background in validation and test.

The camera moved a little (*shift*), exposed differently (*gamma*) and was noisy (*noise*). Unlike an augmentation, a
perturbation is fixed: a sample is perturbed alike in every run, so that two models are compared on the same images.
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from zoo.core.seeding import RandomStream


@dataclass(frozen=True)
class Perturbation:
    """How much the captured background is perturbed.

    The defaults of shift and gamma are those of the paper's test sets; that of the noise is this project's.

    Args:
        shift: the largest movement in pixels, along each axis; movements are fractions of a pixel.
        gamma: lowest and highest exponent of the exposure change.
        noise: standard deviation of the Gaussian noise, of values in [0, 1].
        severity: scales all three: 0 leaves every image as it is, 1 is as given, 2 moves twice as far, squares the
            exponent and doubles the noise. The random numbers do not depend on it, so severities can be compared sample
            by sample.

    Example:
        >>> Perturbation(severity=2.0)
        Perturbation(shift=0.3, gamma=(0.85, 1.15), noise=0.015, severity=2.0)
    """

    shift: float = 0.3
    gamma: tuple[float, float] = (0.85, 1.15)
    noise: float = 0.015
    severity: float = 1.0

    def __post_init__(self) -> None:
        for name in ("shift", "noise", "severity"):
            if getattr(self, name) < 0:
                raise ValueError(f"Perturbation({name}={getattr(self, name)}): expected a number from 0 up.")
        if len(self.gamma) != 2 or not 0 < self.gamma[0] <= self.gamma[1]:
            raise ValueError(f"Perturbation(gamma={list(self.gamma)}): expected low and high, 0 < low <= high.")


def perturb(background: Tensor, perturbation: Perturbation, seed: int) -> Tensor:
    """Return the background as the camera captured it: shifted, then exposed, then noisy, then clamped to [0, 1].

    Args:
        background: (3, H, W), float in [0, 1].
        perturbation: its amounts; with all of them 0 (gamma 1) the background is returned unchanged.
        seed: of the random numbers; the same seed perturbs the same image alike, in every process.

    Raises:
        ValueError: the background has another shape or holds integers.

    Example:
        >>> background = torch.rand(3, 8, 8)
        >>> torch.equal(perturb(background, Perturbation(), seed=1), perturb(background, Perturbation(), seed=1))
        True
    """
    if background.dim() != 3 or not background.is_floating_point():
        raise ValueError(
            f"cannot perturb a background of shape {tuple(background.shape)} and type {background.dtype}; "
            "expected one image (3, H, W) of floats in [0, 1]."
        )
    random = RandomStream([seed], "disturbance", background.device)  # renaming it would change all published numbers
    right, down, position = (float(random.uniform(*limits)) for limits in ((-1, 1), (-1, 1), (0, 1)))
    reach = perturbation.shift * perturbation.severity
    low, high = perturbation.gamma
    gamma = (low + (high - low) * position) ** perturbation.severity
    sigma = perturbation.noise * perturbation.severity

    if reach > 0:
        background = _shift(background, right * reach, down * reach)
    if gamma != 1:
        background = background.clamp(0, 1) ** gamma
    if sigma > 0:
        background = (background + sigma * random.normal(*background.shape)[0]).clamp(0, 1)
    return background


def _shift(image: Tensor, right: float, down: float) -> Tensor:
    """Move the image by fractions of a pixel, bilinear, and repeat its border pixels outwards."""
    height, width = image.shape[-2:]
    theta = torch.tensor(
        [[[1, 0, -2 * right / width], [0, 1, -2 * down / height]]], dtype=image.dtype, device=image.device
    )
    grid = F.affine_grid(theta, [1, *image.shape], align_corners=False)
    return F.grid_sample(image[None], grid, mode="bilinear", padding_mode="border", align_corners=False)[0]
