"""Curves: the outlines that shapes are made of.

A curve is a float array (N, 2) of x (right) and y (down). Closed outlines do not repeat their first point.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

Points = NDArray[np.floating]


def smooth(points: ArrayLike, closed: bool = True, steps: int = 8) -> Points:
    """A Catmull-Rom spline through the points, `steps` points for each of its pieces."""
    given = np.asarray(points, np.float64)
    if closed:
        before, start, end, after = (np.roll(given, shift, axis=0) for shift in (1, 0, -1, -2))
    else:
        padded = np.concatenate([2 * given[:1] - given[1:2], given, 2 * given[-1:] - given[-2:-1]])
        before, start, end, after = padded[:-3], padded[1:-2], padded[2:-1], padded[3:]
    t = (np.arange(steps) / steps)[None, :, None]
    before, start, end, after = (part[:, None] for part in (before, start, end, after))
    pieces = start + 0.5 * t * (end - before + t * (2 * before - 5 * start + 4 * end - after))
    pieces = pieces + 0.5 * t**3 * (3 * (start - end) + after - before)
    curve = pieces.reshape(-1, 2)
    return curve if closed else np.concatenate([curve, given[-1:]])


def limb(joints: ArrayLike, radii: Sequence[float], steps: int = 8) -> Points:
    """The outline of a tube with round ends along a smooth path through the joints, with a radius at each."""
    path = smooth(joints, closed=False, steps=steps)
    places = np.linspace(0, len(radii) - 1, len(path))
    radius = np.interp(places, np.arange(len(radii)), radii)[:, None]
    along = np.gradient(path, axis=0)
    along /= np.maximum(np.linalg.norm(along, axis=1, keepdims=True), 1e-9)
    across = np.stack([-along[:, 1], along[:, 0]], axis=1)
    angles = np.linspace(np.pi / 2, -np.pi / 2, 9)[1:-1, None]
    far = path[-1] + radius[-1] * (np.cos(angles) * along[-1] + np.sin(angles) * across[-1])
    near = path[0] - radius[0] * (np.cos(angles) * along[0] + np.sin(angles) * across[0])
    return np.concatenate([path + radius * across, far, (path - radius * across)[::-1], near])


def ellipse(centre: ArrayLike, radii: ArrayLike, turn: float = 0.0, count: int = 40) -> Points:
    """An ellipse's outline; `turn` in radians, clockwise on the screen."""
    angles = np.linspace(0, 2 * np.pi, count, endpoint=False)
    points = np.stack([np.cos(angles), np.sin(angles)], axis=1) * np.broadcast_to(np.asarray(radii, np.float64), (2,))
    return np.asarray(centre, np.float64) + points @ rotation(turn).T


def rotation(angle: float) -> Points:
    """The matrix (2, 2) of a rotation, radians, clockwise on the screen."""
    return np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])


def mirror(points: Points) -> Points:
    """The outline's left half from its right half: x → −x, in the opposite order."""
    return points[::-1] * np.array([-1.0, 1.0])
