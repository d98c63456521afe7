"""The comparison of each row with the baseline, pair by pair: the same index of the seed, the same image."""

from dataclasses import replace

import numpy as np

from zoo.core.seeding import derive_seed
from zoo.study.file import NOISE_FLOOR, Study
from zoo.study.report.rows import ReportedRow, Sample
from zoo.study.report.statistics import holm, paired_difference


def compare(study: Study, rows: list[ReportedRow]) -> list[str]:
    """Fill in the differences of each row to the baseline, then correct the p-values of each metric over the rows.

    Returns:
        A sentence for each metric of a row that does not compare, since it was measured on other images.
    """
    refused = []
    baseline = next(row for row in rows if row.name == study.baseline)
    for metric in study.metrics:
        for row in rows:
            pairs = [index for index in row.runs if index in baseline.runs]
            if row is baseline or not pairs:
                continue
            sides = [[side.samples[index].get(metric.name, {}) for index in pairs] for side in (row, baseline)]
            images = {frozenset(run) for side in sides for run in side if run}
            if len(images) > 1 and not study.test_data_differs:
                refused.append(f"Not compared: {metric.name} of {row.name}, which was measured on other images.")
                continue
            common = [] if study.test_data_differs else measured_by_all(sides)
            if common:
                own, other = (np.array([[run[image] for image in common] for run in side]) for side in sides)
            else:
                own, other = (
                    np.array([[side.runs[index].metrics[metric.name]] for index in pairs]) for side in (row, baseline)
                )
            seed = derive_seed("bootstrap", study.title, row.name, metric.name)
            found = paired_difference(own - other, bool(common), seed)
            row.cells[metric.name] = replace(row.cells[metric.name], difference=found)
        # The A/A baseline asks no question, so it is not corrected for.
        asked = {
            row.name: difference.p
            for row in rows
            if row.name != NOISE_FLOOR
            and (difference := row.cells[metric.name].difference) is not None
            and difference.p is not None
        }
        corrected = holm(asked)
        for row in rows:
            if row.name in corrected:
                row.cells[metric.name] = replace(row.cells[metric.name], corrected=corrected[row.name])
    return refused


def measured_by_all(sides: list[list[dict[Sample, float]]]) -> list[Sample]:
    """Return the images with a finite value in every run of both sides."""
    runs = [run for side in sides for run in side]
    return sorted(image for image in runs[0] if all(np.isfinite(run.get(image, np.nan)) for run in runs))
