"""Timing: several functions by turns, each warm, the median and the quartiles of many repeats.

By turns, since a machine's pace changes within seconds: what is compared must have run in the same ones.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from timeit import Timer
from typing import Any, NamedTuple

import numpy as np
import torch

SHORTEST = 0.005
"""Seconds; what takes less is called several times in one repeat, the clock would be too coarse otherwise."""
LONGEST = 10.0
"""Seconds; what would take more for all its repeats has fewer, the slowest a single one."""


class Timing(NamedTuple):
    """How long one call takes."""

    seconds: list[float]
    """Of each repeat, for one call."""
    calls: int
    """In each repeat; the repeat's number is their mean."""

    @property
    def median(self) -> float:
        """In seconds."""
        return float(np.median(self.seconds))

    @property
    def quartiles(self) -> tuple[float, float]:
        """Between them lies the middle half of the repeats, in seconds."""
        low, high = np.percentile(self.seconds, [25, 75])
        return float(low), float(high)


def by_turns(functions: Sequence[Callable[[], Any]], repeats: int) -> list[Timing]:
    """Time functions by turns: each once, then each again, and so on.

    Args:
        functions: to time, already called once, so that nothing is compiled or loaded any more.
        repeats: how often, at least 1; slow ones fewer times, see `LONGEST`.
    """
    timings: list[Timing] = []
    wanted: list[int] = []
    for function in functions:
        pace = Timer(function).timeit(1)
        calls = math.ceil(SHORTEST / pace)
        timings.append(Timing([pace] if calls == 1 else [], calls))
        wanted.append(min(repeats, max(1, int(LONGEST / (calls * pace)))))
    while any(len(timing.seconds) < count for timing, count in zip(timings, wanted, strict=True)):
        for function, timing, count in zip(functions, timings, wanted, strict=True):
            if len(timing.seconds) < count:
                timing.seconds.append(Timer(function).timeit(timing.calls) / timing.calls)
    return timings


@contextmanager
def threads(count: int | None) -> Iterator[None]:
    """Torch uses so many threads inside the block; as many as before if None."""
    before = torch.get_num_threads()
    torch.set_num_threads(before if count is None else count)
    try:
        yield
    finally:
        torch.set_num_threads(before)
