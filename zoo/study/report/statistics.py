"""Intervals and p-values of the difference between two rows.

Two rows are compared pair by pair: the same index in the list of seeds, the same image. The differences of one metric
form a matrix, (seeds, images), which `zoo.study.report.comparison` gathers. The question is how far their mean would
move with other seeds and other images.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy.stats import norm, t

RESAMPLES = 10_000
"""Bootstrap resamples of an interval."""

LEVEL = 0.95
"""Nominal coverage of the intervals."""

ENOUGH_SEEDS = 3
"""With fewer seeds, resampling them says nothing: the interval is over images only."""

CHUNK = 500
"""Resamples at a time, to bound the memory."""

Over = Literal["seeds and pictures", "pictures only", "seeds only", "nothing"]


@dataclass(frozen=True)
class Difference:
    """A row minus the baseline, in the metric's unit.

    Args:
        mean: of all pairs.
        low, high: ends of the interval; None where there is none.
        p: two-sided, not corrected; None where seeds were not resampled: over images alone it would be silent about
            other seeds.
        over: the resampled axes.
        seeds, pictures: number of those compared; 0 images where only the means of whole runs were.
    """

    mean: float
    low: float | None
    high: float | None
    p: float | None
    over: Over
    seeds: int
    pictures: int


def mean_and_deviation(values: list[float]) -> tuple[float, float | None]:
    """Return mean and sample standard deviation (n - 1), None for that of a single value; ValueError without values."""
    if not values:
        raise ValueError("got no values; expected at least one, for their mean.")
    return float(np.mean(values)), float(np.std(values, ddof=1)) if len(values) > 1 else None


def paired_difference(differences: NDArray[np.float64], has_images: bool, seed: int) -> Difference:
    """Return the mean paired difference with a bootstrap interval and a two-sided p-value, see `student_p`.

    Seeds and images are crossed, so both are resampled, independently of one another: the pigeonhole bootstrap (Owen,
    "The pigeonhole bootstrap", 2007), which is conservative about images that react differently with each seed. The
    plain percentile interval of a handful of values is too short (76 % instead of 95 % coverage with 3 seeds), so the
    resampling is stretched, see `stretch`.

    Args:
        differences: (seeds, images), row minus baseline; (seeds, 1) where only means of whole runs are known.
        has_images: whether the second axis is images.
        seed: of the resampling.

    Raises:
        ValueError: there is nothing to compare, or not only numbers.
    """
    if differences.ndim != 2 or not differences.size or not np.isfinite(differences).all():
        raise ValueError(f"got differences of shape {differences.shape}; expected finite (seeds, images), not empty.")
    seeds, pictures = differences.shape
    over = resampled(seeds, pictures if has_images else 0)
    mean, low, high, p = float(differences.mean()), None, None, None
    if over != "nothing":
        means = bootstrap_means(differences, "seeds" in over, "pictures" in over, seed)
        low, high = interval(means)
        if "seeds" in over:
            p = max(two_sided_p(means), student_p(differences))
    return Difference(mean, low, high, p, over, seeds, pictures if has_images else 0)


def resampled(seeds: int, pictures: int) -> Over:
    """Return the axes that are long enough to be resampled; a single image has no spread."""
    if pictures > 1:
        return "seeds and pictures" if seeds >= ENOUGH_SEEDS else "pictures only"
    return "seeds only" if seeds >= ENOUGH_SEEDS else "nothing"


def bootstrap_means(
    differences: NDArray[np.float64], over_seeds: bool, over_images: bool, seed: int
) -> NDArray[np.float64]:
    """Return (RESAMPLES,) means of the differences, their rows and their columns resampled with replacement.

    An axis that is not resampled is averaged.
    """
    generator = np.random.default_rng(seed)
    seeds, images = differences.shape
    mean = differences.mean()  # subtracted, so that rounding does not spread equal differences
    means = []
    for _ in range(RESAMPLES // CHUNK):
        by_seed = weights(generator, seeds, over_seeds)
        by_image = weights(generator, images, over_images)
        means.append(mean + np.einsum("ds,sp,dp->d", by_seed, differences - mean, by_image, optimize=True))
    return np.concatenate(means)


def weights(generator: np.random.Generator, count: int, resample: bool) -> NDArray[np.float64]:
    """Return (CHUNK, count) weights of a mean of `count` values: equal, or how often each is sampled, stretched."""
    equal = np.full(count, 1 / count)
    if not resample:
        return np.tile(equal, (CHUNK, 1))
    return equal + stretch(count) * (generator.multinomial(count, equal, size=CHUNK) / count - equal)


def stretch(count: int) -> float:
    """Return the factor by which bootstrap deviations of a mean of few values are too small.

    A resample varies by (n - 1) / n of the sample's variance, and a normal quantile stands in for Student's
    (Hesterberg, "What Teachers Should Know About the Bootstrap", 2015, "narrowness bias"): sqrt(n / (n - 1)) times the
    ratio of the quantiles; 2.7 for 3 values, 1.1 for 20, 1 for many. In simulations with normal differences, 3 to 10
    seeds and 30 images, the nominal 95 % then covered 94 to 97 %.
    """
    quantile = (1 + LEVEL) / 2
    return float(np.sqrt(count / (count - 1)) * t.ppf(quantile, count - 1) / norm.ppf(quantile))


def interval(means: NDArray[np.float64]) -> tuple[float, float]:
    """Return the percentile interval of bootstrap means."""
    low, high = np.quantile(means, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return float(low), float(high)


def two_sided_p(means: NDArray[np.float64]) -> float:
    """Return twice the fraction of bootstrap means on the rarer side of zero, zero itself on both sides.

    One is added to the counts (Davison and Hinkley, "Bootstrap Methods and their Application", 1997, section 4.2), so
    that finitely many resamples never claim p = 0.
    """
    rarer = min(np.count_nonzero(means <= 0), np.count_nonzero(means >= 0))
    return min(1.0, 2 * (int(rarer) + 1) / (len(means) + 1))


def student_p(differences: NDArray[np.float64]) -> float:
    """Return the p-value of Student's t for a mean over seeds and images: no bootstrap p-value may be smaller.

    Few values have few resamples: where three seeds agree, no resample of them disagrees, so their bootstrap p-value is
    tiny however large the chance. The standard error adds the variances over seeds and over images; the degrees of
    freedom are those of the shorter axis. In simulations of 30 rows that differ by nothing (3 to 10 seeds; 3, 6 or 24
    images; seven mixtures of effects of seeds, of images and noise; 4,000 trials each), Holm's correction then let
    any row pass in at most 5 % of the trials; degrees of freedom by Satterthwaite did in up to 33 %.
    """
    mean, error, fewest = differences.mean(), 0.0, np.inf
    for axis, count in enumerate(differences.shape):
        if count > 1:
            error += differences.mean(axis=1 - axis).var(ddof=1) / count
            fewest = min(fewest, count)
    if error == 0:
        return 1.0 if mean == 0 else 0.0
    return float(2 * t.sf(abs(mean) / np.sqrt(error), fewest - 1))


def holm(p_values: Mapping[str, float]) -> dict[str, float]:
    """Return corrected p-values (Holm, "A simple sequentially rejective multiple test procedure", 1979).

    The i-th smallest of m is multiplied by m - i + 1, and none falls below the one before it.
    """
    corrected: dict[str, float] = {}
    largest = 0.0
    for index, name in enumerate(sorted(p_values, key=lambda name: p_values[name])):
        largest = max(largest, min(1.0, (len(p_values) - index) * p_values[name]))
        corrected[name] = largest
    return {name: corrected[name] for name in p_values}
