"""Metrics of shape against a ground-truth mesh: Z_n accuracy, Chamfer distance and RMSE of vertices."""

from typing import Literal, get_args

import torch
from scipy.spatial import cKDTree
from torch import Tensor

from zoo.heads.metrics.points import Points, as_points, procrustes

DepthOrder = Literal["paper", "official"]
MILLIMETRES = 1000.0
"""Millimetres in a metre."""
EYE_DISTANCE = 20.0
"""The unit of the Chamfer distance: the inner corners of the true eyes are scaled to be this far apart."""


def zn_accuracy(predicted: Points, target: Points, n: int = 5, mode: DepthOrder = "paper") -> Tensor:
    """Return the fraction of vertex pairs whose order along z agrees, 0 to 1, one value per head: () or (B,).

    A head annotated in a single image has a known order of depth only, so only the order is measured. Each vertex is
    compared with n others. In the paper these are its n nearest neighbours in the ground truth. The released code sorts
    along the other axis of its distance matrix: it compares vertex i with the i-th nearest of vertex 1, 2, … n (counted
    from 0). Those are mostly far away, so the two modes are not comparable. The published .954 is of the second kind.

    Args:
        predicted, target: (V, 3) or (B, V, 3), the same vertices of both meshes, in the image frame. DAD-3DHeads
            measures the subset `head`.
        n: number of others that each vertex is compared with, 1 ≤ n < V.
        mode: `paper`, or `official` as the released code computes it.

    Raises:
        ValueError: shapes do not fit, a coordinate is not finite, or there are too few vertices.

    Source: DAD-3DHeads (CVPR 2022), section 5.1, and its `benchmark.py`.

    Example:
        >>> vertices = torch.rand(20, 3)
        >>> float(zn_accuracy(2 * vertices, vertices))
        1.0
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


def _accuracy(predicted: Tensor, target: Tensor, n: int, mode: DepthOrder) -> Tensor:
    others = _nearest_neighbours(target, n) if mode == "paper" else _neighbours_of_the_first(target, n)
    farther = [points[:, 2, None] >= points[:, 2][others] for points in (predicted, target)]
    return (farther[0] == farther[1]).double().mean()


def _nearest_neighbours(points: Tensor, n: int) -> Tensor:
    """Return the n nearest other points of each, (V, 3) → indices (V, n), nearest first."""
    indices = torch.from_numpy(cKDTree(points.numpy()).query(points.numpy(), k=n + 1)[1])
    own = indices == torch.arange(len(points))[:, None]
    own[:, -1] |= ~own.any(1)  # more than n + 1 coinciding points: any of them is as near as the point itself
    return indices[~own].reshape(len(points), n)


def _neighbours_of_the_first(points: Tensor, n: int) -> Tensor:
    """Return for the i-th point the i-th nearest of points 1 to n, counted from 0: (V, 3) → indices (V, n)."""
    distances = (points[:, None] - points[None, 1 : n + 1]).square().sum(-1)
    return distances.argsort(dim=0, stable=True)


def chamfer_to_ground_truth(vertices: Points, gt_face_vertices: Points, points7: Points, gt_points7: Points) -> Tensor:
    """Return the mean squared distance from the true face vertices to their nearest predicted ones: () or (B,).

    The ground truth is scaled until the inner corners of its eyes are 20 apart. The prediction, of any topology, is
    then aligned to it by its seven points (a similarity, which may reflect).

    Args:
        vertices: (V, 3) or (B, V, 3), all vertices of the predicted mesh, in any frame and unit.
        gt_face_vertices: (F, 3) or (B, F, 3), the subset `face` of the ground truth.
        points7: (7, 3) or (B, 7, 3) of the prediction, in the order of `points.SEVEN_POINTS`.
        gt_points7: the same of the ground truth.

    Raises:
        ValueError: shapes do not fit, a coordinate is not finite, or seven points lie on one line.

    Source: DAD-3DHeads (CVPR 2022), `calc_ch_dist` of its benchmark.

    Example:
        >>> face, points = torch.rand(50, 3), torch.rand(7, 3)
        >>> bool(chamfer_to_ground_truth(2 * face, face, 2 * points, points) < 1e-6)
        True
    """
    vertices, face = as_points(vertices, "vertices"), as_points(gt_face_vertices, "gt_face_vertices")
    points7, gt_points7 = as_points(points7, "points7", 7), as_points(gt_points7, "gt_points7", 7)
    inputs = (vertices, face, points7, gt_points7)
    if len({value.shape[:-2] for value in inputs}) > 1:
        raise ValueError(
            f"got {', '.join(str(tuple(value.shape)) for value in inputs)}: expected the same number of heads."
        )
    if 0 in (vertices.shape[-2], face.shape[-2]):
        raise ValueError("a mesh has no vertices: expected at least one.")
    eyes = (gt_points7[..., 1, :] - gt_points7[..., 2, :]).norm(dim=-1)[..., None, None]
    if not bool((eyes > 0).all()):
        raise ValueError(
            "the inner corners of the true eyes lie in one place: expected them apart, since they give the unit."
        )
    face, gt_points7 = face * EYE_DISTANCE / eyes, gt_points7 * EYE_DISTANCE / eyes
    aligned = procrustes(points7, gt_points7, reflection=True).apply(vertices)
    if vertices.ndim == 2:
        return _mean_squared_distance(face, aligned)
    return torch.stack([_mean_squared_distance(*pair) for pair in zip(face, aligned, strict=True)])


def rigid_rmse(predicted: Points, target: Points) -> Tensor:
    """Return the root mean square distance of corresponding vertices, millimetres: () or (B,).

    The prediction is first aligned rigidly (rotation and translation that fit best, no scale).

    Args:
        predicted, target: (V, 3) or (B, V, 3) metres, the same vertices of both meshes, in any frame.

    Raises:
        ValueError: shapes differ, a coordinate is not finite, or the vertices lie on one line.

    Example:
        >>> vertices = torch.rand(20, 3, dtype=torch.float64)
        >>> turned = vertices @ torch.tensor([[0.0, 1, 0], [-1, 0, 0], [0, 0, 1]], dtype=torch.float64) + 1
        >>> bool(rigid_rmse(turned, vertices) < 1e-9)
        True
    """
    predicted, target = as_points(predicted, "predicted"), as_points(target, "target")
    aligned = procrustes(predicted, target, scale=False).apply(predicted)
    return MILLIMETRES * (aligned - target).square().sum(-1).mean(-1).sqrt()


def _mean_squared_distance(points: Tensor, vertices: Tensor) -> Tensor:
    distances, _ = cKDTree(vertices.numpy()).query(points.numpy())
    return torch.from_numpy(distances).square().mean()
