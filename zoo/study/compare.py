"""How the rows of a report differ from the baseline: paired by seed and picture, corrected over the rows."""

import numpy as np
from numpy.typing import NDArray

from zoo.core.seeding import derive_seed
from zoo.study.file import NOISE_FLOOR, Metric, Study
from zoo.study.rows import Cell, ReportedRow
from zoo.study.statistics import holm, paired_difference


def compare(study: Study, rows: list[ReportedRow]) -> None:
    """Fill in each row's differences to the baseline, then correct the p-values of each metric over the rows."""
    baseline = next(row for row in rows if row.name == study.baseline)
    for metric in study.metrics:
        for row in rows:
            places = [place for place in row.runs if place in baseline.runs]
            if row is baseline or not places:
                continue
            values, has_pictures = paired(row, baseline, places, metric)
            seed = derive_seed("bootstrap", study.title, row.name, metric.name)
            cell = row.cells[metric.name]
            row.cells[metric.name] = Cell(cell.mean, cell.deviation, paired_difference(values, has_pictures, seed))
        correct(rows, metric)


def paired(
    row: ReportedRow, baseline: ReportedRow, places: list[int], metric: Metric
) -> tuple[NDArray[np.float64], bool]:
    """(seeds, pictures) differences of the pictures that all compared runs measured; (seeds, 1) of the runs' own values
    where there are no such pictures. Also whether there are.
    """
    sides = [[side.runs[place].pictures.get(metric.name, {}) for place in places] for side in (row, baseline)]
    common = sorted(set.intersection(*(set(run) for side in sides for run in side)))
    if common:
        own, other = (np.array([[run[picture] for picture in common] for run in side]) for side in sides)
        return own - other, True
    own, other = (
        np.array([[side.runs[place].result.metrics[metric.name]] for place in places]) for side in (row, baseline)
    )
    return own - other, False


def correct(rows: list[ReportedRow], metric: Metric) -> None:
    """Holm's correction over the rows that ask a question, which the noise floor does not."""
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
            cell = row.cells[metric.name]
            row.cells[metric.name] = Cell(cell.mean, cell.deviation, cell.difference, corrected[row.name])
