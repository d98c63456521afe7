"""Read the weights in TorchScript files without running their code, which `torch.jit.load` would do.

The archive is a zip file. Its `data.pkl` describes the modules as a tree of attributes, and other entries hold the
numbers of the tensors. The unpickler accepts only tensors, plain data and modules, without the code of the modules.
"""

import io
import math
import pickle
import re
import sys
import zipfile
from collections import OrderedDict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from zoo.core.errors import ZooError
from zoo.weights.pickles import check_pickle


def is_torchscript(path: str | Path) -> bool:
    """Return whether a file is a TorchScript archive; False where there is none."""
    if not zipfile.is_zipfile(path):
        return False
    with zipfile.ZipFile(path) as archive:
        return any(name.endswith("/constants.pkl") for name in archive.namelist())


def read_torchscript(path: str | Path) -> dict[str, Tensor]:
    """Return the weights in a TorchScript archive, by their names in the original state dict.

    Raises:
        ZooError: the archive is unreadable, holds anything but tensors, plain data and modules, or has no weights.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            reader = ArchiveReader(archive)
            weights = dict(named_tensors(reader.load(), "", set()))
    except ZooError as error:
        raise ZooError(f"{path} {error}") from error
    except Exception as error:  # a damaged file raises errors of many kinds
        raise ZooError(f"{path} is not a readable TorchScript archive (truncated or damaged).") from error
    if not weights:
        raise ZooError(
            f"{path} holds no weights with names (a frozen TorchScript module has none); expected the module as it was "
            "traced, or a state dict."
        )
    return weights


class ScriptObject:
    """Module of an archive: its attributes without its code."""

    attributes: Any = None

    def __setstate__(self, state: Any) -> None:
        self.attributes = state


class ArchiveReader(pickle.Unpickler):
    """Unpickler of `data.pkl` that accepts only tensors, plain data and modules without code."""

    def __init__(self, archive: zipfile.ZipFile) -> None:
        (tree,) = (name for name in archive.namelist() if re.fullmatch(r"[^/]+/data\.pkl", name))
        self.archive = archive
        self.root = tree.removesuffix("data.pkl")
        if archive.NameToInfo.get(f"{self.root}byteorder") and self.entry("byteorder").decode() != sys.byteorder:
            raise ZooError("was written on a machine with another byte order; convert it there to a state dict.")
        self.storages: dict[str, Tensor] = {}
        content = io.BytesIO(self.entry("data.pkl"))
        check_pickle(content)
        super().__init__(content)

    def entry(self, name: str) -> bytes:
        """Return the content of an entry; refuse compressed ones, which could expand to any size."""
        info = self.archive.getinfo(f"{self.root}{name}")
        if info.compress_type != zipfile.ZIP_STORED:
            raise ZooError("was refused: it is compressed, which no TorchScript archive is.")
        return self.archive.read(info)

    def find_class(self, module: str, name: str) -> Any:
        if module.split(".")[0] == "__torch__":
            return ScriptObject
        if module == "torch" and name in STORAGES:
            return STORAGES[name]
        if module == "torch.jit._pickle":
            return first_argument  # lists and dicts, followed by their types
        if (module, name) == ("torch._utils", "_rebuild_tensor_v2"):
            return rebuild_tensor
        if (module, name) == ("collections", "OrderedDict"):
            return OrderedDict
        raise ZooError(
            f"was refused: it holds something other than tensors, plain data and modules ({module}.{name}); nothing of "
            "it was run."
        )

    def persistent_load(self, pid: Any) -> Tensor:
        """Return the storage of a tensor, one-dimensional."""
        _, dtype, key, _, count = pid
        if key not in self.storages:
            content = bytearray(self.entry(f"data/{key}"))
            self.storages[key] = torch.frombuffer(content, dtype=dtype) if content else torch.empty(0, dtype=dtype)
        if len(self.storages[key]) != count:
            raise ValueError(f"storage {key} has {len(self.storages[key])} numbers, expected {count}")
        return self.storages[key]


STORAGES = {
    "DoubleStorage": torch.float64, "FloatStorage": torch.float32, "HalfStorage": torch.float16,
    "BFloat16Storage": torch.bfloat16, "LongStorage": torch.int64, "IntStorage": torch.int32,
    "ShortStorage": torch.int16, "CharStorage": torch.int8, "ByteStorage": torch.uint8, "BoolStorage": torch.bool,
}  # fmt: skip
"""dtype of each storage class in archives."""


def rebuild_tensor(numbers: Tensor, offset: int, size: tuple[int, ...], stride: tuple[int, ...], *_: Any) -> Tensor:
    """Return a tensor over stored numbers; torch refuses one that reaches beyond their end, and we one of more."""
    if math.prod(size) > len(numbers):
        raise ValueError(f"a tensor of shape {size} repeats its numbers")
    return numbers.as_strided(size, stride, offset)


def first_argument(value: Any, *_: Any) -> Any:
    """Return the first argument."""
    return value


def named_tensors(stored: Any, prefix: str, seen: set[int]) -> Iterator[tuple[str, Tensor]]:
    """Yield the tensors of a module and of the modules inside it with their names, each module once."""
    if id(stored) in seen or not isinstance(stored, ScriptObject) or not isinstance(stored.attributes, dict):
        return
    seen.add(id(stored))
    for name, value in stored.attributes.items():
        if isinstance(value, Tensor):
            yield f"{prefix}{name}", value
        else:
            yield from named_tensors(value, f"{prefix}{name}.", seen)
