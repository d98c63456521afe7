"""Cases: differences are seen wherever they are, and what differs is not timed."""

import math

import numpy as np
import pytest
import torch

from benchmarks import cases
from benchmarks.cases import Case, Measured, Values, difference, measure
from zoo.measure.timing import Timing


@pytest.mark.parametrize(
    ("first", "second", "expected"),
    [
        (torch.tensor([0.25, 0.5]), torch.tensor([0.25, 0.75]), 0.25),
        (torch.tensor([100.0, 50.0]), torch.tensor([100.0, 51.0]), 0.01),
        (np.array([1, 2], np.int32), torch.tensor([1, 2]), 0.0),
        ((torch.zeros(2), np.ones(2)), (np.zeros(2), torch.full((2,), 0.5)), 0.5),
        (torch.tensor([math.inf, 0.0]), torch.tensor([math.inf, 0.0]), 0.0),
        (torch.tensor([math.inf, 0.5]), torch.tensor([math.inf, 0.0]), 0.5),
        (torch.tensor([math.inf]), torch.tensor([-math.inf]), math.inf),
        (torch.tensor([1.0]), torch.tensor([math.inf]), math.inf),
        (torch.tensor([math.nan]), torch.tensor([math.nan]), math.inf),
        (torch.zeros(2), torch.zeros(1), math.inf),
        ((torch.zeros(2),), torch.zeros(2), math.inf),
        ((torch.zeros(2),), (torch.zeros(2), torch.zeros(2)), math.inf),
    ],
)
def test_the_largest_difference(first: Values, second: Values, expected: float) -> None:
    assert difference(first, second) == pytest.approx(expected)


def case(fast: float, plain: float | None, tolerance: float = 0.1) -> Case:
    reference = None if plain is None else lambda: torch.tensor(plain)
    return Case("sum", "small", lambda: torch.tensor(fast), reference, tolerance)


def test_equal_results_are_timed() -> None:
    measured = measure(case(1.05, 1.0), repeats=2)
    assert measured.equal
    assert measured.difference == pytest.approx(0.05, abs=1e-6)
    assert measured.fast is not None
    assert measured.plain is not None
    assert len(measured.fast.seconds) == len(measured.plain.seconds) == 2


@pytest.mark.parametrize("wrong", [1.2, math.nan])
def test_results_that_differ_are_not_timed(wrong: float) -> None:
    measured = measure(case(wrong, 1.0), repeats=2)
    assert (measured.equal, measured.fast, measured.plain, measured.ratio, measured.reached) == (False, *[None] * 4)


def test_without_plain_code_nothing_is_compared() -> None:
    measured = measure(case(1.0, None), repeats=2)
    assert (measured.equal, measured.difference, measured.plain, measured.ratio) == (None,) * 4
    assert measured.fast is not None


def test_times_are_for_one_of_several_results(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        cases, "time_interleaved", lambda functions, repeats: [Timing([8.0, 4.0], 1) for _ in functions]
    )
    four = Case("sum", "small", lambda: torch.zeros(1), lambda: torch.zeros(1), count=4)
    measured = measure(four, repeats=2)
    assert measured.fast is not None
    assert measured.fast.seconds == [2.0, 1.0]
    assert measured.fast == measured.plain


@pytest.mark.parametrize(
    ("faster", "within", "reached"), [(2, None, True), (4, None, False), (None, 1, True), (None, 0.5, False)]
)
def test_targets(faster: float | None, within: float | None, reached: bool) -> None:
    wanted = Case("sum", "small", lambda: torch.zeros(1), faster=faster, within=within)
    measured = Measured(wanted, 0.0, fast=Timing([1.0], 1), plain=Timing([3.0], 1))
    assert measured.ratio == 3
    assert measured.reached == reached
