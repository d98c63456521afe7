"""The connectivity error: is alpha connected to the foreground as it should be?

All comparisons are of integer levels. The usual programs compare level/255 with thresholds 0, 0.1, …, 1, and their
result at level 153 depends on the arithmetic: in single precision 153/255 reaches 0.6, in double precision it does not
reach the 0.6000000000000001 of ten steps of 0.1. Here both are tables of the lowest level that reaches each threshold.

The usual programs also label the whole image once for each threshold. Here pixels are first gathered into *runs* of
neighbours in a row that reach equally many thresholds; most mattes have few. From the highest threshold down, runs that
touch are joined to *components*, which only grow, so that one forest of runs holds those of all thresholds.
"""

from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from zoo.core.compiled import compiled, in_threads
from zoo.matting.metrics.base import AlphaMetric, Levels, Mask, Region, arrays, quantise

SINGLE_PRECISION_CUTOFFS = (26, 51, 77, 102, 128, 153, 179, 204, 230, 255)
"""The lowest level that reaches 0.1, 0.2, …, 1: MATLAB's `single`, Robust Video Matting."""

DOUBLE_PRECISION_CUTOFFS = (26, 51, 77, 102, 128, 154, 179, 204, 230, 255)
"""The same as mmagic computes it."""


def connectivity_error(
    alpha: Tensor, target_alpha: Tensor, mask: Tensor, cutoffs: Sequence[int] = SINGLE_PRECISION_CUTOFFS
) -> Tensor:
    """Return Σ |φ(α) − φ(α*)| over the mask, one value an image (B,).

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

    Example:
        >>> alpha = torch.rand(2, 1, 8, 8)
        >>> connectivity_error(alpha, alpha, torch.ones(2, 1, 8, 8, dtype=torch.bool))
        tensor([0., 0.])
    """
    reached = np.searchsorted(cutoffs, np.arange(256), side="right").astype(np.uint8)
    parts = arrays(quantise(alpha), quantise(target_alpha, "target_alpha"), mask)
    values = in_threads(partial(_error_of_image, reached), *parts)
    return torch.tensor(values, dtype=torch.float32, device=alpha.device)


class ConnectivityError(AlphaMetric):
    """Connectivity error of alpha over the region; see `connectivity_error`.

    Example:
        >>> metric, alpha = ConnectivityError("image"), torch.rand(1, 1, 8, 8)
        >>> metric(alpha, alpha)
        tensor(0.)
    """

    def __init__(
        self,
        region: Region = "unknown",
        scale: float | None = None,
        cutoffs: Sequence[int] = SINGLE_PRECISION_CUTOFFS,
        **kwargs: Any,
    ) -> None:
        super().__init__(region, scale, **kwargs)
        self.cutoffs = tuple(cutoffs)

    def _values(self, alpha: Tensor, target_alpha: Tensor, mask: Tensor) -> Tensor:
        return connectivity_error(alpha, target_alpha, mask, self.cutoffs)


def _error_of_image(reached: NDArray[np.uint8], alpha: Levels, target_alpha: Levels, mask: Mask) -> float:
    """Return the error of one image.

    Args:
        reached: (256,), the number of thresholds that each level reaches.
        alpha, target_alpha, mask: (1, H, W).
    """
    steps = reached[np.minimum(alpha[0], target_alpha[0])]
    begins = np.ones(steps.shape, bool)
    np.not_equal(steps[:, 1:], steps[:, :-1], out=begins[:, 1:])
    starts = np.append(np.flatnonzero(begins), steps.size)
    connectedness = _connectedness(starts, steps.reshape(-1)[starts[:-1]], steps.shape[1])
    return _sum(alpha.reshape(-1), target_alpha.reshape(-1), mask.reshape(-1), starts, connectedness) / 2550


@compiled
def _connectedness(starts: NDArray[np.int64], steps: NDArray[np.uint8], width: int) -> NDArray[np.uint8]:
    """Return 10 l of every run, (R,).

    A component is named by its *root*, one of its runs. When two are joined, the larger one's root becomes the parent
    of the smaller one's, which stores the threshold. So a run's root at a threshold is found by going from parent to
    parent as long as they were joined at that threshold or a higher one.

    Args:
        starts: (R + 1,) the first pixel of each run, counted row by row, and the number of all pixels.
        steps: (R,) the number of thresholds that each run reaches.
        width: of the image.
    """
    count = len(steps)
    parents, joined = np.arange(count, dtype=np.int32), np.zeros(count, np.uint8)
    sizes, firsts = np.diff(starts).astype(np.int32), np.arange(count, dtype=np.int32)
    highest = 0 if count == 0 else int(steps.max())
    largest = np.full(highest + 1, -1)  # the root of Ω at each threshold
    best = -1
    for threshold in range(highest, 0, -1):
        above = 0
        for run in range(count):
            if steps[run] < threshold:
                continue
            start, end = starts[run], starts[run + 1]
            root = run
            while joined[root] >= threshold:
                root = parents[root]
            while starts[above + 1] <= start - width:
                above += 1
            for index in range(above - 1, run):  # the run before this one, then those above it
                is_previous = index < above
                if is_previous and start % width == 0:
                    continue
                if not is_previous and starts[index] >= end - width:
                    break
                other = run - 1 if is_previous else index
                if min(steps[run], steps[other]) != threshold:  # one does not reach it, or they were joined higher up
                    continue
                while joined[other] >= threshold:
                    other = parents[other]
                if other == root:
                    continue
                if sizes[other] > sizes[root]:
                    other, root = root, other
                parents[other], joined[other] = root, threshold
                sizes[root] += sizes[other]
                firsts[root] = min(firsts[root], firsts[other])
            if best < 0 or (sizes[root], -firsts[root]) > (sizes[best], -firsts[best]):
                best = root
        largest[threshold] = best

    deepest = min(1, highest)
    while deepest < highest:  # as long as the next Ω lies in this one
        root = largest[deepest + 1]
        while joined[root] >= deepest:
            root = parents[root]
        if root != largest[deepest]:
            break
        deepest += 1
    connectedness = np.zeros(count, np.uint8)
    for run in range(count):
        root = run
        for threshold in range(min(steps[run], deepest), 0, -1):
            while joined[root] >= threshold:
                root = parents[root]
            if root == largest[threshold]:
                connectedness[run] = threshold
                break
    return connectedness


@compiled
def _sum(
    alpha: Levels, target_alpha: Levels, mask: Mask, starts: NDArray[np.int64], connectedness: NDArray[np.uint8]
) -> int:
    """Return Σ |φ(α) − φ(α*)| · 2550 over the mask.

    d · 2550 is a whole number, 10 · level − 255 · 10 l; 0.15 · 2550 is 382.5.

    Args:
        alpha, target_alpha, mask: (H · W,).
        starts, connectedness: of the runs, as above.
    """
    total = 0
    for run in range(len(connectedness)):
        connected = 255 * connectedness[run]
        for pixel in range(starts[run], starts[run + 1]):
            excess, true_excess = 10 * alpha[pixel] - connected, 10 * target_alpha[pixel] - connected
            difference = (excess if excess > 382 else 0) - (true_excess if true_excess > 382 else 0)
            total += abs(difference) if mask[pixel] else 0
    return total
