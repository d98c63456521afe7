"""How much memory a part of a program needed at most."""

from pathlib import Path
from typing import Any, Self

import torch

PROCESS = Path("/proc/self")


class PeakMemory:
    """Measures the most memory in use inside the block: on the GPU where there is one, otherwise of this process.

    `bytes` is None where the system does not tell (a process's own peak can be reset on Linux only; without that, a
    later block would report an earlier one's peak).
    """

    bytes: int | None = None

    def __enter__(self) -> Self:
        if torch.cuda.is_available():
            torch.cuda.reset_peak_memory_stats()
        else:
            self._resettable = reset_process_peak()
        return self

    def __exit__(self, *_: Any) -> None:
        if torch.cuda.is_available():
            self.bytes = torch.cuda.max_memory_allocated()
        elif self._resettable:
            self.bytes = process_peak()


def reset_process_peak() -> bool:
    """Forget this process's peak; whether that was possible."""
    try:
        (PROCESS / "clear_refs").write_text("5")
    except OSError:
        return False
    return True


def process_peak() -> int | None:
    """This process's peak since it was forgotten, bytes."""
    for line in (PROCESS / "status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024
    return None
