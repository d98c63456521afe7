"""Peak memory of a call is measured, inside and outside torch, and compared in benchmarks."""

import subprocess
import sys

import pytest
import torch

from benchmarks.cases import Case, measure
from benchmarks.record import as_values, row
from zoo.measure import memory

SIZE = 64 * 2**20


MEASURE = f"""
import numpy as np
import torch
from zoo.measure.memory import peak_memory

def torch_ones():
    torch.ones({SIZE // 4})

def numpy_ones():
    np.ones({SIZE // 8})

def twice():
    torch_ones()
    torch_ones()

def nothing():
    pass

for function in (torch_ones, numpy_ones, twice, nothing):
    function()
    print(peak_memory(function))
"""
"""In a process where nothing else happens: what other tests left running takes memory too."""


def test_the_most_that_a_call_takes() -> None:
    told = subprocess.run([sys.executable, "-c", MEASURE], capture_output=True, text=True, check=True).stdout.split()
    if "None" in told:
        pytest.skip("this system does not tell")
    *peaks, nothing = map(int, told)
    assert len(peaks) == 3
    for peak in peaks:
        assert SIZE * 0.95 < peak < SIZE * 1.5
    assert nothing < SIZE / 4


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
