"""Settings of W&B for a run: files in the run directory, offline without an API key."""

import netrc
import os
from pathlib import Path

from jsonargparse import Namespace


def prepare_wandb(settings: Namespace, name: str, directory: str) -> None:
    """Complete a WandbLogger's settings: the run's directory and name, and offline mode without an API key."""
    if settings.save_dir in (None, "."):  # the default
        settings.save_dir = directory
    settings.name = settings.name or f"{name}-{Path(directory).name}"
    settings.project = settings.project if settings.project not in (None, "lightning_logs") else "ablation-zoo"
    if "WANDB_MODE" not in os.environ and not settings.offline and not has_wandb_key():
        settings.offline = True
        print(
            "W&B: no API key found, logging offline; `wandb login` once to log online, `wandb sync` to upload this "
            "run later."
        )


def has_wandb_key() -> bool:
    """Return whether W&B can log in without a prompt."""
    if os.environ.get("WANDB_API_KEY"):
        return True
    try:
        hosts = netrc.netrc(os.environ.get("NETRC")).hosts
    except (OSError, netrc.NetrcParseError):
        return False
    return any("wandb" in host for host in hosts)
