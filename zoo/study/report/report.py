"""The report of a study: the results of its runs, how sure the differences to the baseline are, and notes.

Everything comes from the runs' directories. Tables and plots show a `Report` and compute nothing.
"""

from collections import Counter
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from zoo.core.errors import ZooError
from zoo.media.progress import waiting
from zoo.study.file import NOISE_FLOOR, Study
from zoo.study.record import Run
from zoo.study.report.effects import Effect, estimate_effects
from zoo.study.report.pictures import ROWS, PicturedSample, gather_pictures
from zoo.study.report.rows import SIGNIFICANT, VERDICTS, Missing, ReportedRow, gather_rows
from zoo.study.report.statistics import ENOUGH_SEEDS
from zoo.study.report.truths import Truth, hold_against
from zoo.study.report.verdicts import compare


@dataclass(frozen=True)
class Report:
    """Everything that the tables and plots show."""

    study: Study
    title: str
    rows: list[ReportedRow]
    missing: list[Missing]
    notes: list[str]
    effects: dict[str, list[Effect]]
    truths: list[Truth]

    @property
    def baseline(self) -> ReportedRow:
        """The row that the others are compared with."""
        return next(row for row in self.rows if row.name == self.study.baseline)

    @property
    def others(self) -> list[ReportedRow]:
        """All rows but the baseline."""
        return [row for row in self.rows if row.name != self.study.baseline]

    @cached_property
    def headline(self) -> str:
        """One sentence: what was compared, and how many rows are decided on the first metric."""
        metric = self.study.metrics[0]
        compared = [row for row in self.others if row.name != NOISE_FLOOR]
        found = Counter(row.cells[metric.name].verdict for row in compared)
        decided = {verdict: count for verdict in VERDICTS[:-1] if (count := found[verdict])}
        said = f"{sum(decided.values())} of {len(compared)} rows are decided on {metric.label}"
        said += f" ({', '.join(f'{count} {verdict}' for verdict, count in decided.items())})" if decided else ""
        if not found.keys() - {None}:
            said += f", since there is no verdict below {ENOUGH_SEEDS} seeds"
        checked = Counter(truth.outcome for truth in self.truths)
        known = ", ".join(f"{count} {outcome}" for outcome, count in checked.most_common())
        known = f" Of {len(self.truths)} known truths: {known}." if known else ""
        return f"{self.warning}Compared with {self.study.baseline}, {said}.{known}"

    @property
    def warning(self) -> str:
        """What to know first: the A/A baseline differs from the baseline, or margins were set after runs were made;
        empty where neither is so.
        """
        said = ""
        cells = [(metric, self.rows[-1].cells[metric.name]) for metric in self.study.metrics]
        differs = [metric.label for metric, cell in cells if cell.verdict in ("better", "worse")]
        if differs and self.rows[-1].name == NOISE_FLOOR:
            said += (
                f"Caution: {NOISE_FLOOR}, the baseline with other seeds, differs from the baseline in "
                f"{', '.join(differs)}, so the noise is larger than the margin or something is wrong. "
            )
        runs = [run for row in self.rows for run in row.runs.values()]
        late = [
            name
            for name, margin in self.study.margins.items()
            if any(run.margins.get(name) != str(margin) for run in runs)
        ]
        if late:
            said += f"Caution: the margin of {', '.join(late)} was set or changed after runs had been made. "
        return said

    @property
    def devices(self) -> list[str]:
        """Devices that networks were timed on: speeds on different ones do not compare."""
        return sorted({speed.device for row in self.rows for speed in row.speeds.values()})

    @cached_property
    def pictures(self) -> list[PicturedSample]:
        """Samples of the metrics' test sets, with outputs of the baseline and of the rows that differ most from it."""
        tested = [metric.name.split("/") for metric in self.study.metrics]
        sets = dict.fromkeys("/".join(parts[1:-1]) for parts in tested if parts[0] == "test")
        return gather_pictures(self.most_different(ROWS), list(sets))

    def most_different(self, count: int) -> list[ReportedRow]:
        """Return the baseline and the `count` rows with results that differ most from it, in the table's order.

        The distance of a row is the largest of its metrics' differences, each in standard deviations of that metric
        over the rows. The A/A baseline is left out.
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


@waiting("Comparing the runs")
def make_report(study: Study, root: Path) -> Report:
    """Gather and compare a study's results.

    Args:
        study: to report.
        root: the folder that the study's folder is in.

    Raises:
        ZooError: no run is done, a result lacks a metric, or runs of one row had different settings.
    """
    rows, missing = gather_rows(study, root / study.title)
    runs = [run for row in rows for run in row.runs.values()]
    if not runs:
        raise ZooError(f"{root / study.title} has no finished run: expected `zoo study run` first, or another --runs.")
    refused = compare(study, rows)
    kinds = {run.data["synthetic"] for run in runs}
    mark = "" if kinds == {"none"} else " (synthetic data)" if kinds == {"all"} else " (partly synthetic data)"
    effects = {metric.name: estimate_effects(study, rows, metric.name) for metric in study.metrics}
    refused += [sentence for _, sentence in effects.values() if sentence]
    found = {name: own for name, (own, _) in effects.items()}
    return Report(
        study,
        study.title + mark,
        rows,
        missing,
        [*refused, *notes(study, rows, runs)],
        found,
        hold_against(study, rows),
    )


def notes(study: Study, rows: list[ReportedRow], runs: list[Run]) -> list[str]:
    """Return how to read the tables, and devices and versions of the runs."""
    said = [
        "Values are mean ± standard deviation over seeds. Differences are row minus baseline, paired by seed and "
        "image, with a 95 % bootstrap interval and two digits of its half width; "
        "p is two-sided, from the same bootstrap, Holm-corrected over the rows of each metric; "
        f"* marks p < {SIGNIFICANT}."
    ]
    return [*said, *about_intervals(rows), *about_columns(study, rows), *surroundings(runs)]


def about_intervals(rows: list[ReportedRow]) -> list[str]:
    """Return what the intervals and p-values of these rows do and do not say."""
    said = []
    compared = [cell.difference for row in rows for cell in row.cells.values() if cell.difference is not None]
    resampled = {difference.over for difference in compared}
    if "seeds and pictures" in resampled:
        said.append("Intervals resample seeds and images, unless labelled otherwise.")
    if "pictures only" in resampled:
        said.append(
            "Intervals labelled 'pictures only' have fewer than 3 seeds: they say how sure the difference is for these "
            "trained networks, and nothing about other seeds."
        )
    if "seeds only" in resampled:
        said.append("Intervals labelled 'seeds only' belong to metrics without a value for each image.")
    if "nothing" in resampled:
        said.append("Differences without an interval have fewer than 3 seeds and no values for each image.")
    if any(difference.p is not None for difference in compared):
        said.append(
            "Intervals of few seeds or images are widened for their number as Student's are, and no p-value is "
            "smaller than Student's with the degrees of freedom of the fewer of both."
        )
    if any(difference.p is None for difference in compared):
        said.append(
            f"Differences of fewer than {ENOUGH_SEEDS} seeds have no p-value: it would be silent about other seeds."
        )
    return said


def about_columns(study: Study, rows: list[ReportedRow]) -> list[str]:
    """Return what verdicts, the A/A baseline, published values and frames per second are."""
    said = []
    if any(cell.verdict for row in rows for cell in row.cells.values()):
        said.append(
            "Verdicts: better or worse where p is marked, unless equivalent, where two one-sided tests of 5 % each by "
            "the same bootstrap place the difference within the margin; otherwise undecided."
        )
    if study.factorial:
        said.append(
            "A main effect is the mean with a component minus the mean without it, over the rows of the design. An "
            "interaction is half the difference between the effects of one with and without the other. Effects are "
            "Holm-corrected over those of a metric, Shapley values likewise; = joins effects that the fraction aliases."
        )
    if study.most_seeds:
        said.append(
            f"Rows were given seeds until they were decided, at most {study.most_seeds}; p-values are raised for each "
            "look by Pocock's rule of spending, so that looking often raises no false alarms."
        )
    if study.margins:
        margins = ", ".join(f"{name} {margin}" for name, margin in study.margins.items())
        said.append(f"Margins, within which a difference does not matter (% of the baseline's mean): {margins}.")
    if study.expected:
        said.append(
            "Known truths stood in the study file. One that is contradicted makes the set-up doubtful, or does not "
            "hold at this scale. Comparisons with other rows than the baseline are Holm-corrected among themselves, "
            "and of two speeds one is better where their quartiles do not overlap."
        )
    if study.noise_floor:
        said.append(
            f"{NOISE_FLOOR} is the baseline with other seeds: its difference is noise, and is not corrected over rows."
        )
    if study.test_data_differs:
        said.append("The study declares that test data differ: rows are compared by the means of whole runs only.")
    if any(metric.name in row.published for row in rows for metric in study.metrics):
        said.append(f"Published values are from {study.source}, and were not measured here.")
    speeds = [speed for row in rows for speed in row.speeds.values()]
    if speeds:
        repeats = sorted({speed.repeats for speed in speeds})
        counted = str(repeats[0]) if len(repeats) == 1 else f"{repeats[0]} to {repeats[-1]}"
        devices = sorted({speed.device for speed in speeds})
        said.append(
            f"FPS are frames per second, median [quartiles] of {counted} repeats, with one image at a time, measured "
            f"after all runs, interleaved in one process, on: {'; '.join(devices)}."
        )
        if len(devices) > 1:
            said.append("FPS were measured on different devices and do not compare: there is no plot of them.")
    return said


def surroundings(runs: list[Run]) -> list[str]:
    """Return devices, versions and commits; a note where there is more than one, since then seconds do not compare."""
    devices = sorted({f"{run.device}, threads: {run.used_threads}" for run in runs})
    versions = sorted({", ".join(f"{name} {value}" for name, value in run.versions.items()) for run in runs})
    said = [f"Device: {'; '.join(devices)}."]
    if len(devices) > 1:
        said.append("The runs had different devices: their seconds and memory do not compare.")
    said.append(f"Versions: {'; '.join(versions)}.")
    if len(versions) > 1:
        said.append("The runs had different versions.")
    if len(commits := sorted({run.versions.get("commit", "unknown") for run in runs})) > 1:
        said.append(
            f"The runs come from different commits: {', '.join(commits)}; `zoo study run --force` repeats them."
        )
    return said
