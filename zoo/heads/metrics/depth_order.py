"""Z_n accuracy: does each vertex lie in front of, or behind, its neighbours as in the ground truth?

Depth of a head that was annotated in a picture is known in order only, so only the order is measured: over pairs of a
vertex and one of n others, the share in which both meshes agree which of the two is farther along z.

Which others? In the paper, the n nearest neighbours of the vertex in the ground truth. The released code sorts along
the other axis of its distance matrix: it compares vertex i with the i-th nearest of vertex 1, of vertex 2, … of vertex
n (all counted from 0). Those mostly are far away, so the two kinds say different things. The published numbers (.954)
are of that kind.
"""

from typing import Literal, get_args

import torch
from scipy.spatial import cKDTree
from torch import Tensor

from zoo.heads.metrics.points import Points, as_points

DepthOrder = Literal["paper", "official"]


def zn_accuracy(predicted: Points, target: Points, n: int = 5, mode: DepthOrder = "paper") -> Tensor:
    """The share of pairs whose order along z agrees, 0 to 1, one value a head: () or (B,).

    Args:
        predicted, target: (V, 3) or (B, V, 3), the same vertices of both meshes, in the picture frame. DAD-3DHeads
            measures the subset `head`.
        n: how many others each vertex is compared with, 1 ≤ n < V.
        mode: `paper`, or `official` as the released code computes it; never compare one with the other.

    Raises:
        ValueError: shapes do not fit, a coordinate is not finite, or there are too few vertices.

    Source: DAD-3DHeads (CVPR 2022), section 5.1, and its `benchmark.py`.
    """
    if mode not in get_args(DepthOrder):
        raise ValueError(f"mode={mode!r}: expected one of {', '.join(get_args(DepthOrder))}.")
    predicted, target = as_points(predicted, "predicted"), as_points(target, "target")
    if predicted.shape != target.shape:
        raise ValueError(
            f"predicted has shape {tuple(predicted.shape)} and target {tuple(target.shape)}: expected one shape."
        )
    if not 1 <= n < target.shape[-2]:
        raise ValueError(f"n={n} with {target.shape[-2]} vertices: expected 1 ≤ n < the number of vertices.")
    if target.ndim == 2:
        return _accuracy(predicted, target, n, mode)
    return torch.stack([_accuracy(*pair, n, mode) for pair in zip(predicted, target, strict=True)])


def nearest_neighbours(points: Tensor, n: int) -> Tensor:
    """The n nearest other points of each, (V, 3) → indices (V, n), nearest first."""
    _, found = cKDTree(points.numpy()).query(points.numpy(), k=n + 1)
    indices = torch.from_numpy(found)
    own = indices == torch.arange(len(points))[:, None]
    own[:, -1] |= ~own.any(1)  # more points in one place than n + 1: any of them is as near as the point itself
    return indices[~own].reshape(len(points), n)


def neighbours_of_the_first(points: Tensor, n: int) -> Tensor:
    """For the i-th point the i-th nearest of point 1, 2, … n, counted from 0: (V, 3) → indices (V, n)."""
    distances = (points[:, None] - points[None, 1 : n + 1]).square().sum(-1)
    return distances.argsort(dim=0, stable=True)


def _accuracy(predicted: Tensor, target: Tensor, n: int, mode: DepthOrder) -> Tensor:
    others = nearest_neighbours(target, n) if mode == "paper" else neighbours_of_the_first(target, n)
    return (_farther(predicted, others) == _farther(target, others)).double().mean()


def _farther(points: Tensor, others: Tensor) -> Tensor:
    """Whether each point's z is at least that of its others, (V, n)."""
    depth = points[:, 2]
    return depth[:, None] >= depth[others]
