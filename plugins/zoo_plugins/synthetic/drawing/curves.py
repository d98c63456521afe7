"""Outlines of shapes, and the samples inside them.

A curve is a float array (N, 2) of x (right) and y (down). Closed outlines do not repeat their first point. Pillow's own
polygons include their edge pixels, which makes small shapes too large, and cancel out where an outline crosses itself.
Here a sample is inside when the outline winds around its centre, so the fraction of samples inside is the area without
a bias.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

Points = NDArray[np.floating]


def smooth(points: ArrayLike, closed: bool = True, steps: int = 8) -> Points:
    """Return a Catmull-Rom spline through the points, with `steps` points for each of its pieces."""
    control = np.asarray(points, np.float64)
    if closed:
        before, start, end, after = (np.roll(control, shift, axis=0) for shift in (1, 0, -1, -2))
    else:
        padded = np.concatenate([2 * control[:1] - control[1:2], control, 2 * control[-1:] - control[-2:-1]])
        before, start, end, after = padded[:-3], padded[1:-2], padded[2:-1], padded[3:]
    t = (np.arange(steps) / steps)[None, :, None]
    before, start, end, after = (part[:, None] for part in (before, start, end, after))
    pieces = start + 0.5 * t * (end - before + t * (2 * before - 5 * start + 4 * end - after))
    pieces = pieces + 0.5 * t**3 * (3 * (start - end) + after - before)
    curve = pieces.reshape(-1, 2)
    return curve if closed else np.concatenate([curve, control[-1:]])


def limb(joints: ArrayLike, radii: Sequence[float], steps: int = 8) -> Points:
    """Return the outline of a tube with round ends along a smooth path through the joints, with a radius at each."""
    path = smooth(joints, closed=False, steps=steps)
    positions = np.linspace(0, len(radii) - 1, len(path))
    radius = np.interp(positions, np.arange(len(radii)), radii)[:, None]
    along = np.gradient(path, axis=0)
    along /= np.maximum(np.linalg.norm(along, axis=1, keepdims=True), 1e-9)
    across = np.stack([-along[:, 1], along[:, 0]], axis=1)
    angles = np.linspace(np.pi / 2, -np.pi / 2, 9)[1:-1, None]
    far = path[-1] + radius[-1] * (np.cos(angles) * along[-1] + np.sin(angles) * across[-1])
    near = path[0] - radius[0] * (np.cos(angles) * along[0] + np.sin(angles) * across[0])
    return np.concatenate([path + radius * across, far, (path - radius * across)[::-1], near])


def ellipse(centre: ArrayLike, radii: ArrayLike, angle: float = 0.0, count: int = 40) -> Points:
    """Return the outline of an ellipse; `angle` in radians, clockwise on the screen."""
    angles = np.linspace(0, 2 * np.pi, count, endpoint=False)
    points = np.stack([np.cos(angles), np.sin(angles)], axis=1) * np.broadcast_to(np.asarray(radii, np.float64), (2,))
    return np.asarray(centre, np.float64) + points @ rotation(angle).T


def rectangle(left: float, top: float, right: float, bottom: float) -> Points:
    """Return the outline of a rectangle."""
    return np.array([(left, top), (right, top), (right, bottom), (left, bottom)])


def rotation(angle: float) -> Points:
    """Return the matrix (2, 2) of a rotation, radians, clockwise on the screen."""
    return np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])


def mirror(points: Points) -> Points:
    """Return an outline's left half from its right half: x → −x, in the opposite order."""
    return points[::-1] * np.array([-1.0, 1.0])


def rasterise_outline(outline: Points, size: int) -> tuple[NDArray[np.bool_], int, int]:
    """Return a mask of the samples inside an outline (N, 2), and its left column and top row on a square canvas.

    Sample (row, column) has its centre at (column + 0.5, row + 0.5).
    """
    low = np.floor(outline.min(axis=0)).clip(0, size).astype(int)
    high = np.ceil(outline.max(axis=0)).clip(0, size).astype(int)
    (left, top), (width, height) = low.tolist(), (high - low).clip(0).tolist()
    rows, columns, winding = _crossings(outline - low, width, height)
    turns = np.zeros((height, width + 1), np.int8)
    np.add.at(turns, (rows, columns), winding)
    return np.cumsum(turns[:, :width], axis=1, dtype=np.int8) != 0, left, top


def _crossings(
    outline: Points, width: int, height: int
) -> tuple[NDArray[np.integer], NDArray[np.integer], NDArray[np.integer]]:
    """Return where the outline crosses the rows' middles: row, first column to the right, 1 downwards or −1 upwards."""
    start, end = outline, np.roll(outline, -1, axis=0)
    first = np.ceil(np.minimum(start[:, 1], end[:, 1]) - 0.5).clip(0, height).astype(int)
    last = np.ceil(np.maximum(start[:, 1], end[:, 1]) - 0.5).clip(0, height).astype(int)
    counts = last - first
    edge = np.repeat(np.arange(len(outline)), counts)
    rows = np.arange(len(edge)) - np.repeat(np.cumsum(counts) - counts, counts) + first[edge]
    way = end - start
    along = (rows + 0.5 - start[edge, 1]) / way[edge, 1]
    columns = np.ceil(start[edge, 0] + along * way[edge, 0] - 0.5).clip(0, width).astype(int)
    return rows, columns, np.sign(way[edge, 1]).astype(np.int8)
