"""Reading, computing and writing at the same time: a thread makes items *ahead* of who takes them, and another does
things *behind* who asks for them.

Both hold a bounded number of items, so that memory does not grow when one side is faster.
"""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from types import TracebackType
from typing import Any, Self, TypeVar

Item = TypeVar("Item")

OVER: Any = object()
"""Comes after the last item."""


@contextmanager
def ahead(items: Iterable[Item], count: int) -> Iterator[Iterator[Item]]:
    """Inside the block the items, in their order, made by a thread; at the end of the block it is over.

    Args:
        items: whatever making them raises is raised where the next item is asked for. A generator is closed in the end.
        count: how many are made before they are asked for, at least 1.
    """
    source = iter(items)
    with ThreadPoolExecutor(1, "ahead") as thread:
        waiting = deque(thread.submit(next, source, OVER) for _ in range(count))

        def taken() -> Iterator[Item]:
            while (item := waiting.popleft().result()) is not OVER:
                waiting.append(thread.submit(next, source, OVER))
                yield item

        try:
            yield taken()
        finally:
            for each in waiting:
                each.cancel()
            thread.submit(getattr(source, "close", lambda: None)).result()


class Behind:
    """A thread that does one thing after another, in the order in which it is asked to.

    Used in a `with` block: when the block ends well, everything has been done; when it ends with an error, what had not
    begun is left undone.

    Args:
        count: how many things wait at most; who asks for more waits too.
    """

    def __init__(self, count: int) -> None:
        self._count = count
        self._waiting: deque[Future[Any]] = deque()

    def __enter__(self) -> Self:
        self._thread = ThreadPoolExecutor(1, "behind")
        return self

    def do(self, function: Callable[..., Any], *arguments: Any) -> None:
        """Have it done. What an earlier thing raised is raised here, or at the end of the block."""
        while len(self._waiting) >= self._count:
            self._waiting.popleft().result()
        self._waiting.append(self._thread.submit(function, *arguments))

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            while kind is None and self._waiting:
                self._waiting.popleft().result()
        finally:
            self._thread.shutdown(cancel_futures=True)
