"""Functions that numba compiles, and threads to run them in. Numba is imported when the first of them is called."""

from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from functools import cache, wraps
from typing import Any, TypeVar

Function = TypeVar("Function", bound=Callable[..., Any])
Result = TypeVar("Result")


def compiled(function: Function) -> Function:
    """The function compiled by numba when it is first called; a division by 0 gives what it gives in numpy.

    It calls no other compiled function. While it runs, other threads do too.
    """

    @wraps(function)
    def call(*arguments: Any) -> Any:
        return machine_code(function)(*arguments)

    return call  # type: ignore[return-value]


@cache
def machine_code(function: Callable[..., Any]) -> Callable[..., Any]:
    """What numba makes of a function.

    It is kept for the next process where some folder for it can be written; where none can, numba refuses to keep any.
    """
    import numba

    decorate: Any = numba.njit
    try:
        return decorate(cache=True, error_model="numpy", nogil=True)(function)
    except RuntimeError:
        return decorate(error_model="numpy", nogil=True)(function)


def in_threads(function: Callable[..., Result], *arguments: Iterable[Any]) -> list[Result]:
    """`map` on as many threads as torch uses; for functions that spend their time in compiled ones."""
    import torch

    count = torch.get_num_threads()
    if count == 1:
        return list(map(function, *arguments))
    with ThreadPoolExecutor(count) as pool:
        return list(pool.map(function, *arguments))
