"""Points as the metrics take them: tensors or arrays, checked, in double precision.

A NaN compares as neither nearer nor farther, and a fit to one point is always perfect; so what is not finite, or has
no extent, ends in an error here before it can pass for a good score.
"""

import numpy as np
import torch
from torch import Tensor

Points = Tensor | np.ndarray
"""(…, D) coordinates."""

SEVEN_POINTS = (36, 39, 42, 45, 33, 48, 54)
"""Of the 68 landmarks: outer and inner corner of the subject's right eye, inner and outer of the left, base of the
nose, right and left corner of the mouth. The order is that of the NoW benchmark."""

RELATIVE_EXTENT = 1e-6
"""Points whose second largest spread is below this share of the largest lie on one line."""


def seven_points(landmarks: Tensor) -> Tensor:
    """The seven points by which meshes are aligned, (…, 68, D) → (…, 7, D)."""
    return landmarks[..., SEVEN_POINTS, :]


def as_points(points: Points, name: str, count: int | None = None, width: int = 3) -> Tensor:
    """The points in double precision on the CPU, (N, width) or (B, N, width).

    Args:
        points: tensor or array.
        name: what it is called in messages.
        count: N, where it is given.
        width: how many coordinates a point has.

    Raises:
        ValueError: another shape, or a coordinate that is not finite.
    """
    points = torch.as_tensor(points).detach().to("cpu", torch.float64)
    if points.ndim not in (2, 3) or points.shape[-1] != width or count not in (None, points.shape[-2]):
        wanted = f"{'N' if count is None else count}, {width}"
        raise ValueError(f"{name} has shape {tuple(points.shape)}: expected ({wanted}) or (B, {wanted}).")
    if not bool(points.isfinite().all()):
        raise ValueError(f"{name} holds coordinates that are not finite: leave such predictions out and count them.")
    return points


def as_one(points: Points, name: str, count: int | None = None) -> Tensor:
    """The same for the points of one head, (N, 3)."""
    checked = as_points(points, name, count)
    if checked.ndim != 2:
        raise ValueError(
            f"{name} has shape {tuple(checked.shape)}: expected ({count or 'N'}, 3), the points of one head."
        )
    return checked


def have_extent(points: Tensor) -> Tensor:
    """Whether points (…, N, 3) lie neither in one place nor on one line; a rotation needs at least a plane: (…)."""
    if points.shape[-2] < 3:
        return torch.zeros(points.shape[:-2], dtype=torch.bool, device=points.device)
    spread = torch.linalg.svdvals(points - points.mean(-2, keepdim=True))
    return spread[..., 1] > RELATIVE_EXTENT * points.abs().amax((-2, -1))
