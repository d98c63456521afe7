"""Common to the matting metrics: 8-bit levels, the region that is measured, and the mean over images.

Every published evaluation reads 8-bit files, so all metrics work on *levels*: uint8, 0…255. Floats in [0, 1] are
rounded to the nearest level.
"""

from collections.abc import Callable, Sequence
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torchmetrics import Metric

from zoo.matting.trimap import trimap as make_trimap

Region = Literal["unknown", "image"]
Levels = NDArray[np.uint8]
Mask = NDArray[np.bool_]

UNKNOWN = 128
"""The level of a trimap's unknown region."""


def quantise(values: Tensor, name: str = "alpha") -> Tensor:
    """Return levels 0…255 as uint8: floats in [0, 1] rounded to the nearest, uint8 unchanged; any shape and device.

    Raises:
        TypeError: neither float nor uint8.
        ValueError: a value is NaN, or rounds to a level outside 0…255.

    Example:
        >>> quantise(torch.tensor([0.0, 0.5, 1.0]))
        tensor([  0, 128, 255], dtype=torch.uint8)
    """
    if values.dtype == torch.uint8:
        return values
    if not values.is_floating_point():
        raise TypeError(f"{name} is {values.dtype}: expected float in [0, 1] or uint8.")
    levels = (values.float() * 255).round_()
    lowest, highest = levels.aminmax() if levels.numel() else (0, 0)
    if not bool((lowest >= 0) & (highest <= 255)):  # neither is true of NaN
        raise ValueError(
            f"{name} goes from {values.min():g} to {values.max():g}: expected [0, 1] without NaN; clamp it first."
        )
    return levels.to(torch.uint8)


def trimap_levels(target_alpha: Tensor, trimap: Tensor | None) -> Tensor:
    """Return a trimap as levels 0, 128, 255; without one, make it from the true alpha (`zoo.matting.trimap`).

    Args:
        target_alpha: (B, 1, H, W), float in [0, 1] or uint8.
        trimap: (B, 1, H, W), 0, 0.5, 1 (or uint8 0, 128, 255).

    Raises:
        ValueError: the trimap has another shape, or holds other values.
    """
    if trimap is None:
        return quantise(make_trimap(quantise(target_alpha, "target_alpha").float() / 255), "trimap")
    check_pair(trimap, target_alpha, "trimap", "target_alpha")
    levels = quantise(trimap, "trimap")
    if not bool(((levels == 0) | (levels == UNKNOWN) | (levels == 255)).all()):
        raise ValueError(
            f"trimap holds the levels {levels.unique().tolist()}: expected only 0, 0.5 and 1 (uint8: 0, 128, 255)."
        )
    return levels


def region_mask(region: Region, target_alpha: Tensor, trimap: Tensor | None) -> Tensor:
    """Return the measured pixels, bool (B, 1, H, W): the trimap's unknown region, or all of the `image`.

    A trimap that is bool already is the unknown region.

    Example:
        >>> region_mask("unknown", torch.zeros(1, 1, 1, 2), torch.tensor([[[[0.0, 0.5]]]]))
        tensor([[[[False,  True]]]])
    """
    if region == "image":
        return torch.ones_like(target_alpha, dtype=torch.bool)
    if trimap is not None and trimap.dtype == torch.bool:
        check_pair(trimap, target_alpha, "trimap", "target_alpha")
        return trimap
    return trimap_levels(target_alpha, trimap) == UNKNOWN


def arrays(*batches: Tensor) -> list[NDArray[Any]]:
    """Return batches as contiguous arrays on the CPU, for compiled functions."""
    return [np.ascontiguousarray(batch.cpu().numpy()) for batch in batches]


def check_pair(prediction: Tensor, target: Tensor, name: str, target_name: str, channels: int = 1) -> None:
    """Raise ValueError unless both have one shape (B, channels, H, W)."""
    if prediction.shape != target.shape or target.dim() != 4 or target.shape[1] != channels:
        raise ValueError(
            f"{name} has shape {tuple(prediction.shape)} and {target_name} {tuple(target.shape)}: "
            f"expected the same (B, {channels}, H, W)."
        )


class MeanOverImages(Metric):
    """The mean of one value an image, times `scale`.

    Its two states are sums, so the results of several processes reduce to the mean over all their images. As long as
    there was nothing to measure `compute` returns NaN, never 0.

    Args:
        scale: the unit, which the mean is multiplied by; by default the `unit` of the class.
        kwargs: of `torchmetrics.Metric`.

    Example:
        >>> from zoo.matting.metrics import ForegroundMSE
        >>> metric = ForegroundMSE()
        >>> metric.update(torch.zeros(1, 3, 2, 2), torch.ones(1, 3, 2, 2), torch.ones(1, 1, 2, 2))
        >>> metric.compute()
        tensor(1000.)
    """

    unit = 1.0
    is_differentiable = False
    higher_is_better = False
    full_state_update = False
    total: Tensor
    count: Tensor

    def __init__(self, scale: float | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.scale = self.unit if scale is None else scale
        self.add_state("total", torch.tensor(0.0, dtype=torch.float32), dist_reduce_fx="sum")
        self.add_state("count", torch.tensor(0), dist_reduce_fx="sum")

    def compute(self) -> Tensor:
        """Return the mean over all images so far, a scalar."""
        return self.total / self.count

    def _apply(self, fn: Callable[[Tensor], Tensor], exclude_state: Sequence[str] = ()) -> nn.Module:
        """Follow a module to another device, but not to another precision: a sum in bfloat16 stops growing."""
        return super()._apply(lambda state: state.to(fn(state).device), exclude_state)

    def _add(self, values: Tensor) -> None:
        """Add one value an image, (B,), unscaled; an image whose value is NaN had nothing to measure."""
        measured = values[~values.isnan()]
        self.total += measured.sum() * self.scale
        self.count += len(measured)


class AlphaMetric(MeanOverImages):
    """The mean over images of one value of a predicted and a true alpha over a region.

    Args:
        region: `unknown` (of the trimap) or `image`.
        scale: the unit, which the mean is multiplied by; by default the `unit` of the class.
        kwargs: of `torchmetrics.Metric`.
    """

    function: Callable[[Tensor, Tensor, Tensor], Tensor]
    """One value an image, (B,), of levels and the mask of the region, each (B, 1, H, W)."""

    def __init__(self, region: Region = "unknown", scale: float | None = None, **kwargs: Any) -> None:
        if region not in ("unknown", "image"):
            raise ValueError(f"region={region!r}: expected 'unknown' or 'image'.")
        super().__init__(scale, **kwargs)
        self.region: Region = region

    def update(self, alpha: Tensor, target_alpha: Tensor, trimap: Tensor | None = None) -> None:
        """Add a batch.

        Args:
            alpha, target_alpha: (B, 1, H, W), float in [0, 1] (of any precision) or uint8.
            trimap: (B, 1, H, W), 0, 0.5, 1, or bool, the unknown region; None: made from target_alpha.
        """
        check_pair(alpha, target_alpha, "alpha", "target_alpha")
        mask = region_mask(self.region, target_alpha, trimap)
        self._add(self._values(quantise(alpha), quantise(target_alpha, "target_alpha"), mask))

    def _values(self, alpha: Tensor, target_alpha: Tensor, mask: Tensor) -> Tensor:
        return type(self).function(alpha, target_alpha, mask)
