"""Published files: a model's weights and its description in one safetensors file.

The tensors are those of a checkpoint's state dict. The metadata has one entry, `zoo`: the `zoo` entry of a checkpoint
(see `zoo.weights.checkpoint`) as JSON, with a *card*: licence, training data, metrics and a text. Such a file holds no
code, and names in it are looked up in the slots. Loss terms and the state of training are left out: training can start
from the weights of such a file, with loss terms of its own, but not resume.
"""

import json
import struct
from collections.abc import Mapping
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from zoo.core.errors import ZooError
from zoo.core.files import replacing
from zoo.core.nested import class_names
from zoo.core.spec import copy_plain
from zoo.weights.checkpoint import record
from zoo.weights.state import LOSSES

HEADER_LIMIT = 16 * 2**20
"""Bytes that a header may have; the largest of ours has a hundredth of them."""

CARD_KEYS = ("licence", "training_data", "metrics", "text")
"""Keys of a card."""


def is_safetensors(path: str | Path) -> bool:
    """Return whether a file begins like a safetensors file; False where there is none."""
    try:
        with open(path, "rb") as file:
            return file.read(9)[8:] == b"{"
    except OSError:
        return False


def read(path: str) -> dict[str, Any]:
    """Return the content of a safetensors file in the form of a checkpoint: `zoo` and `state_dict`, in float32.

    Where the file does not describe its model, only the weights are returned, by name.

    Raises:
        ZooError: the file is truncated or damaged.
    """
    check_header_size(path)
    try:
        with safe_open(path, framework="pt") as file:  # checks all sizes before reading tensors
            description = (file.metadata() or {}).get("zoo")
            weights = {name: as_float32(file.get_tensor(name)) for name in file.keys()}  # noqa: SIM118
    except (SafetensorError, OSError, ValueError) as error:
        raise ZooError(f"{path} is not a readable safetensors file (truncated or altered: {error}).") from error
    if description is None:
        return dict(weights)
    try:
        return {"zoo": json.loads(description), "state_dict": weights}
    except (ValueError, RecursionError) as error:
        raise ZooError(f"{path} is damaged: its description of the model is not readable as JSON.") from error


def check_header_size(path: str) -> None:
    """Raise ZooError when a safetensors header claims to be larger than its file, or than any of ours."""
    with open(path, "rb") as file:
        (claimed,) = struct.unpack("<Q", file.read(8))
    if claimed > HEADER_LIMIT:
        raise ZooError(
            f"{path} was refused: its header claims {claimed:,} bytes, and none has more than {HEADER_LIMIT:,}."
        )
    if 8 + claimed > Path(path).stat().st_size:
        raise ZooError(f"{path} is truncated: it ends before its header does; copy or download it again.")


def write(path: Path, content: Mapping[str, Any], card: Mapping[str, Any], half: bool = False) -> None:
    """Write a checkpoint's content as a published file, atomically.

    Args:
        path: the file to write.
        content: from `zoo.weights.reading.read`.
        card: description of the model, see `CARD_KEYS`; it updates the card in `content`.
        half: store weights in half precision; they are loaded as float32 again. Weights that were published in half
            precision stay so.

    Raises:
        ZooError: the checkpoint does not describe its model, or weights are too large for half precision.
    """
    entry = record(content, str(path))
    card = {**entry.get("card", {}), **card}
    half = half or entry.get("half") is True
    model = copy_plain(entry["model"])
    if "losses" in model.get("init_args", {}):
        model["init_args"]["losses"] = {}
    used = set(class_names([model, entry.get("data")]))
    plugins = {name: origin for name, origin in entry["plugins"].items() if name in used}
    last = {"model": model, "card": card, "half": half}
    entry = {key: without_folders(value) for key, value in (entry | {"plugins": plugins}).items()} | last
    state = content["state_dict"].items()
    weights = {name: value.contiguous() for name, value in state if not name.startswith(LOSSES)}
    if half:
        weights = {name: as_float16(name, value) for name, value in weights.items()}
    metadata = {"zoo": json.dumps(entry, ensure_ascii=False)}
    with replacing(path) as temporary:
        temporary.write_bytes(save(weights, metadata))  # safetensors' save_file makes files that only the owner reads


def without_folders(value: Any) -> Any:
    """Return plain data with absolute paths, which identify a machine or user, reduced to their last part."""
    if isinstance(value, dict):
        return {key: without_folders(item) for key, item in value.items()}
    if isinstance(value, list):
        return [without_folders(item) for item in value]
    if isinstance(value, str):
        for path in (PurePosixPath(value), PureWindowsPath(value)):
            if path.is_absolute():
                return path.name
    return value


def as_float16(name: str, value: Tensor) -> Tensor:
    """Return a float tensor in half precision, any other as it is; ZooError for numbers out of its range."""
    if not value.is_floating_point():
        return value
    half = value.to(torch.float16)
    if not half.isfinite().all():
        raise ZooError(
            f"{name} holds numbers up to {value.abs().max():g}, and half precision ends at 65,504: publish without "
            "--half."
        )
    return half


def as_float32(value: Tensor) -> Tensor:
    """Return a tensor in half precision as float32, any other as it is."""
    return value.float() if value.dtype in (torch.float16, torch.bfloat16) else value
