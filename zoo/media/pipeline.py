"""Reading, computing and writing at the same time, in threads.

Both `prefetch` and `BackgroundWriter` hold a bounded number of items, so that memory does not grow when one side is
faster.
"""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any, Self, TypeVar

Item = TypeVar("Item")

END: Any = object()
"""Comes after the last item."""


@contextmanager
def prefetch(items: Iterable[Item], count: int) -> Iterator[Iterator[Item]]:
    """Make items in a thread; the block receives them in order.

    Args:
        items: an error while making an item is raised where that item is requested. A generator is closed at the end.
        count: items that are made before they are requested, at least 1.
    """
    source = iter(items)
    with ThreadPoolExecutor(1, "prefetch") as thread:
        waiting = deque(thread.submit(next, source, END) for _ in range(count))

        def in_order() -> Iterator[Item]:
            while (item := waiting.popleft().result()) is not END:
                waiting.append(thread.submit(next, source, END))
                yield item

        try:
            yield in_order()
        finally:
            for each in waiting:
                each.cancel()
            thread.submit(getattr(source, "close", lambda: None)).result()


class BackgroundWriter:
    """Thread that runs functions one after another, in the order of the calls of `do`.

    A context manager: when the block ends, everything is done. When it ends with an error, waiting calls are dropped.

    Args:
        count: calls that wait at most; `do` blocks when there are more.
    """

    def __init__(self, count: int) -> None:
        self._count = count
        self._waiting: deque[Future[Any]] = deque()

    def __enter__(self) -> Self:
        self._thread = ThreadPoolExecutor(1, "writer")
        return self

    def do(self, function: Callable[..., Any], *arguments: Any) -> None:
        """Call the function in the thread. An error of an earlier call is raised here, or at the end of the block."""
        while len(self._waiting) >= self._count:
            self._waiting.popleft().result()
        self._waiting.append(self._thread.submit(function, *arguments))

    def __exit__(self, kind: type[BaseException] | None, *error: object) -> None:
        try:
            while kind is None and self._waiting:
                self._waiting.popleft().result()
        finally:
            self._thread.shutdown(cancel_futures=True)
