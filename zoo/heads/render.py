"""A renderer of triangle meshes on the CPU: which triangle is seen in each pixel, and what colour it has there.

`rasterise` gives, for every pixel, the number of the triangle in front and where in it the pixel's centre lies, as
three *weights* (barycentric coordinates). `interpolate` takes any values of the vertices to the pixels, for example
their `vertex_normals`; `shade` lights pixels by *spherical harmonics*.

Corners are moved to the nearest 1/256 of a pixel, as graphics hardware does, and from there on everything is computed
in whole numbers: triangles that share an edge leave no pixel between them, and both engines agree exactly.
"""

from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from zoo.core.compiled import compiled

SUBPIXELS = 256
HALF = SUBPIXELS // 2
"""From a pixel's corner to its centre."""
REACH = 2**20
"""Pixels: so far from the picture a corner may lie, for products of coordinates to fit into 64 bits."""
CHUNK = 2**20
"""So many pixels of triangles the engine `numpy` tries at once, to bound its memory."""


class Raster(NamedTuple):
    """What is seen in each pixel."""

    triangles: NDArray[np.int32]
    """(H, W) the triangle in front, −1 where there is none."""
    weights: NDArray[np.float32]
    """(H, W, 3) of its three corners at the pixel's centre, in [0, 1], sum 1; 0 where there is no triangle."""
    depth: NDArray[np.float32]
    """(H, W) interpolated z, infinite where there is no triangle."""


def rasterise(
    points: ArrayLike, faces: ArrayLike, height: int, width: int, engine: Literal["numba", "numpy"] = "numba"
) -> Raster:
    """Which triangle is in front in each pixel.

    A triangle covers a pixel when the pixel's centre lies in it or on its edge, whichever way round its corners are.
    The smallest depth is in front; of equal depths, the triangle with the lowest number.

    Args:
        points: (V, 3) x, y in pixels, (0, 0) the picture's top left corner, and z, larger is farther. What lies between
            corners is interpolated linearly over the picture: of a perspective camera, give −1/distance as z.
        faces: (F, 3) indices. A triangle without area, or with a corner that is not finite or lies 2²⁰ pixels away, is
            left out: set the points behind a camera to NaN.
        height, width: of the picture in pixels.
        engine: `numba`, or the plain `numpy`, which gives the same and is slower.
    """
    points, faces = np.asarray(points, np.float64), np.ascontiguousarray(faces, np.int64)
    x, y, z = np.abs(points.T)
    usable = (x < REACH) & (y < REACH) & (z < np.inf)  # a comparison with NaN is false
    kept = None if usable.all() else np.flatnonzero(usable[faces].all(1))
    places = points[:, :2] if kept is None else np.where(usable[:, None], points[:, :2], 0)
    corners = np.rint(places * SUBPIXELS).astype(np.int64)
    engines = {"numba": _rasterise_compiled, "numpy": _rasterise_plain}
    depths = np.ascontiguousarray(points[:, 2])
    raster = engines[engine](corners, depths, faces if kept is None else faces[kept], height, width)
    if kept is not None:
        raster.triangles[raster.triangles >= 0] = kept[raster.triangles[raster.triangles >= 0]]
    return raster


def interpolate(raster: Raster, faces: ArrayLike, values: ArrayLike) -> NDArray[np.float32]:
    """Values of the vertices (V, C) → of the pixels (H, W, C), by the weights; 0 where there is no triangle."""
    covered = raster.triangles >= 0
    result = np.zeros((*covered.shape, np.shape(values)[1]), np.float32)
    result[covered] = interpolate_at(np.flatnonzero(covered), raster, faces, values).T
    return result


def interpolate_at(
    pixels: NDArray[np.int64], raster: Raster, faces: ArrayLike, values: ArrayLike
) -> NDArray[np.float32]:
    """Values of the vertices (V, C) → of some pixels (C, N), by the weights.

    Args:
        pixels: (N,) numbers of pixels that show a triangle, counted row by row.
    """
    values = np.ascontiguousarray(values, np.float32)
    result = np.empty((values.shape[1], len(pixels)), np.float32)
    triangles, weights = raster.triangles.reshape(-1), raster.weights.reshape(-1, 3)
    _interpolate(pixels, triangles, weights, np.ascontiguousarray(faces, np.int64), values, result)
    return result


def vertex_normals(points: ArrayLike, faces: ArrayLike) -> NDArray[np.float32]:
    """(V, 3) unit normals: means over the triangles at each vertex (V, 3), weighted by area; 0 where there are none.

    They point to where the corners of the triangles (F, 3) are seen counter-clockwise; the axes are right-handed, as
    those of the head frame and the picture frame are.
    """
    points = np.ascontiguousarray(points, np.float32)
    normals = np.zeros_like(points)
    _add_normals(points, np.ascontiguousarray(faces, np.int64), normals)
    x, y, z = normals.T
    return normals / np.maximum(np.sqrt(x * x + y * y + z * z), 1e-12)[:, None]


def shade(normals: ArrayLike, light: ArrayLike) -> NDArray[np.float32]:
    """How much light arrives at each pixel of a matt surface.

    Args:
        normals: (3, N), of any length.
        light: (9, 3) spherical harmonics of red, green and blue, for example a sum of `lamp` and `glow`.

    Returns:
        (3, N), 1 is as much as a surface receives that faces a lamp of colour 1; 0 where the normal has no length.
    """
    normals = np.ascontiguousarray(normals, np.float32)
    result = np.empty_like(normals)
    _shade(normals, np.ascontiguousarray(np.transpose(light), np.float32), result)
    return result


def lamp(direction: ArrayLike, colour: ArrayLike) -> NDArray[np.float32]:
    """(9, 3) harmonics of the light of a distant lamp in a direction (3,), of a colour (3,).

    The best fit by harmonics up to the second order to the cosine between normal and direction, cut off at 0
    (Ramamoorthi, Hanrahan, "An Efficient Representation for Irradiance Environment Maps", SIGGRAPH 2001).
    """
    x, y, z = np.asarray(direction, np.float64) / np.linalg.norm(direction)
    first, second = 1 / 2, 15 / 32
    terms = np.array(
        [1 / 4, first * y, first * z, first * x, 2 * second * x * y, 2 * second * y * z,
         second * (3 * z**2 - 1) / 6, 2 * second * x * z, second * (x**2 - y**2) / 2]
    )  # fmt: skip
    return np.outer(terms, np.asarray(colour)).astype(np.float32)


def glow(colour: ArrayLike) -> NDArray[np.float32]:
    """(9, 3) harmonics of light of a colour (3,) from everywhere."""
    return np.outer(np.eye(9)[0], np.asarray(colour)).astype(np.float32)


Corners = NDArray[np.int64]
Numbers = NDArray[np.float64]


def _rasterise_compiled(corners: Corners, depths: Numbers, faces: Corners, height: int, width: int) -> Raster:
    triangles = np.full((height, width), -1, np.int32)
    weights = np.zeros((height, width, 3), np.float32)
    depth = np.full((height, width), np.inf)
    _fill(corners, depths, faces, triangles, weights, depth)
    return Raster(triangles, weights, depth.astype(np.float32))


@compiled
def _fill(
    corners: Corners,
    depths: Numbers,
    faces: Corners,
    triangles: NDArray[np.int32],
    weights: NDArray[np.float32],
    depth: Numbers,
) -> None:
    height, width = triangles.shape
    for number in range(len(faces)):
        a, b, c = faces[number]
        ax, ay, bx, by, cx, cy = (
            corners[a, 0],
            corners[a, 1],
            corners[b, 0],
            corners[b, 1],
            corners[c, 0],
            corners[c, 1],
        )
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
                if (for_a | for_b | for_c) >= 0:  # none is negative: one test is faster than three
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
        # Every pixel of every bounding box is a candidate; a chunk takes those from `first` on.
        candidate = np.arange(first, min(first + CHUNK, ends[-1]))
        number = np.searchsorted(ends, candidate, side="right")
        place = candidate - (ends - counts)[number]
        column = start[number, 0] + place % sides[number, 0]
        row = start[number, 1] + place // sides[number, 0]
        found, pixel, shares, z = _covered(corners, depths, faces, number, row, column, width)
        order = np.lexsort((found, z, pixel))
        order = order[np.r_[True, np.diff(pixel[order]) > 0][: len(order)]]
        order = order[z[order] < depth[pixel[order]]]
        triangles[pixel[order]] = found[order]
        weights[pixel[order]] = shares[order]
        depth[pixel[order]] = z[order]
    shape = (height, width)
    return Raster(triangles.reshape(shape), weights.reshape(*shape, 3), depth.astype(np.float32).reshape(shape))


def _covered(
    corners: Corners, depths: Numbers, faces: Corners, number: Corners, row: Corners, column: Corners, width: int
) -> tuple[Corners, Corners, Numbers, Numbers]:
    """Of pixels that triangles may cover, those that they do: triangle, pixel, weights and depth."""
    a, b, c = (corners[faces[number, corner]] for corner in range(3))
    centre = np.stack([column, row], axis=1) * SUBPIXELS + HALF
    areas = np.stack([_cross(c - b, centre - b), _cross(a - c, centre - c), _cross(b - a, centre - a)], axis=1)
    whole = _cross(b - a, c - a)
    areas *= np.sign(whole)[:, None]
    inside = (areas >= 0).all(1) & (whole != 0)
    shares = areas[inside] / np.abs(whole[inside, None]).astype(np.float64)
    z = (shares * depths[faces[number[inside]]]).T
    return number[inside], (row * width + column)[inside], shares, z[0] + z[1] + z[2]


def _cross(first: Corners, second: Corners) -> Corners:
    return first[:, 0] * second[:, 1] - first[:, 1] * second[:, 0]


@compiled
def _interpolate(
    pixels: Corners,
    triangles: NDArray[np.int32],
    weights: NDArray[np.float32],
    faces: Corners,
    values: NDArray[np.float32],
    result: NDArray[np.float32],
) -> None:
    for place in range(len(pixels)):
        a, b, c = faces[triangles[pixels[place]]]
        for_a, for_b, for_c = weights[pixels[place]]
        for channel in range(values.shape[1]):
            result[channel, place] = (
                for_a * values[a, channel] + for_b * values[b, channel] + for_c * values[c, channel]
            )


@compiled
def _add_normals(points: NDArray[np.float32], faces: Corners, normals: NDArray[np.float32]) -> None:
    for number in range(len(faces)):
        a, b, c = faces[number]
        ux, uy, uz = points[b, 0] - points[a, 0], points[b, 1] - points[a, 1], points[b, 2] - points[a, 2]
        vx, vy, vz = points[c, 0] - points[a, 0], points[c, 1] - points[a, 1], points[c, 2] - points[a, 2]
        for corner in (a, b, c):
            normals[corner, 0] += uy * vz - uz * vy
            normals[corner, 1] += uz * vx - ux * vz
            normals[corner, 2] += ux * vy - uy * vx


@compiled
def _shade(normals: NDArray[np.float32], light: NDArray[np.float32], result: NDArray[np.float32]) -> None:
    for channel in range(3):
        terms = light[channel]
        for pixel in range(normals.shape[1]):  # of one channel after the other, so that several are computed at once
            x, y, z = normals[0, pixel], normals[1, pixel], normals[2, pixel]
            length = np.sqrt(x * x + y * y + z * z)
            x, y, z = x / length, y / length, z / length
            xy, yz, xz, xx = x * y, y * z, x * z, x * x - y * y
            zz = np.float32(3) * z * z - np.float32(1)  # a whole number would make it float64
            linear = terms[0] + terms[1] * y + terms[2] * z + terms[3] * x
            square = terms[4] * xy + terms[5] * yz + terms[6] * zz + terms[7] * xz + terms[8] * xx
            result[channel, pixel] = linear + square if linear + square > 0 else np.float32(0)  # also where it is NaN
