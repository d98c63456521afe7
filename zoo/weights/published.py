"""Published files: a model's weights and its description in one safetensors file.

The tensors are those of a checkpoint's state dict. The file's metadata has one entry, `zoo`: as JSON, what the `zoo`
entry of a checkpoint says (see `zoo.weights.checkpoint`), and a *card* beside it: licence, training data, metrics and a
text. Nothing in such a file can execute; names in it are looked up in the slots, as those of a checkpoint are. The
state of the training is left out, so a training does not resume from it but begins with its weights.
"""

import json
import struct
from collections.abc import Mapping
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any

import lightning.pytorch
import torch
from lightning.fabric.plugins.io.torch_io import TorchCheckpointIO
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from zoo.core.errors import ZooError
from zoo.core.files import replacing
from zoo.core.spec import without_downloads
from zoo.weights.record import record

HEADER_LIMIT = 16 * 2**20
"""Bytes that a header may have; the largest of ours has a hundredth of it."""

HALVES = (torch.float16, torch.bfloat16)
CARD = ("licence", "training_data", "metrics", "text")
"""What a card says; a part of it that is not known is left out."""


def is_safetensors(path: str | Path) -> bool:
    """Whether the file begins as a safetensors file does, whatever its name; false as well where there is none."""
    try:
        with open(path, "rb") as file:
            return file.read(9)[8:] == b"{"
    except OSError:
        return False


def read(path: str) -> dict[str, Any]:
    """What a safetensors file holds, in the form of a checkpoint: `zoo` and `state_dict`, weights in float32; without a
    description of ours, the weights alone.

    Raises:
        ZooError: truncated or damaged, or a header that is none.
    """
    check_header_size(path)
    try:
        with safe_open(path, framework="pt") as file:  # checks every size against the file's before it reads a tensor
            description = (file.metadata() or {}).get("zoo")
            weights = {name: widened(file.get_tensor(name)) for name in file.keys()}  # noqa: SIM118
    except (SafetensorError, OSError, ValueError) as error:
        raise ZooError(f"{path} is not a readable safetensors file (truncated or altered: {error}).") from error
    if description is None:
        return dict(weights)
    try:
        return {"zoo": json.loads(description), "state_dict": weights}
    except (ValueError, RecursionError) as error:
        raise ZooError(f"{path} is damaged: its description of the model is not readable as JSON.") from error


def check_header_size(path: str) -> None:
    """ZooError when a safetensors header claims to be larger than its file, or than any header has to be."""
    with open(path, "rb") as file:
        (claimed,) = struct.unpack("<Q", file.read(8))
    if claimed > HEADER_LIMIT:
        raise ZooError(
            f"{path} was refused: its header claims {claimed:,} bytes, and none has more than {HEADER_LIMIT:,}."
        )
    if 8 + claimed > Path(path).stat().st_size:
        raise ZooError(f"{path} is truncated: it ends before its header does; copy or download it again.")


def write(path: Path, content: Mapping[str, Any], card: Mapping[str, Any], half: bool = False) -> None:
    """Write a checkpoint's content as a published file. Nothing half-written is left.

    Args:
        path: the file to write.
        content: what `zoo.weights.checkpoint.read` gave.
        card: what is said of the model, see `CARD`; it is laid over the card that `content` has.
        half: store weights in half precision, which halves the file; they are loaded as float32 again. What was
            published so once stays so.

    Raises:
        ZooError: a checkpoint of another origin, or weights too large for half precision.
    """
    described = record(content, str(path))
    card = {**described.get("card", {}), **card}
    half = half or described.get("half") is True
    last = {"model": without_downloads(content["zoo"]["model"]), "card": card, "half": half}
    described = {key: shareable(value) for key, value in described.items() if key not in last} | last
    weights = {name: value.contiguous() for name, value in content["state_dict"].items()}
    if half:
        weights = {name: halved(name, value) for name, value in weights.items()}
    metadata = {"zoo": json.dumps(described, ensure_ascii=False)}
    with replacing(path) as temporary:
        temporary.write_bytes(save(weights, metadata))  # not safetensors' own writing, which lets nobody else read it


def shareable(value: Any) -> Any:
    """Plain data in which absolute paths, which tell of the machine it was made on, are reduced to their last part."""
    if isinstance(value, dict):
        return {key: shareable(item) for key, item in value.items()}
    if isinstance(value, list):
        return [shareable(item) for item in value]
    if isinstance(value, str):
        for path in (PurePosixPath(value), PureWindowsPath(value)):
            if path.is_absolute():
                return path.name
    return value


def halved(name: str, value: Tensor) -> Tensor:
    """A float tensor in half precision; ZooError when a number in it has no place there."""
    if not value.is_floating_point():
        return value
    half = value.to(torch.float16)
    if not half.isfinite().all():
        raise ZooError(
            f"{name} holds numbers up to {value.abs().max():g}, and half precision ends at 65,504: publish without "
            "--half."
        )
    return half


def widened(value: Tensor) -> Tensor:
    """A tensor in half precision as float32, any other as it is."""
    return value.float() if value.dtype in HALVES else value


class PublishedCheckpointIO(TorchCheckpointIO):
    """Lets Lightning take a published file as the checkpoint of a trainer: weights, and a training not yet begun."""

    def load_checkpoint(self, path: Any, *arguments: Any, **named: Any) -> dict[str, Any]:
        begun = {"epoch": 0, "global_step": 0, "optimizer_states": [], "lr_schedulers": []}
        return read(str(path)) | begun | {"pytorch-lightning_version": lightning.pytorch.__version__}
