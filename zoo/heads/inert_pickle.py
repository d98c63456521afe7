"""Pickles read without running anything.

A *pickle* can name any function to be called, so nothing is imported for it: what it may name is listed in
`REPLACEMENTS`, each with a harmless replacement of ours; objects of chumpy and scipy become *inert*, a bag of what was
stored; all else ends the reading.
"""

import pickle
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from zoo.core.errors import ZooError


class ForbiddenImportError(Exception):
    """A pickle names something that is not in `REPLACEMENTS`; the message is its import path."""


class Inert:
    """Stands for an object of a class that is not imported, and holds what was stored of it."""

    origin = "object"
    state: Any = None

    def __new__(cls, *arguments: Any, **named: Any) -> "Inert":
        return super().__new__(cls)

    def __init__(self, *arguments: Any, **named: Any) -> None:
        pass

    def __setstate__(self, state: Any) -> None:
        self.state = state


class StoredType(Inert):
    """A numpy dtype by its code, `f8`."""

    code: str = ""

    def __init__(self, code: Any = "", *ignored: Any) -> None:
        self.code = text(code)

    @property
    def dtype(self) -> np.dtype | None:
        """Of numbers; None for everything else."""
        if not re.fullmatch("[fiu][248]|[iub]1", self.code):
            return None
        big = isinstance(self.state, tuple) and text(self.state[1]) == ">"
        return np.dtype(self.code).newbyteorder(">" if big else "<")


class StoredArray(Inert):
    """A numpy array. It is rebuilt from its numbers here, since numpy trusts what a pickle says about memory."""

    origin = "an array of objects"
    numbers: np.ndarray | None = None
    items: list[Any] | None = None

    def __setstate__(self, state: Any) -> None:
        _, shape, kind, fortran, content = state
        if isinstance(content, list):
            self.items = content
        elif isinstance(kind, StoredType) and kind.dtype is not None:
            content = content.encode("latin1") if isinstance(content, str) else content
            self.numbers = np.frombuffer(content, kind.dtype).reshape(shape, order="F" if fortran else "C")


def text(value: Any) -> str:
    """A text that Python 2 or 3 stored."""
    return value.decode("latin1") if isinstance(value, bytes) else str(value)


def new_array(cls: Any, *ignored: Any) -> StoredArray:
    """In place of numpy's `_reconstruct`."""
    return StoredArray()


def filled_array(content: Any, kind: Any, shape: Any, order: Any) -> StoredArray:
    """In place of numpy's `_frombuffer`."""
    made = StoredArray()
    made.__setstate__((1, shape, kind, order == "F", content))
    return made


def scalar(kind: Any, content: Any) -> StoredArray:
    """In place of numpy's `scalar`."""
    made = StoredArray()
    made.__setstate__((1, (), kind, False, content))
    return made


def encode(value: Any, encoding: Any = "latin1") -> bytes:
    """In place of `_codecs.encode`, by which Python 3 stores bytes in old pickles."""
    if encoding != "latin1":
        raise ForbiddenImportError(f"the encoding {encoding}")
    return value.encode("latin1")


def new_object(cls: Any, *ignored: Any) -> Inert:
    """In place of `copyreg._reconstructor`, by which the oldest pickles make objects."""
    return cls() if isinstance(cls, type) and issubclass(cls, Inert) else Inert()


REPLACEMENTS: dict[tuple[str, str], Any] = {
    **{(f"numpy.{core}.multiarray", "_reconstruct"): new_array for core in ("core", "_core")},
    **{(f"numpy.{core}.multiarray", "scalar"): scalar for core in ("core", "_core")},
    **{(f"numpy.{core}.numeric", "_frombuffer"): filled_array for core in ("core", "_core")},
    ("numpy", "ndarray"): StoredArray,
    ("numpy", "dtype"): StoredType,
    ("_codecs", "encode"): encode,
    ("copy_reg", "_reconstructor"): new_object,
    ("copyreg", "_reconstructor"): new_object,
    ("__builtin__", "object"): Inert,
    ("builtins", "object"): Inert,
}
"""All that a pickle may name, and what it is given instead; beside classes of chumpy and sparse matrices of scipy."""


class InertUnpickler(pickle.Unpickler):
    """Reads a pickle without importing or calling anything but `REPLACEMENTS`."""

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) in REPLACEMENTS:
            return REPLACEMENTS[module, name]
        sparse = module.startswith("scipy.sparse") and name in ("csc_matrix", "csr_matrix", "csc_array", "csr_array")
        if sparse or module.split(".")[0] == "chumpy":
            return type("Inert", (Inert,), {"origin": f"{module}.{name}"})
        raise ForbiddenImportError(f"{module}.{name}")


def array(value: Any, path: str | Path, name: str) -> np.ndarray:
    """The numbers in what was stored under a name.

    Raises:
        ZooError: there are none, or they do not form an array.
    """

    def numbers(value: Any) -> Any:
        if isinstance(value, list | tuple):
            return [numbers(item) for item in value]
        if isinstance(value, StoredArray):
            return value.numbers if value.items is None else numbers(value.items)
        if isinstance(value, Inert) and isinstance(value.state, dict):
            state = value.state
            if value.origin.startswith("scipy"):
                return dense(value.origin, {key: numbers(state[key]) for key in state})
            return next((numbers(state[key]) for key in ("x", "r", "_cached_r") if key in state), None)
        return value

    try:
        found = np.asarray(numbers(value))
    except (ValueError, TypeError, KeyError, IndexError, RecursionError):
        found = np.empty(0, object)
    if found.dtype.kind not in "iuf":
        raise ZooError(f"{path}: {name} is {describe(value)}, expected an array of numbers.")
    return found


def dense(origin: str, stored: Mapping[str, Any]) -> np.ndarray:
    """A matrix from the compressed columns (csc) or rows (csr) that scipy stores."""
    shape = tuple(stored.get("_shape", stored.get("shape")))
    by_column = origin.rpartition(".")[2].startswith("csc")
    matrix = np.zeros(shape[::-1] if by_column else shape)
    outer = np.repeat(np.arange(len(matrix)), np.diff(stored["indptr"]))
    np.add.at(matrix, (outer, stored["indices"]), stored["data"])
    return matrix.T if by_column else matrix


def describe(value: Any) -> str:
    """What was found instead of what was expected, for messages."""
    return value.origin if isinstance(value, Inert) else f"a {type(value).__name__}"
