"""Landmark branches: heatmaps and points of the shapes they say, and where they begin."""

from collections.abc import Iterator

import pytest
import torch
from zoo_plugins.landmark_branches import HeatmapLandmarks, NoLandmarks, PointLandmarks

from zoo.core.seeding import random_stream
from zoo.heads.parts import LANDMARKS, LandmarkBranch


@pytest.fixture(autouse=True)
def same_draws() -> Iterator[None]:
    """Weights and features are the same in every run."""
    with random_stream(0, "test"):
        yield


def built(branch: LandmarkBranch) -> LandmarkBranch:
    branch.build(pyramid_channels=12, last_channels=20)
    return branch.eval()


def pyramid() -> list[torch.Tensor]:
    return [torch.rand(2, 12, 16 // 2**level, 16 // 2**level) for level in range(3)]


def test_heatmaps_are_logits_of_the_finest_level() -> None:
    branch = built(HeatmapLandmarks(width=32))
    levels = pyramid()
    heatmaps = branch.heatmaps(levels)
    assert heatmaps is not None
    assert heatmaps.shape == (2, LANDMARKS, 16, 16)
    assert heatmaps.min() < 0 < heatmaps.max()
    assert torch.equal(branch.heatmaps([levels[0], *torch.rand(2, 2, 12, 3, 3)]), heatmaps)


def test_before_training_no_cell_is_preferred() -> None:
    heatmaps = built(HeatmapLandmarks()).heatmaps([torch.zeros(1, 12, 16, 16)])
    assert heatmaps is not None
    assert not heatmaps.any()


@pytest.mark.parametrize("branch", [HeatmapLandmarks(), PointLandmarks()])
def test_points_begin_in_the_middle_of_the_crop_where_each_has_a_gradient(branch: LandmarkBranch) -> None:
    points = built(branch).points(torch.rand(2, 20, 2, 2))
    assert points is not None
    assert points.shape == (2, LANDMARKS, 2)
    assert (points - 0.5).abs().mean() < 0.2
    assert points.min() > 0
    points.sum().backward()
    gradient = branch.regressor[-1].bias.grad
    assert (gradient == 2).all()


def test_points_are_never_negative() -> None:
    branch = built(PointLandmarks())
    points = branch.points(-1000 * torch.rand(2, 20, 2, 2))
    assert points is not None
    assert points.min() == 0


@pytest.mark.parametrize(
    ("branch", "heatmap_count", "gives_points"),
    [(HeatmapLandmarks(), LANDMARKS, True), (PointLandmarks(), 0, True), (NoLandmarks(), 0, False)],
)
def test_a_branch_gives_what_it_says(branch: LandmarkBranch, heatmap_count: int, gives_points: bool) -> None:
    built(branch)
    assert (branch.heatmap_count, branch.gives_points) == (heatmap_count, gives_points)
    assert (branch.heatmaps(pyramid()) is not None) == bool(heatmap_count)
    assert (branch.points(torch.rand(2, 20, 2, 2)) is not None) == gives_points


def test_no_landmarks_has_nothing_to_train() -> None:
    assert not list(built(NoLandmarks()).parameters())
