"""The gradient error: are the edges of alpha as steep as they should be?

The filter is *separable*: smoothing along one axis and the slope along the other. On the CPU, alphas are filtered tile
by tile, and tiles outside the mask are skipped; on other devices whole images are shifted and added up.
"""

import math

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from zoo.core.compiled import compiled, in_threads
from zoo.matting.metrics.base import AlphaMetric, Levels, Mask, arrays, quantise

SIGMA = 1.4
REACH = 4
"""⌈σ √(−2 ln(√(2π) σ ε))⌉ with ε = 0.01: the filter is 9×9."""
TILE_HEIGHT, TILE_WIDTH = 32, 128
"""Of a tile in pixels: with its intermediate results, it stays in the processor's fastest cache."""
PADDED_WIDTH = TILE_WIDTH + 2 * REACH


def gradient_error(alpha: Tensor, target_alpha: Tensor, mask: Tensor) -> Tensor:
    """Return Σ (|∇α| − |∇α*|)² over the mask, one value an image (B,).

    ∇ is the derivative of a Gaussian (σ 1.4, 9×9, each kernel of unit L2 norm, borders replicated), taken after each
    alpha has been stretched from its own minimum and maximum to [0, 1]; a constant alpha has no gradient.

    Args:
        alpha, target_alpha: (B, 1, H, W), float in [0, 1] or uint8.
        mask: bool (B, 1, H, W), the pixels that are summed; the gradient sees the whole image.

    Source: `compute_gradient_loss.m` and `gaussgradient.m` of Xu et al. (Deep Image Matting, CVPR 2017).

    Example:
        >>> alpha = torch.rand(2, 1, 8, 8)
        >>> gradient_error(alpha, alpha, torch.ones(2, 1, 8, 8, dtype=torch.bool))
        tensor([0., 0.])
    """
    alpha, target_alpha = quantise(alpha), quantise(target_alpha, "target_alpha")
    return (error_by_tiles if alpha.device.type == "cpu" else error_of_whole_images)(alpha, target_alpha, mask)


class GradientError(AlphaMetric):
    """Gradient error of alpha over the region; see `gradient_error`.

    Example:
        >>> metric, alpha = GradientError("image"), torch.rand(1, 1, 8, 8)
        >>> metric(alpha, alpha)
        tensor(0.)
    """

    function = staticmethod(gradient_error)


def error_of_whole_images(alpha: Tensor, target_alpha: Tensor, mask: Tensor) -> Tensor:
    """Return `gradient_error` of levels, on any device."""
    difference = _gradient_magnitude(_stretch(alpha)) - _gradient_magnitude(_stretch(target_alpha))
    return (difference.square() * mask).sum(dim=(1, 2, 3))


def error_by_tiles(alpha: Tensor, target_alpha: Tensor, mask: Tensor) -> Tensor:
    """Return `gradient_error` of alphas as levels 0…255 (see `quantise`), on the CPU, tile by tile."""
    values = [_error_of_image(*image) for image in zip(*arrays(alpha, target_alpha, mask), strict=True)]
    return torch.tensor(values, dtype=torch.float32)


def _stretch(levels: Tensor) -> Tensor:
    lowest, highest = levels.amin(dim=(1, 2, 3), keepdim=True), levels.amax(dim=(1, 2, 3), keepdim=True)
    return (levels - lowest).float() / (highest - lowest).clamp(min=1)


def _gradient_magnitude(image: Tensor) -> Tensor:
    padded = F.pad(image, (REACH,) * 4, mode="replicate")
    along_x = _filter(_filter(padded, SMOOTH, dim=2, sign=1), SLOPE, dim=3, sign=-1)
    along_y = _filter(_filter(padded, SLOPE, dim=2, sign=-1), SMOOTH, dim=3, sign=1)
    return (along_x.square_() + along_y.square_()).sqrt_()


def _filter(padded: Tensor, weights: list[float], dim: int, sign: int) -> Tensor:
    """Return Σₖ wₖ (x₊ₖ + sign · x₋ₖ) along one dimension, which loses its padding.

    Sums of shifted images instead of a convolution: neither TF32 nor autocast rounds them.
    """
    length = padded.shape[dim] - 2 * REACH
    result = padded.narrow(dim, REACH, length) * weights[0]
    for shift in range(1, REACH + 1):
        result.add_(padded.narrow(dim, REACH + shift, length), alpha=weights[shift])
        result.add_(padded.narrow(dim, REACH - shift, length), alpha=sign * weights[shift])
    return result


def _unit_norm(one_side: list[float]) -> list[float]:
    """Scale the weights of shifts 0…REACH so that the whole (anti)symmetric kernel has L2 norm 1."""
    norm = math.sqrt(one_side[0] ** 2 + 2 * sum(weight**2 for weight in one_side[1:]))
    return [weight / norm for weight in one_side]


SMOOTH = _unit_norm([math.exp(-(k**2) / (2 * SIGMA**2)) for k in range(REACH + 1)])
SLOPE = _unit_norm([k * math.exp(-(k**2) / (2 * SIGMA**2)) for k in range(REACH + 1)])


def _error_of_image(alpha: Levels, target_alpha: Levels, mask: Mask) -> float:
    """Return the error of one image; all arrays (1, H, W)."""
    pair = np.stack([np.pad(levels[0], REACH, mode="edge") for levels in (alpha, target_alpha)])
    stretch = np.array([1 / max(int(np.ptp(levels)), 1) for levels in (alpha, target_alpha)], np.float32)
    weights = np.array([SMOOTH, SLOPE], np.float32)
    tops = range(0, mask.shape[1], TILE_HEIGHT)
    return sum(in_threads(lambda top: _error_of_tiles(pair, stretch, mask[0], weights, top), tops))


@compiled
def _error_of_tiles(
    pair: NDArray[np.uint8], stretch: NDArray[np.float32], mask: Mask, weights: NDArray[np.float32], top: int
) -> float:
    """Return the error of one row of tiles.

    The innermost loops run over neighbours in a row, so that several pixels are computed at once.

    Args:
        pair: alpha and true alpha, (2, H + 2 REACH, W + 2 REACH), with their borders.
        stretch: (2,), the factors of the magnitudes of gradients of levels.
        mask: (H, W).
        weights: SMOOTH and SLOPE.
        top: the tiles' first row.
    """
    height, width = min(TILE_HEIGHT, len(mask) - top), mask.shape[1]
    (a0, a1, a2, a3, a4), (_, b1, b2, b3, b4) = weights
    tile = np.empty((TILE_HEIGHT + 2 * REACH) * PADDED_WIDTH, np.float32)
    smooth, slope = np.empty(PADDED_WIDTH, np.float32), np.empty(PADDED_WIDTH, np.float32)
    magnitudes = np.empty((2, TILE_HEIGHT, TILE_WIDTH), np.float32)
    errors = np.zeros(TILE_WIDTH)
    for left in range(0, width, TILE_WIDTH):
        columns = min(TILE_WIDTH, width - left)
        measured = False
        for y in range(height):
            measured |= bool(mask[top + y, left : left + columns].any())
        if not measured:
            continue
        for image in range(2):
            for y in range(height + 2 * REACH):
                levels = pair[image, top + y, left : left + columns + 2 * REACH]
                for x in range(len(levels)):
                    tile[y * PADDED_WIDTH + x] = levels[x]
            for y in range(height):
                for x in range(columns + 2 * REACH):
                    at = y * PADDED_WIDTH + x
                    p0, p1, p2 = tile[at], tile[at + PADDED_WIDTH], tile[at + 2 * PADDED_WIDTH]
                    p3, p4, p5 = tile[at + 3 * PADDED_WIDTH], tile[at + 4 * PADDED_WIDTH], tile[at + 5 * PADDED_WIDTH]
                    p6, p7, p8 = tile[at + 6 * PADDED_WIDTH], tile[at + 7 * PADDED_WIDTH], tile[at + 8 * PADDED_WIDTH]
                    smooth[x] = a0 * p4 + a1 * (p3 + p5) + a2 * (p2 + p6) + a3 * (p1 + p7) + a4 * (p0 + p8)
                    slope[x] = b1 * (p5 - p3) + b2 * (p6 - p2) + b3 * (p7 - p1) + b4 * (p8 - p0)
                row = magnitudes[image, y]
                for x in range(columns):
                    along_x = (
                        b1 * (smooth[x + 5] - smooth[x + 3])
                        + b2 * (smooth[x + 6] - smooth[x + 2])
                        + b3 * (smooth[x + 7] - smooth[x + 1])
                        + b4 * (smooth[x + 8] - smooth[x])
                    )
                    along_y = (
                        a0 * slope[x + 4]
                        + a1 * (slope[x + 3] + slope[x + 5])
                        + a2 * (slope[x + 2] + slope[x + 6])
                        + a3 * (slope[x + 1] + slope[x + 7])
                        + a4 * (slope[x] + slope[x + 8])
                    )
                    row[x] = np.sqrt(along_x * along_x + along_y * along_y) * stretch[image]
        for y in range(height):
            ours, truth, inside = magnitudes[0, y], magnitudes[1, y], mask[top + y, left : left + columns]
            for x in range(columns):
                difference = ours[x] - truth[x]
                errors[x] += difference * difference if inside[x] else np.float32(0)
    return errors.sum()
