"""Rasteriser of triangle meshes on the CPU, with shading by spherical harmonics.

`rasterise` returns the index of the frontmost triangle of every pixel and the *weights* (barycentric coordinates) of
the pixel's centre in it. `interpolate` maps values of the vertices to the pixels, for example their `vertex_normals`;
`shade` lights pixels by spherical harmonics.

Corners are rounded to 1/256 of a pixel, as graphics hardware does, and coverage is then computed in integers: triangles
that share an edge leave no pixel between them, and both engines agree exactly.
"""

from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from zoo.core.compiled import compiled

SUBPIXELS = 256
HALF = SUBPIXELS // 2
"""Distance from a pixel's corner to its centre, in subpixels."""
LIMIT = 2**20
"""Largest coordinate of a corner in pixels, so that products of coordinates fit into 64 bits."""
CHUNK = 2**20
"""Candidate pixels that the engine `numpy` tests at once, to bound its memory."""


class Raster(NamedTuple):
    """Frontmost triangle of each pixel."""

    triangles: NDArray[np.int32]
    """(H, W) index of the frontmost triangle, −1 without one."""
    weights: NDArray[np.float32]
    """(H, W, 3) barycentric coordinates of the pixel's centre, in [0, 1], sum 1; 0 without a triangle."""
    depth: NDArray[np.float32]
    """(H, W) interpolated z, infinite without a triangle."""


def rasterise(
    points: ArrayLike, faces: ArrayLike, height: int, width: int, engine: Literal["numba", "numpy"] = "numba"
) -> Raster:
    """Return the frontmost triangle of each pixel.

    A triangle of either orientation covers a pixel if the pixel's centre lies in it or on its edge. The smallest depth
    is in front; of equal depths, the triangle with the lowest index.

    Args:
        points: (V, 3) x, y in pixels, (0, 0) the image's top left corner, and z, larger is farther. Values between
            corners are interpolated linearly over the image: for a perspective camera, pass −1/distance as z.
        faces: (F, 3) indices. A triangle without area, or with a corner that is not finite or lies 2²⁰ pixels away, is
            left out: set the points behind a camera to NaN.
        height, width: of the image in pixels.
        engine: `numba`, or the slower reference `numpy` with the same result.

    Example:
        >>> points, faces = [[0, 0, 1], [4, 0, 1], [0, 4, 1]], [[0, 1, 2]]
        >>> rasterise(points, faces, 3, 3, engine="numpy").triangles[0].tolist()
        [0, 0, 0]
    """
    points, faces = np.asarray(points, np.float64), np.ascontiguousarray(faces, np.int64)
    x, y, z = np.abs(points.T)
    usable = (x < LIMIT) & (y < LIMIT) & (z < np.inf)  # a comparison with NaN is false
    subset = None if usable.all() else np.flatnonzero(usable[faces].all(1))
    xy = points[:, :2] if subset is None else np.where(usable[:, None], points[:, :2], 0)
    corners = np.rint(xy * SUBPIXELS).astype(np.int64)
    engines = {"numba": _rasterise_compiled, "numpy": _rasterise_plain}
    depths = np.ascontiguousarray(points[:, 2])
    raster = engines[engine](corners, depths, faces if subset is None else faces[subset], height, width)
    if subset is not None:
        raster.triangles[raster.triangles >= 0] = subset[raster.triangles[raster.triangles >= 0]]
    return raster


def interpolate(raster: Raster, faces: ArrayLike, values: ArrayLike) -> NDArray[np.float32]:
    """Interpolate values of the vertices (V, C) at the pixels: (H, W, C), 0 without a triangle.

    Example:
        >>> points, faces = [[0, 0, 1], [4, 0, 1], [0, 4, 1]], [[0, 1, 2]]
        >>> interpolate(rasterise(points, faces, 3, 3, "numpy"), faces, [[7], [7], [7]])[0, 0]
        array([7.], dtype=float32)
    """
    covered = raster.triangles >= 0
    result = np.zeros((*covered.shape, np.shape(values)[1]), np.float32)
    result[covered] = interpolate_at(np.flatnonzero(covered), raster, faces, values).T
    return result


def interpolate_at(
    pixels: NDArray[np.int64], raster: Raster, faces: ArrayLike, values: ArrayLike
) -> NDArray[np.float32]:
    """Interpolate values of the vertices (V, C) at some pixels: (C, N).

    Args:
        pixels: (N,) row-major indices of pixels that show a triangle.
    """
    values = np.ascontiguousarray(values, np.float32)
    result = np.empty((values.shape[1], len(pixels)), np.float32)
    triangles, weights = raster.triangles.reshape(-1), raster.weights.reshape(-1, 3)
    _interpolate(pixels, triangles, weights, np.ascontiguousarray(faces, np.int64), values, result)
    return result


def vertex_normals(points: ArrayLike, faces: ArrayLike) -> NDArray[np.float32]:
    """Return unit normals of the vertices (V, 3): area-weighted means over adjacent triangles (F, 3); 0 without any.

    They point to the side from which triangles are counter-clockwise, in a right-handed frame.

    Example:
        >>> vertex_normals([[0, 0, 0], [1, 0, 0], [0, 1, 0]], [[0, 1, 2]])[0]
        array([0., 0., 1.], dtype=float32)
    """
    points = np.ascontiguousarray(points, np.float32)
    normals = np.zeros_like(points)
    _add_normals(points, np.ascontiguousarray(faces, np.int64), normals)
    x, y, z = normals.T
    return normals / np.maximum(np.sqrt(x * x + y * y + z * z), 1e-12)[:, None]


def shade(normals: ArrayLike, light: ArrayLike) -> NDArray[np.float32]:
    """Return the irradiance of each pixel of a diffuse surface.

    Args:
        normals: (3, N), of any length.
        light: (9, 3) spherical harmonics of red, green and blue, for example a sum of `lamp` and `glow`.

    Returns:
        (3, N), 1 for a surface that faces a lamp of colour 1; 0 where the normal has no length.

    Example:
        >>> light = lamp([0, 0, 1], [1, 1, 1])
        >>> shade([[0], [0], [1]], light).ravel().round(2)
        array([1.06, 1.06, 1.06], dtype=float32)
    """
    normals = np.ascontiguousarray(normals, np.float32)
    result = np.empty_like(normals)
    _shade(normals, np.ascontiguousarray(np.transpose(light), np.float32), result)
    return result


def lamp(direction: ArrayLike, colour: ArrayLike) -> NDArray[np.float32]:
    """Return (9, 3) harmonics of a distant lamp in a direction (3,), of a colour (3,).

    They are the best fit by harmonics up to the second order to the cosine between normal and direction, cut off at 0
    (Ramamoorthi, Hanrahan, "An Efficient Representation for Irradiance Environment Maps", SIGGRAPH 2001).

    Example:
        >>> lamp([0, 0, 1], [1, 1, 1]).shape
        (9, 3)
    """
    x, y, z = np.asarray(direction, np.float64) / np.linalg.norm(direction)
    first, second = 1 / 2, 15 / 32
    terms = np.array(
        [1 / 4, first * y, first * z, first * x, 2 * second * x * y, 2 * second * y * z,
         second * (3 * z**2 - 1) / 6, 2 * second * x * z, second * (x**2 - y**2) / 2]
    )  # fmt: skip
    return np.outer(terms, np.asarray(colour)).astype(np.float32)


def glow(colour: ArrayLike) -> NDArray[np.float32]:
    """Return (9, 3) harmonics of uniform light of a colour (3,).

    Example:
        >>> glow([0.5, 0.5, 0.5])[0]
        array([0.5, 0.5, 0.5], dtype=float32)
    """
    return np.outer(np.eye(9)[0], np.asarray(colour)).astype(np.float32)


Corners = NDArray[np.int64]
Numbers = NDArray[np.float64]
Floats = NDArray[np.float32]


def _rasterise_compiled(corners: Corners, depths: Numbers, faces: Corners, height: int, width: int) -> Raster:
    triangles = np.full((height, width), -1, np.int32)
    weights = np.zeros((height, width, 3), np.float32)
    depth = np.full((height, width), np.inf)
    _fill(corners, depths, faces, triangles, weights, depth)
    return Raster(triangles, weights, depth.astype(np.float32))


@compiled
def _fill(
    corners: Corners, depths: Numbers, faces: Corners, triangles: NDArray[np.int32], weights: Floats, depth: Numbers
) -> None:
    height, width = triangles.shape
    for number in range(len(faces)):
        a, b, c = faces[number]
        ax, ay, bx = corners[a, 0], corners[a, 1], corners[b, 0]
        by, cx, cy = corners[b, 1], corners[c, 0], corners[c, 1]
        area = (bx - ax) * (cy - ay) - (by - ay) * (cx - ax)
        if area == 0:
            continue
        sign = 1 if area > 0 else -1
        left = max(0, (min(ax, bx, cx) + HALF - 1) // SUBPIXELS)
        right = min(width - 1, (max(ax, bx, cx) - HALF) // SUBPIXELS)
        top = max(0, (min(ay, by, cy) + HALF - 1) // SUBPIXELS)
        bottom = min(height - 1, (max(ay, by, cy) - HALF) // SUBPIXELS)
        size = float(sign * area)
        x = left * SUBPIXELS + HALF
        for row in range(top, bottom + 1):
            y = row * SUBPIXELS + HALF
            for_a = sign * ((cx - bx) * (y - by) - (cy - by) * (x - bx))
            for_b = sign * ((ax - cx) * (y - cy) - (ay - cy) * (x - cx))
            for_c = sign * ((bx - ax) * (y - ay) - (by - ay) * (x - ax))
            reached = False
            for column in range(left, right + 1):
                if (for_a | for_b | for_c) >= 0:  # one test of all signs is faster than three
                    reached = True
                    first, second, third = for_a / size, for_b / size, for_c / size
                    z = first * depths[a] + second * depths[b] + third * depths[c]
                    if z < depth[row, column]:
                        depth[row, column] = z
                        triangles[row, column] = number
                        weights[row, column, 0] = first
                        weights[row, column, 1] = second
                        weights[row, column, 2] = third
                elif reached:
                    break
                for_a -= sign * SUBPIXELS * (cy - by)
                for_b -= sign * SUBPIXELS * (ay - cy)
                for_c -= sign * SUBPIXELS * (by - ay)


def _rasterise_plain(corners: Corners, depths: Numbers, faces: Corners, height: int, width: int) -> Raster:
    triangles = np.full(height * width, -1, np.int32)
    weights = np.zeros((height * width, 3), np.float32)
    depth = np.full(height * width, np.inf)
    low, high = corners[faces].min(1), corners[faces].max(1)
    start = np.maximum((low + HALF - 1) // SUBPIXELS, 0)
    sides = np.maximum(np.minimum((high - HALF) // SUBPIXELS + 1, [width, height]) - start, 0)
    counts = sides.prod(1)
    ends = counts.cumsum()
    for first in range(0, int(counts.sum()), CHUNK):
        # Every pixel of every bounding box is a candidate; a chunk begins at `first`.
        candidate = np.arange(first, min(first + CHUNK, ends[-1]))
        number = np.searchsorted(ends, candidate, side="right")
        offset = candidate - (ends - counts)[number]
        column = start[number, 0] + offset % sides[number, 0]
        row = start[number, 1] + offset // sides[number, 0]
        triangle, pixel, fractions, z = _covered(corners, depths, faces, number, row, column, width)
        order = np.lexsort((triangle, z, pixel))
        order = order[np.r_[True, np.diff(pixel[order]) > 0][: len(order)]]
        order = order[z[order] < depth[pixel[order]]]
        triangles[pixel[order]] = triangle[order]
        weights[pixel[order]] = fractions[order]
        depth[pixel[order]] = z[order]
    shape = (height, width)
    return Raster(triangles.reshape(shape), weights.reshape(*shape, 3), depth.astype(np.float32).reshape(shape))


def _covered(
    corners: Corners, depths: Numbers, faces: Corners, number: Corners, row: Corners, column: Corners, width: int
) -> tuple[Corners, Corners, Numbers, Numbers]:
    """Return the candidates that are covered: triangle, pixel, weights and depth."""
    a, b, c = (corners[faces[number, corner]] for corner in range(3))
    centre = np.stack([column, row], axis=1) * SUBPIXELS + HALF
    areas = np.stack([_cross(c - b, centre - b), _cross(a - c, centre - c), _cross(b - a, centre - a)], axis=1)
    whole = _cross(b - a, c - a)
    areas *= np.sign(whole)[:, None]
    inside = (areas >= 0).all(1) & (whole != 0)
    weights = areas[inside] / np.abs(whole[inside, None]).astype(np.float64)
    z = (weights * depths[faces[number[inside]]]).T
    return number[inside], (row * width + column)[inside], weights, z[0] + z[1] + z[2]


def _cross(first: Corners, second: Corners) -> Corners:
    return first[:, 0] * second[:, 1] - first[:, 1] * second[:, 0]


@compiled
def _interpolate(
    pixels: Corners, triangles: NDArray[np.int32], weights: Floats, faces: Corners, values: Floats, result: Floats
) -> None:
    for i in range(len(pixels)):
        a, b, c = faces[triangles[pixels[i]]]
        for_a, for_b, for_c = weights[pixels[i]]
        for channel in range(values.shape[1]):
            result[channel, i] = for_a * values[a, channel] + for_b * values[b, channel] + for_c * values[c, channel]


@compiled
def _add_normals(points: Floats, faces: Corners, normals: Floats) -> None:
    for number in range(len(faces)):
        a, b, c = faces[number]
        ux, uy, uz = points[b, 0] - points[a, 0], points[b, 1] - points[a, 1], points[b, 2] - points[a, 2]
        vx, vy, vz = points[c, 0] - points[a, 0], points[c, 1] - points[a, 1], points[c, 2] - points[a, 2]
        for corner in (a, b, c):
            normals[corner, 0] += uy * vz - uz * vy
            normals[corner, 1] += uz * vx - ux * vz
            normals[corner, 2] += ux * vy - uy * vx


@compiled
def _shade(normals: Floats, light: Floats, result: Floats) -> None:
    for channel in range(3):
        terms = light[channel]
        for pixel in range(normals.shape[1]):  # the inner loop, so that the compiler vectorises it
            x, y, z = normals[0, pixel], normals[1, pixel], normals[2, pixel]
            length = np.sqrt(x * x + y * y + z * z)
            x, y, z = x / length, y / length, z / length
            xy, yz, xz, xx = x * y, y * z, x * z, x * x - y * y
            zz = np.float32(3) * z * z - np.float32(1)  # an integer would make it float64
            linear = terms[0] + terms[1] * y + terms[2] * z + terms[3] * x
            square = terms[4] * xy + terms[5] * yz + terms[6] * zz + terms[7] * xz + terms[8] * xx
            result[channel, pixel] = linear + square if linear + square > 0 else np.float32(0)  # also where it is NaN
