"""Carry out one run: an ordinary fit of its configuration, then a test of the last checkpoint; a first stage is only
fitted.

It can be cut at any point: begun again, it goes on from the last epoch's checkpoint, and what is over is not repeated.
"""

import gc
import json
import logging
import math
import os
import subprocess
import sys
import time
import traceback
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch.utilities.exceptions import SIGTERMException

from zoo.core.errors import ZooError, explain, is_on_purpose
from zoo.core.files import write_text
from zoo.core.plain_yaml import from_yaml
from zoo.core.plugin_files import load_plugin_files
from zoo.measure.environment import device_name, environment
from zoo.measure.memory import PeakMemory
from zoo.runner.lightning import run_command
from zoo.study.parts import without_slurm
from zoo.study.record import (
    CONFIG,
    FITTED,
    RESULT,
    SAMPLES,
    Job,
    Result,
    checkpoints,
    fitted,
    held,
    learning_curve,
    read_job,
    read_result,
    study_directory,
    tested,
)
from zoo.study.run.samples import read_samples
from zoo.study.run.wandb import wandb_group

QUIET = ("--trainer.enable_progress_bar=false", "--trainer.enable_model_summary=false")


class RunFailed(RuntimeError):
    """A run that cannot have a result; the message is the reason, one sentence."""


def execute(directory: Path) -> Result:
    """Carry out the run of a directory, or what is left of it; a failure is a result too.

    Raises:
        ZooError: the directory holds no job, another process is at it, or the result cannot be written.
    """
    job = read_job(directory)
    with held(directory) as mine:
        if not mine:
            raise ZooError(f"{directory} is being run by another process; wait for it, or end it.")
        done = read_result(directory)
        if done is not None and done.status == "done" and done.job.id == job.id:
            return done
        try:
            result = carry_out(directory, job)
        except Exception as error:  # whatever broke this run, the other rows must go on
            result = Result(job, "failed", reason(error))
            note_down(directory / "error.txt", "".join(traceback.format_exception(error)))
        finally:
            gc.collect()  # the next run of this process gets the memory
        note_down(directory / RESULT, json.dumps(result.to_dict(), indent=2) + "\n")
        return result


def carry_out(directory: Path, job: Job) -> Result:
    """Fit where there is something to train, then test.

    Raises:
        RunFailed: no checkpoint to test, or a metric is missing or no number.
    """
    load_plugin_files(job.plugins)
    if job.threads is not None:
        torch.set_num_threads(job.threads)
    with wandb_group(job, read_settings(directory)):
        training = borrowed(directory, job) if job.evaluate_only else trained(directory, job)
        checkpoint = directory / training["checkpoint"]
        seconds = {"fit": training["seconds"]}
        if not job.first_stage:
            began = time.monotonic()
            test(directory, checkpoint)
            seconds["test"] = time.monotonic() - began
    samples = directory / SAMPLES
    curve = [] if job.evaluate_only else learning_curve(directory)
    return Result(
        job,
        "done",
        checkpoint=str(checkpoint.resolve().relative_to(study_directory(directory, job).resolve())),
        metrics=complete(job, last_validation(curve) | tested(directory)),
        curve=curve,
        samples=len(read_samples(samples)) if samples.is_file() else 0,
        seconds=seconds,
        resumed_at=training["resumed_at"],
        peak_memory=training["peak_memory"],
        device=device_name(read_settings(directory)["trainer"]["accelerator"]),
        threads=torch.get_num_threads(),
        versions=versions(),
    )


def trained(directory: Path, job: Job) -> dict[str, Any]:
    """Train, or go on training; returns what is known of it, also written as `fitted.json`.

    Raises:
        RunFailed: training left no checkpoint.
    """
    if (done := fitted(directory)) is not None and (directory / done["checkpoint"]).is_file():
        return done
    words = ["--config", str(directory / CONFIG), "--runs", str(directory), "--name", "fit", *QUIET]
    begun = checkpoints(directory)
    curve = learning_curve(directory)
    if begun:
        words += ["--ckpt_path", str(begun[-1])]
    elif job.after is not None:
        words += [f"--model.checkpoint={needed(directory, job)}"]
    began = time.monotonic()
    with PeakMemory() as memory:
        command("fit", words, directory)
    if not checkpoints(directory):
        raise RunFailed("training left no checkpoint: expected trainer.enable_checkpointing as it is by default.")
    outcome = {
        "checkpoint": str(checkpoints(directory)[-1].relative_to(directory)),
        "seconds": time.monotonic() - began,
        "resumed_at": len(curve) if begun else None,
        "peak_memory": None if several_devices(directory) else memory.bytes,  # those of other processes are not seen
    }
    note_down(directory / FITTED, json.dumps(outcome, indent=2) + "\n")
    return outcome


def borrowed(directory: Path, job: Job) -> dict[str, Any]:
    """The checkpoint that another run trained; as `trained`, with a path relative to this run's directory."""
    path = os.path.relpath(needed(directory, job), directory)
    return {"checkpoint": path, "seconds": 0.0, "resumed_at": None, "peak_memory": None}


def needed(directory: Path, job: Job) -> Path:
    """The checkpoint of the run that comes before.

    Raises:
        RunFailed: that run did not get so far, or is another one by now.
    """
    assert job.after is not None
    other = study_directory(directory, job) / job.after
    training = fitted(other)
    if training is None or read_job(other).id != job.after_id:
        raise RunFailed(f"it needs the checkpoint of {job.after}, which has not been trained.")
    return other / training["checkpoint"]


def test(directory: Path, checkpoint: Path) -> None:
    """Test a checkpoint under the run's own settings, on one device, so that no sample counts twice."""
    (directory / SAMPLES).unlink(missing_ok=True)
    recorder = {
        "class_path": "zoo.study.run.samples.SampleRecord",
        "init_args": {"file": str(directory / SAMPLES)},
    }
    words = ["--config", str(directory / CONFIG), "--ckpt_path", str(checkpoint), "--verbose=false", *QUIET]
    words += ["--runs", str(directory), "--name", "test", "--trainer.devices=1", "--trainer.strategy=auto"]
    words += ["--trainer.enable_checkpointing=false"]
    words += [f"--trainer.callbacks+={json.dumps(recorder)}"]
    command("test", words, directory)


def command(name: str, words: list[str], directory: Path) -> None:
    """One of Lightning's commands: in this process, but for training on several devices, whose launcher starts this
    program anew.
    """
    if name == "fit" and several_devices(directory):
        separate(name, words, directory)
        return
    try:
        with quiet_log(directory / "log.txt"):
            run_command(name, words)
    except SIGTERMException:  # asked to end, as queues do: no failure, the run goes on another time
        raise
    except SystemExit as error:
        if isinstance(error.__context__, KeyboardInterrupt):  # Lightning's way of ending after Ctrl-C
            raise KeyboardInterrupt from None
        raise RunFailed(f"`zoo {name}` ended with exit code {error.code}.") from error


def separate(name: str, words: list[str], directory: Path) -> None:
    """One of Lightning's commands in a process of its own.

    Raises:
        RunFailed: it ended with another exit code than 0; the reason is its last line.
    """
    job = read_job(directory)
    plugins = [word for path in job.plugins for word in ("--plugin", path)]
    line = [sys.executable, "-c", "import zoo.cli; zoo.cli.run()", name, *words, *plugins]
    # The lock goes with it (see `held`): should this process die, nobody else begins the run while that one trains.
    done = subprocess.run(
        line,
        env=without_slurm(os.environ),
        close_fds=False,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
    )
    with (directory / "log.txt").open("a", encoding="utf-8") as log:
        log.write(done.stdout)
    if done.returncode:
        lines = done.stdout.strip().splitlines() or [f"exit code {done.returncode}"]
        raise RunFailed(lines[-1].removeprefix(f"zoo {name}: "))


def read_settings(directory: Path) -> dict[str, Any]:
    """The resolved settings of a run."""
    return from_yaml((directory / CONFIG).read_text(encoding="utf-8"))


def several_devices(directory: Path) -> bool:
    """Whether training uses more than one device."""
    trainer = read_settings(directory)["trainer"]
    devices = trainer["devices"]
    if devices == "auto" or devices in (-1, "-1"):
        return trainer["accelerator"] != "cpu" and torch.cuda.device_count() > 1
    return (len(devices) if isinstance(devices, list) else int(devices)) > 1 or trainer["num_nodes"] > 1


@contextmanager
def quiet_log(file: Path) -> Iterator[None]:
    """What Lightning and libraries print goes into a file."""
    loggers = [logging.getLogger(name) for name in ("lightning.pytorch", "lightning.fabric")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.WARNING)
    try:
        with file.open("a", encoding="utf-8") as log, redirect_stdout(log), redirect_stderr(log):
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)


def last_validation(curve: list[dict[str, float]]) -> dict[str, float]:
    """The last value of each validation metric."""
    found: dict[str, float] = {}
    for epoch in curve:
        found |= {name: value for name, value in epoch.items() if name.startswith("validation/")}
    return found


def complete(job: Job, measured: dict[str, float]) -> dict[str, float]:
    """The metrics; RunFailed where one that the study wants is missing or no number: it must not look like a result."""
    for name in job.metrics:
        if name not in measured:
            raise RunFailed(f"the metric {name} is missing; measured were {', '.join(sorted(measured)) or 'none'}.")
        if not math.isfinite(measured[name]):
            raise RunFailed(f"the metric {name} is {measured[name]}, no number to compare.")
    return {name: value for name, value in measured.items() if math.isfinite(value)}


def reason(error: BaseException) -> str:
    """Why a run failed, in one sentence; a library's own words come with the kind of error."""
    text = explain(error)
    return text if is_on_purpose(error) else f"{type(error).__name__}: {text}"


def versions() -> dict[str, str]:
    """Versions of packages, and the commit where there is one."""
    recorded = environment()
    return recorded["versions"] | ({"commit": recorded["commit"]} if recorded["commit"] else {})


def note_down(file: Path, text: str) -> None:
    """Write a file whole or not at all.

    Raises:
        ZooError: it cannot be written, as on a full disk.
    """
    try:
        write_text(file, text)
    except OSError as error:
        raise ZooError(f"{file} cannot be written ({error.strerror or error}): make room, then run again.") from error
