"""The connectivity error: does alpha hang together with the foreground as it should?

Everything is decided on integer levels. The usual programs compare level/255 with thresholds 0, 0.1, …, 1, and their
outcome at level 153 hangs on the arithmetic: in single precision 153/255 reaches 0.6, in double precision it does not
reach the 0.6000000000000001 that steps of 0.1 lead to. Both are given here as the lowest level that reaches each
threshold.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import ndimage
from torch import Tensor

from zoo.matting.metrics.base import AlphaMetric, Region, quantise

SINGLE_PRECISION_CUTOFFS = (26, 51, 77, 102, 128, 153, 179, 204, 230, 255)
"""The lowest level that reaches 0.1, 0.2, …, 1: MATLAB's `single`, Robust Video Matting."""

DOUBLE_PRECISION_CUTOFFS = (26, 51, 77, 102, 128, 154, 179, 204, 230, 255)
"""The same as mmagic computes it."""

Levels = NDArray[np.uint8]
Mask = NDArray[np.bool_]


def connectivity_error(
    alpha: Tensor, target_alpha: Tensor, mask: Tensor, cutoffs: Sequence[int] = SINGLE_PRECISION_CUTOFFS
) -> Tensor:
    """Σ |φ(α) − φ(α*)| over the mask, one value an image (B,).

    Ω(t) is the largest 4-connected component of the pixels where α ≥ t and α* ≥ t (of equally large ones the first, row
    by row; empty where there is none). A pixel's connectedness l is the last of t = 0, 0.1, …, 1 before it leaves Ω for
    the first time. With d = α − l, φ = 1 − d where d ≥ 0.15, otherwise 1.

    Args:
        alpha, target_alpha: (B, 1, H, W), float in [0, 1] or uint8.
        mask: bool (B, 1, H, W), the pixels that are summed; components are those of the whole image.
        cutoffs: the lowest level that reaches each threshold from 0.1 to 1.

    Source: `compute_connectivity_error.m` of Xu et al. (Deep Image Matting, CVPR 2017), which fails where there is no
    component; the evaluations of Robust Video Matting and mmagic leave Ω empty, as here. Computed on the CPU, whatever
    the device of the inputs.
    """
    predictions, targets = quantise(alpha).cpu().numpy(), quantise(target_alpha, "target_alpha").cpu().numpy()
    images = zip(predictions[:, 0], targets[:, 0], mask.cpu().numpy()[:, 0], strict=True)
    values = [_connectivity_error(prediction, target, inside, cutoffs) for prediction, target, inside in images]
    return torch.tensor(values, dtype=torch.float32, device=alpha.device)


class ConnectivityError(AlphaMetric):
    """Connectivity error of alpha over the region; see `connectivity_error`."""

    def __init__(
        self,
        region: Region = "unknown",
        scale: float = 1.0,
        cutoffs: Sequence[int] = SINGLE_PRECISION_CUTOFFS,
        **kwargs: Any,
    ) -> None:
        super().__init__(region, scale, **kwargs)
        self.cutoffs = tuple(cutoffs)

    def _values(self, alpha: Tensor, target_alpha: Tensor, mask: Tensor) -> Tensor:
        return connectivity_error(alpha, target_alpha, mask, self.cutoffs)


def _connectivity_error(alpha: Levels, target_alpha: Levels, mask: Mask, cutoffs: Sequence[int]) -> float:
    """The error of one image; all arrays (H, W)."""
    connectedness = _connectedness(np.minimum(alpha, target_alpha), mask, cutoffs)[mask]
    excess = _excess(alpha[mask], connectedness) - _excess(target_alpha[mask], connectedness)
    return int(np.abs(excess).sum(dtype=np.int64)) / 2550


def _connectedness(smaller: Levels, mask: Mask, cutoffs: Sequence[int]) -> Levels:
    """10 l of the pixels in the mask, (H, W); `smaller` is the smaller one of the two alphas."""
    connectedness = np.zeros_like(smaller)
    connected = mask.copy()
    for step, cutoff in enumerate(cutoffs, start=1):
        connected &= _largest_component(smaller >= cutoff)
        if not connected.any():
            break
        connectedness[connected] = step
    return connectedness


def _largest_component(mask: Mask) -> Mask:
    """The largest 4-connected component, (H, W); empty where there is none."""
    labels, count = ndimage.label(mask)
    if count < 2:
        return mask
    sizes = np.bincount(labels.ravel())
    sizes[0] = 0
    return labels == sizes.argmax()


def _excess(levels: Levels, connectedness: Levels) -> NDArray[np.int32]:
    """2550 d where d ≥ 0.15, otherwise 0: d = level/255 − connectedness/10 as an integer."""
    excess = 10 * levels.astype(np.int32) - 255 * connectedness.astype(np.int32)
    return np.where(excess > 382, excess, 0)  # 0.15 · 2550 = 382.5
