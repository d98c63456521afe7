"""Weights & Biases, where a configuration logs there: a group for the study, a job type for the row, the run's own id.

A run must not depend on it. Where the server cannot be reached, the run is logged offline; when W&B fails in the
middle, the run continues without it; data that a server could not take until the end stays on disk, for `wandb sync`.
"""

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, ClassVar

from lightning.pytorch.loggers import WandbLogger

from zoo.core.spec import copy_plain
from zoo.runner.wandb import described, end_session, reachable
from zoo.study.record import Run

UPLOAD = 120
"""Seconds that a run waits at its end for its data to be uploaded; W&B's own default has no end."""


@contextmanager
def wandb_group(run: Run, settings: dict[str, Any]) -> Iterator[None]:
    """Let W&B runs that begin inside the block belong to this run, and continue where an interrupted one was; a failure
    of W&B is reported once, after the block.
    """
    if not wandb_loggers(settings):
        yield
        return
    with session({"WANDB_RUN_GROUP": run.study, "WANDB_JOB_TYPE": run.row, "WANDB_RUN_ID": run.id}):
        StudyWandbLogger.failure = None
        try:
            yield
        finally:
            if StudyWandbLogger.failure is not None:
                print(f"{run.row}, seed {run.seed}: {StudyWandbLogger.failure}", flush=True)


@contextmanager
def session(variables: Mapping[str, str], offline: bool = False) -> Iterator[None]:
    """Begin and end a session of W&B with these environment variables, which it reads only when a session begins.

    Nothing is sent to the server if `offline`, nor where it cannot be reached.
    """
    mode = os.environ.get("WANDB_MODE")
    if mode is None and (offline or not reachable()):
        mode = "offline"
    patience = os.environ.get("WANDB_FINISH_TIMEOUT", str(UPLOAD))
    new = {"WANDB_RESUME": "allow", "WANDB_FINISH_TIMEOUT": patience, **variables}
    new |= {"WANDB_MODE": mode} if mode is not None else {}
    old = {name: os.environ.get(name) for name in [*new, "WANDB_MODE"]}  # Lightning's logger sets the mode too
    os.environ.update(new)
    try:
        end_session()
        yield
    finally:
        end_session()
        for name, value in old.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


class StudyWandbLogger(WandbLogger):
    """Lightning's logger, whose errors never reach the run: after the first one, W&B is left alone.

    It finishes its W&B run itself, so that an error then does not reach the run either.
    """

    failure: ClassVar[str | None] = None
    """The first error of this run, one sentence."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)  # the parser finds the arguments of `wandb.init` through this call

    @property
    def experiment(self) -> Any:
        return attempt(lambda: super(StudyWandbLogger, self).experiment)

    def log_hyperparams(self, *args: Any, **named: Any) -> None:
        attempt(super().log_hyperparams, *args, **named)

    def log_metrics(self, *args: Any, **named: Any) -> None:
        attempt(super().log_metrics, *args, **named)

    def log_image(self, *args: Any, **named: Any) -> None:
        attempt(super().log_image, *args, **named)

    def after_save_checkpoint(self, *args: Any, **named: Any) -> None:
        attempt(super().after_save_checkpoint, *args, **named)

    def finalize(self, status: str) -> None:
        import wandb

        attempt(super().finalize, status)
        if wandb.run is not None:
            attempt(wandb.finish, exit_code=int(status != "success"))
        if self.failure is not None:
            wandb.run = None  # nobody else shall try to finish it


def attempt(function: Callable[..., Any], *args: Any, **named: Any) -> Any:
    """Return the result of a function of W&B; `Nothing` after an error, which is kept in `StudyWandbLogger.failure`."""
    if StudyWandbLogger.failure is None:
        try:
            return function(*args, **named)
        except Exception as error:  # its service may be gone, its server, or the disk full
            StudyWandbLogger.failure = f"W&B failed ({described(error)}); the run continues without it."
    return Nothing()


class Nothing:
    """Stands for a W&B run that is lost: it takes every call and does nothing."""

    def __getattr__(self, name: str) -> "Nothing":
        return self

    def __call__(self, *args: Any, **named: Any) -> "Nothing":
        return self


def study_loggers(settings: dict[str, Any]) -> Any:
    """Return the loggers of resolved settings, with `StudyWandbLogger` in place of Lightning's own."""
    settings = copy_plain({"trainer": {"logger": settings["trainer"]["logger"]}})
    for logger in wandb_loggers(settings):
        logger["class_path"] = f"{__name__}.{StudyWandbLogger.__name__}"
    return settings["trainer"]["logger"]


def wandb_loggers(settings: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the W&B loggers in resolved settings."""
    loggers = settings["trainer"]["logger"]
    loggers = loggers if isinstance(loggers, list) else [loggers]
    return [logger for logger in loggers if isinstance(logger, dict) and logger["class_path"].endswith("WandbLogger")]
