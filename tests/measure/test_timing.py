"""Timing: by turns, as often as asked for, and threads put back. No test here depends on how fast anything is."""

from collections.abc import Callable

import pytest
import torch

from zoo.measure import timing
from zoo.measure.timing import Timing, threads, time_interleaved


@pytest.fixture
def pace(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    """Makes a call take so many seconds by the timer's clock, whatever it does."""

    def set_pace(seconds: float) -> None:
        class Timer:
            def __init__(self, function: Callable[[], None]) -> None:
                self.function = function

            def timeit(self, number: int) -> float:
                for _ in range(number):
                    self.function()
                return number * seconds

        monkeypatch.setattr(timing, "Timer", Timer)

    return set_pace


def test_functions_run_time_interleaved(pace: Callable[[float], None]) -> None:
    pace(0.1)
    order: list[str] = []
    first, second = time_interleaved([lambda: order.append("a"), lambda: order.append("b")], repeats=3)
    assert "".join(order) == "ababab"
    assert first == second == Timing([0.1] * 3, 1)


def test_what_is_short_is_called_several_times_a_repeat(pace: Callable[[float], None]) -> None:
    pace(0.0015)
    calls: list[None] = []
    (timed,) = time_interleaved([lambda: calls.append(None)], repeats=2)
    assert timed.calls == 4
    assert timed.seconds == pytest.approx([0.0015] * 2)
    assert len(calls) == 1 + 2 * 4


@pytest.mark.parametrize(("seconds", "repeats"), [(6.0, 1), (3.0, 3), (1.0, 9)])
def test_what_takes_too_long_has_fewer_repeats(pace: Callable[[float], None], seconds: float, repeats: int) -> None:
    pace(seconds)
    calls: list[None] = []
    (timed,) = time_interleaved([lambda: calls.append(None)], repeats=9)
    assert len(timed.seconds) == len(calls) == repeats


def test_the_clock_goes_on() -> None:
    (timed,) = time_interleaved([lambda: sum(range(100_000))], repeats=2)
    assert min(timed.seconds) > 0


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
