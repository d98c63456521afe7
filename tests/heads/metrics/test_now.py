"""The NoW protocol: equal to brute-force distances under an alignment found by a general optimiser."""

from typing import NamedTuple

import numpy as np
import pytest
import torch
from scipy.optimize import least_squares
from scipy.spatial.transform import Rotation

from zoo.heads.metrics import now_error, procrustes
from zoo.heads.metrics.now import Surface, faces_within, synthetic_scan

POINTS7 = torch.tensor(
    [[-45.0, 30, 0], [-15, 30, 0], [15, 30, 0], [45, 30, 0], [0, -15, 0], [-25, -45, 0], [25, -45, 0]],
    dtype=torch.float64,
)
"""x and y, millimetres."""


class Face(NamedTuple):
    """A relief over a square."""

    vertices: torch.Tensor
    faces: torch.Tensor
    points7: torch.Tensor


FEATURES = [[0, -10, 9, 22], [0, 15, 9, 10], [-30, 28, 14, -12], [30, 28, 14, -12], [0, -45, 20, 8], [0, -75, 12, 8]]
"""Place, width and height of what every face has: nose, its bridge, eye sockets, mouth, chin."""


def depth(seed: int, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """The relief of a face: what every face has, and something of its own."""
    generator = np.random.default_rng(seed)
    own = np.stack([*generator.uniform(-60, 60, (2, 6)), generator.uniform(20, 40, 6), generator.uniform(-4, 4, 6)], 1)
    height = 40 - x**2 / 110 - y**2 / 220
    for left, up, width, rise in [*FEATURES, *own]:
        height = height + rise * np.exp(-((x - left) ** 2 + (y - up) ** 2) / (2 * width**2))
    return height


def face(seed: int, side: int = 12) -> Face:
    """A mesh of side × side vertices over 200 × 200 mm."""
    x, y = (axis.ravel() for axis in np.meshgrid(*[np.linspace(-100, 100, side)] * 2))
    corner = np.arange(side * side).reshape(side, side)
    a, b, c, d = (cells.ravel() for cells in (corner[:-1, :-1], corner[:-1, 1:], corner[1:, :-1], corner[1:, 1:]))
    faces = np.concatenate([np.stack([a, b, d], 1), np.stack([a, d, c], 1)])
    points7 = POINTS7.numpy().copy()
    points7[:, 2] = depth(seed, points7[:, 0], points7[:, 1])
    vertices = np.stack([x, y, depth(seed, x, y)], axis=1)
    return Face(torch.from_numpy(vertices), torch.from_numpy(faces), torch.from_numpy(points7))


def point_triangle(point: np.ndarray, a: np.ndarray, b: np.ndarray, c: np.ndarray) -> float:
    """Distance of a point from a triangle: its inside, or else the nearest of its sides."""

    def from_segment(start: np.ndarray, end: np.ndarray) -> float:
        along = np.clip((point - start) @ (end - start) / ((end - start) @ (end - start)), 0, 1)
        return float(np.linalg.norm(point - start - along * (end - start)))

    normal = np.cross(b - a, c - a)
    normal /= np.linalg.norm(normal)
    inside = all(np.cross(end - start, point - start) @ normal >= 0 for start, end in ((a, b), (b, c), (c, a)))
    return (
        abs(float((point - a) @ normal)) if inside else min(from_segment(a, b), from_segment(b, c), from_segment(c, a))
    )


def brute_force(points: np.ndarray, vertices: np.ndarray, faces: np.ndarray) -> np.ndarray:
    """Distances of points from a mesh: every point with every triangle."""
    a, b, c = (vertices[faces[:, corner]] for corner in range(3))
    normals = np.cross(b - a, c - a)
    normals /= np.linalg.norm(normals, axis=1, keepdims=True)
    away = points[:, None] - a
    best = np.full((len(points), len(faces)), np.inf)
    inside = np.ones_like(best, dtype=bool)
    for start, end in ((a, b), (b, c), (c, a)):
        edge = end - start
        offset = points[:, None] - start
        inside &= (np.cross(edge[None], offset) * normals).sum(-1) >= 0
        along = ((offset * edge).sum(-1) / (edge * edge).sum(-1)).clip(0, 1)
        best = np.minimum(best, np.linalg.norm(offset - along[:, :, None] * edge, axis=-1))
    return np.where(inside, np.abs((away * normals).sum(-1)), best).min(1)


def slow_now(scan: np.ndarray, mesh: Face, scan_points7: np.ndarray) -> np.ndarray:
    """The protocol with a general optimiser and brute force."""
    eyes, nose = (scan_points7[1] + scan_points7[2]) / 2, scan_points7[4]
    radius = 1.4 * (np.linalg.norm(scan_points7[0] - scan_points7[3]) + np.linalg.norm(eyes - nose)) / 2
    cropped = scan[np.linalg.norm(scan - (nose + 0.3 * (eyes - nose)), axis=1) <= radius]
    roughly = procrustes(mesh.points7, scan_points7, reflection=True).apply(mesh.vertices).numpy()

    def distances(numbers: np.ndarray) -> np.ndarray:
        rotation = Rotation.from_rotvec(numbers[:3] / 100).as_matrix()
        moved = np.exp(numbers[6] / 100) * roughly @ rotation.T + numbers[3:6]
        return brute_force(cropped, moved, mesh.faces.numpy())

    found = least_squares(distances, np.zeros(7), xtol=1e-10, ftol=1e-10, gtol=1e-10)
    return distances(found.x)


@pytest.fixture(scope="module")
def true() -> Face:
    return face(0)


@pytest.fixture(scope="module")
def scan(true: Face) -> torch.Tensor:
    return synthetic_scan(true.vertices, true.faces, 250)


def posed(points: torch.Tensor, scale: float = 0.001) -> torch.Tensor:
    """Points in another frame and unit."""
    turn = torch.from_numpy(Rotation.from_euler("xyz", [160, 25, -10], degrees=True).as_matrix())
    return scale * points @ turn.mT + 3


def test_equals_brute_force_and_a_general_optimiser(true: Face, scan: torch.Tensor) -> None:
    other = face(1)
    predicted = Face(posed(other.vertices), other.faces, posed(other.points7))
    expected = slow_now(scan.numpy(), predicted, true.points7.numpy())
    found = now_error(scan, predicted.vertices, predicted.faces, true.points7, predicted.points7)
    assert len(found) == len(expected) < len(scan)
    assert (found**2).sum().item() == pytest.approx((expected**2).sum(), rel=1e-4)
    assert found.mean().item() == pytest.approx(expected.mean(), rel=1e-3)
    assert found.median().item() == pytest.approx(float(np.median(expected)), rel=1e-2)


def test_closest_points_equal_brute_force() -> None:
    mesh = face(2)
    points = np.random.default_rng(0).uniform(-120, 120, (40, 3))
    closest, _ = Surface(mesh.vertices.numpy(), mesh.faces.numpy()).nearest(points)
    found = np.linalg.norm(points - closest, axis=1)
    triangles = mesh.vertices.numpy()[mesh.faces.numpy()]
    one_by_one = [min(point_triangle(point, *triangle) for triangle in triangles) for point in points]
    assert found == pytest.approx(one_by_one)
    assert brute_force(points, mesh.vertices.numpy(), mesh.faces.numpy()) == pytest.approx(one_by_one)


def test_the_right_mesh_has_no_error_in_any_frame_and_unit(true: Face, scan: torch.Tensor) -> None:
    wrong_points7 = posed(true.points7) + 0.002 * torch.randn(7, 3, generator=torch.Generator().manual_seed(0))
    found = now_error(scan, posed(true.vertices), true.faces, true.points7, wrong_points7)
    assert found.max().item() < 1e-3


def test_many_points_give_what_a_part_of_them_leads_to(true: Face) -> None:
    other = face(1)
    many = synthetic_scan(true.vertices, true.faces, 30_000)
    found = now_error(many, other.vertices, other.faces, true.points7, other.points7)
    again = now_error(many, posed(other.vertices), other.faces, true.points7, posed(other.points7))
    assert found.square().mean().item() == pytest.approx(again.square().mean().item(), rel=1e-5)


@pytest.mark.parametrize(
    ("factor", "message"),
    [
        (0.001, "look like metres, multiply scan and points by 1000"),
        (0.1, "look like centimetres, multiply scan and points by 10"),
        (1000, "look like micrometres, multiply scan and points by 0.001"),
        (20, "check the unit"),
    ],
)
def test_a_scan_in_another_unit_is_one_sentence(true: Face, scan: torch.Tensor, factor: float, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        now_error(scan * factor, true.vertices, true.faces, true.points7 * factor, true.points7)


def test_scan_and_points_in_different_units_are_refused(true: Face, scan: torch.Tensor) -> None:
    with pytest.raises(ValueError, match=r"the scan measures .* expected both in one unit"):
        now_error(scan / 1000, true.vertices, true.faces, true.points7, true.points7)
    with pytest.raises(ValueError, match=r"the mesh measures .* expected both in one unit"):
        now_error(scan, true.vertices * 1000, true.faces, true.points7, true.points7)


def test_a_scan_elsewhere_is_refused(true: Face, scan: torch.Tensor) -> None:
    with pytest.raises(ValueError, match="none of the 250 scan points"):
        now_error(scan + 1000, true.vertices, true.faces, true.points7, true.points7)


def test_meshes_that_cannot_be_measured_are_refused(true: Face, scan: torch.Tensor) -> None:
    def measure(vertices: torch.Tensor, faces: torch.Tensor) -> None:
        now_error(scan, vertices, faces, true.points7, true.points7)

    with pytest.raises(ValueError, match="not finite"):
        measure(true.vertices * torch.nan, true.faces)
    with pytest.raises(ValueError, match="faces hold indices from"):
        measure(true.vertices, true.faces + 1)
    with pytest.raises(ValueError, match="at least one triangle"):
        measure(true.vertices, true.faces[:0])


def test_a_synthetic_scan_lies_on_the_face_evenly_and_is_always_the_same(true: Face) -> None:
    scanned = faces_within(true.faces, torch.arange(48))
    first, second = (synthetic_scan(true.vertices, scanned, 20_000) for _ in range(2))
    assert torch.equal(first, second)
    assert len(scanned) < len(true.faces)
    assert brute_force(first[:100].numpy(), true.vertices.numpy(), scanned.numpy()).max() < 1e-9
    corners = true.vertices[scanned].numpy()
    areas = np.linalg.norm(np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]), axis=1)
    _, triangles = Surface(true.vertices.numpy(), scanned.numpy()).nearest(first.numpy())
    shares = np.bincount(triangles, minlength=len(scanned)) / len(first)
    assert shares == pytest.approx(areas / areas.sum(), abs=0.004)


def test_a_face_without_area_cannot_be_scanned(true: Face) -> None:
    with pytest.raises(ValueError, match="no area"):
        synthetic_scan(true.vertices * 0, true.faces)
