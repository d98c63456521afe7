"""Transfer of landmarks and subsets from a reference head to a head without them.

The reference's template is aligned with the other head's by a similarity (scale, rotation, translation). Each point
then corresponds to the nearest one on the other surface. The templates are similar but not the same person, so a
landmark may be off by a few millimetres.
"""

from typing import NamedTuple

import numpy as np
from scipy.spatial import cKDTree
from scipy.spatial.transform import Rotation

from zoo.core.errors import ZooError
from zoo.heads.asset import SUBSETS, HeadAsset

MAX_STEPS = 50
"""Steps of the alignment; one or two dozen are usual."""
TOLERANCE = 1e-5
"""The alignment ends when no vertex moves by more than this fraction of the head."""
INLIERS = 0.9
"""Fraction of the reference's vertices, the nearest ones, that each step aligns: the rest may have no counterpart."""


class Transferred(NamedTuple):
    """Tables for the other head, as in `HeadAsset`."""

    landmark_faces: np.ndarray
    landmark_weights: np.ndarray
    subsets: dict[str, np.ndarray]


def transfer(template: np.ndarray, faces: np.ndarray, reference: HeadAsset) -> Transferred:
    """Transfer the reference's landmarks and its common subsets to another head.

    Args:
        template, faces: the other head's mesh, (V, 3) and (F, 3), with y up and z out of the face, in any unit.
        reference: the head with the tables.

    Raises:
        ZooError: the other head's surface cannot be used, or a subset would be empty on it.

    Example:
        >>> from zoo.heads.mesh import HeadModel
        >>> head = HeadModel.load("open").asset()
        >>> transfer(2 * head.template, head.faces, head).landmark_faces.shape
        (68,)
    """
    template = np.asarray(template, np.float64)
    aligned = align(np.asarray(reference.template, np.float64), reference.subsets["head"], template, faces)
    corners = aligned[reference.faces[reference.landmark_faces]]
    landmarks = (corners * reference.landmark_weights[:, :, None]).sum(1)
    landmark_faces, landmark_weights, _ = nearest_on_surface(landmarks, template, faces)
    subsets = _transfer_subsets(template, aligned, reference)
    if empty := [name for name, indices in subsets.items() if not len(indices)]:
        raise ZooError(
            f"the subsets {', '.join(empty)} of '{reference.name}' meet no vertex of this head: give index files."
        )
    return Transferred(landmark_faces, landmark_weights, subsets)


def _transfer_subsets(template: np.ndarray, aligned: np.ndarray, reference: HeadAsset) -> dict[str, np.ndarray]:
    """Return the vertices of each subset: those whose nearest point of the reference lies mostly in it."""
    faces, weights, _ = nearest_on_surface(template, aligned, reference.faces)
    subsets = {}
    for name in SUBSETS:
        inside = np.zeros(len(aligned))
        inside[reference.subsets[name]] = 1
        subsets[name] = np.flatnonzero((inside[reference.faces[faces]] * weights).sum(1) > 0.5)
    return subsets


def align(vertices: np.ndarray, guides: np.ndarray, template: np.ndarray, faces: np.ndarray) -> np.ndarray:
    """Align a head with the surface of another by a similarity: (N, 3) vertices in the other head's frame and unit.

    Uses iterative closest points with distances to tangent planes. The start does not depend on the length of the
    necks: equal width, and the same middle from ear to ear, top of the skull and tip of the nose.

    Args:
        vertices: (N, 3) of the moving head.
        guides: indices of its vertices that determine the alignment.
        template, faces: the fixed head.
    """
    corners = template[faces]
    normals = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    normals /= np.linalg.norm(normals, axis=1, keepdims=True).clip(min=np.finfo(float).tiny)
    moved = _start(vertices, template)
    for _ in range(MAX_STEPS):
        points = moved[guides]
        triangles, _, nearest = nearest_on_surface(points, template, faces)
        distance = np.linalg.norm(points - nearest, axis=1)
        near = distance <= np.quantile(distance, INLIERS)
        before = moved
        moved = _step_to_planes(moved, points[near], nearest[near], normals[triangles[near]])
        if np.abs(moved - before).max() < TOLERANCE * np.ptp(moved):
            break
    return moved


def _step_to_planes(vertices: np.ndarray, points: np.ndarray, origins: np.ndarray, normals: np.ndarray) -> np.ndarray:
    """Return the vertices after one Gauss–Newton step that moves points onto planes (origin and normal)."""
    middle = points.mean(0)
    arms = points - middle
    # A small rotation ω, translation t and log scale σ move a point by ω × arm + t + σ·arm.
    unknowns = np.hstack([np.cross(arms, normals), normals, (arms * normals).sum(1, keepdims=True)])
    solved = np.linalg.lstsq(unknowns, ((origins - points) * normals).sum(1), rcond=None)[0]
    rotation = Rotation.from_rotvec(solved[:3]).as_matrix()
    return (vertices - middle) @ rotation.T * np.exp(solved[6]) + middle + solved[3:6]


def _start(vertices: np.ndarray, template: np.ndarray) -> np.ndarray:
    """Return the vertices scaled and shifted to the template's width, middle, top and front."""
    low, high = vertices.min(0), vertices.max(0)
    target_low, target_high = template.min(0), template.max(0)
    if not target_high[0] > target_low[0]:
        raise ZooError("the head has no width: expected the template's x to run from ear to ear.")
    scale = (target_high[0] - target_low[0]) / (high[0] - low[0])
    anchor = np.array([(low[0] + high[0]) / 2, high[1], high[2]])
    target = np.array([(target_low[0] + target_high[0]) / 2, target_high[1], target_high[2]])
    return (vertices - anchor) * scale + target


def nearest_on_surface(
    points: np.ndarray, vertices: np.ndarray, faces: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the surface points nearest to N points: triangles (N,), barycentric weights (N, 3), positions (N, 3).

    Example:
        >>> triangle = np.eye(3)
        >>> nearest_on_surface(np.array([[2.0, 0, 0]]), triangle, np.array([[0, 1, 2]]))[1]
        array([[1., 0., 0.]])
    """
    import igl  # imported here: most heads have landmarks and subsets of their own

    vertices = np.ascontiguousarray(vertices, np.float64)
    triangles = np.ascontiguousarray(faces, np.int64)
    _, nearest_faces, nearest = igl.point_mesh_squared_distance(
        np.ascontiguousarray(points, np.float64), vertices, triangles
    )
    corners = [np.ascontiguousarray(vertices[triangles[nearest_faces, corner]]) for corner in range(3)]
    weights = np.clip(igl.barycentric_coordinates(nearest, *corners), 0, 1)
    return nearest_faces, weights / weights.sum(1, keepdims=True), nearest


def mirrored_vertices(template: np.ndarray) -> np.ndarray | None:
    """Return for each vertex the index nearest to its mirror image (V,), or None if these do not pair up.

    Example:
        >>> mirrored_vertices(np.array([[-1.0, 0, 0], [0, 0, 0], [1, 0, 0]])).tolist()
        [2, 1, 0]
    """
    mirror = cKDTree(template).query(template * [-1, 1, 1])[1]
    return mirror if (mirror[mirror] == np.arange(len(mirror))).all() else None
