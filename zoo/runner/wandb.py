"""W&B in a run: files in the run directory, offline where there is no key."""

import netrc
import os
from pathlib import Path

from jsonargparse import Namespace


def prepare_wandb(settings: Namespace, name: str, directory: str) -> None:
    """Fill in what a WandbLogger needs to just work: its files in the run directory, the run's name, and offline where
    there is no key.
    """
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
    """Whether W&B could log in without asking."""
    if os.environ.get("WANDB_API_KEY"):
        return True
    try:
        hosts = netrc.netrc(os.environ.get("NETRC")).hosts
    except (OSError, netrc.NetrcParseError):
        return False
    return any("wandb" in host for host in hosts)
