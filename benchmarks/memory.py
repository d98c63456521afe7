"""Memory: the most that a call takes beyond what was taken before it."""

import ctypes
import gc
from collections.abc import Callable
from contextlib import suppress
from typing import Any, NamedTuple

from zoo.measure.memory import process_peak, reset_process_peak


class Memory(NamedTuple):
    """What one call needs at most."""

    bytes: int

    @property
    def median(self) -> float:
        """The same, as a measure beside `Timing`'s."""
        return float(self.bytes)


def peak_memory(function: Callable[[], Any]) -> Memory | None:
    """The most memory that a call of a function takes beyond what the process has, its result included.

    Of the processor, whatever takes it; None where the system does not tell.

    Args:
        function: already called once, so that nothing is loaded any more.
    """
    gc.collect()
    with suppress(OSError, AttributeError, TypeError):  # C libraries keep what was freed, unless told to give it back
        ctypes.CDLL(None).malloc_trim(0)
    if not reset_process_peak():
        return None
    before = process_peak()
    function()
    after = process_peak()
    return None if before is None or after is None else Memory(after - before)
