"""Things that threads do before and after: order, bounds, errors."""

import threading
from collections.abc import Iterator

import pytest

from zoo.media.pipeline import BackgroundWriter, prefetch

NEVER = 30.0
"""Seconds after which a test has failed instead of hanging."""


class TestPrefetch:
    def test_items_come_in_their_order(self) -> None:
        with prefetch(range(20), 3) as items:
            assert list(items) == list(range(20))

    def test_nothing_is_nothing(self) -> None:
        with prefetch([], 2) as items:
            assert list(items) == []

    def test_the_next_is_made_while_this_one_is_used_and_no_more_than_asked_for(self) -> None:
        made: list[int] = []
        second = threading.Event()

        def count() -> Iterator[int]:
            for number in range(10):
                made.append(number)
                if number == 2:
                    second.set()
                yield number

        with prefetch(count(), 2) as items:
            assert next(items) == 0
            assert second.wait(NEVER)
            assert len(made) <= 4

    def test_an_error_comes_after_the_items_before_it(self) -> None:
        def broken() -> Iterator[int]:
            yield 1
            yield 2
            raise ValueError("the file ends here")

        with prefetch(broken(), 4) as items:
            assert [next(items), next(items)] == [1, 2]
            with pytest.raises(ValueError, match="ends here"):
                next(items)

    def test_who_leaves_early_closes_the_source(self) -> None:
        closed = threading.Event()

        def endless() -> Iterator[int]:
            try:
                while True:
                    yield 0
            finally:
                closed.set()

        def interrupted() -> None:
            with prefetch(endless(), 2) as items:
                next(items)
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            interrupted()
        assert closed.is_set()


class TestBackgroundWriter:
    def test_all_is_done_in_order_by_the_end(self) -> None:
        done: list[int] = []
        with BackgroundWriter(2) as thread:
            for number in range(20):
                thread.do(done.append, number)
        assert done == list(range(20))

    def test_who_asks_for_too_much_waits(self) -> None:
        gate, two = threading.Event(), threading.Event()
        asked: list[int] = []

        def ask(thread: BackgroundWriter) -> None:
            for number in range(4):
                thread.do(gate.wait, NEVER)
                asked.append(number)
                if number == 1:
                    two.set()

        with BackgroundWriter(2) as thread:
            asking = threading.Thread(target=ask, args=(thread,))
            asking.start()
            assert two.wait(NEVER)
            asking.join(0.1)  # time to go on, if it does not wait
            assert asked == [0, 1]
            gate.set()
            asking.join(NEVER)
            assert asked == [0, 1, 2, 3]

    def test_an_error_is_not_lost(self) -> None:
        def full() -> None:
            raise OSError("no space left")

        with pytest.raises(OSError, match="no space"), BackgroundWriter(2) as thread:
            thread.do(full)

    def test_after_an_error_nothing_more_begins(self) -> None:
        gate = threading.Event()
        done: list[int] = []

        def interrupted() -> None:
            with BackgroundWriter(5) as thread:
                thread.do(gate.wait, NEVER)
                thread.do(done.append, 1)
                thread._waiting[-1].add_done_callback(lambda undone: gate.set())  # when it is cancelled
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            interrupted()
        assert done == []
