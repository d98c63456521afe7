"""Procrustes: the similarity that brings points onto their partners."""

from typing import NamedTuple

import torch
from torch import Tensor

from zoo.heads.metrics.points import Points, as_points, have_extent


class Similarity(NamedTuple):
    """v ↦ scale · rotation · v + translation."""

    scale: Tensor
    """() or (B,)."""
    rotation: Tensor
    """(3, 3) or (B, 3, 3); with determinant −1 where it reflects."""
    translation: Tensor
    """(3,) or (B, 3)."""

    def apply(self, points: Tensor) -> Tensor:
        """The points where the similarity takes them, (N, 3) or (B, N, 3)."""
        return points @ (self.scale[..., None, None] * self.rotation).mT + self.translation[..., None, :]


def procrustes(source: Points, target: Points, scale: bool = True, reflection: bool = False) -> Similarity:
    """The similarity that minimises Σ |scale · rotation · source + translation − target|².

    Args:
        source, target: (N, 3) or (B, N, 3), N at least 3, the i-th of one belongs to the i-th of the other.
        scale: False keeps the size: scale 1.
        reflection: True allows a reflection where it fits better, as DAD-3DHeads' benchmark and NoW do.

    Raises:
        ValueError: shapes differ, a coordinate is not finite, or points lie on one line or in one place.

    Source: Umeyama, "Least-squares estimation of transformation parameters between two point patterns" (PAMI 1991).
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
