"""Cases: one fast path each, checked against the plain code that computes the same, then timed beside it."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from benchmarks.memory import Memory, peak_memory
from zoo.measure.timing import Timing, by_turns

Values = Tensor | np.ndarray | tuple["Values", ...]


@dataclass(frozen=True)
class Case:
    """What is measured.

    Args:
        name: of what is computed.
        setting: on what: sizes, batch, head model.
        fast: computes it as the zoo does.
        plain: computes the same in a few plain lines; None where there is nothing to compare with.
        tolerance: largest `difference` at which both count as equal.
        count: how many results one call of either computes; times are for one.
        faster: target, at least so many times as fast as the plain code.
        within: target, at most so many seconds.
        memory: what counts is the memory that a call takes at most, not its time; then `faster` is how many times less.
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
    """What came out."""

    case: Case
    difference: float | None
    """Between both results; None without plain code."""
    fast: Timing | Memory | None
    """None where the results differ: how long a wrong one takes says nothing."""
    plain: Timing | Memory | None

    @property
    def equal(self) -> bool | None:
        """Whether both results are; None without plain code."""
        return None if self.difference is None else self.difference <= self.case.tolerance

    @property
    def ratio(self) -> float | None:
        """How many times as fast as the plain code, by the medians."""
        return self.plain.median / self.fast.median if self.fast and self.plain else None

    @property
    def reached(self) -> bool | None:
        """Whether the target is; None where there is none or nothing was timed."""
        case, ratio = self.case, self.ratio
        if case.faster is not None and ratio is not None:
            return ratio >= case.faster
        if case.within is not None and self.fast is not None:
            return self.fast.median <= case.within
        return None


def measure(case: Case, repeats: int) -> Measured:
    """Check that both results are equal, and if so time both by turns, or see how much memory each takes."""
    result = case.fast()
    if case.plain is None:
        return Measured(case, None, _for_one(by_turns([case.fast], repeats)[0], case.count), None)
    found = difference(result, case.plain())
    del result
    if not found <= case.tolerance:
        return Measured(case, found, None, None)
    if case.memory:
        return Measured(case, found, peak_memory(case.fast), peak_memory(case.plain))
    fast, plain = (_for_one(timing, case.count) for timing in by_turns([case.fast, case.plain], repeats))
    return Measured(case, found, fast, plain)


def difference(first: Values, second: Values) -> float:
    """The largest difference of two numbers at one place, relative to the largest number where that is beyond 1.

    Infinite where the shapes or the number of arrays differ, and where there is a NaN.
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
