"""Timing: by turns, as often as asked for, and threads put back. No test here reads a clock."""

import pytest
import torch

from zoo.bench import timing
from zoo.bench.timing import Timing, by_turns, threads


def test_functions_run_by_turns(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(timing, "SHORTEST", 1e-12)  # one call a repeat
    order: list[str] = []
    first, second = by_turns([lambda: order.append("a"), lambda: order.append("b")], repeats=3)
    assert "".join(order) == "ababab"
    assert len(first.seconds) == len(second.seconds) == 3


def test_what_is_short_is_called_several_times_a_repeat() -> None:
    calls: list[None] = []
    (timed,) = by_turns([lambda: calls.append(None)], repeats=2)
    assert timed.calls > 1
    assert len(timed.seconds) == 2
    assert len(calls) == 1 + 2 * timed.calls


def test_what_takes_too_long_has_one_repeat(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(timing, "SHORTEST", 1e-12)
    monkeypatch.setattr(timing, "LONGEST", 1e-12)
    calls: list[None] = []
    (timed,) = by_turns([lambda: calls.append(None)], repeats=9)
    assert len(timed.seconds) == len(calls) == 1


def test_the_middle_half_lies_between_the_quartiles() -> None:
    timed = Timing([5.0, 1.0, 2.0, 4.0, 100.0], calls=1)
    assert (timed.median, *timed.quartiles) == (4.0, 2.0, 5.0)


def test_threads_are_put_back_whatever_happens() -> None:
    before = torch.get_num_threads()

    def fail() -> None:
        with threads(before + 1):
            assert torch.get_num_threads() == before + 1
            raise KeyError

    with pytest.raises(KeyError):
        fail()
    assert torch.get_num_threads() == before
