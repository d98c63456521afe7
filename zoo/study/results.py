"""What runs left behind, read from their directories alone."""

import csv
import fcntl
import json
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import IO, Any, Literal

from zoo.core.errors import ZooError
from zoo.study.job import FITTED, JOB, RESULT, Job, read_job

FORMAT = 1
"""Version of result.json; raised when an older reader could not understand it."""

LOCK = ".lock"

METRICS = "metrics.csv"
"""What Lightning logs, in each of its run directories."""

GLANCE = 1.0
"""Seconds that a run waits for those who look whether its directory is held."""

State = Literal["missing", "begun", "running", "failed", "stale", "done"]


@dataclass(frozen=True)
class Result:
    """The end of a run; `metrics` and what follows are empty after a failure.

    Args:
        job: what was to be done.
        status: `done`, or `failed`.
        reason: why it failed, one sentence.
        checkpoint: the tested checkpoint, relative to the study's directory.
        metrics: each metric of the test sets and of the last validation.
        curve: what was logged in training, a dict an epoch.
        samples: how many pictures `samples.csv` has.
        seconds: of `fit` and `test`; of a resumed `fit` only of its last part.
        resumed_at: the epoch that the last part began with, or None.
        peak_memory: bytes, of the device in training (of this process on a CPU); None where it was not measured.
        device, threads: where it ran.
        versions: of packages, and the commit where there is one.
    """

    job: Job
    status: Literal["done", "failed"]
    reason: str = ""
    checkpoint: str | None = None
    metrics: dict[str, float] = field(default_factory=dict)
    curve: list[dict[str, float]] = field(default_factory=list)
    samples: int = 0
    seconds: dict[str, float] = field(default_factory=dict)
    resumed_at: int | None = None
    peak_memory: int | None = None
    device: str = ""
    threads: int | None = None
    versions: dict[str, str] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """As plain data."""
        return {"format": FORMAT, **asdict(self)}


def read_result(directory: Path) -> Result | None:
    """The result in a run's directory; None where there is none yet.

    Raises:
        ZooError: it is damaged, or written by a newer version.
    """
    file = directory / RESULT
    if not file.is_file():
        return None
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
        written = content.pop("format")
        if written > FORMAT:
            raise ZooError(f"{file} has format {written}, this version reads up to {FORMAT}: upgrade ablation-zoo.")
        return Result(**content | {"job": Job(**content["job"])})
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        if isinstance(error, ZooError):
            raise
        raise ZooError(f"{file} is damaged: delete it, and `zoo study run` makes it again.") from error


def state(directory: Path, wanted: str | None = None) -> State:
    """What is the matter with a run.

    Args:
        directory: of the run.
        wanted: the id that its result should have; None takes that of its own job.
    """
    if not (directory / JOB).is_file():
        return "missing"
    job = read_job(directory)
    if is_held(directory):  # before all else: what another process writes into must not be moved aside
        return "running"
    if wanted is not None and job.id != wanted:
        return "stale"
    result = read_result(directory)
    if result is None:
        return "begun" if checkpoints(directory) else "missing"
    return result.status if result.job.id == job.id else "stale"


def all_jobs(study: Path) -> Iterator[tuple[Path, Job]]:
    """Every run's directory below a study's, with its job; those that were moved aside as stale are left out."""
    for file in sorted(study.glob(f"*/seed_*/{JOB}")):
        if "." not in file.parent.name:
            yield file.parent, read_job(file.parent)


def checkpoints(directory: Path) -> list[Path]:
    """The last checkpoint of each part of a run's training, newest last."""
    versions = sorted((directory / "fit").glob("version_*"), key=lambda path: int(path.name.removeprefix("version_")))
    return [path for version in versions if (path := version / "checkpoints" / "last.ckpt").is_file()]


def fitted(directory: Path) -> dict[str, Any] | None:
    """What is known of a training that is over; None while it is not."""
    file = directory / FITTED
    return json.loads(file.read_text(encoding="utf-8")) if file.is_file() else None


def learning_curve(directory: Path) -> list[dict[str, float]]:
    """The means that training and validation logged, a dict an epoch.

    Where a part of the training was repeated after an interruption, its repetition counts.
    """
    epochs: dict[int, dict[str, float]] = {}
    for line in logged(directory / "fit"):
        epochs.setdefault(int(line["epoch"]), {}).update(line)
    return [epochs[epoch] for epoch in sorted(epochs)]


def tested(directory: Path) -> dict[str, float]:
    """What the last test logged."""
    found: dict[str, float] = {}
    for line in logged(directory / "test"):
        found |= {name: value for name, value in line.items() if name.startswith("test/")}
    return found


def logged(directory: Path) -> Iterator[dict[str, float]]:
    """Every line of the metrics files of Lightning's run directories, oldest first."""
    for version in sorted(directory.glob("version_*"), key=lambda path: int(path.name.removeprefix("version_"))):
        yield from logged_lines(version)


def logged_lines(version: Path) -> Iterator[dict[str, float]]:
    """Every line of the metrics file of one of Lightning's run directories, with what it has values for."""
    file = version / METRICS
    if file.is_file():
        with file.open(encoding="utf-8", newline="") as stream:
            for line in csv.DictReader(stream):
                yield {name: float(value) for name, value in line.items() if value}


@contextmanager
def held(directory: Path) -> Iterator[bool]:
    """Hold a run's directory against other processes; gives False where another one holds it. A process that dies lets
    go of it, once those that inherited it are over too.
    """
    with (directory / LOCK).open("w") as file:
        os.set_inheritable(file.fileno(), True)
        until = time.monotonic() + GLANCE
        while not (mine := locked(file, fcntl.LOCK_EX)) and time.monotonic() < until:
            time.sleep(GLANCE / 20)  # somebody who only looks is gone in a moment
        yield mine


def locked(file: IO[str], kind: int) -> bool:
    """Whether the lock could be had; it is held until the file is closed."""
    try:
        fcntl.flock(file, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def is_held(directory: Path) -> bool:
    """Whether some process is carrying out this run."""
    if not (directory / LOCK).is_file():
        return False
    with (directory / LOCK).open() as file:
        return not locked(file, fcntl.LOCK_SH)
