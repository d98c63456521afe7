"""F_Q: shares and areas counted by hand."""

import math

import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation

from zoo.heads.metrics import MEASURES, annotation_consistency


def turned(*norms: float) -> torch.Tensor:
    """Rotations about one axis; the first lies at these F-norms from the others."""
    angles = [2 * math.asin(norm / (2 * math.sqrt(2))) for norm in norms]
    return torch.from_numpy(Rotation.from_rotvec(np.outer(angles, [0, 1, 0])).as_matrix())


def test_share_and_area_of_known_pairs() -> None:
    result = annotation_consistency(turned(0, 0.04, 0, 0.3), ["a", "a", "b", "b"], [1, 2, 1, 2], tolerance=0.1)
    assert result.pairs == 2
    assert result.f_q.item() == 0.5
    assert result.auc.item() == pytest.approx((1 - 0.4) / 2)


def test_area_is_that_under_the_share() -> None:
    generator = np.random.default_rng(0)
    norms = generator.uniform(0, 0.2, 40)
    pairs = torch.stack([rotation for norm in norms for rotation in turned(0, norm)])
    result = annotation_consistency(pairs, [i // 2 for i in range(80)], list(range(80)))
    thresholds = np.linspace(0, 0.1, 5001)
    shares = [(norms <= threshold).mean() for threshold in thresholds]
    assert result.auc.item() == pytest.approx(float(np.mean(shares)), abs=1e-3)


def test_all_pairs_of_a_head_count_and_none_between_heads() -> None:
    assert annotation_consistency(turned(0, 0, 0, 0), ["a", "a", "a", "b"], [1, 2, 3, 1]).pairs == 3


def test_one_crop_seen_twice_is_no_pair() -> None:
    result = annotation_consistency(turned(0, 0), ["a", "a"], [1, 1])
    assert result.pairs == 0
    assert result.f_q.isnan()


def test_a_prediction_that_is_not_finite_agrees_with_none() -> None:
    rotations = turned(0, 0, 0)
    rotations[2] = torch.nan
    result = annotation_consistency(rotations, ["a"] * 3, [1, 2, 3])
    assert result.f_q.item() == pytest.approx(1 / 3)
    assert result.auc.item() == pytest.approx(1 / 3)


def test_its_label_says_that_the_project_defined_it() -> None:
    assert all("project-defined" in MEASURES[key].label for key in ("f_q", "f_q_auc"))
