"""The report of a study: what its runs measured, and how sure the differences to the baseline are.

Everything comes from the runs' directories; the study file says only which runs belong to it and how to label them. A
run that failed or is missing lowers its row's count of seeds and is listed: it is never averaged away, and never a 0.
"""

import statistics as standard
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from zoo.core.seeding import derive_seed
from zoo.study.file import NOISE_FLOOR, Metric, Row, Study, StudyError
from zoo.study.job import SAMPLES, Job
from zoo.study.plan import other_seeds
from zoo.study.results import Result, all_jobs, read_result
from zoo.study.samples import read_samples
from zoo.study.statistics import Difference, holm, mean_and_deviation, paired_difference

SIGNIFICANT = 0.05
"""Corrected p-values below it are marked."""

TRUSTED = 6
"""With fewer seeds or pictures, the most extreme resamples are too common for small p-values."""

Picture = tuple[str, int]
"""A picture of a test set: its name, and which one of that name it is."""


class Run(NamedTuple):
    """A run that is done, and the values of each metric by picture where its test wrote them."""

    result: Result
    pictures: dict[str, dict[Picture, float]]


class Missing(NamedTuple):
    """A run without a result that counts, and why."""

    row: str
    seed: int
    reason: str


@dataclass(frozen=True)
class Cell:
    """One metric of one row.

    Args:
        mean, deviation: over the seeds that are done; None where there are too few.
        difference: to the baseline; None for the baseline itself, and where no seed of both is done.
        corrected: the p-value after Holm's correction over the rows; None for the noise floor, which is no question.
    """

    mean: float | None
    deviation: float | None
    difference: Difference | None = None
    corrected: float | None = None

    @property
    def significant(self) -> bool:
        """Whether the corrected p-value is small enough to be marked."""
        return self.corrected is not None and self.corrected < SIGNIFICANT


@dataclass(frozen=True)
class ReportedRow:
    """One row of the tables.

    Args:
        name: of the row.
        marks: what one must know to read it.
        runs: those that are done, by their place in the list of seeds.
        wanted: how many there should be.
        cells: by the metric's name.
        job: of any run of the row, done or not; None where there is none.
    """

    name: str
    marks: list[str]
    runs: dict[int, Run]
    wanted: int
    cells: dict[str, Cell]
    job: Job | None

    def seconds(self, part: str) -> float | None:
        """Median seconds of `fit` or `test`, over runs that did that and were not interrupted."""
        found = [
            run.result.seconds[part]
            for run in self.runs.values()
            if run.result.seconds.get(part) and (part != "fit" or run.result.resumed_at is None)
        ]
        return standard.median(found) if found else None

    @property
    def peak_memory(self) -> int | None:
        """The largest of the runs, in bytes."""
        found = [run.result.peak_memory for run in self.runs.values() if run.result.peak_memory is not None]
        return max(found) if found else None


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


def make_report(study: Study, root: Path) -> Report:
    """Gather and compare a study's results.

    Args:
        study: what is reported.
        root: the folder that the study's folder is in.

    Raises:
        StudyError: no run is done, a result lacks a metric, or runs of one row had different settings.
    """
    found = {(job.row, job.seed): (directory, job) for directory, job in all_jobs(root / study.title)}
    missing: list[Missing] = []
    rows = [gather(row, seeds, study, found, missing) for row, seeds in wanted(study)]
    if not any(row.runs for row in rows):
        raise StudyError(
            f"{root / study.title} has no finished run: expected `zoo study run` first, or another --runs."
        )
    compare(study, rows)
    results = [run.result for row in rows for run in row.runs.values()]
    return Report(study, title(study, results), rows, missing, notes(study, rows, results))


def wanted(study: Study) -> list[tuple[Row, list[int]]]:
    """The rows that should be there, the noise floor last, with their seeds."""
    rows = [(row, list(study.seeds)) for row in study.rows]
    if study.noise_floor:
        rows.append((Row(NOISE_FLOOR), list(other_seeds(study.seeds))))
    return rows


def gather(
    row: Row, seeds: list[int], study: Study, found: dict[tuple[str, int], tuple[Path, Job]], missing: list[Missing]
) -> ReportedRow:
    """The runs of a row, and its means; runs that cannot be counted are added to `missing`."""
    runs: dict[int, Run] = {}
    jobs = []
    for place, seed in enumerate(seeds):
        directory, job = found.get((row.name, seed), (None, None))
        if directory is None or job is None:
            missing.append(Missing(row.name, seed, "it was never begun"))
            continue
        jobs.append(job)
        result = read_result(directory)
        if result is None or result.job.id != job.id:
            missing.append(Missing(row.name, seed, "it is not over"))
        elif result.status == "failed":
            missing.append(Missing(row.name, seed, result.reason))
        else:
            check_metrics(result, study, directory)
            runs[place] = Run(result, by_picture(directory / SAMPLES, result, study))
    if len({job.settings_hash for job in jobs}) > 1:
        raise StudyError(f"row '{row.name}' was run with different settings: run the study again, to its end.")
    cells = {}
    for metric in study.metrics:
        values = [run.result.metrics[metric.name] for run in runs.values()]
        cells[metric.name] = Cell(*mean_and_deviation(values)) if values else Cell(None, None)
    return ReportedRow(row.name, marks(row, study), runs, len(seeds), cells, jobs[0] if jobs else None)


def check_metrics(result: Result, study: Study, directory: Path) -> None:
    """StudyError for a metric of the study that a result lacks."""
    for metric in study.metrics:
        if metric.name not in result.metrics:
            raise StudyError(f"{directory} has no value of {metric.name}: run the study again, to measure it.")


def marks(row: Row, study: Study) -> list[str]:
    """What one must know to read a row."""
    said = []
    if row.name == study.baseline:
        said.append("baseline")
    if row.name == NOISE_FLOOR:
        said.append("noise floor: the baseline with other seeds")
    if row.evaluate_only:
        said.append("no training: baseline's checkpoint")
    return said + ([row.note] if row.note else [])


def by_picture(file: Path, result: Result, study: Study) -> dict[str, dict[Picture, float]]:
    """Values of each metric by picture, where the metric is the mean of such values; nothing for other metrics."""
    if not file.is_file():
        return {}
    lines = read_samples(file)
    values: dict[str, dict[Picture, float]] = {}
    for metric in study.metrics:
        _, _, measured = metric.name.partition("/")
        wanted_set, _, column = measured.rpartition("/")
        found: dict[Picture, float] = {}
        seen: Counter[str] = Counter()
        for line in (line for line in lines if line["set"] == wanted_set):
            name = line.get("name", "")
            if column in line and np.isfinite(line[column]):
                found[name, seen[name]] = line[column]
            seen[name] += 1
        # A median or a curve's area is no mean of the pictures' values, so an interval of their mean is not its own.
        if found and np.isclose(np.mean(list(found.values())), result.metrics[metric.name], rtol=1e-3):
            values[metric.name] = found
    return values


def compare(study: Study, rows: list[ReportedRow]) -> None:
    """Fill in each row's differences to the baseline, then correct the p-values of each metric over the rows."""
    baseline = next(row for row in rows if row.name == study.baseline)
    for metric in study.metrics:
        for row in rows:
            places = [place for place in row.runs if place in baseline.runs]
            if row is baseline or not places:
                continue
            values, has_pictures = differences(row, baseline, places, metric)
            seed = derive_seed("bootstrap", study.title, row.name, metric.name)
            cell = row.cells[metric.name]
            row.cells[metric.name] = Cell(cell.mean, cell.deviation, paired_difference(values, has_pictures, seed))
        correct(rows, metric)


def differences(
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


def title(study: Study, results: list[Result]) -> str:
    """The study's name, and that its data is synthetic where it is."""
    kinds = {result.job.data["synthetic"] for result in results}
    if kinds == {"none"}:
        return study.title
    return f"{study.title} ({'synthetic data' if kinds == {'all'} else 'partly synthetic data'})"


def notes(study: Study, rows: list[ReportedRow], results: list[Result]) -> list[str]:
    """How to read the tables, and what the runs ran on."""
    said = [
        "Values are mean ± standard deviation over seeds. Differences are row minus baseline, paired by seed and "
        "picture, with a 95 % bootstrap interval; p is two-sided, from the same bootstrap, "
        f"Holm-corrected over the rows of each metric; * marks p < {SIGNIFICANT}."
    ]
    compared = [cell.difference for row in rows for cell in row.cells.values() if cell.difference is not None]
    resampled = {difference.over for difference in compared}
    if "seeds and pictures" in resampled:
        said.append("Intervals resample seeds and pictures, unless labelled otherwise.")
    if "pictures only" in resampled:
        said.append(
            "Intervals labelled 'pictures only' have fewer than 3 seeds: they say how sure the difference is for these "
            "trained networks, and nothing of what another seed would give."
        )
    if "seeds only" in resampled:
        said.append("Intervals labelled 'seeds only' belong to metrics without a value for each picture.")
    if "nothing" in resampled:
        said.append("Differences without an interval have fewer than 3 seeds and no values for each picture.")
    if any(difference.over != "nothing" and difference.fewest < TRUSTED for difference in compared):
        said.append(
            "Intervals of few seeds or pictures are widened for their number as Student's are. With fewer than "
            f"{TRUSTED} of either, small p-values cannot be told apart: they say no more than that the interval is "
            "clear of zero."
        )
    if study.noise_floor:
        said.append(
            f"{NOISE_FLOOR} is the baseline with other seeds: what it differs by is noise, and is not corrected."
        )
    return said + surroundings(results)


def surroundings(results: list[Result]) -> list[str]:
    """Devices and versions; more than one of them is said, since then seconds do not compare."""
    devices = sorted({f"{result.device}, threads: {result.threads}" for result in results})
    versions = sorted({", ".join(f"{name} {value}" for name, value in result.versions.items()) for result in results})
    said = [f"Device: {'; '.join(devices)}."]
    if len(devices) > 1:
        said.append("The runs had different devices: their seconds and memory do not compare.")
    said.append(f"Versions: {'; '.join(versions)}.")
    if len(versions) > 1:
        said.append("The runs had different versions.")
    return said
