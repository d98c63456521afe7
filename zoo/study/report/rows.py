"""The rows of a report, gathered from the runs' directories.

The study file says only which runs belong to a row and how to label it. A run that failed or is missing lowers its
row's count of seeds and is listed: it is never averaged away, and never a 0.
"""

import statistics as standard
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from zoo.core.errors import ZooError
from zoo.core.seeding import derive_seed
from zoo.study.file import NOISE_FLOOR, Metric, Row, Study
from zoo.study.plan.planner import other_seeds
from zoo.study.record import SAMPLES, Job, Result, all_jobs, read_result, study_directory
from zoo.study.report.statistics import Difference, holm, mean_and_deviation, paired_difference
from zoo.study.run.samples import read_samples
from zoo.study.run.timing import Speed, read_speed

SIGNIFICANT = 0.05
"""Corrected p-values below it are marked."""

Picture = tuple[str, int]
"""A picture of a test set: its name, and which one of that name it is."""


class Run(NamedTuple):
    """A run that is done, and the values of each metric by picture where its test wrote them."""

    directory: Path
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
        difference: to the baseline; None for the baseline itself, where no seed of both is done, and for a metric that
            is only plotted.
        corrected: the p-value after Holm's correction over the rows; None where there is none, and for the noise floor,
            which is no question.
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
        trained: whether it was trained, and does not test the baseline's checkpoint.
        runs: those that are done, by their place in the list of seeds.
        wanted: how many there should be.
        cells: by the metric's name, those that are only plotted included.
        published: what a paper prints for it, by the metric's name; empty unless the runs used the paper's data.
        speeds: by the size's name; empty where none was measured.
        job: of any run of the row, done or not; None where there is none.
        first_stage: median seconds of the first stages that its runs start from; None where there are none.
    """

    name: str
    marks: list[str]
    trained: bool
    runs: dict[int, Run]
    wanted: int
    cells: dict[str, Cell]
    published: dict[str, float]
    speeds: dict[str, Speed]
    job: Job | None
    first_stage: float | None

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

    @property
    def first_run(self) -> Run | None:
        """The run of the first seed that is done."""
        return self.runs[min(self.runs)] if self.runs else None


def gather_rows(study: Study, folder: Path) -> tuple[list[ReportedRow], list[Missing]]:
    """The rows of a study, the noise floor last, and the runs that cannot be counted.

    Args:
        study: whose rows they are.
        folder: of the study.

    Raises:
        ZooError: a result lacks a metric, or runs of one row had different settings.
    """
    found = {(job.row, job.seed): (directory, job) for directory, job in all_jobs(folder)}
    speeds = read_speed(folder)
    missing: list[Missing] = []
    return [gather(row, seeds, study, found, speeds, missing) for row, seeds in wanted(study)], missing


def wanted(study: Study) -> list[tuple[Row, list[int]]]:
    """The rows that should be there, the noise floor last, with their seeds."""
    rows = [(row, list(study.seeds)) for row in study.rows]
    if study.noise_floor:
        rows.append((Row(NOISE_FLOOR), list(other_seeds(study.seeds))))
    return rows


def gather(
    row: Row,
    seeds: list[int],
    study: Study,
    found: dict[tuple[str, int], tuple[Path, Job]],
    speeds: dict[str, dict[str, Speed]],
    missing: list[Missing],
) -> ReportedRow:
    """The runs of a row, and its means; runs that cannot be counted are added to `missing`."""
    runs: dict[int, Run] = {}
    jobs = []
    for place, seed in enumerate(seeds):
        directory, job = found.get((row.name, seed), (None, None))
        if directory is None or job is None:
            missing.append(Missing(row.name, seed, "it was never begun"))
            continue
        if job.written != study.written(row):
            missing.append(
                Missing(row.name, seed, "the study file says something else of it since; run the study again")
            )
            continue
        jobs.append(job)
        result = read_result(directory)
        if result is None or result.job.id != job.id or result.status == "failed":
            missing.append(Missing(row.name, seed, why_missing(directory.parents[1], job, result)))
        else:
            check_metrics(result, study, directory)
            runs[place] = Run(directory, result, by_picture(directory / SAMPLES, result, study))
    if len({job.settings_hash for job in jobs}) > 1:
        raise ZooError(f"row '{row.name}' was run with different settings: run the study again, to its end.")
    return ReportedRow(
        name=row.name,
        marks=marks(row, study),
        trained=not row.evaluate_only,
        runs=runs,
        wanted=len(seeds),
        cells=cells(runs, study),
        published=published(row, runs, study),
        speeds=speeds.get(row.name, {}),
        job=jobs[0] if jobs else None,
        first_stage=first_stage_seconds(runs),
    )


def first_stage_seconds(runs: dict[int, Run]) -> float | None:
    """Median seconds of the first stages that a row's own training starts from, if they were not interrupted."""
    found = []
    for directory, result, _ in runs.values():
        if result.job.after is None or result.job.evaluate_only:
            continue
        stage = read_result(study_directory(directory, result.job) / result.job.after)
        if stage is not None and stage.seconds.get("fit") and stage.resumed_at is None:
            found.append(stage.seconds["fit"])
    return standard.median(found) if found else None


def why_missing(folder: Path, job: Job, result: Result | None) -> str:
    """Why a run of the study in this folder has no result that counts; where the run that it needs failed, that run's
    reason.
    """
    needed = read_result(folder / job.after) if job.after else None
    if needed is not None and needed.status == "failed":
        return f"{job.after} failed: {why_missing(folder, needed.job, needed)}"
    return result.reason if result is not None and result.job.id == job.id else "it is not over"


def check_metrics(result: Result, study: Study, directory: Path) -> None:
    """ZooError for a metric of the study that a result lacks."""
    for name in study.measured:
        if name not in result.metrics:
            raise ZooError(f"{directory} has no value of {name}: run the study again, to measure it.")


def cells(runs: dict[int, Run], study: Study) -> dict[str, Cell]:
    """Mean and deviation of each metric."""
    found = {}
    for name in study.measured:
        values = [run.result.metrics[name] for run in runs.values()]
        found[name] = Cell(*mean_and_deviation(values)) if values else Cell(None, None)
    return found


def published(row: Row, runs: dict[int, Run], study: Study) -> dict[str, float]:
    """What a paper prints for a row, where the paper is named and every run used real data, as the paper did."""
    real = bool(runs) and all(run.result.job.data["synthetic"] == "none" for run in runs.values())
    return row.published if study.source and real else {}


def marks(row: Row, study: Study) -> list[str]:
    """What one must know to read a row."""
    said = []
    if row.name == study.baseline and row.name != "baseline":
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
