"""Memory: what a call takes at most is seen, in and out of torch."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

from zoo.bench import memory
from zoo.bench.cases import Case, measure
from zoo.bench.memory import Memory, peak_memory
from zoo.bench.record import as_values, row

SIZE = 64 * 2**20


@pytest.mark.parametrize("make", [lambda: torch.ones(SIZE // 4), lambda: np.ones(SIZE // 8)], ids=["torch", "numpy"])
def test_the_most_that_a_call_takes(make: Callable[[], Any]) -> None:
    def twice_and_nothing() -> None:
        for _ in range(2):
            make()

    make()  # what is loaded at the first call is not the call's own
    for function in (make, twice_and_nothing):
        peak = peak_memory(function)
        if peak is None:
            pytest.skip("this system does not tell")
        assert SIZE * 0.95 < peak.bytes < SIZE * 1.5
    small = peak_memory(lambda: None)
    assert small is not None
    assert small.bytes < SIZE / 4


def test_of_two_that_are_equal_the_memory_is_compared(monkeypatch: pytest.MonkeyPatch) -> None:
    amounts = iter([Memory(2**30), Memory(3 * 2**30)])
    monkeypatch.setattr("zoo.bench.cases.peak_memory", lambda function: next(amounts))
    case = Case("sum, memory", "small", lambda: torch.zeros(1), lambda: torch.zeros(1), faster=2, memory=True)
    measured = measure(case, repeats=2)
    assert (measured.ratio, measured.reached) == (3, True)
    values = as_values(measured)
    assert values["fast"] == {"bytes": 2**30}
    assert row(values) == ["sum, memory, small", "1.02e+03 MiB", "—", "3.07e+03 MiB", "3×", "≥ 2× ✓", "exactly"]


def test_a_system_that_does_not_tell_is_no_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "reset_process_peak", lambda: False)
    case = Case("sum, memory", "small", lambda: torch.zeros(1), lambda: torch.zeros(1), memory=True)
    measured = measure(case, repeats=2)
    assert (measured.fast, measured.ratio, measured.equal) == (None, None, True)
