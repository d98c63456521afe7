"""Differences pixel by pixel: SAD, MAD, MSE of alpha, MSE of the foreground, and dtSSD of videos.

Levels are compared and summed as integers, so the sums are exact however large the image. A sum over an empty region is
0; a mean over one does not exist (NaN).
"""

from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from zoo.core.compiled import compiled, in_threads
from zoo.matting.metrics.base import AlphaMetric, Mask, MeanOverImages, arrays, check_pair, quantise


def sum_absolute_difference(alpha: Tensor, target_alpha: Tensor, mask: Tensor) -> Tensor:
    """Return Σ |α − α*| over the mask, one value an image (B,).

    Args:
        alpha, target_alpha: (B, 1, H, W), float in [0, 1] or uint8.
        mask: bool (B, 1, H, W), the pixels that are measured.

    Source: `compute_sad_loss.m` of Xu et al. (Deep Image Matting, CVPR 2017), there divided by 1000.

    Example:
        >>> mask = torch.tensor([[[[True, True, False]]]])
        >>> sum_absolute_difference(torch.zeros(1, 1, 1, 3), torch.ones(1, 1, 1, 3), mask)
        tensor([2.])
    """
    return _sums(alpha, target_alpha, mask).absolute / 255


def mean_absolute_difference(alpha: Tensor, target_alpha: Tensor, mask: Tensor) -> Tensor:
    """Return the mean of |α − α*| over the mask, (B,), NaN where the mask is empty; arguments as above.

    Source: Lin et al., Robust High-Resolution Video Matting (WACV 2022), there over the whole image and × 10³.

    Example:
        >>> alpha, target = torch.tensor([[[[0.0, 0.4]]]]), torch.zeros(1, 1, 1, 2)
        >>> mean_absolute_difference(alpha, target, torch.ones(1, 1, 1, 2, dtype=torch.bool))
        tensor([0.2000])
    """
    sums = _sums(alpha, target_alpha, mask)
    return sums.absolute / sums.number / 255


def mean_squared_difference(alpha: Tensor, target_alpha: Tensor, mask: Tensor) -> Tensor:
    """Return the mean of (α − α*)² over the mask, (B,), NaN where the mask is empty; arguments as above.

    Source: `compute_mse_loss.m` of Xu et al.

    Example:
        >>> alpha, target = torch.tensor([[[[0.0, 0.4]]]]), torch.zeros(1, 1, 1, 2)
        >>> mean_squared_difference(alpha, target, torch.ones(1, 1, 1, 2, dtype=torch.bool))
        tensor([0.0800])
    """
    sums = _sums(alpha, target_alpha, mask)
    return sums.squares / sums.number / 255**2


def foreground_mean_squared_difference(foreground: Tensor, target_foreground: Tensor, target_alpha: Tensor) -> Tensor:
    """Return the mean of (F − F*)² over the channels of all pixels with α* > 0, (B,), NaN without such pixels.

    Args:
        foreground, target_foreground: (B, 3, H, W) straight colours, float in [0, 1] or uint8.
        target_alpha: (B, 1, H, W), float in [0, 1] or uint8.

    Source: MSE^fg as Lin et al. define it (Real-Time High-Resolution Background Matting, CVPR 2021) and as Robust Video
    Matting computes it. (The former's `benchmark.m` sums over the pixels with α* > 0 in the unknown region only, and
    divides by the number of all unknown pixels.)

    Example:
        >>> foreground_mean_squared_difference(torch.zeros(1, 3, 1, 1), torch.ones(1, 3, 1, 1), torch.ones(1, 1, 1, 1))
        tensor([1.])
    """
    sums = _sums(foreground, target_foreground, quantise(target_alpha, "target_alpha") > 0)
    return sums.squares / sums.number / 255**2


def temporal_difference(alpha: Tensor, target_alpha: Tensor) -> Tensor:
    """Return √ mean over pixels of ((αₜ − αₜ₋₁) − (α*ₜ − α*ₜ₋₁))², one value a pair of consecutive frames (T − 1,).

    Args:
        alpha, target_alpha: (T, 1, H, W), consecutive frames, float in [0, 1] or uint8.

    Source: dtSSD of Erofeev et al., Perceptually Motivated Benchmark for Video Matting (BMVC 2015), as Robust Video
    Matting computes it (× 10²).

    Example:
        >>> temporal_difference(torch.tensor([0.0, 1.0]).view(2, 1, 1, 1), torch.zeros(2, 1, 1, 1))
        tensor([1.])
    """
    error = quantise(alpha).int() - quantise(target_alpha, "target_alpha").int()
    squares = (error[1:] - error[:-1]).square().sum(dim=(1, 2, 3), dtype=torch.int64).float()
    return (squares / error[0].numel()).sqrt() / 255


class SAD(AlphaMetric):
    """Sum of absolute differences of alpha over the region, in thousands by default; see `sum_absolute_difference`.

    Example:
        >>> SAD("image")(torch.zeros(1, 1, 20, 50), torch.ones(1, 1, 20, 50))
        tensor(1.)
    """

    unit = 1e-3
    function = staticmethod(sum_absolute_difference)


class MAD(AlphaMetric):
    """Mean absolute difference of alpha over the region, in thousandths by default; see `mean_absolute_difference`.

    Example:
        >>> MAD("image")(torch.zeros(1, 1, 2, 2), torch.ones(1, 1, 2, 2))
        tensor(1000.)
    """

    unit = 1e3
    function = staticmethod(mean_absolute_difference)


class MSE(AlphaMetric):
    """Mean squared difference of alpha over the region, in thousandths by default; see `mean_squared_difference`.

    Example:
        >>> MSE("image")(torch.zeros(1, 1, 2, 2), torch.ones(1, 1, 2, 2))
        tensor(1000.)
    """

    unit = 1e3
    function = staticmethod(mean_squared_difference)


class ForegroundMSE(MeanOverImages):
    """Mean squared difference of the foreground where α* > 0, in thousandths by default.

    See `foreground_mean_squared_difference`.

    Example:
        >>> ForegroundMSE()(torch.zeros(1, 3, 2, 2), torch.ones(1, 3, 2, 2), torch.ones(1, 1, 2, 2))
        tensor(1000.)
    """

    unit = 1e3

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


class DtSSD(MeanOverImages):
    """The mean of `temporal_difference` over all pairs of consecutive frames of all clips, × 10² by default.

    A clip is added at once, `update(alpha, target_alpha)`, or in pieces of one frame or more,
    `update(alpha, target_alpha, clip="street")`: pieces that follow each other under one name belong together. Frames
    of different clips are never compared.

    (Robust Video Matting's script also averages a 0 for the first frame of each clip, which has no predecessor: its
    number for clips of T frames is this one times (T − 1) / T.)

    Args:
        scale: the unit, which the mean is multiplied by.
        kwargs: of `torchmetrics.Metric`.

    Example:
        >>> metric = DtSSD()
        >>> metric.update(torch.tensor([0.0, 1.0]).view(2, 1, 1, 1), torch.zeros(2, 1, 1, 1))
        >>> metric.compute()
        tensor(100.)
    """

    unit = 1e2
    full_state_update = True  # `update` reads the last frame, so a step's own value needs an update of its own

    def __init__(self, scale: float | None = None, **kwargs: Any) -> None:
        super().__init__(scale, **kwargs)
        self._last: tuple[str, Tensor, Tensor] | None = None

    def update(self, alpha: Tensor, target_alpha: Tensor, clip: str | None = None) -> None:
        """Add a clip, or the next frames of one.

        Args:
            alpha, target_alpha: (T, 1, H, W) in the order of time, float in [0, 1] or uint8.
            clip: the clip's name when it comes in pieces; None: this is all of it.

        Raises:
            ValueError: shapes do not fit, or a whole clip has only one frame.
        """
        check_pair(alpha, target_alpha, "alpha", "target_alpha")
        if clip is None and len(alpha) < 2:
            raise ValueError(
                f"a clip of {len(alpha)} frame(s) has no change to measure: name it (clip=...) to add frame by frame."
            )
        alpha, target_alpha = quantise(alpha), quantise(target_alpha, "target_alpha")
        if clip is not None and self._last is not None and self._last[0] == clip:
            check_pair(self._last[1], alpha[:1], f"the last frame of '{clip}'", "the next one")
            alpha = torch.cat([self._last[1].to(alpha.device), alpha])
            target_alpha = torch.cat([self._last[2].to(alpha.device), target_alpha])
        self._last = None if clip is None else (clip, alpha[-1:], target_alpha[-1:])
        if len(alpha) > 1:
            self._add(temporal_difference(alpha, target_alpha))

    def reset(self) -> None:
        """Forget all clips, the last frame too."""
        super().reset()
        self._last = None


class Sums(NamedTuple):
    """Sums over the measured values of each image, (B,), float32 whatever torch's default type is."""

    number: Tensor
    absolute: Tensor
    """Of |prediction − target| in levels."""
    squares: Tensor
    """Of (prediction − target)² in levels."""


def _sums(prediction: Tensor, target: Tensor, mask: Tensor) -> Sums:
    """Return the sums of each image.

    Args:
        prediction, target: (B, C, H, W), float in [0, 1] or uint8.
        mask: bool (B, 1, H, W).
    """
    prediction, target = quantise(prediction, "prediction"), quantise(target, "target")
    return (sums_image_by_image if prediction.device.type == "cpu" else sums_of_whole_images)(prediction, target, mask)


def sums_of_whole_images(prediction: Tensor, target: Tensor, mask: Tensor) -> Sums:
    """Return the sums of levels, on any device."""
    difference = torch.maximum(prediction, target) - torch.minimum(prediction, target)
    numbers = (mask.expand_as(target), difference * mask, difference.int().square() * mask)
    return Sums(*(values.sum(dim=(1, 2, 3), dtype=torch.int64).float() for values in numbers))


def sums_image_by_image(prediction: Tensor, target: Tensor, mask: Tensor) -> Sums:
    """Return the sums of levels, on the CPU."""
    numbers = in_threads(_sums_of_image, *arrays(prediction, target, mask))
    return Sums(*torch.tensor(numbers, dtype=torch.int64).view(-1, 3).T.float())


@compiled
def _sums_of_image(prediction: NDArray[np.uint8], target: NDArray[np.uint8], mask: Mask) -> tuple[int, int, int]:
    """Return the sums of one image; mask (1, H, W), the others (C, H, W)."""
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
