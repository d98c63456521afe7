"""Peak memory of a block of code or of one call."""

import ctypes
import gc
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, Literal, Self

import torch

PROCESS = Path("/proc/self")


class PeakMemory:
    """Context manager that measures the peak memory use inside its block.

    Afterwards `bytes` is the peak, and `increase` is the peak minus the memory in use at the start. Both are None where
    the system does not report them: a process can reset its own peak on Linux only, and without a reset a later block
    would report the peak of an earlier one.

    Args:
        device: "auto" measures the GPU where there is one and this process otherwise; "cpu" always this process.

    Example:
        >>> with PeakMemory("cpu") as memory:
        ...     image = torch.zeros(3, 64, 64)
        >>> memory.bytes is None or memory.bytes > image.nbytes
        True
    """

    bytes: int | None = None
    increase: int | None = None

    def __init__(self, device: Literal["auto", "cpu"] = "auto") -> None:
        self.on_gpu = device == "auto" and torch.cuda.is_available()

    def __enter__(self) -> Self:
        if self.on_gpu:
            torch.cuda.reset_peak_memory_stats()
            self._before: int | None = torch.cuda.memory_allocated()
        else:
            self._before = process_peak() if reset_process_peak() else None
        return self

    def __exit__(self, *_: Any) -> None:
        peak = torch.cuda.max_memory_allocated() if self.on_gpu else process_peak()
        if peak is not None and self._before is not None:
            self.bytes, self.increase = peak, peak - self._before


def peak_memory(function: Callable[[], Any]) -> int | None:
    """Return the bytes of CPU memory that a call takes at most beyond what the process uses, its result included.

    None where the system does not report it. Call the function once before, so that everything it needs is loaded.
    """
    gc.collect()
    with suppress(
        OSError, AttributeError, TypeError
    ):  # C libraries keep freed memory unless they are asked to return it
        ctypes.CDLL(None).malloc_trim(0)
    with PeakMemory("cpu") as memory:
        function()
    return memory.increase


def reset_process_peak() -> bool:
    """Set this process's peak to its present memory use; return whether that was possible."""
    try:
        (PROCESS / "clear_refs").write_text("5")
    except OSError:
        return False
    return True


def process_peak() -> int | None:
    """Return this process's peak memory since the last reset, in bytes; None where the system does not report it."""
    for line in (PROCESS / "status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024
    return None
