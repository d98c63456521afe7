"""The renderer: both engines agree, no gaps, the nearest is in front, and light is what it should be."""

from typing import Any

import numpy as np
import pytest

from zoo.heads import render
from zoo.heads.render import (
    Raster,
    glow,
    interpolate,
    interpolate_at,
    lamp,
    rasterise,
    shade,
    vertex_normals,
)

HEIGHT, WIDTH = 24, 32


def soup(seed: int) -> tuple[np.ndarray, np.ndarray]:
    """A random mesh: reaching over the picture, with triangles without area, equal corners, and shared edges."""
    rng = np.random.default_rng(seed)
    points = rng.uniform([-15, -15, 0], [WIDTH + 15, HEIGHT + 15, 5], (40, 3))
    points[:10] = np.rint(points[:10])  # on corners of pixels, at equal depths
    points[10:20, :2] = np.rint(points[10:20, :2]) + 0.5  # on their centres
    points[20] = points[21]
    faces = rng.integers(0, len(points), (60, 3))
    faces[:3] = [[20, 21, 5], [1, 1, 2], [3, 3, 3]]
    return points, np.concatenate([faces, faces[:5, ::-1]])


def grid(rng: np.random.Generator, side: int = 9) -> tuple[np.ndarray, np.ndarray]:
    """A crumpled net that covers the picture."""
    rows, columns = np.mgrid[:side, :side].reshape(2, -1) / (side - 1)
    points = np.stack([columns * (WIDTH + 8) - 4, rows * (HEIGHT + 8) - 4, rng.random(side**2)], axis=1)
    inner = (np.abs(rows - 0.5) < 0.5) & (np.abs(columns - 0.5) < 0.5)
    points[inner, :2] += rng.uniform(-0.6, 0.6, (inner.sum(), 2))
    corner = np.arange(side**2).reshape(side, side)
    a, b, c, d = (part.ravel() for part in (corner[:-1, :-1], corner[:-1, 1:], corner[1:, :-1], corner[1:, 1:]))
    return points, np.concatenate([np.stack([a, c, d], 1), np.stack([a, d, b], 1)])


def same(first: Raster, second: Raster) -> bool:
    return all(np.array_equal(one, other) for one, other in zip(first, second, strict=True))


@pytest.mark.parametrize("seed", range(30))
def test_both_engines_give_the_same_to_the_bit(seed: int) -> None:
    points, faces = soup(seed)
    raster = rasterise(points, faces, HEIGHT, WIDTH)
    assert (raster.triangles >= 0).any()
    assert same(raster, rasterise(points, faces, HEIGHT, WIDTH, engine="numpy"))


@pytest.mark.parametrize("size", [(1, 1), (1, 40), (33, 1), (23, 31), (64, 48)], ids=str)
def test_both_engines_give_the_same_for_pictures_of_any_size(size: tuple[int, int]) -> None:
    """Of triangles here and there, of a net that covers all, and of one whose triangles are smaller than pixels."""
    for points, faces in (soup(1), grid(np.random.default_rng(1)), grid(np.random.default_rng(2), side=40)):
        for given in (points, points.astype(np.float32), points * [size[1] / WIDTH, size[0] / HEIGHT, 1]):
            assert same(rasterise(given, faces, *size), rasterise(given, faces, *size, engine="numpy"))


def test_the_plain_engine_may_work_in_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    points, faces = soup(0)
    whole = rasterise(points, faces, HEIGHT, WIDTH, engine="numpy")
    monkeypatch.setattr(render, "CHUNK", 97)
    assert same(whole, rasterise(points, faces, HEIGHT, WIDTH, engine="numpy"))


@pytest.mark.parametrize("engine", ["numba", "numpy"])
def test_a_triangle_covers_the_pixels_whose_centre_is_inside_or_on_its_edge(engine: Any) -> None:
    triangle = [[0.5, 0.5, 1], [3.5, 0.5, 1], [0.5, 3.5, 1]]
    covered = rasterise(triangle, [[0, 1, 2]], 5, 5, engine).triangles == 0
    assert covered.tolist() == [[row + column <= 3 for column in range(5)] for row in range(5)]


@pytest.mark.parametrize("seed", range(5))
def test_a_net_without_holes_leaves_no_pixel_between_its_triangles(seed: int) -> None:
    points, faces = grid(np.random.default_rng(seed))
    assert (rasterise(points, faces, HEIGHT, WIDTH).triangles >= 0).all()


def test_weights_say_where_in_the_triangle_a_pixel_is() -> None:
    points, faces = grid(np.random.default_rng(1))
    raster = rasterise(points, faces, HEIGHT, WIDTH)
    places = interpolate(raster, faces, points)
    rows, columns = np.mgrid[:HEIGHT, :WIDTH] + 0.5
    np.testing.assert_allclose(places[..., 0], columns, atol=0.5 / 256 + 1e-4)
    np.testing.assert_allclose(places[..., 1], rows, atol=0.5 / 256 + 1e-4)
    np.testing.assert_allclose(places[..., 2], raster.depth, atol=1e-5)
    np.testing.assert_allclose(raster.weights.sum(-1), 1, atol=1e-6)


@pytest.mark.parametrize("engine", ["numba", "numpy"])
def test_the_smallest_depth_is_in_front_and_then_the_lowest_number(engine: Any) -> None:
    corners = np.array([[-9, -9], [40, -9], [-9, 40]], float)
    points = np.concatenate([np.column_stack([corners, np.full(3, depth)]) for depth in (2, 1, 1, 3)])
    faces = np.arange(12).reshape(4, 3)[:, [0, 2, 1]]
    assert (rasterise(points, faces, 4, 4, engine).triangles == 1).all()
    tilted = points.copy()
    tilted[9:, 2] = [-2, 4, 4]
    found = rasterise(tilted, faces, 20, 20, engine).triangles
    assert found[0, 0] == 3
    assert found[10, 10] == 1


@pytest.mark.parametrize("engine", ["numba", "numpy"])
@pytest.mark.parametrize("broken", [(np.nan, 0, 1), (0, np.inf, 1), (0, 0, np.nan), (3e9, 0, 1)])
def test_triangles_with_a_corner_that_is_nowhere_are_left_out(engine: Any, broken: tuple[float, ...]) -> None:
    points = np.array([[-9, -9, 1], [40, -9, 1], [-9, 40, 1], broken])
    raster = rasterise(points, [[0, 1, 3], [0, 1, 2], [3, 3, 3]], 4, 4, engine)
    assert (raster.triangles == 1).all()


@pytest.mark.parametrize("engine", ["numba", "numpy"])
def test_where_nothing_is_there_is_no_triangle(engine: Any) -> None:
    for points, faces in (([[0, 0, 1]], np.zeros((0, 3), int)), ([[50, 50, 1], [60, 50, 1], [50, 60, 1]], [[0, 1, 2]])):
        raster = rasterise(points, faces, 3, 5, engine)
        assert raster.triangles.tolist() == [[-1] * 5] * 3
        assert not raster.weights.any()
        assert np.isinf(raster.depth).all()
        assert not interpolate(raster, faces, np.ones((len(points), 2))).any()


def test_interpolation_is_the_weighted_mean_of_the_corners() -> None:
    points, faces = soup(3)
    raster = rasterise(points, faces, HEIGHT, WIDTH)
    values = np.random.default_rng(0).normal(size=(len(points), 5))
    expected = np.einsum("hwk,hwkc->hwc", raster.weights, values[faces[raster.triangles]])
    expected[raster.triangles < 0] = 0
    found = interpolate(raster, faces, values)
    np.testing.assert_allclose(found, expected, atol=1e-5)
    pixels = np.flatnonzero(raster.triangles >= 0)[::-7]
    np.testing.assert_array_equal(interpolate_at(pixels, raster, faces, values), found.reshape(-1, 5)[pixels].T)


def test_normals_of_a_tetrahedron_point_outwards() -> None:
    points = np.array([[1, 1, 1], [-1, -1, 1], [-1, 1, -1], [1, -1, -1]], float)
    faces = [[0, 1, 3], [0, 2, 1], [0, 3, 2], [1, 2, 3]]
    normals = vertex_normals(np.concatenate([points, [[9, 9, 9]]]), faces)
    np.testing.assert_allclose(normals[:4], points / np.sqrt(3), atol=1e-6)
    assert not normals[4].any()


def test_normals_are_sums_over_triangles() -> None:
    points, faces = soup(0)
    a, b, c = (points[faces[:, corner]] for corner in range(3))
    expected = np.zeros_like(points)
    for corner in range(3):
        np.add.at(expected, faces[:, corner], np.cross(b - a, c - a))
    expected /= np.maximum(np.linalg.norm(expected, axis=1, keepdims=True), 1e-12)
    np.testing.assert_allclose(vertex_normals(points, faces), expected, atol=1e-4)


def test_a_lamp_lights_what_faces_it() -> None:
    rng = np.random.default_rng(0)
    normals = rng.normal(size=(3, 2000))
    direction = np.array([1.0, -2.0, 0.5])
    cosine = (direction @ normals) / np.linalg.norm(normals, axis=0) / np.linalg.norm(direction)
    light = shade(normals, lamp(direction, [1, 0.5, 0]))
    legendre = 1 / 4 + cosine / 2 + 5 / 16 * (3 * cosine**2 - 1) / 2
    np.testing.assert_allclose(light[0], legendre.clip(0), atol=1e-5)
    np.testing.assert_allclose(light[0], cosine.clip(0), atol=0.1)
    np.testing.assert_allclose(light[1], light[0] / 2, atol=1e-5)
    assert not light[2].any()


def test_light_from_everywhere_is_the_same_whichever_way_a_surface_faces() -> None:
    normals = np.random.default_rng(0).normal(size=(3, 16))
    normals[:, 0] = 0
    light = shade(normals, glow([4, 4, 4]))
    assert not light[:, 0].any()
    np.testing.assert_allclose(light[:, 1:], 4)
