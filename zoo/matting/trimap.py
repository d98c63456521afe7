"""Trimaps from a true alpha: 0 background, 0.5 unknown, 1 foreground.

The *unknown region* is where matting metrics are measured. Two readings of how it follows from alpha are in use:

- `band` (the default): a pixel is unknown when something not background lies within `dilations` pixels of it and
  something not foreground within `erosions` pixels. Every edge gets a band around it, a hard one too, as the usual
  hand-made and eroded/dilated trimaps have.
- `closing`: the pixels with low < alpha < high, dilated `dilations` times and then eroded `erosions` times. This is the
  letter of the BackgroundMattingV2 paper (supplement: "thresholding the ground-truth alpha between 0.06 and 0.96, then
  applying 10 iterations of dilation followed by 10 iterations of erosion using a 3×3 circular kernel"). With equal
  numbers it only fills gaps between fractional pixels: nothing around a hard edge is unknown, and an alpha of only 0
  and 1 has no unknown region at all.
"""

from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

Kernel = Literal["square", "cross"]


def trimap(
    alpha: Tensor,
    low: float = 0.06,
    high: float = 0.96,
    dilations: int = 10,
    erosions: int = 10,
    mode: Literal["band", "closing"] = "band",
    kernel: Kernel = "square",
) -> Tensor:
    """Return the trimap of a true alpha.

    Args:
        alpha: (B, 1, H, W) or (1, H, W), float in [0, 1], on any device.
        low, high: alpha ≤ low counts as background, alpha ≥ high as foreground, values between as neither.
        dilations, erosions: how often the 3×3 kernel is applied: widths in pixels. Outside the image there is nothing.
        mode: `band` or `closing`, see above.
        kernel: `square` (all nine) or `cross` (the centre and its four neighbours, OpenCV's 3×3 ellipse).

    Returns:
        0, 0.5 and 1 in alpha's shape and type.

    Raises:
        ValueError: an argument is not one of those named, or low ≥ high.

    Example:
        >>> trimap(torch.tensor([[[0.0, 0.0, 0.0, 1.0, 1.0, 1.0]]]), dilations=1, erosions=1)
        tensor([[[0.0000, 0.0000, 0.5000, 0.5000, 1.0000, 1.0000]]])
    """
    if not alpha.is_floating_point() or alpha.dim() not in (3, 4):
        raise ValueError(
            f"alpha is {alpha.dtype} of shape {tuple(alpha.shape)}: "
            "expected float in [0, 1] of shape (B, 1, H, W) or (1, H, W)."
        )
    if not low < high or dilations < 0 or erosions < 0:
        raise ValueError(
            f"low={low}, high={high}, dilations={dilations}, erosions={erosions}: expected low < high and numbers ≥ 0."
        )
    if kernel not in ("square", "cross"):
        raise ValueError(f"kernel={kernel!r}: expected 'square' or 'cross'.")
    above, below = alpha.float() > low, alpha.float() < high
    if mode == "band":
        unknown = _dilate(above, dilations, kernel) & _dilate(below, erosions, kernel)
    elif mode == "closing":
        unknown = ~_dilate(~_dilate(above & below, dilations, kernel), erosions, kernel)
    else:
        raise ValueError(f"mode={mode!r}: expected 'band' or 'closing'.")
    known = torch.where(below, 0.0, 1.0).to(alpha)
    return known.masked_fill(unknown, 0.5)


def _dilate(mask: Tensor, times: int, kernel: Kernel) -> Tensor:
    """Dilate by the 3×3 kernel this many times; erosion is the dilation of the complement."""
    if kernel == "square":  # n times 3×3 is once (2n+1)×(2n+1), and a square is a row of columns
        return _spread(_spread(mask, times, dim=-1), times, dim=-2)
    for _ in range(times):
        mask = _spread(mask, 1, dim=-1) | _spread(mask, 1, dim=-2)
    return mask


def _spread(mask: Tensor, reach: int, dim: int) -> Tensor:
    """Return True where the mask is true within `reach` pixels along the dimension; the window doubles at each step."""
    width, full = 1, 2 * reach + 1
    window = F.pad(mask, (reach, reach) if dim == -1 else (0, 0, reach, reach))
    while width < full:
        step = min(width, full - width)
        length = window.shape[dim] - step
        window = window.narrow(dim, 0, length) | window.narrow(dim, step, length)
        width += step
    return window
