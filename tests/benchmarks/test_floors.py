"""Floors: a part's multiply-adds are counted and its operations named."""

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest
import torch

from benchmarks.matting import SETTINGS, smaller

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "floors.py"


@pytest.fixture(scope="module")
def floors() -> ModuleType:
    spec = importlib.util.spec_from_file_location("floors", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_multiply_adds_are_those_of_the_operations(floors: ModuleType) -> None:
    left, right = torch.zeros(3, 5), torch.zeros(5, 7)
    assert floors.multiply_adds(lambda: left @ right) == 3 * 5 * 7
    assert floors.operations(lambda: left @ right).startswith("mm ")


@torch.no_grad()
def test_both_parts_of_a_network_compute(floors: ModuleType) -> None:
    setting = smaller(SETTINGS[0])
    found = floors.parts(setting)
    assert [name.split(",")[1] for name in found] == [" base", " refiner"]
    for part in found.values():
        assert floors.multiply_adds(part) > 1e6
        assert "convolution" in floors.operations(part)
