"""Regions of a head model: lips, brows, eyes, scalp, beard and others, each one weight in [0, 1] a vertex.

Subsets of the head model are used where it has them; otherwise a region is derived from the 68 landmarks, which every
head model has.
"""

import itertools
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from scipy.spatial import cKDTree

from zoo.heads.mesh import HeadModel
from zoo.heads.render import vertex_normals
from zoo_plugins.synthetic.heads.meshes import Faces, Points, submesh

Region = NDArray[np.float32]

BROWS = (range(17, 22), range(22, 27))
EYES = (range(36, 42), range(42, 48))
LIPS = range(48, 60)
CHIN, NOSE_BASE, LEFT_EAR = 8, 33, 16  # landmarks, in the usual order of the 68


@dataclass(frozen=True)
class Regions:
    """Regions and other per-vertex properties of a head model."""

    template: Points  # (V, 3) the mean head, metres
    faces: Faces  # (F, 3)
    landmarks: Points  # (68, 3) on the template
    weights: dict[str, Region]  # head, face, lips, brows, eyes, scalp, beard, ears, mouth, teeth, tongue
    to_hairline: Region  # metres from each vertex of the scalp to the skin around it, 0 elsewhere
    hollows: Region  # from 0 on open skin to 1 in deep folds, where little light gets
    rim: Faces  # (N,) vertices around the opening of the neck, counter-clockwise seen from above; may be empty

    @cached_property
    def pupils(self) -> Points:
        """(2, 3) middles of the eyes, the subject's right eye first."""
        return np.stack([self.landmarks[list(eye)].mean(0) for eye in EYES])

    @cached_property
    def scalp(self) -> tuple[Faces, Faces]:
        """The scalp's vertices, and its renumbered triangles."""
        return submesh(self.faces, self.inside("scalp"))

    @cached_property
    def rosy(self) -> Region:
        """(V,) where blood shows: cheeks, the tip of the nose, and ears."""
        marks = self.landmarks
        spots = [*(self.pupils + marks[[48, 54]]) / 2, marks[30]]
        near = [np.exp(-((self.template - spot) ** 2).sum(1) / (2 * 0.014**2)) for spot in spots]
        return 0.5 * np.maximum(np.max(near, axis=0), 0.8 * self.weights["ears"])

    @cached_property
    def eye_faces(self) -> NDArray[np.bool_]:
        """(F,) triangles of the eyes."""
        return np.asarray(self.inside("eyes")[self.faces].all(1))

    def inside(self, name: str) -> NDArray[np.bool_]:
        """(V,) whether each vertex belongs to a region."""
        return self.weights[name] > 0.5


def find_regions(head_model: HeadModel) -> Regions:
    """Derive the regions of a head model."""
    from skimage.measure import points_in_poly  # loaded here, since most runs render no head

    template = (head_model.template + head_model.offset).cpu()
    landmarks = head_model.landmarks(template[None])[0].numpy()
    points, faces = template.numpy(), head_model.faces.cpu().numpy()
    weights = {name: _subset(head_model, name) for name in ("head", "face", "face_with_ears")}
    drawn = {
        "lips": lambda: weights["face"] * points_in_poly(points[:, :2], landmarks[list(LIPS), :2]),
        "eyes": lambda: (
            weights["face"] * np.max([points_in_poly(points[:, :2], landmarks[list(eye), :2]) for eye in EYES], 0)
        ),
        "ears": lambda: weights["face_with_ears"] * (1 - weights["face"]) * (1 - weights["head"]),
        "scalp": lambda: _scalp(points, landmarks, weights),
    }
    for name, draw in drawn.items():
        weights[name] = _subset(head_model, name) if name in head_model.subset_names else draw().astype(np.float32)
    for name in ("mouth", "teeth", "tongue"):
        weights[name] = _subset(head_model, name) if name in head_model.subset_names else np.zeros_like(weights["head"])
    weights["brows"] = weights["face"] * _near_lines(points, [landmarks[list(brow)] for brow in BROWS])
    weights["beard"] = _beard(points, landmarks, weights)
    hairline, hollows, rim = _to_hairline(points, weights), _hollows(points, faces), _rim(points, faces)
    return Regions(points, faces, landmarks, weights, hairline, hollows, rim)


def ramp(
    values: NDArray[np.floating], low: NDArray[np.floating] | float, high: NDArray[np.floating] | float
) -> NDArray[np.floating]:
    """Return 0 below `low`, 1 above `high`, smooth between."""
    fraction = ((values - low) / (high - low)).clip(0, 1)
    return fraction * fraction * (3 - 2 * fraction)


def _subset(head_model: HeadModel, name: str) -> Region:
    weights = torch.zeros(head_model.vertex_count)
    weights[head_model.subset(name).cpu()] = 1
    return weights.numpy()


def _near_lines(points: Points, lines: list[Points], low: float = 0.0015, high: float = 0.0075) -> Region:
    """Return 1 on lines through points, falling to 0 around them."""
    steps = np.linspace(0, 1, 12)[:, None]
    dense = [a + steps * (b - a) for line in lines for a, b in itertools.pairwise(line)]
    return 1 - ramp(cKDTree(np.concatenate(dense)).query(points)[0], low, high)


def _scalp(points: Points, landmarks: Points, weights: dict[str, Region]) -> Region:
    """Return the part of the head that is neither face nor ear, above a plane from the forehead to the nape."""
    brow, ear = landmarks[19], landmarks[LEFT_EAR]
    plane = brow[1] + (points[:, 2] - brow[2]) * 0.9 * (brow[1] - ear[1]) / (brow[2] - ear[2])
    return weights["head"] * (1 - weights["face"]) * (1 - weights["ears"]) * (points[:, 1] > plane)


def _beard(points: Points, landmarks: Points, weights: dict[str, Region]) -> Region:
    """Return the region below the nose and in front of the ears, without the lips and the inside of the mouth."""
    low = ramp(landmarks[NOSE_BASE, 1] - points[:, 1] - 0.3 * np.abs(points[:, 0]), -0.004, 0.012)
    in_front = ramp(points[:, 2], landmarks[LEFT_EAR, 2] - 0.01, landmarks[LEFT_EAR, 2] + 0.015)
    above_neck = ramp(points[:, 1], landmarks[CHIN, 1] - 0.03, landmarks[CHIN, 1] - 0.01)
    bare = np.max([weights[name] for name in ("lips", "ears", "mouth", "teeth", "tongue")], axis=0)
    return (low * in_front * above_neck * (1 - bare) * np.maximum(weights["head"], weights["face"])).astype(np.float32)


def _to_hairline(points: Points, weights: dict[str, Region]) -> Region:
    scalp = weights["scalp"] > 0.5
    skin = (np.maximum(weights["head"], weights["face_with_ears"]) > 0.5) & ~scalp
    distance = np.zeros(len(points), np.float32)
    if scalp.any() and skin.any():
        distance[scalp] = cKDTree(points[skin]).query(points[scalp])[0]
    return distance


def _hollows(points: Points, faces: Faces) -> Region:
    """Return how much the neighbours of a vertex stand out in front of it: smoothed mean curvature."""
    edges = np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]])
    edges = np.unique(np.concatenate([edges, edges[:, ::-1]]), axis=0)
    graph = coo_array((np.ones(len(edges)), edges.T), shape=(len(points),) * 2).tocsr()
    degree = np.maximum(graph.sum(1), 1)
    step = graph @ points / degree[:, None] - points
    length = np.linalg.norm(points[edges[:, 0]] - points[edges[:, 1]], axis=1)
    square = np.bincount(edges[:, 0], length**2, len(points)) / degree
    curvature = (step * vertex_normals(points, faces)).sum(1) / np.maximum(square, 1e-8)
    for _ in range(3):
        curvature = (curvature + graph @ curvature / degree) / 2
    return ramp(curvature, 5, 70).astype(np.float32)


def _rim(points: Points, faces: Faces) -> Faces:
    """Return the lowest opening, made of edges that only one triangle has, in angular order."""
    edges = np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]])
    _, first, counts = np.unique(np.sort(edges, axis=1), axis=0, return_index=True, return_counts=True)
    open_edges = edges[first[counts == 1]]
    if not len(open_edges):
        return np.zeros(0, int)
    graph = coo_array((np.ones(len(open_edges)), open_edges.T), shape=(len(points),) * 2)
    opening = connected_components(graph, directed=False)[1]
    openings = np.unique(opening[open_edges[:, 0]])
    lowest = min(openings, key=lambda number: points[opening == number, 1].mean())
    rim = np.flatnonzero(opening == lowest)
    away = points[rim] - points[rim].mean(0)
    return rim[np.argsort(np.arctan2(away[:, 0], away[:, 2]))]
