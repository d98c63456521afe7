"""One run as it is written down before it is carried out: whoever has the directory can carry it out.

STUDY/ROW/seed_0/
  job.json       what is to be done, and how it differs from the baseline
  config.yaml    resolved settings of `zoo fit` and `zoo test`
  fit/, test/    Lightning's own run directories
  fitted.json    once training is over
  samples.csv    a line for each picture of the test sets
  pictures/      how the first of them look
  result.json    once all is over, or has failed

What is trained before, for several rows to start from, lies in STUDY/first_stage/ROW/seed_0, and is not tested.
"""

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from zoo.core.errors import ZooError

JOB, CONFIG, FITTED, SAMPLES, RESULT = "job.json", "config.yaml", "fitted.json", "samples.csv", "result.json"


@dataclass(frozen=True)
class Job:
    """One row with one seed.

    Args:
        study: the study's title.
        row: the row's name.
        seed: of the run.
        pair: place of the seed in the study's list: runs of one place are compared with one another.
        id: see `zoo.study.identity`.
        evaluate_only: whether the baseline's checkpoint is tested instead of training.
        first_stage: whether it is only trained, for other runs to start from.
        after: directory, relative to the study's, of the run whose checkpoint is tested or started from.
        after_id: the id of that run.
        note: of the row.
        metrics: names of those that the result must have.
        differences: what the row changes against the baseline, `[key, before, after]` each.
        parameters: of the network.
        multiply_adds: of one picture by the name of its size.
        data: which datasets there are, and whether they are synthetic.
        plugins: Python files with parts.
        threads: of the CPU, or None.
        gpus: how many.
        settings_hash: of config.yaml without the seed and the places.
        written: hash of what the study file said of the row, see `Study.written`.
    """

    study: str
    row: str
    seed: int
    pair: int
    id: str
    evaluate_only: bool
    first_stage: bool
    after: str | None
    after_id: str | None
    note: str
    metrics: list[str]
    differences: list[list[Any]]
    parameters: int
    multiply_adds: dict[str, int]
    data: dict[str, Any]
    plugins: list[str]
    threads: int | None
    gpus: int
    settings_hash: str
    written: str

    def to_dict(self) -> dict[str, Any]:
        """As plain data."""
        return asdict(self)


def read_job(directory: Path) -> Job:
    """The job of a run's directory; ZooError where there is none."""
    try:
        return Job(**json.loads((directory / JOB).read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError) as error:
        raise ZooError(
            f"{directory} holds no readable {JOB}: expected a directory that `zoo study run` made."
        ) from error


def study_directory(directory: Path, job: Job) -> Path:
    """The study's directory, from that of one of its runs."""
    return directory.parents[2 if job.first_stage else 1]
