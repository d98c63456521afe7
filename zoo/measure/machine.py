"""Processor, threads and package versions of this machine, and whether it emulates bfloat16; nothing of its owner."""

import os
import platform
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import torch

PACKAGES = (
    "ablation-zoo",
    "torch",
    "torchvision",
    "timm",
    "numpy",
    "scipy",
    "opencv-python-headless",
    "numba",
    "libigl",
    "pillow",
    "av",
)


def describe_machine() -> dict[str, str | int | dict[str, str]]:
    """Return processor, cores, torch's threads, system and versions of `PACKAGES`, for a record.

    Example:
        >>> sorted(describe_machine())
        ['cores', 'processor', 'system', 'threads', 'versions']
    """
    return {
        "processor": processor(),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1,
        "threads": torch.get_num_threads(),
        "system": f"{platform.system()} {platform.machine()}",
        "versions": {"python": platform.python_version()} | {package: installed(package) for package in PACKAGES},
    }


def processor() -> str:
    """Return the processor's model name, such as `AMD EPYC 7B13`; its architecture where the system hides the model."""
    information = Path("/proc/cpuinfo")
    lines = information.read_text(encoding="utf-8").splitlines() if information.is_file() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return (names or [platform.processor() or platform.machine()])[0]


def emulates_bfloat16(device: torch.device) -> bool:
    """Return whether a device is an x86 processor without AVX-512.

    Nearly all of these emulate bfloat16, more slowly than they compute in float32. With one of them (AMD EPYC, AVX2) a
    3×3 convolution took twelve times as long.

    Example:
        >>> emulates_bfloat16(torch.device("cuda"))
        False
    """
    capability = torch.backends.cpu.get_cpu_capability()
    x86 = platform.machine().lower() in {"x86_64", "amd64"}
    return device.type == "cpu" and x86 and not capability.startswith("AVX512")


def installed(package: str) -> str:
    """Return the installed version of a package, or `not installed`."""
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"
