"""Settings of W&B for a run: files in the run directory, offline without an API key or a server."""

import netrc
import os
from collections.abc import Iterable
from contextlib import redirect_stderr, redirect_stdout, suppress
from io import StringIO
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import urlopen

from jsonargparse import Namespace
from lightning.pytorch.loggers import Logger, WandbLogger

PATIENCE = 3.0
"""Seconds to wait for the server's answer."""

OFFLINE = "logging offline; `wandb sync` uploads this run later"


def prepare_wandb(settings: Namespace, name: str, directory: str) -> None:
    """Complete a WandbLogger's settings: the run's directory and name, and offline mode without an API key."""
    if settings.save_dir in (None, "."):  # the default
        settings.save_dir = directory
    settings.name = settings.name or f"{name}-{Path(directory).name}"
    settings.project = settings.project if settings.project not in (None, "lightning_logs") else "ablation-zoo"
    if settings.offline or os.environ.get("WANDB_MODE", "online") != "online":
        return
    if "WANDB_MODE" not in os.environ and not has_wandb_key():
        reason = "no API key found (`wandb login` once to log online)"
    elif not reachable():
        reason = f"no answer from {server()}"
    else:
        return
    settings.offline = True
    print(f"W&B: {reason}, {OFFLINE}.")
    if settings.get("log_model"):
        settings.log_model = False  # which W&B refuses offline
        print("W&B: checkpoints stay in the run directory (log_model needs a server).")


def begin_wandb(loggers: Iterable[Logger]) -> None:
    """Begin the W&B runs of loggers; one that fails begins offline, since training must not depend on it."""
    for logger in loggers:
        if isinstance(logger, WandbLogger):
            try:
                _ = logger.experiment
            except Exception as error:  # a wrong key, a server that refuses
                end_session()
                os.environ["WANDB_MODE"] = "offline"
                print(f"W&B failed ({described(error)}): {OFFLINE}.")


def server() -> str:
    """Return the address of the W&B server."""
    return os.environ.get("WANDB_BASE_URL", "https://api.wandb.ai")


def reachable() -> bool:
    """Return whether the W&B server answers, through a proxy if the environment names one."""
    try:
        urlopen(server(), timeout=PATIENCE).close()
    except HTTPError:  # an answer too
        return True
    except (OSError, ValueError):
        return False
    return True


def end_session() -> None:
    """End this process's session of W&B, if there is one, in any state; the next begins afresh."""
    import wandb

    # A service that died cannot end; its last messages belong to the run's log, not here.
    with suppress(Exception, SystemExit), redirect_stdout(StringIO()), redirect_stderr(StringIO()):
        wandb.teardown()
    wandb.run = None


def described(error: BaseException) -> str:
    """Return the message of an error of W&B on one line, with the kind of error."""
    lines = str(error).split("\n")
    return f"{type(error).__name__}: {lines[0].strip().rstrip('.')}".rstrip(": ")


def has_wandb_key() -> bool:
    """Return whether W&B can log in without a prompt."""
    if os.environ.get("WANDB_API_KEY"):
        return True
    try:
        hosts = netrc.netrc(os.environ.get("NETRC")).hosts
    except (OSError, netrc.NetrcParseError):
        return False
    return any("wandb" in host for host in hosts)
