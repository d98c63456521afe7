"""The gradient error: are the edges of alpha as steep as they should be?"""

import math
from typing import Any

import torch.nn.functional as F
from torch import Tensor

from zoo.matting.metrics.base import AlphaMetric, Region, quantise

SIGMA = 1.4
REACH = 4
"""⌈σ √(−2 ln(√(2π) σ ε))⌉ with ε = 0.01: the filter is 9×9."""


def gradient_error(alpha: Tensor, target_alpha: Tensor, mask: Tensor) -> Tensor:
    """Σ (|∇α| − |∇α*|)² over the mask, one value an image (B,).

    ∇ is the derivative of a Gaussian (σ 1.4, 9×9, each kernel of unit L2 norm, borders replicated), taken after each
    alpha has been stretched from its own minimum and maximum to [0, 1]; a constant alpha has no gradient.

    Args:
        alpha, target_alpha: (B, 1, H, W), float in [0, 1] or uint8.
        mask: bool (B, 1, H, W), the pixels that are summed; the gradient sees the whole image.

    Source: `compute_gradient_loss.m` and `gaussgradient.m` of Xu et al. (Deep Image Matting, CVPR 2017).
    """
    difference = _gradient_magnitude(_stretch(alpha)) - _gradient_magnitude(_stretch(target_alpha))
    return (difference.square() * mask).sum(dim=(1, 2, 3))


class GradientError(AlphaMetric):
    """Gradient error of alpha over the region; see `gradient_error`."""

    def __init__(self, region: Region = "unknown", scale: float = 1.0, **kwargs: Any) -> None:
        super().__init__(region, scale, **kwargs)

    def _values(self, alpha: Tensor, target_alpha: Tensor, mask: Tensor) -> Tensor:
        return gradient_error(alpha, target_alpha, mask)


def _stretch(alpha: Tensor) -> Tensor:
    levels = quantise(alpha).float()
    lowest, highest = levels.amin(dim=(1, 2, 3), keepdim=True), levels.amax(dim=(1, 2, 3), keepdim=True)
    return (levels - lowest) / (highest - lowest).clamp(min=1)


def _gradient_magnitude(image: Tensor) -> Tensor:
    padded = F.pad(image, (REACH,) * 4, mode="replicate")
    along_x = _filter(_filter(padded, SMOOTH, dim=2, sign=1), SLOPE, dim=3, sign=-1)
    along_y = _filter(_filter(padded, SLOPE, dim=2, sign=-1), SMOOTH, dim=3, sign=1)
    return (along_x.square_() + along_y.square_()).sqrt_()


def _filter(padded: Tensor, weights: list[float], dim: int, sign: int) -> Tensor:
    """Σₖ wₖ (x₊ₖ + sign · x₋ₖ) along one dimension, which loses its padding.

    Sums of shifted images instead of a convolution: faster on the CPU, and neither TF32 nor autocast rounds them.
    """
    length = padded.shape[dim] - 2 * REACH
    result = padded.narrow(dim, REACH, length) * weights[0]
    for shift in range(1, REACH + 1):
        result.add_(padded.narrow(dim, REACH + shift, length), alpha=weights[shift])
        result.add_(padded.narrow(dim, REACH - shift, length), alpha=sign * weights[shift])
    return result


def _unit_norm(one_side: list[float]) -> list[float]:
    """Weights for shifts 0…REACH, scaled so that the whole (anti)symmetric kernel has L2 norm 1."""
    norm = math.sqrt(one_side[0] ** 2 + 2 * sum(weight**2 for weight in one_side[1:]))
    return [weight / norm for weight in one_side]


SMOOTH = _unit_norm([math.exp(-(k**2) / (2 * SIGMA**2)) for k in range(REACH + 1)])
SLOPE = _unit_norm([k * math.exp(-(k**2) / (2 * SIGMA**2)) for k in range(REACH + 1)])
