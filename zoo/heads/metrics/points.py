"""Points as the metrics take them: checked, in double precision, and aligned by Procrustes.

A NaN compares as neither nearer nor farther, and a fit to one point is always perfect. Points that are not finite, or
that lie on one line, therefore raise an error here before they can pass for a good score.
"""

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

Points = Tensor | np.ndarray
"""(…, D) coordinates."""

SEVEN_POINTS = (36, 39, 42, 45, 33, 48, 54)
"""Indices into the 68 landmarks, in the NoW benchmark's order: outer and inner corner of the subject's right eye, inner
and outer corner of the left eye, base of the nose, right and left corner of the mouth."""

RELATIVE_EXTENT = 1e-6
"""Points whose second largest spread is below this fraction of the largest coordinate lie on one line."""


def seven_points(landmarks: Tensor) -> Tensor:
    """Return the seven points by which meshes are aligned, (…, 68, D) → (…, 7, D).

    Example:
        >>> seven_points(torch.zeros(2, 68, 3)).shape
        torch.Size([2, 7, 3])
    """
    return landmarks[..., SEVEN_POINTS, :]


def as_points(points: Points, name: str, count: int | None = None, width: int = 3) -> Tensor:
    """Return the points in double precision on the CPU, (N, width) or (B, N, width).

    Args:
        points: tensor or array.
        name: their name in error messages.
        count: the expected N, or None for any.
        width: coordinates of each point.

    Raises:
        ValueError: another shape, or a coordinate that is not finite.
    """
    points = torch.as_tensor(points).detach().to("cpu", torch.float64)
    if points.ndim not in (2, 3) or points.shape[-1] != width or count not in (None, points.shape[-2]):
        shape = f"{'N' if count is None else count}, {width}"
        raise ValueError(f"{name} has shape {tuple(points.shape)}: expected ({shape}) or (B, {shape}).")
    if not bool(points.isfinite().all()):
        raise ValueError(f"{name} holds coordinates that are not finite: leave such predictions out and count them.")
    return points


def as_one(points: Points, name: str, count: int | None = None) -> Tensor:
    """Return the points of one head as `as_points` does, (N, 3)."""
    checked = as_points(points, name, count)
    if checked.ndim != 2:
        raise ValueError(
            f"{name} has shape {tuple(checked.shape)}: expected ({count or 'N'}, 3), the points of one head."
        )
    return checked


def have_extent(points: Tensor) -> Tensor:
    """Return whether points (…, N, 3) span at least a plane, which a rotation needs: booleans (…)."""
    if points.shape[-2] < 3:
        return torch.zeros(points.shape[:-2], dtype=torch.bool, device=points.device)
    spread = torch.linalg.svdvals(points - points.mean(-2, keepdim=True))
    return spread[..., 1] > RELATIVE_EXTENT * points.abs().amax((-2, -1))


class Similarity(NamedTuple):
    """The map v ↦ scale · rotation · v + translation.

    Example:
        >>> double = Similarity(torch.tensor(2.0), torch.eye(3), torch.ones(3))
        >>> double.apply(torch.tensor([[1.0, 2.0, 3.0]]))
        tensor([[3., 5., 7.]])
    """

    scale: Tensor
    """() or (B,)."""
    rotation: Tensor
    """(3, 3) or (B, 3, 3); a reflection has determinant −1."""
    translation: Tensor
    """(3,) or (B, 3)."""

    def apply(self, points: Tensor) -> Tensor:
        """Map the points, (N, 3) or (B, N, 3)."""
        return points @ (self.scale[..., None, None] * self.rotation).mT + self.translation[..., None, :]


def procrustes(source: Points, target: Points, scale: bool = True, reflection: bool = False) -> Similarity:
    """Return the similarity that minimises Σ |scale · rotation · source + translation − target|².

    Args:
        source, target: (N, 3) or (B, N, 3) points in corresponding order, N at least 3.
        scale: False fixes the scale at 1.
        reflection: True allows a reflection where it fits better, as DAD-3DHeads' benchmark and NoW do.

    Raises:
        ValueError: shapes differ, a coordinate is not finite, or the points of one head lie on one line.

    Source: Umeyama, "Least-squares estimation of transformation parameters between two point patterns" (PAMI 1991).

    Example:
        >>> source = torch.rand(7, 3, dtype=torch.float64)
        >>> fit = procrustes(source, 3 * source + 1)
        >>> round(float(fit.scale), 6), torch.allclose(fit.apply(source), 3 * source + 1)
        (3.0, True)
    """
    source, target = as_points(source, "source"), as_points(target, "target")
    if source.shape != target.shape:
        raise ValueError(f"source has shape {tuple(source.shape)} and target {tuple(target.shape)}: expected the same.")
    for points, name in ((source, "source"), (target, "target")):
        if not bool(have_extent(points).all()):
            raise ValueError(f"the points of {name} lie on one line: expected at least three that span a plane.")
    source_mean, target_mean = source.mean(-2), target.mean(-2)
    centred = source - source_mean[..., None, :]
    left, strength, right = torch.linalg.svd((target - target_mean[..., None, :]).mT @ centred)
    sign = torch.ones_like(strength)
    if not reflection:
        sign[..., -1] = torch.linalg.det(left @ right).sign()
    rotation = (left * sign[..., None, :]) @ right
    size = (strength * sign).sum(-1) / centred.square().sum((-2, -1))
    if not scale:
        size = torch.ones_like(size)
    return Similarity(size, rotation, target_mean - size[..., None] * (rotation @ source_mean[..., None])[..., 0])
