"""Carry out one run: an ordinary fit of its configuration, then a test of the last checkpoint; a first stage is only
fitted.

It can be cut at any point: begun again, it resumes from the last epoch's checkpoint, and repeats nothing that has
finished.
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
from contextlib import contextmanager, redirect_stderr, redirect_stdout, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch.utilities.exceptions import SIGTERMException

from zoo.core.errors import ZooError
from zoo.core.files import write_text, writing
from zoo.core.plain_yaml import from_yaml
from zoo.core.plugin_files import load_plugin_files
from zoo.core.promises import explain_with_part
from zoo.measure.environment import device_name, environment
from zoo.measure.memory import PeakMemory
from zoo.runner.lightning import run_command
from zoo.study.parts import for_children
from zoo.study.record import (
    CONFIG,
    FITTED,
    RESULT,
    SAMPLES,
    Run,
    checkpoints,
    fitted,
    held,
    learning_curve,
    read_job,
    read_run,
    tested,
)
from zoo.study.run.samples import read_samples
from zoo.study.run.wandb import study_loggers, wandb_group, wandb_loggers
from zoo.weights.reading import readable

QUIET = "--trainer.enable_model_summary=false"

NOT_TRAINED: dict[str, Any] = {"seconds": 0.0, "resumed_at": None, "peak_memory": None}

LOCKED = """
import sys, zoo.cli
from pathlib import Path
from zoo.study.record import TRAINING_LOCK, held
sys.argv[0] = zoo.cli.__file__  # which the launcher of other processes runs
with held(Path(sys.argv.pop(1)), TRAINING_LOCK):
    zoo.cli.run()
"""
"""A Lightning command in a process of its own, which keeps others from beginning the run should its parent die."""


def execute(directory: Path) -> Run:
    """Carry out the run of a directory, or the rest of it; returns it with its result, which may be a failure.

    Raises:
        ZooError: the directory holds no job, another process is at it, or the result cannot be written.
    """
    run = read_job(directory)
    with held(directory) as mine:
        if not mine:
            raise ZooError(f"{directory} is being run by another process; wait for it, or end it.")
        if (done := read_run(directory)).status == "done":
            return done
        try:
            run = carry_out(run)
        except Exception as error:  # whatever broke this run, the other rows must go on
            run = replace(run, status="failed", reason=explain_with_part(error))
            note_down(directory / "error.txt", "".join(traceback.format_exception(error)))
        finally:
            gc.collect()  # the next run of this process gets the memory
        note_down(directory / RESULT, json.dumps(run.result_data(), indent=2) + "\n")
        return run


def execute_each() -> None:
    """Carry out the runs whose directories come as lines on standard input, see `zoo.study.parts.Worker`."""
    answers = os.dup(sys.stdout.fileno())
    for line in sys.stdin:
        directory = Path(line.rstrip("\n"))
        print_to(directory / "log.txt")
        try:
            execute(directory)
        except ZooError as error:  # as on a full disk; another run may have more luck
            print(f"zoo study: {error}", flush=True)
        os.write(answers, b"finished\n")


def print_to(file: Path) -> None:
    """Append everything that this process and its libraries print from now on to a file."""
    sys.stdout.flush()
    sys.stderr.flush()
    with file.open("ab") as log:
        os.dup2(log.fileno(), 1)
        os.dup2(log.fileno(), 2)


def carry_out(run: Run) -> Run:
    """Fit where there is something to train, then test; returns the run with its result."""
    directory = run.directory
    load_plugin_files(run.plugins)
    if run.threads is not None:
        torch.set_num_threads(run.threads)
    settings = read_settings(directory)
    with wandb_group(run, settings):
        training = NOT_TRAINED | {"checkpoint": needed(run)} if run.evaluate_only else trained(run)
        checkpoint = directory / training["checkpoint"]  # of another run, an absolute path
        seconds = {"fit": training["seconds"]}
        if not run.first_stage:
            began = time.monotonic()
            test(run, checkpoint)
            seconds["test"] = time.monotonic() - began
    samples = directory / SAMPLES
    curve = [] if run.evaluate_only else learning_curve(directory)
    last = {name: value for epoch in curve for name, value in epoch.items() if name.startswith("validation/")}
    return replace(
        run,
        status="done",
        checkpoint=str(checkpoint.resolve().relative_to(run.study_directory.resolve())),
        metrics=complete(run, last | tested(directory)),
        curve=curve,
        samples=len(read_samples(samples)) if samples.is_file() else 0,
        seconds=seconds,
        resumed_at=training["resumed_at"],
        peak_memory=training["peak_memory"],
        device=device_name(settings["trainer"]["accelerator"]),
        used_threads=torch.get_num_threads(),
        versions=versions(),
    )


def trained(run: Run) -> dict[str, Any]:
    """Train, or resume training; returns the content of `fitted.json`."""
    directory = run.directory
    done = fitted(directory)
    if done is not None and readable_checkpoint([directory / done["checkpoint"]]) == directory / done["checkpoint"]:
        return done
    words = [*common_words(run, "fit"), QUIET]
    begun = readable_checkpoint(checkpoints(directory))
    curve = learning_curve(directory)
    if begun is not None:
        words += ["--ckpt_path", str(begun)]
    elif run.needs is not None:
        words += [f"--model.checkpoint={needed(run)}"]
    began = time.monotonic()
    with PeakMemory() as memory:
        command("fit", words, directory)
    last = readable_checkpoint(checkpoints(directory))
    if last is None:
        raise ZooError("training left no checkpoint: expected trainer.enable_checkpointing as it is by default.")
    outcome = {
        "checkpoint": str(last.relative_to(directory)),
        "seconds": time.monotonic() - began,
        "resumed_at": len(curve) if begun is not None else None,
        "peak_memory": None if several_devices(directory) else memory.bytes,  # that of other processes is not seen
    }
    note_down(directory / FITTED, json.dumps(outcome, indent=2) + "\n")
    return outcome


def readable_checkpoint(files: list[Path]) -> Path | None:
    """Return the last of these checkpoints that can be read, or another one of its folder; None where there is none."""
    for file in reversed(files):
        with suppress(ZooError):
            return readable(file)
    return None


def needed(run: Run) -> Path:
    """Return the checkpoint of the run that this one needs; ZooError where it has not been trained."""
    assert run.needs is not None
    other = run.study_directory / run.needs
    training = fitted(other)
    if training is None or read_job(other).id != run.needs_id:
        raise ZooError(f"it needs the checkpoint of {run.needs}, which has not been trained.")
    return other / training["checkpoint"]


def test(run: Run, checkpoint: Path) -> None:
    """Test a checkpoint under the run's own settings, on one device, so that no sample counts twice."""
    file = run.directory / SAMPLES
    file.unlink(missing_ok=True)
    recorder = {"class_path": "zoo.study.run.samples.SampleRecord", "init_args": {"file": str(file)}}
    words = [*common_words(run, "test"), "--ckpt_path", str(checkpoint), "--verbose=false", QUIET]
    words += ["--trainer.devices=1", "--trainer.strategy=auto", "--trainer.enable_checkpointing=false"]
    words += [f"--trainer.callbacks+={json.dumps(recorder)}"]
    command("test", words, run.directory)


def common_words(run: Run, name: str) -> list[str]:
    """Return the options of a run's fit and test: its configuration and places, and loggers that cannot break it."""
    words = ["--config", str(run.directory / CONFIG), "--runs", str(run.directory), "--name", name]
    settings = read_settings(run.directory)
    return [*words, f"--trainer.logger={json.dumps(study_loggers(settings))}"] if wandb_loggers(settings) else words


def command(name: str, words: list[str], directory: Path) -> None:
    """Run one of Lightning's commands: in this process, except for training on several devices, whose launcher starts
    this program again.
    """
    if name == "fit" and several_devices(directory):
        separate(name, words, directory)
        return
    try:
        with quiet_log(directory / "log.txt"):
            run_command(name, words)
    except SystemExit as error:
        if isinstance(error.__cause__, SIGTERMException):  # as queues do: no failure, the run resumes another time
            print("zoo study: asked to end (SIGTERM).", file=sys.stderr)
            raise
        raise ZooError(f"`zoo {name}` ended with exit code {error.code}.") from error


def separate(name: str, words: list[str], directory: Path) -> None:
    """Run one of Lightning's commands in a process of its own; its last line is the reason of a ZooError."""
    plugins = [word for path in read_job(directory).plugins for word in ("--plugin", path)]
    done = subprocess.run(
        [sys.executable, "-P", "-c", LOCKED, str(directory), name, *words, *plugins],
        stdin=subprocess.DEVNULL,
        env=for_children(os.environ),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
    )
    with (directory / "log.txt").open("a", encoding="utf-8") as log:
        log.write(done.stdout)
    if done.returncode:
        lines = done.stdout.strip().splitlines() or [f"exit code {done.returncode}"]
        raise ZooError(lines[-1].removeprefix(f"zoo {name}: "))


def read_settings(directory: Path) -> dict[str, Any]:
    """Return the resolved settings of a run."""
    return from_yaml((directory / CONFIG).read_text(encoding="utf-8"))


def several_devices(directory: Path) -> bool:
    """Return whether training uses more than one device."""
    trainer = read_settings(directory)["trainer"]
    devices = trainer["devices"]
    if devices == "auto" or devices in (-1, "-1"):
        return trainer["accelerator"] != "cpu" and torch.cuda.device_count() > 1
    return (len(devices) if isinstance(devices, list) else int(devices)) > 1 or trainer["num_nodes"] > 1


@contextmanager
def quiet_log(file: Path) -> Iterator[None]:
    """Write everything that Lightning and libraries print inside the block to a file."""
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


def complete(run: Run, measured: dict[str, float]) -> dict[str, float]:
    """Return the finite metrics; ZooError where one that the study compares is missing or not finite."""
    for name in run.metric_names:
        if name not in measured:
            raise ZooError(f"the metric {name} is missing; measured were {', '.join(sorted(measured)) or 'none'}.")
        if not math.isfinite(measured[name]):
            raise ZooError(f"the metric {name} is {measured[name]}, no number to compare.")
    return {name: value for name, value in measured.items() if math.isfinite(value)}


def versions() -> dict[str, str]:
    """Return versions of packages, and the commit where there is one."""
    recorded = environment()
    return recorded["versions"] | ({"commit": recorded["commit"]} if recorded["commit"] else {})


def note_down(file: Path, text: str) -> None:
    """Write a file atomically; ZooError where it cannot be written."""
    with writing(file, "make room, then run again"):
        write_text(file, text)
