"""Reader of pickles that runs nothing.

A pickle can name any function to be called, so nothing is imported for it. `REPLACEMENTS` lists the permitted names,
each with a harmless replacement; objects of chumpy and scipy become `Inert`, a container of their stored state; any
other name raises an error.
"""

import math
import pickle
import re
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import IO, Any

import numpy as np

from zoo.core.errors import ZooError
from zoo.weights.pickles import check_pickle

MAX_NUMBERS = 100_000_000
"""Numbers that one array may have; those of FLAME have up to 6 million."""


class ForbiddenImportError(Exception):
    """Name in a pickle that is not in `REPLACEMENTS`; the message is its import path."""


class Inert:
    """Container of the stored state of an object whose class is not imported."""

    origin = "object"
    state: Any = None

    def __new__(cls, *arguments: Any, **named: Any) -> "Inert":
        return super().__new__(cls)

    def __init__(self, *arguments: Any, **named: Any) -> None:
        pass

    def __setstate__(self, state: Any) -> None:
        self.state = state


class StoredType(Inert):
    """Numpy dtype by its code, `f8`."""

    code: str = ""

    def __init__(self, code: Any = "", *ignored: Any) -> None:
        self.code = _text(code)

    @property
    def dtype(self) -> np.dtype | None:
        """The dtype of numbers, or None for any other."""
        if not re.fullmatch("[fiu][248]|[iub]1", self.code):
            return None
        big = isinstance(self.state, tuple) and _text(self.state[1]) == ">"
        return np.dtype(self.code).newbyteorder(">" if big else "<")


class StoredArray(Inert):
    """Numpy array, rebuilt from its bytes here, since numpy trusts a pickle's statements about memory."""

    origin = "an array of objects"
    numbers: np.ndarray | None = None
    items: list[Any] | None = None

    def __setstate__(self, state: Any) -> None:
        _, shape, kind, fortran, content = state
        if isinstance(content, list):
            self.items = content
        elif isinstance(kind, StoredType) and kind.dtype is not None:
            content = _encode(content) if isinstance(content, str) else content
            self.numbers = np.frombuffer(content, kind.dtype).reshape(shape, order="F" if fortran else "C")


def _text(value: Any) -> str:
    """Return a string that Python 2 or 3 stored."""
    return value.decode("latin1") if isinstance(value, bytes) else str(value)


def _filled_array(content: Any, kind: Any, shape: Any, order: Any) -> StoredArray:
    """Replace numpy's `_frombuffer`."""
    filled = StoredArray()
    filled.__setstate__((1, shape, kind, order == "F", content))
    return filled


@cache  # a file may ask for the same bytes any number of times
def _encode(value: Any, encoding: Any = "latin1") -> bytes:
    """Replace `_codecs.encode`, by which Python 3 stores bytes in old pickles."""
    if encoding != "latin1":
        raise ForbiddenImportError(f"the encoding {encoding}")
    return value.encode("latin1")


def _new_object(cls: Any, *ignored: Any) -> Inert:
    """Replace `copyreg._reconstructor`, by which the oldest pickles make objects."""
    return cls() if isinstance(cls, type) and issubclass(cls, Inert) else Inert()


REPLACEMENTS: dict[tuple[str, str], Any] = {
    **{(f"numpy.{core}.multiarray", "_reconstruct"): StoredArray for core in ("core", "_core")},
    **{
        (f"numpy.{core}.multiarray", "scalar"): lambda kind, content: _filled_array(content, kind, (), "C")
        for core in ("core", "_core")
    },
    **{(f"numpy.{core}.numeric", "_frombuffer"): _filled_array for core in ("core", "_core")},
    ("numpy", "ndarray"): StoredArray,
    ("numpy", "dtype"): StoredType,
    ("_codecs", "encode"): _encode,
    ("copy_reg", "_reconstructor"): _new_object,
    ("copyreg", "_reconstructor"): _new_object,
    ("__builtin__", "object"): Inert,
    ("builtins", "object"): Inert,
}
"""Permitted names and their replacements; classes of chumpy and sparse matrices of scipy are permitted too."""


class InertUnpickler(pickle.Unpickler):
    """Unpickler that imports and calls nothing but `REPLACEMENTS`.

    Example:
        >>> import io, os
        >>> InertUnpickler(io.BytesIO(pickle.dumps({"a": 1}))).load()
        {'a': 1}
        >>> InertUnpickler(io.BytesIO(pickle.dumps(os.getcwd))).load()
        Traceback (most recent call last):
        zoo.heads.inert_pickle.ForbiddenImportError: posix.getcwd
    """

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) in REPLACEMENTS:
            return REPLACEMENTS[module, name]
        sparse = module.startswith("scipy.sparse") and name in ("csc_matrix", "csr_matrix", "csc_array", "csr_array")
        if sparse or module.split(".")[0] == "chumpy":
            return type("Inert", (Inert,), {"origin": f"{module}.{name}"})
        raise ForbiddenImportError(f"{module}.{name}")


def load_inert(file: IO[bytes]) -> Any:
    """Return the content of a pickle that Python 2 or 3 wrote; ValueError for one that would take undue memory."""
    check_pickle(file)
    try:
        return InertUnpickler(file, encoding="latin1").load()
    finally:
        _encode.cache_clear()


def array(value: Any, path: str | Path, name: str) -> np.ndarray:
    """Return the array of a stored value, whatever its form.

    Raises:
        ZooError: the value does not form an array of numbers.

    Example:
        >>> array([[1, 2], [3, 4]], "file.pkl", "weights").shape
        (2, 2)
    """

    count = 0

    def numbers(value: Any) -> Any:
        nonlocal count
        count += value.numbers.size if isinstance(value, StoredArray) and value.numbers is not None else 100
        if count > MAX_NUMBERS:  # a list may hold one list many times, and takes a hundredfold of an array's memory
            raise ValueError("too many numbers")
        if isinstance(value, list | tuple):
            return [numbers(item) for item in value]
        if isinstance(value, StoredArray):
            return value.numbers if value.items is None else numbers(value.items)
        if isinstance(value, Inert) and isinstance(value.state, dict):
            state = value.state
            if value.origin.startswith("scipy"):
                return _dense(value.origin, {key: numbers(state[key]) for key in state})
            return next((numbers(state[key]) for key in ("x", "r", "_cached_r") if key in state), None)
        return value

    try:
        result = np.asarray(numbers(value))
    except (ValueError, TypeError, KeyError, IndexError, RecursionError):
        result = np.empty(0, object)
    if result.dtype.kind not in "iuf":
        raise ZooError(f"{path}: {name} is {describe(value)}, expected an array of numbers.")
    return result


def _dense(origin: str, stored: Mapping[str, Any]) -> np.ndarray:
    """Return the matrix of the compressed columns (csc) or rows (csr) that scipy stores."""
    shape = tuple(stored.get("_shape", stored.get("shape")))
    by_column = origin.rpartition(".")[2].startswith("csc")
    lengths = np.diff(stored["indptr"])
    if math.prod(shape) > MAX_NUMBERS or lengths.sum() != len(stored["data"]) or lengths.max() > len(stored["data"]):
        raise ValueError("too many numbers")
    matrix = np.zeros(shape[::-1] if by_column else shape)
    outer = np.repeat(np.arange(len(matrix)), lengths)
    np.add.at(matrix, (outer, stored["indices"]), stored["data"])
    return matrix.T if by_column else matrix


def describe(value: Any) -> str:
    """Return a description of an unexpected value, for messages."""
    return value.origin if isinstance(value, Inert) else f"a {type(value).__name__}"
