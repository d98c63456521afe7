"""The rows of a report, gathered from the runs' directories; `zoo.study.report.verdicts` compares them.

The study file only says which runs belong to a row and how to label it. A run that failed or is missing lowers its
row's count of seeds and is listed: it is never averaged away, and never a 0.
"""

import statistics as standard
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np

from zoo.core.errors import ZooError
from zoo.core.plain_yaml import from_yaml
from zoo.study.file import NOISE_FLOOR, Row, Study
from zoo.study.record import CONFIG, SAMPLES, Run, all_runs, read_job, read_result, read_run
from zoo.study.report.statistics import Difference, mean_and_deviation
from zoo.study.run.samples import read_samples
from zoo.study.run.timing import Speed, read_speed
from zoo.study.setting_differences import unequal

SIGNIFICANT = 0.05
"""Corrected p-values below it are marked."""

Verdict = Literal["better", "worse", "equivalent", "undecided"]

VERDICTS: tuple[Verdict, ...] = ("better", "worse", "equivalent", "undecided")

Sample = tuple[str, int]
"""An image of a test set: its name, and a counter among those of that name."""


class Missing(NamedTuple):
    """A run without a result that counts, and the reason."""

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
        corrected: the p-value after Holm's correction over the rows; None where there is none, and for the A/A
            baseline, which asks no question.
        margin: within which a difference does not matter, in the metric's unit; None where the study has none.
        verdict: None below three seeds.
    """

    mean: float | None
    deviation: float | None
    difference: Difference | None = None
    corrected: float | None = None
    margin: float | None = None
    verdict: Verdict | None = None

    @property
    def significant(self) -> bool:
        """Whether the corrected p-value is small enough to be marked."""
        return self.corrected is not None and self.corrected < SIGNIFICANT


@dataclass(frozen=True, kw_only=True)
class ReportedRow(Row):
    """A row with its results; `published` is empty unless the runs used the paper's data.

    Args:
        marks: notes that one needs to read the row.
        seeds: of the runs that there should be.
        runs: those that are done, by the index of their seed.
        samples: of each of these runs, the values of each metric by image.
        cells: by the metric's name, those that are only plotted included.
        speeds: by the size's name; empty where none was measured.
        job: any run of the row, done or not; None where there is none.
        first_stage_seconds: median of the first stages that its runs start from; None where there are none.
    """

    marks: list[str]
    seeds: tuple[int, ...]
    runs: dict[int, Run]
    samples: dict[int, dict[str, dict[Sample, float]]]
    cells: dict[str, Cell]
    speeds: dict[str, Speed]
    job: Run | None
    first_stage_seconds: float | None

    def seconds(self, part: str) -> float | None:
        """Return the median seconds of `fit` or `test`, over runs that did that and were not interrupted."""
        times = [
            run.seconds[part]
            for run in self.runs.values()
            if run.seconds.get(part) and (part != "fit" or run.resumed_at is None)
        ]
        return standard.median(times) if times else None

    @property
    def peak_memory(self) -> int | None:
        """The largest of the runs, in bytes."""
        return max((run.peak_memory for run in self.runs.values() if run.peak_memory is not None), default=None)

    @property
    def first_run(self) -> Run | None:
        """The run of the first seed that is done."""
        return self.runs[min(self.runs)] if self.runs else None


def gather_rows(study: Study, folder: Path) -> tuple[list[ReportedRow], list[Missing]]:
    """Return the rows of a study, the A/A baseline last, and the runs that cannot be counted.

    Args:
        study: whose rows they are.
        folder: of the study.

    Raises:
        ZooError: a result lacks a metric, or runs of one row had different settings.
    """
    jobs = {(job.row, job.seed): job for job in map(read_job, all_runs(folder))}
    speeds = read_speed(folder)
    baseline = [settings_of(job) for job in jobs.values() if job.row == study.baseline]
    reference = study.measuring(baseline[0]) if baseline else {}
    missing: list[Missing] = []
    rows = [gather(row, seeds, study, jobs, speeds, missing, reference) for row, seeds in expected_rows(study)]
    return rows, missing


def expected_rows(study: Study) -> list[tuple[Row, tuple[int, ...]]]:
    """Return the rows that should be there, the A/A baseline last, with their seeds."""
    rows = [(row, study.seeds_of(row.name)) for row in study.rows]
    return [*rows, (Row(NOISE_FLOOR), study.seeds_of(NOISE_FLOOR))] if study.noise_floor else rows


def gather(
    row: Row,
    seeds: tuple[int, ...],
    study: Study,
    jobs: dict[tuple[str, int], Run],
    speeds: dict[str, dict[str, Speed]],
    missing: list[Missing],
    reference: dict[str, Any],
) -> ReportedRow:
    """Return a row with its runs and means; runs that cannot be counted are added to `missing`.

    `reference` are the settings that the baseline was measured by; a run with other ones is not counted.
    """
    runs: dict[int, Run] = {}
    current = []
    for index, seed in enumerate(seeds):
        job = jobs.get((row.name, seed))
        if job is None:
            missing.append(Missing(row.name, seed, "it was never begun"))
        elif job.written != study.written(row):
            changed = "the study file says something else about it since; run the study again"
            missing.append(Missing(row.name, seed, changed))
        elif other := unequal(reference, study.measuring(settings_of(job))):
            different = f"it does not compare, since it measured something else than the baseline, {other[0]}"
            missing.append(Missing(row.name, seed, different))
        else:
            current.append(job)
            run = read_run(job.directory)
            if run.status == "done":
                if lacking := [name for name in study.measured if name not in run.metrics]:
                    raise ZooError(f"{run.directory} has no value of {lacking[0]}: run the study again, to measure it.")
                runs[index] = run
            else:
                missing.append(Missing(row.name, seed, why_missing(run)))
    if len({job.settings_hash for job in current}) > 1:
        raise ZooError(f"row '{row.name}' was run with different settings: run the study again, to its end.")
    real = bool(runs) and all(run.data["synthetic"] == "none" for run in runs.values())  # as the paper's data
    means = {name: [run.metrics[name] for run in runs.values()] for name in study.measured}
    return ReportedRow(
        **vars(row) | {"published": row.published if study.source and real else {}},
        marks=marks(row, study),
        seeds=seeds,
        runs=runs,
        samples={index: by_sample(run, study) for index, run in runs.items()},
        cells={name: Cell(*mean_and_deviation(values) if values else (None, None)) for name, values in means.items()},
        speeds=speeds.get(row.name, {}),
        job=current[0] if current else None,
        first_stage_seconds=first_stage_seconds(runs),
    )


def settings_of(job: Run) -> dict[str, Any]:
    """Return the settings that a run was, or is to be, made with."""
    return from_yaml((job.directory / CONFIG).read_text(encoding="utf-8"))


def first_stage_seconds(runs: dict[int, Run]) -> float | None:
    """Return the median seconds of the first stages that a row's own training starts from, if not interrupted."""
    times = []
    for run in runs.values():
        if run.needs is not None and not run.evaluate_only:
            stage = read_result(run.study_directory / run.needs)
            if stage is not None and stage.seconds.get("fit") and stage.resumed_at is None:
                times.append(stage.seconds["fit"])
    return standard.median(times) if times else None


def why_missing(run: Run) -> str:
    """Return why a run has no result that counts; where the run that it needs failed, that run's reason."""
    needed = read_result(run.study_directory / run.needs) if run.needs else None
    if needed is not None and needed.status == "failed":
        return f"{run.needs} failed: {why_missing(needed)}"
    return run.reason if run.status == "failed" else "it has not finished"


def marks(row: Row, study: Study) -> list[str]:
    """Return the notes that one needs to read a row."""
    said = []
    if row.name == study.baseline and row.name != "baseline":
        said.append("baseline")
    if row.name == NOISE_FLOOR:
        said.append("noise floor: the baseline with other seeds")
    if row.evaluate_only:
        said.append("no training: baseline's checkpoint")
    return said + ([row.note] if row.note else [])


def by_sample(run: Run, study: Study) -> dict[str, dict[Sample, float]]:
    """Return the values of each metric by image, NaN where there was nothing to measure; leaves out metrics that are
    not the mean of such values.
    """
    file = run.directory / SAMPLES
    if not file.is_file():
        return {}
    lines = read_samples(file)
    values: dict[str, dict[Sample, float]] = {}
    for metric in study.metrics:
        _, _, measured = metric.name.partition("/")
        test_set, _, column = measured.rpartition("/")
        found: dict[Sample, float] = {}
        seen: Counter[str] = Counter()
        for line in (line for line in lines if line["set"] == test_set):
            name = line.get("name", "")
            found[name, seen[name]] = line.get(column, np.nan)
            seen[name] += 1
        # A median or the area of a curve is no mean of the images' values, so an interval of their mean is not its own.
        finite = [value for value in found.values() if np.isfinite(value)]
        if finite and np.isclose(np.mean(finite), run.metrics[metric.name], rtol=1e-3):
            values[metric.name] = found
    return values
