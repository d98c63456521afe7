"""Run a study: write down what is missing, hand it to an engine, then look at the results."""

import sys
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

from zoo.core.errors import ZooError
from zoo.core.files import write_json, write_text, writing
from zoo.core.plain_yaml import to_yaml
from zoo.core.registry import get_slot
from zoo.core.spec import copy_plain
from zoo.study.file import Study
from zoo.study.parts import Engine
from zoo.study.plan.planner import Plan, resolve_plan
from zoo.study.plan.resolve import make_from_options
from zoo.study.record import CONFIG, JOB, RESULT, Run, read_job, state
from zoo.study.run.wandb import wandb_loggers

CHANGED = "settings, data, plugin files or the version have changed"


class Outcome(NamedTuple):
    """Directories of a study's runs without a result that counts."""

    failed: list[Path]
    unfinished: list[Path]

    @property
    def complete(self) -> bool:
        """Whether every run has a result that counts."""
        return not self.failed and not self.unfinished


def make_engine(name: str, options: list[str]) -> Engine:
    """Return an engine by its name, in any case, with its options (`--engine.slots=2`).

    Raises:
        PluginError: no such engine, or it cannot be loaded.
        ZooError: an option that it does not have.
        ValueError: a package that the engine needs is not installed.
    """
    slot = get_slot("engines")
    names = {known.lower(): known for known in slot.names()}
    return make_from_options(slot.get(names.get(name.lower(), name)), "engine", options)


def run_study(plan: Plan, root: Path, engine: Engine, retry_failed: bool = False, force: bool = False) -> Outcome:
    """Carry out what a study still lacks.

    Args:
        plan: of the study.
        root: the folder that the study's folder is in.
        engine: where runs are carried out.
        retry_failed: whether to repeat runs that failed before.
        force: whether to repeat all runs; their old directories are kept under other names.

    Raises:
        ZooError: the folder cannot be written, or another process is running the study.
    """
    folder = root.resolve() / plan.study.title
    check_writable(folder)
    runs = [replace(run, directory=folder / run.folder) for run in plan.runs()]
    waiting: dict[Path, Run] = {}
    for run in runs:
        needed = folder / run.needs if run.needs else None
        # A run that failed for want of another run's checkpoint is not settled while that run is to be done again.
        if prepare(run, retry_failed or needed in waiting, force):
            waiting[run.directory] = replace(run, after=(needed,) if needed in waiting else ())
    print(
        f"{plan.study.title}: {len(runs)} runs, {len(runs) - len(waiting)} finished already, {len(waiting)} to do in "
        f"{folder}.",
        file=sys.stdout if engine.waits else sys.stderr,  # the output of an engine that does not wait is for a file
    )
    engine.execute(list(waiting.values()))
    states = {run.directory: state(run.directory) for run in runs}
    failed = [directory for directory, found in states.items() if found == "failed"]
    return Outcome(failed, [directory for directory, found in states.items() if found not in ("failed", "done")])


def about_stale(plan: Plan, root: Path) -> list[str]:
    """Return a sentence that names the rows whose runs `zoo study run` would repeat; none where there are none."""
    folder = root.resolve() / plan.study.title
    stale = (run for run in plan.runs() if state(folder / run.folder, run.id) == "stale")
    rows = ", ".join(dict.fromkeys(run.title.rpartition(", seed ")[0] for run in stale))
    return [f"`zoo study run` repeats the stale runs of {rows}: their {CHANGED}."] if rows else []


def about_age(study: Study, root: Path) -> list[str]:
    """Return `about_stale` of a study that is not resolved yet, or why that cannot be said."""
    try:
        return about_stale(resolve_plan(study), root)
    except ZooError as error:  # results can be read where nothing can be run
        return [f"It cannot be said whether runs are stale: {error}"]


def prepare(run: Run, retry_failed: bool, force: bool) -> bool:
    """Prepare a run's folder: write job.json and config.yaml; return False where nothing is to be done.

    Nothing is done again for a run that is done, or has failed and is not to be retried. Old results that do not count
    any more are moved aside.

    Raises:
        ZooError: another process runs it.
    """
    found = state(run.directory, run.id)
    if found == "running":
        raise ZooError(f"{run.directory} is being run by another process; wait for it, or end it.")
    if found == "stale":
        move_aside(run.directory, CHANGED)
    elif force and found != "missing":
        move_aside(run.directory, "it is run again")
    elif found == "done" or (found == "failed" and not retry_failed):
        job = read_job(run.directory)
        if job.written != run.written:  # the file says the same in other words, and `report` resolves no settings
            write_json(run.directory / JOB, replace(job, written=run.written).job_data())
        return False
    elif found == "failed":
        (run.directory / RESULT).unlink()
    write_text(run.directory / CONFIG, to_yaml(run_settings(run)))
    write_json(run.directory / JOB, run.job_data())
    return True


def run_settings(run: Run) -> dict[str, Any]:
    """Return the row's settings with the run's seed, its name in W&B, and its number of GPUs where neither the settings
    nor the engine would keep it from taking all.
    """
    settings = copy_plain(run.settings) | {"seed_everything": run.seed}
    if run.gpus and settings["trainer"]["devices"] == "auto":
        settings["trainer"]["devices"] = run.gpus
    for logger in wandb_loggers(settings):
        logger.setdefault("init_args", {})["name"] = run.title
    return settings


def move_aside(directory: Path, reason: str) -> None:
    """Keep the directory of an old run under another name, and say why."""
    old = read_job(directory)
    target = directory.with_name(f"{directory.name}.{old.id}")
    number = 1
    while target.exists():
        number += 1
        target = directory.with_name(f"{directory.name}.{old.id}.{number}")
    directory.rename(target)
    print(f"{old.row}, seed {old.seed}: {reason}; the old run is now {target.name}.")


def check_writable(folder: Path) -> None:
    """Raise ZooError unless files can be written in the folder, which is made."""
    with writing(folder, "choose another folder with --runs"):
        write_text(folder / ".writable", "")
        (folder / ".writable").unlink()
