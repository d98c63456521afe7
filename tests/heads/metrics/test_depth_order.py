"""Z_n accuracy: both kinds equal plain loops, and disagree with each other as they should."""

import math

import pytest
import torch

from zoo.heads.metrics import zn_accuracy
from zoo.heads.metrics.shape import DepthOrder


def meshes(count: int = 60, noise: float = 0.3) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    target = torch.randn(count, 3, generator=generator)
    return target + noise * torch.randn(count, 3, generator=generator), target


def slow_paper(predicted: list[list[float]], target: list[list[float]], n: int) -> float:
    """Each vertex with its n nearest neighbours."""
    agreeing = 0
    for i in range(len(target)):
        others = sorted((j for j in range(len(target)) if j != i), key=lambda j: math.dist(target[i], target[j]))
        for j in others[:n]:
            agreeing += (target[i][2] >= target[j][2]) == (predicted[i][2] >= predicted[j][2])
    return agreeing / (len(target) * n)


def slow_official(predicted: list[list[float]], target: list[list[float]], n: int) -> float:
    """Vertex i with the i-th nearest (itself the 0th) of vertex 1, 2, … n."""
    agreeing = 0
    for column in range(1, n + 1):
        nearest = sorted(range(len(target)), key=lambda j: math.dist(target[column], target[j]))
        for i, j in enumerate(nearest):
            agreeing += (target[i][2] >= target[j][2]) == (predicted[i][2] >= predicted[j][2])
    return agreeing / (len(target) * n)


@pytest.mark.parametrize("n", [1, 5, 7])
def test_both_kinds_equal_their_loops(n: int) -> None:
    predicted, target = meshes()
    lists = predicted.tolist(), target.tolist()
    assert zn_accuracy(predicted, target, n).item() == pytest.approx(slow_paper(*lists, n))
    assert zn_accuracy(predicted, target, n, mode="official").item() == pytest.approx(slow_official(*lists, n))


def test_the_kinds_are_different_numbers() -> None:
    predicted, target = meshes()
    assert zn_accuracy(predicted, target) != zn_accuracy(predicted, target, mode="official")


@pytest.mark.parametrize("mode", ["paper", "official"])
def test_a_batch_is_its_heads_one_by_one(mode: DepthOrder) -> None:
    predicted, target = meshes()
    pair = torch.stack([predicted, target]), torch.stack([target, target])
    assert zn_accuracy(*pair, mode=mode).tolist() == [zn_accuracy(predicted, target, mode=mode).item(), 1.0]


def test_only_depth_of_the_prediction_matters() -> None:
    predicted, target = meshes()
    moved = predicted * torch.tensor([-7.0, 0.1, 3.0]) + torch.tensor([1.0, 2.0, 3.0])
    assert zn_accuracy(moved, target) == zn_accuracy(predicted, target)
    assert zn_accuracy(target * torch.tensor([1.0, 1.0, -1.0]), target) == 0


def test_vertices_in_one_place_are_neighbours_of_each_other() -> None:
    target = torch.zeros(9, 3)
    assert zn_accuracy(target, target).item() == 1
    assert zn_accuracy(torch.arange(9.0)[:, None].expand(9, 3), target).item() < 1


@pytest.mark.parametrize("broken", [0, 1])
def test_what_is_not_finite_is_refused_and_no_agreement(broken: int) -> None:
    predicted, target = (mesh * (torch.nan if index == broken else 1) for index, mesh in enumerate(meshes()))
    with pytest.raises(ValueError, match="not finite"):
        zn_accuracy(predicted, target)


def test_too_few_vertices_and_unknown_modes_are_refused() -> None:
    with pytest.raises(ValueError, match="n=5 with 5 vertices"):
        zn_accuracy(torch.zeros(5, 3), torch.zeros(5, 3))
    with pytest.raises(ValueError, match="n=5 with 1 vertices"):
        zn_accuracy(torch.zeros(1, 3), torch.zeros(1, 3))
    with pytest.raises(ValueError, match="expected one of paper, official"):
        zn_accuracy(*meshes(), mode="both")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="expected one shape"):
        zn_accuracy(torch.zeros(8, 3), torch.zeros(9, 3))
