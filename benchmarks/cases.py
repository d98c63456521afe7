"""Cases: a fast path each, checked against plain code that computes the same, then timed interleaved with it."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from zoo.measure.memory import peak_memory
from zoo.measure.timing import Timing, time_interleaved

Values = Tensor | np.ndarray | tuple["Values", ...]


class Memory(NamedTuple):
    """Peak memory of one call, in bytes."""

    bytes: int

    @property
    def median(self) -> float:
        """The same number, under the name that `Timing` has for its own."""
        return float(self.bytes)


@dataclass(frozen=True)
class Case:
    """One row of a benchmark.

    Args:
        name: of the computation.
        setting: sizes, batch, head model.
        fast: computes the result as the zoo does.
        plain: computes the same in a few plain lines; None where there is nothing to compare with.
        tolerance: largest `difference` at which both results count as equal.
        count: how many results one call of either computes; durations are reported for one.
        faster: target ratio: the plain code's duration divided by ours.
        within: target duration in seconds.
        memory: measure peak memory instead of time; `faster` is then the ratio of memory.
    """

    name: str
    setting: str
    fast: Callable[[], Values]
    plain: Callable[[], Values] | None = None
    tolerance: float = 0.0
    count: int = 1
    faster: float | None = None
    within: float | None = None
    memory: bool = False


class Measured(NamedTuple):
    """Measurements of one case.

    Args:
        case: that was measured.
        difference: between both results; None without plain code.
        fast: None where the results differ: the duration of a wrong computation says nothing.
        plain: None where the results differ or there is no plain code.
    """

    case: Case
    difference: float | None
    fast: Timing | Memory | None
    plain: Timing | Memory | None

    @property
    def equal(self) -> bool | None:
        """Whether both results are equal within the tolerance; None without plain code."""
        return None if self.difference is None else self.difference <= self.case.tolerance

    @property
    def ratio(self) -> float | None:
        """Median of the plain code divided by ours."""
        return self.plain.median / self.fast.median if self.fast and self.plain else None

    @property
    def reached(self) -> bool | None:
        """Whether the target is reached; None without a target or without a measurement."""
        case, ratio = self.case, self.ratio
        if case.faster is not None and ratio is not None:
            return ratio >= case.faster
        if case.within is not None and self.fast is not None:
            return self.fast.median <= case.within
        return None


def measure(case: Case, repeats: int) -> Measured:
    """Check that both results are equal; if so, time both interleaved, or measure the memory of each."""
    result = case.fast()
    if case.plain is None:
        return Measured(case, None, _for_one(time_interleaved([case.fast], repeats)[0], case.count), None)
    distance = difference(result, case.plain())
    del result
    if not distance <= case.tolerance:
        return Measured(case, distance, None, None)
    if case.memory:
        peaks = peak_memory(case.fast), peak_memory(case.plain)
        return Measured(case, distance, *(None if peak is None else Memory(peak) for peak in peaks))
    timings = time_interleaved([case.fast, case.plain], repeats)
    return Measured(case, distance, *(_for_one(timing, case.count) for timing in timings))


def difference(first: Values, second: Values) -> float:
    """Return the largest elementwise difference, relative to the largest number of `second` where that exceeds 1.

    Infinite where the shapes or the number of arrays differ, and where a value is NaN.
    """
    if isinstance(first, tuple) or isinstance(second, tuple):
        if not (isinstance(first, tuple) and isinstance(second, tuple) and len(first) == len(second)):
            return np.inf
        return max((difference(*pair) for pair in zip(first, second, strict=True)), default=0.0)
    a, b = (torch.as_tensor(values).detach().to("cpu", torch.float64) for values in (first, second))
    if a.shape != b.shape:
        return np.inf
    unequal = a != b  # equal infinities have no difference that could be computed
    if not bool(unequal.any()):
        return 0.0
    largest = float((a - b)[unequal].abs().max())
    scale = float(torch.where(b.isfinite(), b, 0).abs().max())
    return largest / max(1.0, scale) if np.isfinite(largest) else np.inf


def _for_one(timing: Timing, count: int) -> Timing:
    return Timing([seconds / count for seconds in timing.seconds], timing.calls)
