"""Run a study: what is missing is written down as jobs and handed to an engine, then the results are looked at."""

import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from zoo.core.errors import ZooError
from zoo.core.files import write_json, write_text
from zoo.core.plain_yaml import to_yaml
from zoo.core.registry import get_slot
from zoo.core.spec import copy_plain
from zoo.study.file import Study
from zoo.study.parts import Engine, Task
from zoo.study.plan.planner import Plan, PlannedRun, settings_hash
from zoo.study.plan.resolve import make_from_options
from zoo.study.record import CONFIG, JOB, RESULT, Job, read_job, state
from zoo.study.run.wandb import wandb_loggers


@dataclass(frozen=True)
class Outcome:
    """What running a study came to: run directories by what is the matter with them."""

    done: list[Path]
    failed: list[Path]
    unfinished: list[Path]

    @property
    def complete(self) -> bool:
        """Whether every run has a result that counts."""
        return not self.failed and not self.unfinished


def run_study(plan: Plan, root: Path, engine: Engine, retry_failed: bool = False) -> Outcome:
    """Carry out what a study still lacks.

    Args:
        plan: of the study.
        root: the folder that the study's folder is in.
        engine: where runs are carried out.
        retry_failed: also those that failed before.

    Raises:
        ZooError: the folder cannot be written, or another process is running the study.
    """
    study = plan.study
    folder = root.resolve() / study.title
    check_writable(folder)
    runs = plan.runs()
    tasks: list[Task] = []
    waiting: set[Path] = set()
    for planned in runs:
        # What failed for want of another run's checkpoint is not settled while that run is to be done again.
        again = retry_failed or (planned.after is not None and folder / planned.after.folder in waiting)
        task = prepare(planned, plan, folder, again)
        if task is not None:
            tasks.append(task)
            waiting.add(task.directory)
    print(
        f"{study.title}: {len(runs)} runs, {len(runs) - len(tasks)} over already, {len(tasks)} to do in {folder}.",
        file=sys.stdout if engine.waits else sys.stderr,  # what such an engine prints is for a file
    )
    engine.execute([task_without(task, waiting) for task in tasks])
    return outcome(folder / planned.folder for planned in runs)


def task_without(task: Task, waiting: set[Path]) -> Task:
    """The task, waiting only for what is still to be done."""
    return Task(task.directory, tuple(path for path in task.after if path in waiting), task.threads, task.gpus)


def prepare(planned: PlannedRun, plan: Plan, folder: Path, retry_failed: bool) -> Task | None:
    """Write a run down as a job, for an engine; None where its result is there and counts."""
    directory = folder / planned.folder
    found = state(directory, planned.id)
    if found == "running":
        raise ZooError(f"{directory} is being run by another process; wait for it, or end it.")
    if found == "stale":
        move_aside(directory)
    elif found == "done" or (found == "failed" and not retry_failed):
        return None
    elif found == "failed":
        (directory / RESULT).unlink()
    job = make_job(planned, plan.study, plan)
    settings = run_settings(planned, plan.study.resources.gpus)
    write_text(directory / CONFIG, to_yaml(settings))
    write_json(directory / JOB, job.to_dict())
    after = (folder / planned.after.folder,) if planned.after else ()
    return Task(directory, after, job.threads, job.gpus)


def run_settings(planned: PlannedRun, gpus: int) -> dict[str, Any]:
    """The row's settings with the run's seed, its name where W&B shows it, and its share of the GPUs, where neither the
    settings nor the engine would keep it from taking all.
    """
    settings = copy_plain(planned.settings) | {"seed_everything": planned.seed}
    if gpus and settings["trainer"]["devices"] == "auto":
        settings["trainer"]["devices"] = gpus
    stage = ", first stage" if planned.first_stage else ""
    for logger in wandb_loggers(settings):
        logger.setdefault("init_args", {})["name"] = f"{planned.planned.row.name}{stage}, seed {planned.seed}"
    return settings


def make_job(planned: PlannedRun, study: Study, plan: Plan) -> Job:
    """What is written down of a run."""
    row, cost = planned.planned.row, planned.planned.cost
    return Job(
        study=study.title,
        row=row.name,
        seed=planned.seed,
        pair=planned.pair,
        id=planned.id,
        evaluate_only=row.evaluate_only,
        first_stage=planned.first_stage,
        after=planned.after.folder if planned.after else None,
        after_id=planned.after.id if planned.after else None,
        note=row.note,
        metrics=[] if planned.first_stage else study.measured,
        differences=[list(difference) for difference in planned.planned.differences],
        parameters=cost.parameters,
        multiply_adds=cost.multiply_adds,
        data={key: value for key, value in planned.planned.data.items() if key != "module"},
        plugins=[str(path) for path in study.plugins],
        threads=study.resources.threads,
        gpus=study.resources.gpus,
        settings_hash=settings_hash(planned.settings),
        written=study.written(row),
    )


def move_aside(directory: Path) -> None:
    """Keep a run of other settings, data or code under another name, and say so."""
    old = read_job(directory)
    kept = directory.with_name(f"{directory.name}.{old.id}")
    number = 1
    while kept.exists():
        number += 1
        kept = directory.with_name(f"{directory.name}.{old.id}.{number}")
    directory.rename(kept)
    print(f"{old.row}, seed {old.seed}: settings, data or code have changed; the old run is now {kept.name}.")


def outcome(directories: Iterator[Path]) -> Outcome:
    """Sort run directories by what is the matter with them."""
    sorted_by: dict[str, list[Path]] = {"done": [], "failed": [], "unfinished": []}
    for directory in directories:
        found = state(directory)
        sorted_by[found if found in ("done", "failed") else "unfinished"].append(directory)
    return Outcome(**sorted_by)


def check_writable(folder: Path) -> None:
    """ZooError unless files can be written in the folder, which is made."""
    try:
        write_text(folder / ".writable", "")
        (folder / ".writable").unlink()
    except OSError as error:
        raise ZooError(
            f"{folder} cannot be written ({error.strerror or error}): choose another folder with --runs."
        ) from error


def make_engine(name: str, options: list[str]) -> Engine:
    """An engine by its name, in any case, with its options (`--engine.slots=2`).

    Raises:
        PluginError: no such engine, or it cannot be loaded.
        ZooError: an option that it does not have.
        ValueError: what the engine needs is not installed.
    """
    slot = get_slot("engines")
    known = {known.lower(): known for known in slot.names()}
    return make_from_options(slot.get(known.get(name.lower(), name)), "engine", options)
