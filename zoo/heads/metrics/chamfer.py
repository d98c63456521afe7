"""Chamfer distance from the true face to the predicted mesh, whatever the latter's topology."""

import torch
from scipy.spatial import cKDTree
from torch import Tensor

from zoo.heads.metrics.alignment import procrustes
from zoo.heads.metrics.points import Points, as_points

EYE_DISTANCE = 20.0
"""What the inner corners of the true eyes are scaled to be apart: the unit of the distance."""


def chamfer_to_ground_truth(vertices: Points, gt_face_vertices: Points, points7: Points, gt_points7: Points) -> Tensor:
    """Mean squared distance from each true face vertex to the nearest predicted vertex, one value a head: () or (B,).

    The ground truth is scaled until the inner corners of its eyes are 20 apart; then the prediction is brought onto it
    by its seven points (a similarity, which may reflect where that fits better).

    Args:
        vertices: (V, 3) or (B, V, 3), all vertices of the predicted mesh, in any frame and unit.
        gt_face_vertices: (F, 3) or (B, F, 3), the subset `face` of the ground truth.
        points7: (7, 3) or (B, 7, 3) of the prediction, in the order of `points.SEVEN_POINTS`.
        gt_points7: the same of the ground truth.

    Raises:
        ValueError: shapes do not fit, a coordinate is not finite, or seven points lie on one line.

    Source: DAD-3DHeads (CVPR 2022), `calc_ch_dist` of its benchmark.
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


def _mean_squared_distance(points: Tensor, vertices: Tensor) -> Tensor:
    distances, _ = cKDTree(vertices.numpy()).query(points.numpy())
    return torch.from_numpy(distances).square().mean()
