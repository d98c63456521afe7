"""Weights & Biases, where a configuration logs there: a group for the study, a job type for the row, the run's own id.

A run must not depend on it. Where the server cannot be reached, the run is logged offline; when W&B fails in the
middle, the run goes on without it; and what a server that went away leaves waiting at the end stays on disk, for `wandb
sync`.
"""

import os
import socket
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, redirect_stderr, redirect_stdout, suppress
from functools import wraps
from io import StringIO
from typing import Any
from unittest.mock import patch
from urllib.parse import urlparse

from zoo.study.record import Job

PUBLIC = "https://api.wandb.ai"
PATIENCE = 3.0
"""Seconds to wait for the server's answer."""
UPLOAD = 120
"""Seconds that a run waits at its end for its data to be uploaded; W&B's own default has no end."""

LOGGING = ("log_hyperparams", "log_metrics", "log_image", "after_save_checkpoint", "finalize")
"""The methods of Lightning's logger through which a run reaches W&B."""


@contextmanager
def wandb_group(job: Job, settings: dict[str, Any]) -> Iterator[None]:
    """W&B runs that begin inside the block belong to this job, and go on where an interrupted one was; whatever goes
    wrong with them is said once, after the block.
    """
    if not wandb_loggers(settings):
        yield
        return
    with session({"WANDB_RUN_GROUP": job.study, "WANDB_JOB_TYPE": job.row, "WANDB_RUN_ID": job.id}):
        guard = Guard()
        try:
            with guard.wandb():
                yield
        finally:
            if guard.said is not None:
                print(f"{job.row}, seed {job.seed}: {guard.said}", flush=True)


@contextmanager
def session(variables: Mapping[str, str], offline: bool = False) -> Iterator[None]:
    """A session of W&B with these environment variables: it reads them when a session begins, and not again.

    Args:
        variables: beside those that every run of a study has.
        offline: nothing is sent to the server; nor where it cannot be reached.
    """
    mode = os.environ.get("WANDB_MODE")
    if mode is None and (offline or not reachable(os.environ.get("WANDB_BASE_URL", PUBLIC))):
        mode = "offline"
    patience = os.environ.get("WANDB_FINISH_TIMEOUT", str(UPLOAD))
    inside = {"WANDB_RESUME": "allow", "WANDB_FINISH_TIMEOUT": patience, **variables}
    inside |= {"WANDB_MODE": mode} if mode is not None else {}
    before = {name: os.environ.get(name) for name in [*inside, "WANDB_MODE"]}  # Lightning's logger sets the mode too
    os.environ.update(inside)
    try:
        end_session()
        yield
    finally:
        end_session()
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


class Guard:
    """Keeps what W&B raises away from the run: after the first error, W&B is left alone.

    `said` is what happened, one sentence, or None.
    """

    said: str | None = None

    @contextmanager
    def wandb(self) -> Iterator[None]:
        """Inside the block W&B is guarded: Lightning's logger, and the end of a W&B run."""
        import wandb
        from lightning.pytorch.loggers import WandbLogger

        with ExitStack() as patches:
            for name in LOGGING:
                patches.enter_context(patch.object(WandbLogger, name, self.guarded(getattr(WandbLogger, name))))
            experiment = property(self.guarded(WandbLogger.__dict__["experiment"].fget))
            patches.enter_context(patch.object(WandbLogger, "experiment", experiment))
            patches.enter_context(patch.object(wandb, "finish", self.guarded(wandb.finish)))
            yield

    def guarded(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """The function, of which no error gets out; `Nothing` takes the place of its result."""

        @wraps(function)
        def attempt(*args: Any, **named: Any) -> Any:
            if self.said is None:
                try:
                    return function(*args, **named)
                except Exception as error:  # its service may be gone, its server, or the disk full
                    self.said = f"W&B failed ({described(error)}); the run goes on without it."
            return Nothing()

        return attempt


class Nothing:
    """Stands for a W&B run that is lost: it takes every call and does nothing."""

    def __getattr__(self, name: str) -> "Nothing":
        return self

    def __call__(self, *args: Any, **named: Any) -> "Nothing":
        return self


def end_session() -> None:
    """End this process's session of W&B, if there is one, whatever state it is in; the next begins afresh."""
    import wandb

    # A service that died cannot be told to end; what it says when it ends has its place in the run's log, not here.
    with suppress(Exception, SystemExit), redirect_stdout(StringIO()), redirect_stderr(StringIO()):
        wandb.teardown()
    wandb.run = None


def described(error: BaseException) -> str:
    """What W&B said, on one line, with the kind of error."""
    lines = str(error).split("\n")
    return f"{type(error).__name__}: {lines[0].strip().rstrip('.')}".rstrip(": ")


def wandb_loggers(settings: dict[str, Any]) -> list[dict[str, Any]]:
    """The W&B loggers in resolved settings."""
    given = settings["trainer"]["logger"]
    loggers = given if isinstance(given, list) else [given]
    return [logger for logger in loggers if isinstance(logger, dict) and logger["class_path"].endswith("WandbLogger")]


def reachable(address: str) -> bool:
    """Whether something answers at a server's address."""
    parts = urlparse(address)
    port = parts.port or (80 if parts.scheme == "http" else 443)
    try:
        socket.create_connection((parts.hostname or address, port), PATIENCE).close()
    except OSError:
        return False
    return True
