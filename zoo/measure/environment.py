"""What a result depends on besides its settings: versions, device, plugins and the commit."""

import platform
import subprocess
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch

from zoo.core.registry import slots


def environment(accelerator: str = "auto") -> dict[str, Any]:
    """What a result depends on besides its settings: versions, device, plugins' distributions, and the commit when run
    in a checkout.

    Args:
        accelerator: the trainer's.
    """
    plugins = {plugin.origin for slot in slots().values() for claims in slot.plugins().values() for plugin in claims}
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


def versions() -> dict[str, str]:
    """Versions of the packages that results depend on."""
    found = {}
    for package in ("ablation-zoo", "torch", "lightning", "timm", "segmentation-models-pytorch", "torchmetrics"):
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            found[package] = "not installed"
    return found
