"""Reprojection NME: equal to a loop over landmarks, and no number for what cannot be measured."""

import math

import pytest
import torch

from zoo.heads.metrics import reprojection_nme


def slow_nme(predicted: list[list[float]], target: list[list[float]], box: list[float]) -> float:
    """One landmark after the other."""
    distances = [math.dist(p, g) for p, g in zip(predicted, target, strict=True)]
    return 100 * sum(distances) / len(distances) / math.sqrt(box[2] * box[3])


def test_equals_the_loop() -> None:
    generator = torch.Generator().manual_seed(0)
    predicted, target = torch.rand(3, 68, 2, generator=generator) * 256, torch.rand(3, 68, 2, generator=generator) * 256
    box = torch.tensor([[10.0, 5.0, 100.0, 150.0], [-20.0, 0.0, 300.0, 200.0], [0.0, 0.0, 64.0, 64.0]])
    expected = [slow_nme(*head) for head in zip(predicted.tolist(), target.tolist(), box.tolist(), strict=True)]
    assert reprojection_nme(predicted, target, box).tolist() == pytest.approx(expected, rel=1e-5)
    assert reprojection_nme(predicted[1], target[1], box[1]).item() == pytest.approx(expected[1], rel=1e-5)


def test_a_shift_of_a_tenth_of_the_box_is_ten_per_cent() -> None:
    target = torch.rand(68, 2)
    assert reprojection_nme(
        target + torch.tensor([6.0, 8.0]), target, torch.tensor([0, 0, 50, 200])
    ).item() == pytest.approx(10)


def test_half_precision_is_measured_in_full() -> None:
    target = torch.full((68, 2), 200.0, dtype=torch.float16)
    shifted = target + 0.125
    assert reprojection_nme(shifted, target, torch.tensor([0, 0, 100, 100])).dtype == torch.float32


@pytest.mark.parametrize("sides", [(0.0, 10.0), (10.0, 0.0), (-1.0, -1.0), (math.nan, 1.0)])
def test_a_box_without_area_is_refused(sides: tuple[float, float]) -> None:
    points = torch.zeros(2, 68, 2)
    with pytest.raises(ValueError, match="expected both above 0"):
        reprojection_nme(points, points, torch.tensor([[0.0, 0.0, 1.0, 1.0], [0.0, 0.0, *sides]]))


def test_a_prediction_that_is_not_finite_stays_visible() -> None:
    target = torch.zeros(2, 68, 2)
    predicted = target.clone()
    predicted[1, 3] = torch.nan
    result = reprojection_nme(predicted, target, torch.tensor([[0.0, 0.0, 1.0, 1.0]]).expand(2, 4))
    assert result[0] == 0
    assert result[1].isnan()


def test_shapes_that_do_not_fit_are_refused() -> None:
    with pytest.raises(ValueError, match="expected the same"):
        reprojection_nme(torch.zeros(68, 2), torch.zeros(67, 2), torch.ones(4))
    with pytest.raises(ValueError, match="box has shape"):
        reprojection_nme(torch.zeros(2, 68, 2), torch.zeros(2, 68, 2), torch.ones(4))
