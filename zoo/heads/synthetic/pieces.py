"""Pieces: the meshes that a scene is made of, and the one shape from which all but the head are built, the sheet."""

from collections.abc import Sequence
from enum import IntEnum
from functools import cache
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

Points = NDArray[np.floating]
Faces = NDArray[np.integer]


class Kind(IntEnum):
    """What a triangle is made of: which texture its pixels get, and whether it hides the head or belongs to it."""

    SKIN = 0
    EYE = 1
    HAIR = 2
    CLOTH = 3
    THING = 4
    """Glasses, hats, hands: what DAD-3DHeads calls an occlusion."""


class Piece(NamedTuple):
    """A mesh with colours."""

    points: Points
    """(N, 3) metres."""
    faces: Faces
    """(F, 3), counter-clockwise seen from outside."""
    colours: Points
    """(N, 3) share of the light that is reflected, linear."""
    places: Points
    """(N, 3) where on the resting head each point is, metres: textures are carved out of these."""
    kinds: NDArray[np.int8]
    """(F,) of type `Kind`."""
    gloss: Points
    """(N,) strength of highlights."""


def piece(
    points: Points, faces: Faces, colour: ArrayLike, kind: Kind, gloss: float = 0.0, places: Points | None = None
) -> Piece:
    """A piece of one kind and gloss, of a colour (3,) or (N, 3); `places` are its points where nothing else is said."""
    count = len(points)
    return Piece(
        points=points,
        faces=faces,
        colours=np.broadcast_to(np.asarray(colour, np.float32), (count, 3)),
        places=points if places is None else places,
        kinds=np.full(len(faces), kind, np.int8),
        gloss=np.full(count, gloss, np.float32),
    )


def joined(pieces: Sequence[Piece]) -> Piece:
    """All pieces as one; the first keeps its numbers of vertices and triangles."""
    starts = np.cumsum([0] + [len(each.points) for each in pieces[:-1]])
    return Piece(
        points=np.concatenate([each.points for each in pieces]),
        faces=np.concatenate([each.faces + start for each, start in zip(pieces, starts, strict=True)]),
        colours=np.concatenate([each.colours for each in pieces]),
        places=np.concatenate([each.places for each in pieces]),
        kinds=np.concatenate([each.kinds for each in pieces]),
        gloss=np.concatenate([each.gloss for each in pieces]),
    )


@cache
def sheet(rows: int, columns: int, closed: bool = False) -> Faces:
    """Triangles between neighbouring points of a grid, which are numbered row by row; not to be changed.

    Outside is where rows run down and columns run to the right. A closed sheet is a tube: its last column is joined to
    its first.
    """
    row, column = np.mgrid[: rows - 1, : columns if closed else columns - 1]
    right = (column + 1) % columns
    upper_left, upper_right = row * columns + column, row * columns + right
    lower_left, lower_right = upper_left + columns, upper_right + columns
    return np.stack([upper_left, lower_left, lower_right, upper_left, lower_right, upper_right], axis=-1).reshape(-1, 3)


def ellipsoid(centre: ArrayLike, axes: ArrayLike, rows: int = 9, columns: int = 14) -> tuple[Points, Faces]:
    """Points and triangles of an ellipsoid; `axes` (3, 3), each row one half axis, right-handed."""
    polar = np.linspace(0, np.pi, rows)[:, None]
    around = np.arange(columns) * (2 * np.pi / columns)
    unit = np.stack(
        [np.sin(polar) * np.sin(around), np.cos(polar) + 0 * around, np.sin(polar) * np.cos(around)], axis=-1
    )
    points = unit.reshape(-1, 3) @ np.asarray(axes) + np.asarray(centre)
    return points.astype(np.float32), sheet(rows, columns, closed=True)


def bounds(points: Points) -> tuple[Points, Points]:
    """Lowest and highest of each coordinate of points (N, D): (D,) twice."""
    coordinates = np.ascontiguousarray(points.T)  # many short rows would take numpy ten times as long
    return coordinates.min(1), coordinates.max(1)


def part(faces: Faces, inside: NDArray[np.bool_]) -> tuple[Faces, Faces]:
    """The vertices (N,) of a mesh inside a region (V,) that triangles there use, and these triangles, renumbered."""
    chosen = faces[inside[faces].all(1)]
    vertices, renumbered = np.unique(chosen, return_inverse=True)
    return vertices, renumbered.reshape(-1, 3)
