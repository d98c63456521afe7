"""The run directory: what is written there beside Lightning's own files, and never half-written."""

import json
import netrc
import os
import platform
import subprocess
import sys
from pathlib import Path
from typing import Any

import torch
from jsonargparse import Namespace

from zoo.core.checkpoint import versions
from zoo.core.registry import SLOTS


def write_text(path: Path, text: str) -> None:
    """Write a file under a temporary name, then rename it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(f".{path.name}.{os.getpid()}.part")
    unfinished.write_text(text, encoding="utf-8")
    unfinished.replace(path)


def write_json(path: Path, content: Any) -> None:
    """Write plain data as indented JSON, atomically."""
    write_text(path, json.dumps(content, indent=2) + "\n")


def environment(accelerator: str = "auto") -> dict[str, Any]:
    """What a result depends on besides its settings: versions, device, plugins' distributions, and the commit when run
    in a checkout.

    Args:
        accelerator: the trainer's.
    """
    plugins = {plugin.origin for slot in SLOTS.values() for claims in slot.plugins().values() for plugin in claims}
    return {
        "command": [Path(sys.argv[0]).name, *sys.argv[1:]],
        "versions": versions() | {"python": platform.python_version()},
        "platform": platform.platform(),
        "device": device_name(accelerator),
        "plugins": sorted(plugins),
        "commit": commit(),
    }


def device_name(accelerator: str) -> str:
    """What a run with this accelerator of the trainer's computes on."""
    if torch.cuda.is_available() and accelerator != "cpu":
        return torch.cuda.get_device_name()
    return f"CPU ({platform.processor() or platform.machine()})"


def commit() -> str | None:
    """The commit of the checkout that this package is in, `+changes` when it differs; None outside a checkout."""
    root = Path(__file__).parents[2]
    if not (root / ".git").exists():
        return None

    def git(*arguments: str) -> str:
        return subprocess.run(
            ["git", "-C", str(root), *arguments], capture_output=True, text=True, check=True
        ).stdout.strip()

    try:
        return git("rev-parse", "HEAD") + ("+changes" if git("status", "--porcelain", "--untracked-files=no") else "")
    except (OSError, subprocess.CalledProcessError):
        return None


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
