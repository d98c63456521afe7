"""What intervals and p-values of a report promise."""

import numpy as np
import pytest
from scipy.stats import ttest_1samp

from zoo.study.report.statistics import (
    Difference,
    bootstrap_means,
    holm,
    interval,
    look_levels,
    mean_and_deviation,
    p_values,
    paired_difference,
    stretch,
    two_sided_p,
)


def normal(seed: int, seeds: int, pictures: int, shift: float = 0.0) -> np.ndarray:
    """Differences with an effect of each seed, an effect of each picture, and noise."""
    draw = np.random.default_rng(seed)
    return (
        shift + draw.normal(size=(seeds, 1)) + draw.normal(size=(1, pictures)) + draw.normal(size=(seeds, pictures)) / 2
    )


@pytest.mark.parametrize(("seeds", "pictures"), [(3, 5), (4, 1)])
def test_identical_runs_do_not_differ(seeds: int, pictures: int) -> None:
    found = paired_difference(np.zeros((seeds, pictures)), pictures > 1, 0)
    assert (found.mean, found.low, found.high, found.p) == (0, 0, 0, 1)


def test_many_values_are_hardly_stretched_and_few_are() -> None:
    assert stretch(3) == pytest.approx(4.303 / 1.960 * 1.5**0.5, rel=1e-3)
    assert stretch(10_000) == pytest.approx(1, abs=1e-3)


def test_a_clear_shift_is_clear() -> None:
    found = paired_difference(normal(0, seeds=5, pictures=20, shift=10), True, 0)
    assert 5 < found.low < found.mean < found.high
    assert found.p == pytest.approx(2 / 10_001)


def test_the_interval_does_not_depend_on_which_row_is_the_baseline() -> None:
    differences = normal(3, 4, 10)
    one, other = paired_difference(differences, True, 0), paired_difference(-differences, True, 0)
    assert (one.low, one.high) == pytest.approx((-other.high, -other.low))
    assert one.p == other.p


def test_the_same_seed_gives_the_same_interval() -> None:
    differences = normal(1, 3, 8)
    assert paired_difference(differences, True, 7) == paired_difference(differences, True, 7)
    assert paired_difference(differences, True, 7).low != paired_difference(differences, True, 8).low


@pytest.mark.parametrize("seeds", [3, 10])
def test_the_interval_covers_the_truth_about_as_often_as_it_says(seeds: int) -> None:
    found = [paired_difference(normal(trial, seeds, pictures=30, shift=2), True, trial) for trial in range(100)]
    covered = sum(one.low <= 2 <= one.high for one in found)
    assert 90 <= covered <= 99


def test_the_interval_of_few_pictures_of_one_seed_covers_them() -> None:
    draw = np.random.default_rng(0)
    found = [paired_difference(draw.normal(2, 1, size=(1, 20)), True, trial) for trial in range(100)]
    covered = sum(one.low <= 2 <= one.high for one in found)
    assert 86 <= covered <= 99


def test_seeds_that_disagree_widen_the_interval() -> None:
    pictures = np.random.default_rng(0).normal(size=(1, 50))
    agree = paired_difference(np.repeat(pictures, 4, axis=0), True, 0)
    disagree = paired_difference(pictures + np.array([[-3.0], [-1], [1], [3]]), True, 0)
    assert disagree.mean == pytest.approx(agree.mean)
    assert disagree.high - disagree.low > 3 * (agree.high - agree.low)


@pytest.mark.parametrize(
    ("seeds", "pictures", "over"),
    [
        (3, 4, "seeds and pictures"),
        (2, 4, "pictures only"),
        (3, 0, "seeds only"),
        (3, 1, "seeds only"),
        (2, 0, "nothing"),
        (2, 1, "nothing"),
    ],
)
def test_what_was_resampled_is_said(seeds: int, pictures: int, over: str) -> None:
    found = paired_difference(normal(0, seeds, max(pictures, 1)), pictures > 0, 0)
    assert (found.over, found.seeds, found.pictures) == (over, seeds, pictures)
    assert (found.low is None) == (over == "nothing")
    assert (found.p is None) == ("seeds" not in over)


def test_where_three_seeds_agree_p_is_not_small_by_construction() -> None:
    differences = np.array([[1.0], [1.2], [1.4]]) + np.zeros((3, 50))
    assert paired_difference(differences, True, 0).p == pytest.approx(ttest_1samp([1.0, 1.2, 1.4], 0).pvalue)
    assert paired_difference(differences[:, :1], False, 0).p == pytest.approx(ttest_1samp([1.0, 1.2, 1.4], 0).pvalue)


@pytest.mark.parametrize(("seeds", "pictures"), [(3, 24), (4, 6), (6, 24)])
def test_of_many_rows_that_differ_by_nothing_hardly_any_family_has_a_star(seeds: int, pictures: int) -> None:
    draw = np.random.default_rng(0)
    baseline = draw.normal(size=(200, 1, seeds, 1))
    families = draw.normal(size=(200, 20, seeds, 1)) - baseline + draw.normal(size=(200, 20, seeds, pictures)) / 2
    means = families.mean((-2, -1))[..., None].repeat(10_000 - 1, -1)  # leaves Student's p-value
    found, _ = p_values(families, means, 0.0)
    passed = [min(holm({str(row): p for row, p in enumerate(family)}).values()) for family in found]
    assert sum(p < 0.05 for p in passed) <= 20  # 10 expected, and 17 in one of a hundred trials


@pytest.mark.parametrize("mixture", [(1.0, 0.0, 0.5), (1.0, 1.0, 0.5), (0.3, 1.0, 0.5)], ids=str)
@pytest.mark.parametrize(("seeds", "pictures"), [(3, 6), (3, 30), (5, 30), (10, 30)])
def test_verdicts_err_as_rarely_as_they_promise(
    seeds: int, pictures: int, mixture: tuple[float, float, float], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("zoo.study.report.statistics.RESAMPLES", 500)
    monkeypatch.setattr("zoo.study.report.statistics.CHUNK", 50)
    trials, draw = 1000, np.random.default_rng(0)
    by_seed, by_image, noise = mixture
    nothing = by_seed * draw.normal(size=(trials, seeds, 1)) + by_image * draw.normal(size=(trials, 1, pictures))
    nothing += noise * draw.normal(size=(trials, seeds, pictures))
    means = bootstrap_means(nothing, True, True, 0)
    low, high = interval(means)
    different, _ = p_values(nothing, means, 0.0)
    margin = 3 * (by_seed**2 / seeds + by_image**2 / pictures) ** 0.5
    _, equal = p_values(nothing + margin, means + margin, margin)  # the true difference is the margin itself
    allowed = 0.05 + 2.3 * (0.05 * 0.95 / trials) ** 0.5  # and one trial in a hundred by chance
    assert np.mean((low <= 0) & (high >= 0)) >= 0.93
    assert np.mean(different < 0.05) <= allowed
    assert np.mean(equal < 0.05) <= allowed


@pytest.mark.parametrize("by_image", [0.0, 1.0])
def test_looking_after_every_seed_raises_no_false_alarms(by_image: float) -> None:
    trials, most, pictures, draw = 2000, 10, 30, np.random.default_rng(1)
    nothing = draw.normal(size=(trials, most, 1)) + by_image * draw.normal(size=(trials, 1, pictures))
    nothing += draw.normal(size=(trials, most, pictures)) / 2
    adjusted, often = np.zeros(trials, bool), np.zeros(trials, bool)
    for seeds, level in look_levels(most).items():
        seen = nothing[:, :seeds]
        p, _ = p_values(seen, seen.mean((-2, -1))[..., None].repeat(999, -1), 0.0)  # Student's; ours are never smaller
        adjusted |= p < level
        often |= p < 0.05
    allowed = 0.05 + 2.3 * (0.05 * 0.95 / trials) ** 0.5
    assert adjusted.mean() <= allowed
    assert often.mean() > 0.08 or by_image  # without the rule, looking does raise them


def test_a_difference_well_within_the_margin_is_equivalent_and_one_outside_is_not() -> None:
    small = 0.1 * normal(0, seeds=5, pictures=20)
    inside, *outside = (paired_difference(small + shift, True, 0, margin=1.0).p_equal for shift in (0, 1, -1.1, 2))
    assert inside < 0.001
    assert all(p > 0.05 for p in outside)
    assert paired_difference(small, True, 0).p_equal is None
    assert paired_difference(small[:2], True, 0, margin=1.0).p_equal is None


def test_below_three_seeds_their_disagreement_is_not_in_the_interval() -> None:
    differences = np.array([[1.0, 1.0, 1.0], [3.0, 3.0, 3.0]])
    assert paired_difference(differences, True, 0) == Difference(
        2, 2, 2, None, "pictures only", 2, 3, spread=(2.0, 0.0, 0.0)
    )


@pytest.mark.parametrize("broken", [np.zeros((0, 3)), np.zeros((2, 0)), np.zeros(3), np.array([[1.0, np.nan]])])
def test_nothing_and_no_numbers_are_refused(broken: np.ndarray) -> None:
    with pytest.raises(ValueError, match=r"expected finite \(seeds, images\)"):
        paired_difference(broken, True, 0)


def test_p_counts_both_sides() -> None:
    assert two_sided_p(np.array([-1.0, *np.ones(98)])) == pytest.approx(2 * 2 / 100)


def test_holm_by_hand() -> None:
    # Sorted 0.005, 0.01, 0.03, 0.04 times 4, 3, 2, 1: 0.02, 0.03, 0.06, 0.04, and none below the one before it.
    corrected = holm({"a": 0.01, "b": 0.04, "c": 0.03, "d": 0.005})
    assert corrected == pytest.approx({"a": 0.03, "b": 0.06, "c": 0.06, "d": 0.02})
    assert list(corrected) == ["a", "b", "c", "d"]
    assert holm({"a": 0.7, "b": 0.6}) == {"a": 1.0, "b": 1.0}
    assert holm({}) == {}


def test_mean_and_deviation() -> None:
    assert mean_and_deviation([1.0, 3.0]) == pytest.approx((2.0, 2**0.5))
    assert mean_and_deviation([4.0]) == (4.0, None)
    with pytest.raises(ValueError, match="no values"):
        mean_and_deviation([])
