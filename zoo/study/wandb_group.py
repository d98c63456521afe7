"""Weights & Biases, where a configuration logs there: a group for the study, a job type for the row, the run's own id.

A run must not depend on it: where the server cannot be reached, the run is logged offline.
"""

import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlparse

from zoo.study.job import Job

PUBLIC = "https://api.wandb.ai"
PATIENCE = 3.0
"""Seconds to wait for the server's answer."""


@contextmanager
def wandb_group(job: Job, settings: dict[str, Any]) -> Iterator[None]:
    """W&B runs that begin inside the block belong to this job, and go on where an interrupted one was."""
    if not wandb_loggers(settings):
        yield
        return
    variables = {
        "WANDB_RUN_GROUP": job.study,
        "WANDB_JOB_TYPE": job.row,
        "WANDB_RUN_ID": job.id,
        "WANDB_RESUME": "allow",
    }
    if "WANDB_MODE" not in os.environ and not reachable(os.environ.get("WANDB_BASE_URL", PUBLIC)):
        variables["WANDB_MODE"] = "offline"
    before = {name: os.environ.get(name) for name in variables}
    os.environ.update(variables)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


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
