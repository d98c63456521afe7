"""Peak memory is measured, inside and outside torch, of a call and of a block."""

import subprocess
import sys

import pytest

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


BLOCK = f"""
import numpy as np
from zoo.measure.memory import PeakMemory

np.ones({SIZE // 8})
with PeakMemory("cpu") as memory:
    values = np.ones({SIZE // 8})
print(memory.bytes, memory.increase)
"""


def test_a_block_reports_its_peak_and_the_increase() -> None:
    printed = subprocess.run([sys.executable, "-c", BLOCK], capture_output=True, text=True, check=True).stdout.split()
    if "None" in printed:
        pytest.skip("this system does not report it")
    peak, increase = map(int, printed)
    assert SIZE * 0.95 < increase < SIZE * 1.5
    assert peak > increase
