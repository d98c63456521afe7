"""Differences pixel by pixel: SAD, MAD, MSE of alpha, and the MSE of the foreground.

Levels are compared and summed as integers, so the sums are exact however large the image. A sum over an empty region is
0; a mean over one does not exist (NaN).
"""

from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from zoo.core.compiled import compiled, in_threads
from zoo.matting.metrics.base import AlphaMetric, Mask, MeanOverImages, Region, arrays, check_pair, quantise


def sum_absolute_difference(alpha: Tensor, target_alpha: Tensor, mask: Tensor) -> Tensor:
    """Σ |α − α*| over the mask, one value an image (B,).

    Args:
        alpha, target_alpha: (B, 1, H, W), float in [0, 1] or uint8.
        mask: bool (B, 1, H, W), the pixels that are measured.

    Source: `compute_sad_loss.m` of Xu et al. (Deep Image Matting, CVPR 2017), there divided by 1000.
    """
    return _sums(alpha, target_alpha, mask).absolute / 255


def mean_absolute_difference(alpha: Tensor, target_alpha: Tensor, mask: Tensor) -> Tensor:
    """The mean of |α − α*| over the mask, one value an image (B,), NaN where the mask is empty; arguments as above.

    Source: Lin et al., Robust High-Resolution Video Matting (WACV 2022), there over the whole image and × 10³.
    """
    sums = _sums(alpha, target_alpha, mask)
    return sums.absolute / sums.number / 255


def mean_squared_difference(alpha: Tensor, target_alpha: Tensor, mask: Tensor) -> Tensor:
    """The mean of (α − α*)² over the mask, one value an image (B,), NaN where the mask is empty; arguments as above.

    Source: `compute_mse_loss.m` of Xu et al.
    """
    sums = _sums(alpha, target_alpha, mask)
    return sums.squares / sums.number / 255**2


def foreground_mean_squared_difference(foreground: Tensor, target_foreground: Tensor, target_alpha: Tensor) -> Tensor:
    """The mean of (F − F*)² over the channels of all pixels with α* > 0, one value an image (B,), NaN without such.

    Args:
        foreground, target_foreground: (B, 3, H, W) straight colours, float in [0, 1] or uint8.
        target_alpha: (B, 1, H, W), float in [0, 1] or uint8.

    Source: MSE^fg as Lin et al. define it (Real-Time High-Resolution Background Matting, CVPR 2021) and as Robust Video
    Matting computes it. (The former's `benchmark.m` sums over the pixels with α* > 0 in the unknown region only, and
    divides by the number of all unknown pixels.)
    """
    inside = quantise(target_alpha, "target_alpha") > 0
    sums = _sums(foreground, target_foreground, inside)
    return sums.squares / sums.number / 255**2


class SAD(AlphaMetric):
    """Sum of absolute differences of alpha over the region, in thousands by default; see `sum_absolute_difference`."""

    def __init__(self, region: Region = "unknown", scale: float = 1e-3, **kwargs: Any) -> None:
        super().__init__(region, scale, **kwargs)

    def _values(self, alpha: Tensor, target_alpha: Tensor, mask: Tensor) -> Tensor:
        return sum_absolute_difference(alpha, target_alpha, mask)


class MAD(AlphaMetric):
    """Mean absolute difference of alpha over the region, in thousandths by default; see `mean_absolute_difference`."""

    def __init__(self, region: Region = "unknown", scale: float = 1e3, **kwargs: Any) -> None:
        super().__init__(region, scale, **kwargs)

    def _values(self, alpha: Tensor, target_alpha: Tensor, mask: Tensor) -> Tensor:
        return mean_absolute_difference(alpha, target_alpha, mask)


class MSE(AlphaMetric):
    """Mean squared difference of alpha over the region, in thousandths by default; see `mean_squared_difference`."""

    def __init__(self, region: Region = "unknown", scale: float = 1e3, **kwargs: Any) -> None:
        super().__init__(region, scale, **kwargs)

    def _values(self, alpha: Tensor, target_alpha: Tensor, mask: Tensor) -> Tensor:
        return mean_squared_difference(alpha, target_alpha, mask)


class ForegroundMSE(MeanOverImages):
    """Mean squared difference of the foreground where α* > 0, in thousandths by default.

    See `foreground_mean_squared_difference`.

    Args:
        scale: what the mean is multiplied by.
        kwargs: of `torchmetrics.Metric`.
    """

    def __init__(self, scale: float = 1e3, **kwargs: Any) -> None:
        super().__init__(scale, **kwargs)

    def update(self, foreground: Tensor | None, target_foreground: Tensor | None, target_alpha: Tensor) -> None:
        """Add a batch; without foregrounds nothing is measured.

        Args:
            foreground, target_foreground: (B, 3, H, W), both or neither.
            target_alpha: (B, 1, H, W).
        """
        if foreground is None and target_foreground is None:
            return
        if foreground is None or target_foreground is None:
            missing = "foreground" if foreground is None else "target_foreground"
            raise ValueError(f"{missing} is missing: give foreground and target_foreground, or neither.")
        check_pair(foreground, target_foreground, "foreground", "target_foreground", channels=3)
        check_pair(target_foreground[:, :1], target_alpha, "one channel of target_foreground", "target_alpha")
        self._add(foreground_mean_squared_difference(foreground, target_foreground, target_alpha))


class Sums(NamedTuple):
    """Over the numbers of each image that are measured, (B,), float32 whatever torch's default type is."""

    number: Tensor
    absolute: Tensor
    """Of |prediction − target| in levels."""
    squares: Tensor
    """Of (prediction − target)² in levels."""


def _sums(prediction: Tensor, target: Tensor, mask: Tensor) -> Sums:
    """What all of them are made of.

    Args:
        prediction, target: (B, C, H, W), float in [0, 1] or uint8.
        mask: bool (B, 1, H, W).
    """
    prediction, target = quantise(prediction, "prediction"), quantise(target, "target")
    return (sums_image_by_image if prediction.device.type == "cpu" else sums_of_whole_images)(prediction, target, mask)


def sums_of_whole_images(prediction: Tensor, target: Tensor, mask: Tensor) -> Sums:
    """The sums of levels, on any device."""
    difference = torch.maximum(prediction, target) - torch.minimum(prediction, target)
    numbers = (mask.expand_as(target), difference * mask, difference.int().square() * mask)
    return Sums(*(values.sum(dim=(1, 2, 3), dtype=torch.int64).float() for values in numbers))


def sums_image_by_image(prediction: Tensor, target: Tensor, mask: Tensor) -> Sums:
    """The sums of levels, on the CPU."""
    numbers = in_threads(_sums_of_image, *arrays(prediction, target, mask))
    return Sums(*torch.tensor(numbers, dtype=torch.int64).view(-1, 3).T.float())


@compiled
def _sums_of_image(prediction: NDArray[np.uint8], target: NDArray[np.uint8], mask: Mask) -> tuple[int, int, int]:
    """The sums of one image; mask (1, H, W), the others (C, H, W)."""
    count, absolute, squares = 0, 0, 0
    for channel in range(len(target)):
        for y in range(mask.shape[1]):
            predicted, true, inside = prediction[channel, y], target[channel, y], mask[0, y]
            for x in range(len(inside)):
                difference = (np.int32(predicted[x]) - np.int32(true[x])) * inside[x]
                count += inside[x]
                absolute += abs(difference)
                squares += difference * difference
    return count, absolute, squares
