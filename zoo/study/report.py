"""The report of a study: what its runs measured, and how sure the differences to the baseline are.

Everything comes from the runs' directories. Tables and plots show a `Report`; nothing is computed from one again.
"""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from zoo.core.errors import ZooError
from zoo.study.compare import compare
from zoo.study.file import NOISE_FLOOR, Study
from zoo.study.notes import notes, title
from zoo.study.rows import Missing, ReportedRow, gather_rows
from zoo.study.sample_pictures import ROWS, PicturedSample, gather_pictures


@dataclass(frozen=True)
class Report:
    """All that the tables and plots show."""

    study: Study
    title: str
    rows: list[ReportedRow]
    missing: list[Missing]
    notes: list[str]

    @property
    def baseline(self) -> ReportedRow:
        """The row that the others are compared with."""
        return next(row for row in self.rows if row.name == self.study.baseline)

    @property
    def others(self) -> list[ReportedRow]:
        """All rows but the baseline."""
        return [row for row in self.rows if row.name != self.study.baseline]

    @property
    def devices(self) -> list[str]:
        """What frames a second were measured on: speeds on different devices do not compare."""
        return sorted({speed.device for row in self.rows for speed in row.speeds.values()})

    @cached_property
    def pictures(self) -> list[PicturedSample]:
        """Samples of the metrics' test sets, with the results of the baseline and the rows that differ most from it."""
        tested = [metric.name.split("/") for metric in self.study.metrics]
        sets = dict.fromkeys("/".join(parts[1:-1]) for parts in tested if parts[0] == "test")
        return gather_pictures(self.most_different(ROWS), list(sets))

    def most_different(self, count: int) -> list[ReportedRow]:
        """The baseline, and of the rows that have results the `count` that differ most from it; in the table's order.

        How much a row differs is the largest of its metrics' differences, each in standard deviations of that metric
        over the rows. The noise floor is left out.
        """
        rows = [row for row in self.others if row.runs and row.name != NOISE_FLOOR]
        largest = {row.name: 0.0 for row in rows}
        for name in self.study.measured:
            means = {row.name: mean for row in [*rows, self.baseline] if (mean := row.cells[name].mean) is not None}
            spread = float(np.std(list(means.values())))
            if self.baseline.name in means and spread > 0:
                for row in rows:
                    distance = abs(means[row.name] - means[self.baseline.name]) / spread
                    largest[row.name] = max(largest[row.name], distance)
        kept = sorted(rows, key=lambda row: -largest[row.name])[:count]
        return [row for row in self.rows if row is self.baseline or row in kept]


def make_report(study: Study, root: Path) -> Report:
    """Gather and compare a study's results.

    Args:
        study: what is reported.
        root: the folder that the study's folder is in.

    Raises:
        ZooError: no run is done, a result lacks a metric, or runs of one row had different settings.
    """
    rows, missing = gather_rows(study, root / study.title)
    if not any(row.runs for row in rows):
        raise ZooError(f"{root / study.title} has no finished run: expected `zoo study run` first, or another --runs.")
    compare(study, rows)
    results = [run.result for row in rows for run in row.runs.values()]
    return Report(study, title(study, results), rows, missing, notes(study, rows, results))
