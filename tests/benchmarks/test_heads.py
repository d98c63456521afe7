"""What is measured of heads: every fast path equals its reference, and one that did not would be found out."""

import pytest
import torch

from benchmarks.cases import Case, Values, difference
from benchmarks.heads import cases

Results = dict[tuple[str, str], tuple[Case, Values, Values]]


@pytest.fixture(scope="module")
def results() -> Results:
    """Of each small case with a reference: both results."""
    return {(case.name, case.setting): (case, case.fast(), case.plain()) for case in cases(quick=True) if case.plain}


def nudged(values: Values) -> Values:
    """The last finite number a hundredth further, or by a hundredth of the largest."""
    if isinstance(values, tuple):
        return (*values[:-1], nudged(values[-1]))
    numbers = torch.as_tensor(values).detach().double().clone()
    finite = numbers[numbers.isfinite()]
    finite[-1] += 0.01 * max(1.0, float(finite.abs().max()))
    numbers[numbers.isfinite()] = finite
    return numbers


def test_fast_paths_equal_their_references(results: Results) -> None:
    differences = {key: difference(fast, plain) for key, (_, fast, plain) in results.items()}
    assert {key for key, (case, *_) in results.items() if differences[key] > case.tolerance} == set()


def test_one_wrong_number_is_noticed(results: Results) -> None:
    unnoticed = {
        key for key, (case, fast, plain) in results.items() if difference(nudged(fast), plain) <= case.tolerance
    }
    assert unnoticed == set()


def test_results_are_worth_comparing(results: Results) -> None:
    """Neither all zero nor perfect scores, which a path that does nothing could give as well."""
    (_, accuracy, _) = next(values for (name, _), values in results.items() if name == "Z5 (official)")
    assert 0.5 < float(torch.as_tensor(accuracy)) < 1
    (_, distances, _) = next(values for (name, _), values in results.items() if name == "NoW")
    assert 0.1 < float(torch.as_tensor(distances).mean()) < 10
    (_, raster, _) = next(values for (name, _), values in results.items() if name == "rasteriser")
    assert 0.2 < float((torch.as_tensor(raster[0]) >= 0).double().mean()) < 0.9


def test_inputs_are_the_same_every_time(results: Results) -> None:
    again = next(iter(cases(quick=True)))
    assert difference(again.fast(), results[again.name, again.setting][1]) == 0
