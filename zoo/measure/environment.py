"""Everything that a result depends on in addition to its settings: versions, device, plugins and the commit."""

import platform
import subprocess
import sys
from pathlib import Path
from typing import Any

import torch

from zoo.core.registry import slots
from zoo.measure.machine import installed

PACKAGES = ("ablation-zoo", "torch", "lightning", "timm", "segmentation-models-pytorch", "torchmetrics")


def environment(accelerator: str = "auto") -> dict[str, Any]:
    """Return command, versions, platform, device, distributions of plugins, and the commit of a checkout.

    Args:
        accelerator: the trainer's.

    Example:
        >>> environment("cpu")["device"].startswith("CPU")
        True
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
    """Return the name of the device that a run with this accelerator of the trainer computes on."""
    if torch.cuda.is_available() and accelerator != "cpu":
        return torch.cuda.get_device_name()
    return f"CPU ({platform.processor() or platform.machine()})"


def commit() -> str | None:
    """Return the commit of the checkout that holds this package, `+changes` when it differs; None outside one."""
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
    """Return the versions of the packages that results depend on."""
    return {package: installed(package) for package in PACKAGES}
