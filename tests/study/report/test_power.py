"""What a study can detect, and how many seeds a row needs."""

import numpy as np
import pytest
from scipy.stats import t

from zoo.study.report.power import detectable, seeds_needed
from zoo.study.report.statistics import paired_difference


def test_by_hand_for_whole_runs() -> None:
    found = paired_difference(np.array([[0.0], [1.0], [2.0]]), False, 0)  # a variance of one over seeds
    assert found.spread == pytest.approx((1, 0, 0))
    assert detectable(found, 3) == pytest.approx((t.ppf(0.975, 2) + t.ppf(0.8, 2)) / 3**0.5)
    needed = seeds_needed(found, None)
    assert detectable(found, needed) <= found.mean < detectable(found, needed - 1)
    assert needed == 10


def test_a_margin_may_decide_sooner_and_more_rows_need_more_seeds() -> None:
    found = paired_difference(np.array([[-0.9], [0.1], [1.1]]), False, 0)
    assert seeds_needed(found, None) is None
    assert seeds_needed(found, 1.0) == 10
    assert detectable(found, 5, rows=10) > detectable(found, 5)


def test_variances_by_seed_and_image_are_told_apart() -> None:
    draw = np.random.default_rng(0)
    seeds, images = draw.normal(0, 2, (300, 1)), draw.normal(0, 1, (1, 200))
    by_seed, by_image, rest = paired_difference(seeds + images + draw.normal(0, 3, (300, 200)), True, 0).spread
    assert (by_seed, by_image, rest) == pytest.approx((4, 1, 9), rel=0.2)
