"""Landmarks and subsets for a head that has none: carried over from a reference head.

The reference's template is laid over the other head's by a *similarity* (scale, rotation, translation); what then lies
nearest on the other surface is taken for the same place. The two templates look alike but are not the same person, so a
landmark may land a few millimetres from where a human would put it.
"""

from typing import NamedTuple

import numpy as np
from scipy.spatial import cKDTree
from scipy.spatial.transform import Rotation

from zoo.core.errors import ZooError
from zoo.heads.asset import SUBSETS, HeadAsset

STEPS = 50
"""At most so many steps of the alignment; one or two dozen are usual."""
SETTLED = 1e-5
"""The alignment ends when no vertex moves by more than this share of the head."""
KEPT = 0.9
"""Share of the reference's vertices, the nearest ones, that each step of the alignment follows: the rest may be a place
that the other head does not have."""


class Transferred(NamedTuple):
    """For the vertices and triangles of the other head, as in `HeadAsset`."""

    landmark_faces: np.ndarray
    landmark_weights: np.ndarray
    subsets: dict[str, np.ndarray]


def transfer(template: np.ndarray, faces: np.ndarray, reference: HeadAsset) -> Transferred:
    """The reference's landmarks, and those of its subsets that every head has, on another head.

    Args:
        template, faces: the other head's mesh, (V, 3) and (F, 3), with y up and z out of the face, in any unit.
        reference: the head that has the tables.

    Raises:
        ZooError: the other head's surface cannot be used, or a subset would be empty on it.
    """
    template = np.asarray(template, np.float64)
    aligned = align(np.asarray(reference.template, np.float64), reference.subsets["head"], template, faces)
    corners = aligned[reference.faces[reference.landmark_faces]]
    landmarks = (corners * reference.landmark_weights[:, :, None]).sum(1)
    landmark_faces, landmark_weights, _ = nearest_on_surface(landmarks, template, faces)
    subsets = transfer_subsets(template, aligned, reference)
    if empty := [name for name, indices in subsets.items() if not len(indices)]:
        raise ZooError(
            f"the subsets {', '.join(empty)} of '{reference.name}' meet no vertex of this head: give index files."
        )
    return Transferred(landmark_faces, landmark_weights, subsets)


def transfer_subsets(template: np.ndarray, aligned: np.ndarray, reference: HeadAsset) -> dict[str, np.ndarray]:
    """A vertex belongs to a subset when most of the triangle of the reference that is nearest to it does."""
    faces, weights, _ = nearest_on_surface(template, aligned, reference.faces)
    subsets = {}
    for name in SUBSETS:
        inside = np.zeros(len(aligned))
        inside[reference.subsets[name]] = 1
        subsets[name] = np.flatnonzero((inside[reference.faces[faces]] * weights).sum(1) > 0.5)
    return subsets


def align(vertices: np.ndarray, guides: np.ndarray, template: np.ndarray, faces: np.ndarray) -> np.ndarray:
    """All vertices of one head, moved by the similarity that lays some of them onto the surface of another.

    Iterative closest points with distances to tangent planes, from a start that does not depend on how much neck either
    head has: equally wide, and alike in the middle from ear to ear, the top of the skull and the tip of the nose.

    Args:
        vertices: (N, 3) of the head that is moved.
        guides: indices of its vertices that the alignment follows.
        template, faces: the head that stays.

    Returns:
        (N, 3) vertices in the frame and unit of the head that stays.
    """
    corners = template[faces]
    normals = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    normals /= np.linalg.norm(normals, axis=1, keepdims=True).clip(min=np.finfo(float).tiny)
    moved = start(vertices, template)
    for _ in range(STEPS):
        points = moved[guides]
        triangles, _, places = nearest_on_surface(points, template, faces)
        distance = np.linalg.norm(points - places, axis=1)
        near = distance <= np.quantile(distance, KEPT)
        before = moved
        moved = towards_planes(moved, points[near], places[near], normals[triangles[near]])
        if np.abs(moved - before).max() < SETTLED * np.ptp(moved):
            break
    return moved


def towards_planes(vertices: np.ndarray, points: np.ndarray, places: np.ndarray, normals: np.ndarray) -> np.ndarray:
    """The vertices after one Gauss–Newton step that brings points onto planes, each given by a place and a normal."""
    middle = points.mean(0)
    arms = points - middle
    # A small turn ω, shift t and growth σ move a point by ω × arm + t + σ·arm.
    unknowns = np.hstack([np.cross(arms, normals), normals, (arms * normals).sum(1, keepdims=True)])
    solved = np.linalg.lstsq(unknowns, ((places - points) * normals).sum(1), rcond=None)[0]
    turn = Rotation.from_rotvec(solved[:3]).as_matrix()
    return (vertices - middle) @ turn.T * np.exp(solved[6]) + middle + solved[3:6]


def start(vertices: np.ndarray, template: np.ndarray) -> np.ndarray:
    """The vertices scaled and shifted, not turned: as wide as the template, with its middle, top and front."""
    low, high = vertices.min(0), vertices.max(0)
    wanted_low, wanted_high = template.min(0), template.max(0)
    if not wanted_high[0] > wanted_low[0]:
        raise ZooError("the head has no width: expected the template's x to run from ear to ear.")
    scale = (wanted_high[0] - wanted_low[0]) / (high[0] - low[0])
    anchor = np.array([(low[0] + high[0]) / 2, high[1], high[2]])
    wanted = np.array([(wanted_low[0] + wanted_high[0]) / 2, wanted_high[1], wanted_high[2]])
    return (vertices - anchor) * scale + wanted


def nearest_on_surface(
    points: np.ndarray, vertices: np.ndarray, faces: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Where a surface comes nearest to N points: triangles (N,), barycentric weights (N, 3) and places (N, 3)."""
    import igl  # loaded here, since most heads have landmarks and subsets of their own

    vertices = np.ascontiguousarray(vertices, np.float64)
    triangles = np.ascontiguousarray(faces, np.int64)
    _, found, places = igl.point_mesh_squared_distance(np.ascontiguousarray(points, np.float64), vertices, triangles)
    corners = [np.ascontiguousarray(vertices[triangles[found, corner]]) for corner in range(3)]
    weights = np.clip(igl.barycentric_coordinates(places, *corners), 0, 1)
    return found, weights / weights.sum(1, keepdims=True), places


def mirrored_vertices(template: np.ndarray) -> np.ndarray | None:
    """(V,) the vertex that lies nearest to the mirrored place of each; None where these do not pair up."""
    mirror = cKDTree(template).query(template * [-1, 1, 1])[1]
    return mirror if (mirror[mirror] == np.arange(len(mirror))).all() else None
