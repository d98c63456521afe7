"""Reprojection NME: how far the landmarks are from their place in the picture, relative to the size of the head."""

import torch
from torch import Tensor

from zoo.heads.metrics.points import Points


def reprojection_nme(predicted: Points, target: Points, box: Points) -> Tensor:
    """100 · mean |p − g| / √(width · height), one value a head: () or (B,), in per cent of the head's size.

    Args:
        predicted, target: (N, 2) or (B, N, 2) pixels, the 68 landmarks.
        box: (4,) or (B, 4), the head's box x, y, width, height in the same pixels.

    Raises:
        ValueError: shapes do not fit, or a box has no area.

    Source: DAD-3DHeads (CVPR 2022), "Reprojection NME". A prediction that is not finite gives NaN.
    """
    predicted, target, box = (_wide(torch.as_tensor(value)) for value in (predicted, target, box))
    if predicted.shape != target.shape or predicted.ndim not in (2, 3) or predicted.shape[-1] != 2:
        raise ValueError(
            f"predicted has shape {tuple(predicted.shape)} and target {tuple(target.shape)}: "
            "expected the same (N, 2) or (B, N, 2)."
        )
    if box.shape != (*predicted.shape[:-2], 4):
        raise ValueError(
            f"box has shape {tuple(box.shape)}: expected {(*predicted.shape[:-2], 4)}, x, y, width, height."
        )
    if not bool((box[..., 2:] > 0).all()):
        raise ValueError(f"a head's box has width and height {_smallest(box)}: expected both above 0.")
    size = (box[..., 2] * box[..., 3]).sqrt()
    return 100 * (predicted - target).norm(dim=-1).mean(-1) / size


def _wide(values: Tensor) -> Tensor:
    """At least float32."""
    return values if values.dtype == torch.float64 else values.float()


def _smallest(box: Tensor) -> str:
    sides = box.reshape(-1, 4)[:, 2:]
    width, height = sides[sides.nan_to_num(nan=-torch.inf).amin(1).argmin()].tolist()
    return f"{width:g} × {height:g}"
