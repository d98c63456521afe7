"""Compiled functions: made once, without a folder for machine code too, and run in as many threads as torch uses."""

import threading
from typing import Any

import numba
import numpy as np
import pytest

from zoo.core.compiled import compiled, in_threads, machine_code
from zoo.measure.timing import threads


def doubling() -> Any:
    """A new function each time, which no test has compiled yet."""

    def double(values: np.ndarray) -> None:
        """Twice as much, in place."""
        values *= 2

    return double


def test_without_a_folder_for_machine_code_functions_are_compiled_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    njit = numba.njit

    def read_only(*functions: Any, cache: bool = False, **options: Any) -> Any:
        if cache:
            raise RuntimeError("cannot cache function: no locator available")
        return njit(*functions, **options)

    monkeypatch.setattr(numba, "njit", read_only)
    values = np.ones(3)
    compiled(doubling())(values)
    assert values.tolist() == [2, 2, 2]


def test_a_function_is_compiled_when_it_is_called_and_once(monkeypatch: pytest.MonkeyPatch) -> None:
    made = []

    def njit(**options: Any) -> Any:
        return lambda function: made.append(function) or function

    monkeypatch.setattr(numba, "njit", njit)
    double = doubling()
    function = compiled(double)
    assert (made, function.__name__, function.__doc__) == ([], "double", "Twice as much, in place.")
    function(np.ones(3))
    function(np.ones(3))
    assert made == [double]
    assert machine_code(double) is double


@pytest.mark.parametrize("count", [1, 2])
def test_results_come_in_order_from_as_many_threads_as_torch_uses(count: int) -> None:
    together = threading.Barrier(count)

    def minus(first: int, second: int) -> tuple[int, int]:
        together.wait(timeout=60)
        return first - second, threading.get_ident()

    with threads(count):
        results = in_threads(minus, range(4), [0, 1, 1, 1])
    assert [value for value, _ in results] == [0, 0, 1, 2]
    assert len({ident for _, ident in results}) == count
