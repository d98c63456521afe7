"""Interleaved timing of several functions: the median and the quartiles of many repeats.

A machine's pace changes within seconds, so functions are compared on repeats that alternate between them.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from timeit import Timer
from typing import Any, NamedTuple

import numpy as np
import torch

MIN_REPEAT_SECONDS = 0.005
"""A function that takes less is called several times in one repeat: the clock would be too coarse otherwise."""
MAX_TOTAL_SECONDS = 10.0
"""A function that would take more for all its repeats has fewer repeats, at least one."""


class Timing(NamedTuple):
    """Durations of the repeats of one function.

    Args:
        seconds: of one call, for each repeat.
        calls: in each repeat; the repeat's duration is their mean.

    Example:
        >>> Timing([5.0, 1.0, 2.0, 4.0, 100.0], calls=1).median
        4.0
    """

    seconds: list[float]
    calls: int

    @property
    def median(self) -> float:
        """Median duration of one call in seconds."""
        return float(np.median(self.seconds))

    @property
    def quartiles(self) -> tuple[float, float]:
        """First and third quartile in seconds."""
        low, high = np.percentile(self.seconds, [25, 75])
        return float(low), float(high)


def time_interleaved(functions: Sequence[Callable[[], Any]], repeats: int) -> list[Timing]:
    """Time each function once, then each again, and so on.

    Args:
        functions: already called once, so that nothing is left to compile or load.
        repeats: at least 1; slow functions have fewer, see `MAX_TOTAL_SECONDS`.

    Example:
        >>> fast, slow = time_interleaved([lambda: sum(range(10)), lambda: sum(range(1000))], repeats=2)
        >>> len(fast.seconds), fast.median < slow.median
        (2, True)
    """
    timings: list[Timing] = []
    counts: list[int] = []
    for function in functions:
        pace = Timer(function).timeit(1)
        calls = math.ceil(MIN_REPEAT_SECONDS / pace)
        timings.append(Timing([pace] if calls == 1 else [], calls))
        counts.append(min(repeats, max(1, int(MAX_TOTAL_SECONDS / (calls * pace)))))
    while any(len(timing.seconds) < count for timing, count in zip(timings, counts, strict=True)):
        for function, timing, count in zip(functions, timings, counts, strict=True):
            if len(timing.seconds) < count:
                timing.seconds.append(Timer(function).timeit(timing.calls) / timing.calls)
    return timings


@contextmanager
def threads(count: int | None) -> Iterator[None]:
    """Let torch use this many threads inside the block; None changes nothing.

    Example:
        >>> with threads(1):
        ...     torch.get_num_threads()
        1
    """
    before = torch.get_num_threads()
    torch.set_num_threads(before if count is None else count)
    try:
        yield
    finally:
        torch.set_num_threads(before)
