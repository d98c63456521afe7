"""Loss terms of heads, against values computed by hand."""

import math

import numpy as np
import pytest
import torch
from torch import Tensor
from zoo_plugins.losses.heads import (
    AdaptiveWingHeatmap,
    LandmarkL1,
    ReprojectionLoss,
    RotationGeodesic,
    SoftIoUHeatmap,
    VertexLoss,
)

from zoo.core.spec import build
from zoo.heads.asset import HeadAsset
from zoo.heads.mesh import HeadModel
from zoo.heads.parts import HeadBatch, HeadOutput, heatmap_targets
from zoo.heads.rotation import matrix_from_euler

LANDMARKS = 68


class FourVertices(HeadModel):
    """The smallest head model: only its subsets matter here."""

    def asset(self) -> HeadAsset:
        return HeadAsset(
            name="four vertices",
            licence="none",
            source="a test",
            template=np.zeros((4, 3)),
            faces=np.array([[0, 1, 2]]),
            shape_basis=np.zeros((4, 3, 1)),
            expression_basis=np.zeros((4, 3, 1)),
            joints=("root", "jaw"),
            parents=np.array([-1, 0]),
            joint_regressor=np.full((2, 4), 0.25),
            weights=np.full((4, 2), 0.5),
            landmark_faces=np.zeros(LANDMARKS, int),
            landmark_weights=np.full((LANDMARKS, 3), 1 / 3),
            subsets={"face": np.array([0, 1]), "head": np.array([0, 1, 2]), "face_with_ears": np.array([0, 1, 3])},
        )


def make_batch(size: int = 256, **fields: Tensor) -> HeadBatch:
    """One sample in which nothing is special but the given fields."""
    plain = HeadBatch(
        image=torch.zeros(1, 3, size, size),
        vertices=torch.zeros(1, 4, 3),
        projected=torch.zeros(1, 4, 2),
        landmarks=torch.full((1, LANDMARKS, 2), 0.5),
        visible=torch.ones(1, LANDMARKS),
        rotation=torch.eye(3)[None],
        box=torch.tensor([[0.0, 0.0, size, size]]),
    )
    return plain._replace(**fields)


def make_output(**fields: Tensor) -> HeadOutput:
    return HeadOutput(heatmaps=None, landmarks=None, params=torch.zeros(1, 15))._replace(**fields)


def logits_of(probabilities: Tensor) -> Tensor:
    return torch.logit(probabilities.double()).clamp(-40, 40)


def test_soft_iou_is_zero_where_heatmaps_are_right_and_one_where_they_have_nothing_in_common() -> None:
    batch = make_batch()
    target = heatmap_targets(batch.landmarks, batch.visible, 64)
    assert SoftIoUHeatmap()(make_output(heatmaps=logits_of(target)), batch) == pytest.approx(0, abs=1e-6)
    assert SoftIoUHeatmap()(make_output(heatmaps=logits_of(torch.zeros_like(target))), batch) == pytest.approx(1)


def test_soft_iou_of_even_heatmaps() -> None:
    visible = torch.ones(1, LANDMARKS)
    visible[:, 17:] = 0  # a quarter of the landmarks is visible
    bell = [math.exp(-(d**2) / (2 * (11 / 6) ** 2)) for d in range(-5, 6)]
    total, squares = sum(bell) ** 2, sum(value**2 for value in bell) ** 2
    visible_quotient = 0.5 * total / (squares + 0.25 * 64**2 - 0.5 * total)
    value = SoftIoUHeatmap()(make_output(heatmaps=torch.zeros(1, LANDMARKS, 64, 64)), make_batch(visible=visible))
    assert value == pytest.approx(1 - visible_quotient / 4, rel=1e-5)


def test_adaptive_wing_inside_and_beyond_theta() -> None:
    batch = make_batch(visible=torch.zeros(1, LANDMARKS))  # y = 0 everywhere: the exponent is alpha
    wing = AdaptiveWingHeatmap()

    def value(probability: float) -> float:
        return wing(make_output(heatmaps=logits_of(torch.full((1, LANDMARKS, 16, 16), probability))), batch).item()

    assert value(0.25) == pytest.approx(14 * math.log(1 + 0.25**2.1))
    at_theta = 14 * math.log(1 + 0.5**2.1)
    slope = 14 * 2.1 * 0.5**1.1 / (1 + 0.5**2.1)
    assert value(0.8) == pytest.approx(at_theta + slope * 0.3)
    assert value(0.499999) == pytest.approx(value(0.500001), rel=1e-4)


def test_adaptive_wing_takes_the_target_into_the_exponent() -> None:
    batch = make_batch()
    target = heatmap_targets(batch.landmarks, batch.visible, 16).double()
    lower = (target - 0.3).clamp(min=0)
    distance = target - lower
    expected = (14 * torch.log(1 + distance ** (2.1 - target))).mean()
    assert AdaptiveWingHeatmap()(make_output(heatmaps=logits_of(lower)), batch) == pytest.approx(expected.item())


@pytest.mark.parametrize("term", [SoftIoUHeatmap(), AdaptiveWingHeatmap()], ids=lambda term: type(term).__name__)
@pytest.mark.parametrize("logit", [-100.0, 0.0, 100.0])
def test_heatmap_terms_have_finite_gradients_at_extreme_logits(term: torch.nn.Module, logit: float) -> None:
    heatmaps = torch.full((1, LANDMARKS, 16, 16), logit, requires_grad=True)
    term(make_output(heatmaps=heatmaps), make_batch()).backward()
    assert heatmaps.grad is not None
    assert heatmaps.grad.isfinite().all()


def test_adaptive_wing_refuses_an_exponent_below_one() -> None:
    with pytest.raises(ValueError, match="alpha above 2"):
        AdaptiveWingHeatmap(alpha=2.0)


def test_landmark_term_counts_half_the_square_of_visible_landmarks_only() -> None:
    visible = torch.ones(1, LANDMARKS)
    visible[0, 1] = 0
    landmarks = torch.full((1, LANDMARKS, 2), 0.5)
    landmarks[0, 0, 0] += 0.1
    landmarks[0, 1] += 0.4
    value = LandmarkL1()(make_output(landmarks=landmarks), make_batch(visible=visible))
    assert value == pytest.approx(0.5 * 0.1**2 / (2 * LANDMARKS))


def test_vertex_term_compares_form_in_a_cube() -> None:
    vertices = torch.zeros(1, 4, 3)
    vertices[0, 1] = torch.tensor([2.0, 1.0, 0.0])  # in the cube: ±(1, 0.5, 0)
    target = torch.zeros(1, 4, 3)
    target[0, 1] = torch.tensor([2.0, 2.0, 0.0])  # in the cube: ±(1, 1, 0)
    term = VertexLoss({"face": 0.5})
    term.build(FourVertices())
    value = term(make_output(vertices=vertices), make_batch(vertices=target))
    assert value == pytest.approx(0.5 * (0.5**2 + 0.5**2) / 6)


def test_vertex_term_leaves_place_and_size_out() -> None:
    target = torch.randn(1, 4, 3, generator=torch.Generator().manual_seed(0))
    term = VertexLoss()
    term.build(FourVertices())
    batch = make_batch(vertices=target)
    assert term(make_output(vertices=3 * target + 0.7), batch) == pytest.approx(0, abs=1e-9)
    stretched = target * torch.tensor([1.0, 1.5, 1.0])
    assert term(make_output(vertices=stretched), batch) > 1e-3


@pytest.mark.parametrize("size", [128, 256])
def test_reprojection_counts_pixels_of_a_crop_of_256(size: int) -> None:
    projected = torch.zeros(1, 4, 2)
    projected[0, 0, 1] = 3 * size / 256  # of face and face_with_ears: |3| − 1/2
    projected[0, 2] = 1000  # of the head alone, which the term leaves out
    term = ReprojectionLoss()
    term.build(FourVertices())
    value = term(make_output(projected=projected), make_batch(size))
    assert value == pytest.approx(0.5 * 2.5 / 4 + 0.5 * 2.5 / 6)


def test_rotation_term_is_the_mean_angle_in_radians() -> None:
    angles = torch.tensor([[0.0, 30.0, 0.0], [0.0, 0.0, -60.0]])
    frontal = matrix_from_euler(torch.zeros(2, 3))
    value = RotationGeodesic()(make_output(rotation=matrix_from_euler(angles)), make_batch(rotation=frontal))
    assert value == pytest.approx(math.radians(45), rel=1e-5)


def test_subsets_that_the_head_does_not_have_are_named() -> None:
    with pytest.raises(ValueError, match="no subset 'nose'"):
        VertexLoss({"nose": 1.0}).build(FourVertices())
    with pytest.raises(ValueError, match="at least one subset"):
        ReprojectionLoss({})


def test_subset_indices_are_no_part_of_a_checkpoint() -> None:
    term = VertexLoss()
    term.build(FourVertices())
    assert not term.state_dict()
    assert len(list(term.buffers())) == 3


@pytest.mark.parametrize(
    ("term", "weight"),
    [
        (SoftIoUHeatmap(), 1),
        (AdaptiveWingHeatmap(), 1),
        (LandmarkL1(), 100),
        (VertexLoss(), 50),
        (ReprojectionLoss(), 0.05),
        (RotationGeodesic(), 1),
    ],
)
def test_official_weights_and_specs(term: VertexLoss, weight: float) -> None:
    assert term.weight == weight
    assert build(term.spec).spec == term.spec
    assert term.reads <= set(HeadOutput._fields)
    assert term.targets <= set(HeadBatch._fields)
