"""Heatmap targets: one bell a landmark, where the official code puts it."""

import math

import pytest
import torch

from benchmarks.heads_references import heatmaps_one_by_one
from zoo.heads.parts import heatmap_targets


def bell(*offsets: int) -> float:
    """exp(−d²/2σ²), σ = 11/6."""
    return math.exp(-sum(offset**2 for offset in offsets) / (2 * (11 / 6) ** 2))


def test_the_bell_has_its_peak_in_the_cell_of_the_landmark_and_ends_after_five_cells() -> None:
    (maps,) = heatmap_targets(torch.tensor([[[0.509, 0.26]]]), torch.ones(1, 1), size=64)
    heatmap = maps[0]
    assert heatmap[16, 32] == heatmap.max() == 1  # x = 32.6 and y = 16.6 are cut down, not rounded
    assert heatmap[16, 37] == pytest.approx(bell(5))
    assert heatmap[18, 31] == pytest.approx(bell(2, 1))
    assert heatmap[21, 37] == pytest.approx(bell(5, 5))
    assert heatmap[16, 38] == 0
    assert heatmap[22, 32] == 0
    assert (heatmap > 0).sum() == 11 * 11


def test_a_bell_at_the_edge_is_cut_off() -> None:
    (maps,) = heatmap_targets(torch.tensor([[[0.001, 0.999]]]), torch.ones(1, 1), size=32)
    assert maps[0, 31, 0] == 1
    assert (maps[0] > 0).sum() == 6 * 6


def test_landmarks_that_are_not_visible_have_empty_maps() -> None:
    landmarks = torch.full((2, 3, 2), 0.5)
    visible = torch.tensor([[1.0, 0.0, 1.0], [0.0, 1.0, 0.0]])
    assert torch.equal(heatmap_targets(landmarks, visible, size=16).amax((2, 3)), visible)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
@pytest.mark.parametrize("size", [1, 7, 16, 33])
@pytest.mark.parametrize("share", [0.0, 0.1, 1.0])
def test_all_maps_at_once_are_those_of_one_bell_after_another(share: float, size: int, dtype: torch.dtype) -> None:
    generator = torch.Generator().manual_seed(size)
    landmarks = torch.rand(3, 68, 2, generator=generator).to(dtype)
    landmarks[0, 0], landmarks[0, 1] = 0, 1 - 1e-6  # in the corners
    visible = (torch.rand(3, 68, generator=generator) < share).to(dtype)
    visible[0, :2] = share > 0
    maps = heatmap_targets(landmarks, visible, size)
    assert maps.dtype == dtype
    torch.testing.assert_close(maps.float(), heatmaps_one_by_one(landmarks, visible, size), rtol=0, atol=1e-6)


def test_maps_are_made_where_the_landmarks_are() -> None:
    """A tensor on the device `meta` has no values, so that nothing made of it can have been elsewhere."""
    maps = heatmap_targets(torch.rand(2, 68, 2, device="meta"), torch.ones(2, 68, device="meta"), size=16)
    assert maps.shape == (2, 68, 16, 16)
    assert maps.device.type == "meta"
