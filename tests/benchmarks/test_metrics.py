"""What is measured of metrics: every fast path equals its reference, and one that did not would be found out."""

import pytest
import torch

from benchmarks.cases import Case, Values, difference
from benchmarks.metrics import QUICK, cases, measured, plainly_measured, several, synthetic_frame

Results = dict[tuple[str, str], tuple[Case, Values, Values]]


@pytest.fixture(scope="module")
def results() -> Results:
    """Of each small case: both results."""
    found = {}
    for case in cases(quick=True):
        assert case.plain is not None
        found[case.name, case.setting] = case, case.fast(), case.plain()
    return found


def numbers(values: Values) -> torch.Tensor:
    return torch.cat([torch.as_tensor(value).double().reshape(-1) for value in values])


def test_each_metric_and_both_presets_are_measured(results: Results) -> None:
    assert [name for name, _ in results if name[0] != "p"] == [
        "SAD",
        "MAD",
        "MSE",
        "Grad",
        "Conn",
        "foreground MSE",
        "dtSSD",
    ]
    assert {name for name, _ in results if name[0] == "p"} == {"preset bgmv2", "preset rvm"}


def test_fast_paths_equal_their_references(results: Results) -> None:
    differences = {key: difference(fast, plain) for key, (_, fast, plain) in results.items()}
    assert {key for key, (case, *_) in results.items() if differences[key] > case.tolerance} == set()


def test_one_wrong_number_is_noticed(results: Results) -> None:
    for case, fast, plain in results.values():
        right = numbers(fast if isinstance(fast, tuple) else (fast,))
        for place in range(len(right)):
            wrong = right.clone()
            wrong[place] *= 1.01
            parts = tuple(wrong) if isinstance(fast, tuple) else wrong
            assert difference(parts, plain) > case.tolerance, (case.name, place)


def test_results_are_worth_comparing(results: Results) -> None:
    """None is 0, which a path that does nothing could give as well."""
    for case, fast, _ in results.values():
        assert numbers(fast if isinstance(fast, tuple) else (fast,)).abs().min() > 1e-4, case.name


def test_a_batch_of_frames_is_measured_as_one_after_the_other() -> None:
    frames = several(synthetic_frame(QUICK[0]))
    assert len(frames.alpha) > 1
    assert difference(measured("rvm", frames), plainly_measured("rvm", frames)) < 1e-5
