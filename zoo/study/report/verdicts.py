"""The verdict on each row: its comparison with the baseline, pair by pair (same index of the seed, same image).

Each row and metric has one verdict: *equivalent* where two one-sided tests place the difference within the study's
margin, otherwise *better* or *worse* where it is significant after correction, otherwise *undecided*.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from zoo.core.seeding import derive_seed
from zoo.study.file import NOISE_FLOOR, Study
from zoo.study.report.rows import SIGNIFICANT, ReportedRow, Sample, Verdict
from zoo.study.report.statistics import Difference, holm, look_levels, paired_difference


def compare(study: Study, rows: list[ReportedRow]) -> list[str]:
    """Fill in the differences of each row to the baseline, then correct the p-values of each metric over the rows.

    Returns:
        A sentence for each metric of a row that does not compare, since it was measured on other images.
    """
    refused = []
    baseline = next(row for row in rows if row.name == study.baseline)
    for metric in study.metrics:
        for row in rows:
            if row is baseline or not row.runs.keys() & baseline.runs.keys():
                continue
            compared = paired(study, row, baseline, metric.name)
            if compared is None:
                refused.append(f"Not compared: {metric.name} of {row.name}, which was measured on other images.")
                continue
            found, margin = compared
            row.cells[metric.name] = replace(row.cells[metric.name], difference=found, margin=margin)
        # The A/A baseline asks no question, so it is not corrected for.
        asked = {
            row.name: min(1.0, difference.p * looks(study, difference))
            for row in rows
            if row.name != NOISE_FLOOR
            and (difference := row.cells[metric.name].difference) is not None
            and difference.p is not None
        }
        corrected = holm(asked)
        for row in rows:
            if row.name in corrected:
                row.cells[metric.name] = replace(row.cells[metric.name], corrected=corrected[row.name])
    for row in rows:
        decide(row, study)
    return refused


def looks(study: Study, difference: Difference) -> float:
    """Return the factor of p-values in a study that was looked at after each seed until it was decided."""
    level = look_levels(study.most_seeds).get(difference.seeds) if study.most_seeds else None
    return SIGNIFICANT / level if level else 1.0


def decide(row: ReportedRow, study: Study) -> None:
    """Fill in the verdicts of a row; those of the A/A baseline, one check, are corrected over its metrics."""
    found = {metric.name: cell.difference for metric in study.metrics if (cell := row.cells[metric.name]).difference}
    p_values = {
        name: min(1.0, difference.p * looks(study, difference))
        for name, difference in found.items()
        if difference and difference.p is not None
    }
    corrected = holm(p_values) if row.name == NOISE_FLOOR else {name: row.cells[name].corrected for name in p_values}
    for metric in study.metrics:
        if difference := found.get(metric.name):
            verdict = verdict_on(difference, corrected.get(metric.name), metric.direction, looks(study, difference))
            row.cells[metric.name] = replace(row.cells[metric.name], verdict=verdict)


def verdict_on(difference: Difference, p: float | None, direction: str, factor: float = 1.0) -> Verdict | None:
    """Return the verdict on a row by its difference to another; None without p-value.

    Args:
        difference: of the metric.
        p: after correction.
        direction: in which the metric is better, `lower` or `higher`.
        factor: see `looks`.
    """
    if p is None:
        return None
    if difference.p_equal is not None and difference.p_equal * factor < SIGNIFICANT:
        return "equivalent"
    if p < SIGNIFICANT:
        return "better" if (difference.mean < 0) == (direction == "lower") else "worse"
    return "undecided"


def paired(study: Study, own: ReportedRow, other: ReportedRow, metric: str) -> tuple[Difference, float | None] | None:
    """Return a row's difference to another and the margin around it; None where they were measured on other images."""
    values = common_values([own, other], metric, study.test_data_differs)
    if values is None:
        return None
    first, second = values.matrices
    margin = study.margins[metric].around(float(second.mean())) if metric in study.margins else None
    names = [own.name] if other.name == study.baseline else [own.name, other.name]
    seed = derive_seed("bootstrap", study.title, *names, metric)
    return paired_difference(first - second, values.by_image, seed, margin), margin


class Values(NamedTuple):
    """One metric of several rows: a matrix (seeds, images) of each, or (seeds, 1) of the means of whole runs."""

    matrices: list[NDArray[np.float64]]
    by_image: bool


def common_values(rows: Sequence[ReportedRow], metric: str, whole_runs: bool) -> Values | None:
    """Return what all rows measured: the same indices of seeds and, unless `whole_runs`, the same images.

    None where they were measured on different images.
    """
    pairs = sorted(set.intersection(*(set(row.runs) for row in rows)))
    sides = [[row.samples[index].get(metric, {}) for index in pairs] for row in rows]
    if not whole_runs and len({frozenset(run) for side in sides for run in side if run}) > 1:
        return None
    if common := [] if whole_runs or not pairs else measured_by_all(sides):
        return Values([np.array([[run[image] for image in common] for run in side]) for side in sides], True)
    return Values([np.array([[row.runs[index].metrics[metric]] for index in pairs]) for row in rows], False)


def measured_by_all(sides: list[list[dict[Sample, float]]]) -> list[Sample]:
    """Return the images with a finite value in every run of both sides."""
    runs = [run for side in sides for run in side]
    return sorted(image for image in runs[0] if all(np.isfinite(run.get(image, np.nan)) for run in runs))
