"""The meshes of a scene, and the shape from which all but the head are built: the sheet, a grid of points."""

from collections.abc import Sequence
from enum import IntEnum
from functools import cache
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

Points = NDArray[np.floating]
Faces = NDArray[np.integer]
Floats = NDArray[np.float32]


class Material(IntEnum):
    """The material of a triangle: the texture of its pixels, and whether it hides the head or belongs to it."""

    SKIN = 0
    EYE = 1
    HAIR = 2
    CLOTH = 3
    THING = 4
    """Glasses, hats, hands: the occlusions of DAD-3DHeads."""


class Mesh(NamedTuple):
    """A mesh with colours."""

    points: Points  # (N, 3) metres
    faces: Faces  # (F, 3), counter-clockwise seen from outside
    colours: Points  # (N, 3) fraction of the light that is reflected, linear
    positions: Points  # (N, 3) metres, where on the resting head each point is: the coordinates of textures
    materials: NDArray[np.int8]  # (F,) of type `Material`
    gloss: Points  # (N,) strength of highlights


def make_mesh(
    points: Points,
    faces: Faces,
    colour: ArrayLike,
    material: Material,
    gloss: float = 0.0,
    positions: Points | None = None,
) -> Mesh:
    """Return a mesh of one material and gloss and a colour (3,) or (N, 3); `positions` default to the points."""
    colours = np.broadcast_to(np.asarray(colour, np.float32), (len(points), 3))
    materials, glosses = np.full(len(faces), material, np.int8), np.full(len(points), gloss, np.float32)
    return Mesh(points, faces, colours, points if positions is None else positions, materials, glosses)


def join_meshes(meshes: Sequence[Mesh]) -> Mesh:
    """Join meshes to one; vertices and triangles of the first keep their numbers."""
    starts = np.cumsum([0] + [len(mesh.points) for mesh in meshes[:-1]])
    faces = np.concatenate([mesh.faces + start for mesh, start in zip(meshes, starts, strict=True)])
    joined = {name: np.concatenate([getattr(mesh, name) for mesh in meshes]) for name in Mesh._fields}
    return Mesh(**{**joined, "faces": faces})


@cache
def sheet(rows: int, columns: int, closed: bool = False) -> Faces:
    """Return triangles between neighbouring points of a grid, numbered row by row; the result must not be changed.

    Outside is where rows run down and columns run to the right. A closed sheet is a tube: its last column is joined to
    its first.
    """
    row, column = np.mgrid[: rows - 1, : columns if closed else columns - 1]
    right = (column + 1) % columns
    upper_left, upper_right = row * columns + column, row * columns + right
    lower_left, lower_right = upper_left + columns, upper_right + columns
    return np.stack([upper_left, lower_left, lower_right, upper_left, lower_right, upper_right], axis=-1).reshape(-1, 3)


def ellipsoid(centre: ArrayLike, axes: ArrayLike, rows: int = 9, columns: int = 14) -> tuple[Points, Faces]:
    """Return points and triangles of an ellipsoid; `axes` (3, 3), each row one half axis, right-handed."""
    polar = np.linspace(0, np.pi, rows)[:, None]
    around = np.arange(columns) * (2 * np.pi / columns)
    unit = np.stack(
        [np.sin(polar) * np.sin(around), np.cos(polar) + 0 * around, np.sin(polar) * np.cos(around)], axis=-1
    )
    points = unit.reshape(-1, 3) @ np.asarray(axes) + np.asarray(centre)
    return points.astype(np.float32), sheet(rows, columns, closed=True)


def bounds(points: Points) -> tuple[Points, Points]:
    """Return the lowest and the highest of each coordinate of points (N, D): (D,) twice."""
    coordinates = np.ascontiguousarray(points.T)  # many short rows would take numpy ten times as long
    return coordinates.min(1), coordinates.max(1)


def submesh(faces: Faces, inside: NDArray[np.bool_]) -> tuple[Faces, Faces]:
    """Return the triangles inside a region (V,), renumbered: first the vertices (N,) they use, then the triangles."""
    chosen = faces[inside[faces].all(1)]
    vertices, renumbered = np.unique(chosen, return_inverse=True)
    return vertices, renumbered.reshape(-1, 3)
