"""Functions that numba compiles at their first call, and threads to run them in."""

from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from functools import cache, wraps
from typing import Any, TypeVar

Function = TypeVar("Function", bound=Callable[..., Any])
Result = TypeVar("Result")


def compiled(function: Function) -> Function:
    """Return the function, compiled by numba at its first call, with NumPy's rules for division by 0.

    It must call no other compiled function. It releases the GIL while it runs.
    """

    @wraps(function)
    def call(*arguments: Any) -> Any:
        return machine_code(function)(*arguments)

    return call  # type: ignore[return-value]


@cache
def machine_code(function: Callable[..., Any]) -> Callable[..., Any]:
    """Return a function compiled by numba, cached on disk for the next process where numba finds a writable folder."""
    import numba

    decorate: Any = numba.njit
    try:
        return decorate(cache=True, error_model="numpy", nogil=True)(function)
    except RuntimeError:
        return decorate(error_model="numpy", nogil=True)(function)


def in_threads(function: Callable[..., Result], *arguments: Iterable[Any]) -> list[Result]:
    """Return the results of `map` on as many threads as torch uses, for functions that spend their time compiled."""
    import torch

    count = torch.get_num_threads()
    if count == 1:
        return list(map(function, *arguments))
    with ThreadPoolExecutor(count) as pool:
        return list(pool.map(function, *arguments))
