"""Chamfer distance: equal to loops over vertices after a search for the alignment, in the benchmark's unit."""

import math

import pytest
import torch
from scipy.spatial.transform import Rotation

from zoo.heads.metrics import chamfer_to_ground_truth, procrustes


def head(seed: int, vertices: int = 50) -> tuple[torch.Tensor, torch.Tensor]:
    """Vertices and seven points."""
    generator = torch.Generator().manual_seed(seed)
    mesh = torch.randn(vertices, 3, dtype=torch.float64, generator=generator)
    return mesh, mesh[:7] + 0.1 * torch.randn(7, 3, dtype=torch.float64, generator=generator)


def slow_chamfer(
    vertices: torch.Tensor, face: torch.Tensor, points7: torch.Tensor, true_points7: torch.Tensor
) -> float:
    """Vertex after vertex."""
    unit = 20 / math.dist(true_points7[1].tolist(), true_points7[2].tolist())
    fit = procrustes(points7, unit * true_points7, reflection=True)
    moved = [(fit.scale * fit.rotation @ vertex + fit.translation).tolist() for vertex in vertices]
    nearest = [min(math.dist(place, vertex) for vertex in moved) for place in (unit * face).tolist()]
    return sum(distance**2 for distance in nearest) / len(nearest)


def test_equals_the_loop_also_for_another_topology() -> None:
    (vertices, points7), (true, true_points7) = head(0, vertices=80), head(1)
    face = true[:30]
    expected = slow_chamfer(vertices, face, points7, true_points7)
    assert chamfer_to_ground_truth(vertices, face, points7, true_points7).item() == pytest.approx(expected)


def test_place_size_and_handedness_of_the_prediction_do_not_matter() -> None:
    (vertices, points7), (true, true_points7) = head(0), head(1)
    expected = chamfer_to_ground_truth(vertices, true, points7, true_points7)
    turn = torch.from_numpy(Rotation.from_euler("xyz", [1, 2, 3]).as_matrix()) * torch.tensor([-1.0, 1.0, 1.0])
    moved, moved7 = (1000 * points @ turn.mT + 5 for points in (vertices, points7))
    assert chamfer_to_ground_truth(moved, true, moved7, true_points7).item() == pytest.approx(expected.item())
    in_metres = chamfer_to_ground_truth(vertices, true / 1000, points7, true_points7 / 1000)
    assert in_metres.item() == pytest.approx(expected.item())


def test_the_right_mesh_has_no_distance_and_a_shifted_one_its_square() -> None:
    true, _ = head(1)
    points7 = torch.tensor(
        [[-30.0, 0, 0], [-10, 0, 0], [10, 0, 0], [30, 0, 0], [0, -20, 9], [-15, -40, 0], [15, -40, 0]]
    )
    assert chamfer_to_ground_truth(true, true, points7, points7).item() == pytest.approx(0, abs=1e-20)
    single, three = torch.zeros(1, 3), torch.tensor([[3.0, 0, 0]])
    assert chamfer_to_ground_truth(single + three, single, points7, points7).item() == pytest.approx(9)


def test_a_batch_is_its_heads_one_by_one() -> None:
    (first, first7), (second, second7) = head(0), head(1)
    batch = torch.stack([first, second]), torch.stack([second, first])
    batch7 = torch.stack([first7, second7]), torch.stack([second7, first7])
    alone = [
        chamfer_to_ground_truth(first, second, first7, second7).item(),
        chamfer_to_ground_truth(second, first, second7, first7).item(),
    ]
    assert chamfer_to_ground_truth(*batch, *batch7).tolist() == pytest.approx(alone)


def test_what_cannot_be_aligned_is_refused() -> None:
    (vertices, points7), (true, true_points7) = head(0), head(1)
    with pytest.raises(ValueError, match="on one line"):
        chamfer_to_ground_truth(vertices, true, torch.zeros(7, 3), true_points7)
    with pytest.raises(ValueError, match="not finite"):
        chamfer_to_ground_truth(vertices * torch.nan, true, points7, true_points7)
    with pytest.raises(ValueError, match="inner corners"):
        chamfer_to_ground_truth(vertices, true, points7, torch.zeros(7, 3))
    with pytest.raises(ValueError, match="expected \\(7, 3\\)"):
        chamfer_to_ground_truth(vertices, true, points7[:6], true_points7)
    with pytest.raises(ValueError, match="same number of heads"):
        chamfer_to_ground_truth(vertices[None], true, points7, true_points7)
