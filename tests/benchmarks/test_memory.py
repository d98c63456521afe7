"""Memory of two equal results is compared in benchmarks."""

import pytest
import torch

from benchmarks.cases import Case, measure
from benchmarks.record import as_values, row
from zoo.measure import memory


def test_of_two_that_are_equal_the_memory_is_compared(monkeypatch: pytest.MonkeyPatch) -> None:
    amounts = iter([2**30, 3 * 2**30])
    monkeypatch.setattr("benchmarks.cases.peak_memory", lambda function: next(amounts))
    case = Case("sum, memory", "small", lambda: torch.zeros(1), lambda: torch.zeros(1), faster=2, memory=True)
    measured = measure(case, repeats=2)
    assert (measured.ratio, measured.reached) == (3, True)
    values = as_values(measured)
    assert values["fast"] == {"bytes": 2**30}
    assert row(values) == ["sum, memory, small", "1,024 MiB", "—", "3,072 MiB", "3×", "≥ 2× ✓", "exactly"]


def test_a_system_that_does_not_tell_is_no_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "reset_process_peak", lambda: False)
    case = Case("sum, memory", "small", lambda: torch.zeros(1), lambda: torch.zeros(1), memory=True)
    measured = measure(case, repeats=2)
    assert (measured.fast, measured.ratio, measured.equal) == (None, None, True)
