"""Procrustes: recovers the similarity that was applied, and does no worse than a search does."""

import numpy as np
import pytest
import torch
from scipy.optimize import minimize
from scipy.spatial.transform import Rotation

from zoo.heads.metrics import SEVEN_POINTS, procrustes, seven_points


def points(count: int = 7, seed: int = 0) -> torch.Tensor:
    return torch.randn(count, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def turn(*degrees: float) -> torch.Tensor:
    return torch.from_numpy(Rotation.from_euler("xyz", degrees, degrees=True).as_matrix())


def test_applied_similarity_is_found() -> None:
    source = points()
    target = 3.5 * source @ turn(20, -70, 140).mT + torch.tensor([1.0, -2.0, 5.0])
    found = procrustes(source, target)
    assert torch.isclose(found.scale, torch.tensor(3.5, dtype=torch.float64))
    assert torch.allclose(found.rotation, turn(20, -70, 140))
    assert torch.allclose(found.translation, torch.tensor([1.0, -2.0, 5.0], dtype=torch.float64))
    assert torch.allclose(found.apply(source), target)


def test_no_search_finds_a_closer_similarity() -> None:
    source, target = points(), points(seed=1)

    def distance(numbers: np.ndarray) -> float:
        rotation = Rotation.from_rotvec(numbers[:3]).as_matrix()
        moved = np.exp(numbers[6]) * source.numpy() @ rotation.T + numbers[3:6]
        return float(((moved - target.numpy()) ** 2).sum())

    searched = min(minimize(distance, [*start, 0, 0, 0, 0]).fun for start in 2 * np.vstack([np.zeros(3), np.eye(3)]))
    found = float((procrustes(source, target).apply(source) - target).square().sum())
    assert found == pytest.approx(searched, rel=1e-6)


@pytest.mark.parametrize("reflection", [True, False])
def test_mirrored_points_are_reflected_only_where_that_is_allowed(reflection: bool) -> None:
    source = points()
    found = procrustes(source, source * torch.tensor([-1.0, 1.0, 1.0]), reflection=reflection)
    assert torch.linalg.det(found.rotation).item() == pytest.approx(-1 if reflection else 1)


def test_without_scale_the_size_stays() -> None:
    source = points()
    found = procrustes(source, 4 * source @ turn(0, 30, 0).mT, scale=False)
    assert found.scale == 1
    assert torch.allclose(found.rotation, turn(0, 30, 0))


def test_a_batch_is_its_heads_one_by_one() -> None:
    source, target = torch.stack([points(), points(seed=2)]), torch.stack([points(seed=3), points(seed=4)])
    together = procrustes(source, target).apply(source)
    alone = torch.stack([procrustes(*pair).apply(pair[0]) for pair in zip(source, target, strict=True)])
    assert torch.allclose(together, alone)


def test_flat_points_are_no_reflection() -> None:
    flat = points() * torch.tensor([1.0, 1.0, 0.0])
    found = procrustes(flat, flat @ turn(10, 20, 30).mT)
    assert torch.allclose(found.rotation, turn(10, 20, 30))


@pytest.mark.parametrize(
    ("source", "message"),
    [
        (torch.zeros(1, 3), "on one line"),
        (torch.ones(7, 3), "on one line"),
        (torch.arange(7.0)[:, None] * torch.ones(3), "on one line"),
        (torch.full((7, 3), torch.nan), "not finite"),
        (torch.zeros(7, 2), "expected"),
    ],
)
def test_points_that_fix_no_rotation_are_refused(source: torch.Tensor, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        procrustes(source, points(len(source)))


def test_different_numbers_of_points_are_refused() -> None:
    with pytest.raises(ValueError, match="expected the same"):
        procrustes(points(7), points(8))


def test_seven_points_are_those_of_the_68() -> None:
    landmarks = torch.arange(68.0)[:, None].expand(68, 3)
    assert seven_points(landmarks)[:, 0].tolist() == list(SEVEN_POINTS) == [36, 39, 42, 45, 33, 48, 54]
