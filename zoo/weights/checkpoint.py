"""Checkpoints that rebuild themselves: read safely, described by specs, loaded without YAML.

A checkpoint of ours is Lightning's plus one entry, `zoo` (see `zoo.weights.record`). It loads with `weights_only=True`,
whether the command line made it, Python did, or it was loaded and saved again. Names in it are looked up in the slots;
nothing that a file says is ever imported. A published file (`zoo.weights.published`) is read to the same content.
"""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from zoo.core.errors import ZooError
from zoo.core.nested import class_names
from zoo.core.registry import find_class
from zoo.core.slots import PluginError
from zoo.core.spec import build, texts_for_parts
from zoo.weights import published
from zoo.weights.record import EVALUATION_SETTINGS, TRAINING_SETTINGS, nameless, record, run_name
from zoo.weights.state import check_fit, load_all
from zoo.weights.torchscript import is_torchscript

_scalar = np.float64(0).__reduce__()[0]

NUMPY_NUMBERS: list[Any] = [
    _scalar,
    (_scalar, "numpy.core.multiarray.scalar"),
    (_scalar, "numpy._core.multiarray.scalar"),
    np.dtype,
    *(type(np.dtype(name)) for name in ("f4", "f8", "i4", "i8")),
]
"""NumPy's numbers, which the DeepLabV3 files carry beside their weights: plain data as well."""


def read(path: str) -> dict[str, Any]:
    """What a checkpoint or published file holds: tensors and plain data, nothing else is let in.

    Raises:
        ZooError: no such file, not a checkpoint, or one that holds more than tensors and plain data.
    """
    if not Path(path).is_file():
        raise ZooError(f"there is no checkpoint at {path}.")
    if published.is_safetensors(path):
        return published.read(path)
    if is_torchscript(path):
        raise nameless(path)
    try:
        with torch.serialization.safe_globals(NUMPY_NUMBERS):
            content = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # the reader fails in many ways on files of another kind
        if wanted := re.search(r"GLOBAL ([\w.]+)", str(error)):
            raise ZooError(
                f"{path} was refused: it holds something other than tensors and plain data ({wanted[1]}); nothing of "
                "it was run."
            ) from error
        raise ZooError(f"{path} is not a readable checkpoint (truncated, or another kind of file).") from error
    if not isinstance(content, dict):
        raise ZooError(f"{path} holds a {type(content).__name__}; expected a checkpoint or a state dict.")
    return content


def rebuild(path: str) -> Any:
    """The module that a checkpoint describes, with its weights, in training mode.

    Raises:
        ZooError: unreadable, of another origin, a plugin is missing (it says which distribution provided it), or
            the weights do not fit.
    """
    content = read(path)
    entry = record(content, path)
    check_plugins(entry, [entry["model"]], path)  # the data it was trained on is not needed
    check_sizes(entry, content["state_dict"], path)
    module = build_described(entry, path)
    module.check_identity(entry, path)
    load_all(module, content["state_dict"], path)
    module.record = entry
    return module


def build_described(entry: Mapping[str, Any], path: str) -> Any:
    """The module that a record describes; ZooError where its parts do not take the arguments given there."""
    try:
        return build(entry["model"])
    except (TypeError, AttributeError, KeyError, IndexError) as error:
        raise ZooError(
            f"{path} describes a model that cannot be built here ({type(error).__name__}: {error}): it is damaged, or "
            f"made with another version of {', '.join(sorted(set(entry['plugins'].values()))) or 'its parts'}."
        ) from error


def check_sizes(entry: Mapping[str, Any], state: Mapping[str, Tensor], path: str) -> None:
    """ZooError when the weights do not fit the described module, before anything of its size is allocated: a
    description may ask for more memory than there is.
    """
    try:
        with torch.device("meta"):
            twin = build(entry["model"])
    except Exception:  # a part that cannot do without values, or is wrong: building it in earnest says so
        return
    twin.check_identity(entry, path)
    check_fit(twin, state, path)


def configuration(path: str, command: str) -> dict[str, Any]:
    """A checkpoint's settings in the form of a configuration file.

    Args:
        path: the checkpoint.
        command: `fit` also gets how it was being trained, to go on with that; `validate`, `test` and `predict` only the
            data that they measure on, since the training data may not be at hand.
    """
    content = read(path)
    entry = record(content, path)
    check_plugins(entry, [entry["model"], entry.get("data")], path)
    check_sizes(entry, content["state_dict"], path)
    if "data" in entry and command != "fit":
        kept = {"validate": "validation", "test": "test"}.get(command)
        arguments = entry["data"].get("init_args", {})
        arguments |= {name: None for name in ("train", "validation", "test") if name in arguments and name != kept}
    wanted = (*EVALUATION_SETTINGS, *TRAINING_SETTINGS) if command == "fit" else EVALUATION_SETTINGS
    trainer = {name: value for name, value in entry["trainer"].items() if name in wanted}
    seed = entry["seed"] % 2**32  # Python's own may be larger than what seed_everything takes
    settings = {"name": run_name(entry["name"]), "model": entry["model"], "seed_everything": seed, "trainer": trainer}
    return settings | ({"data": entry["data"]} if "data" in entry else {})


def check_plugins(entry: Mapping[str, Any], specs: list[Any], path: str) -> None:
    """ZooError for the first class named in the specs that no slot has: it says who provided it. Only what slots
    have is imported.
    """
    for name in class_names(specs):
        try:
            find_class(name)
        except PluginError as error:
            provider = entry["plugins"].get(name, "unknown origin")
            raise ZooError(f"{path} was made with '{name}' of {provider}: {error}") from error
    for text in texts_for_parts(specs, None):
        raise ZooError(
            f"{path} was refused: it names '{text}' where a plugin with its arguments belongs; nothing of it was run."
        )


def read_weights(path: str) -> dict[str, Tensor]:
    """The state dict in a file: a checkpoint of ours or Lightning's, a DeepLabV3 file, or a bare state dict."""
    content = read(path)
    for key in ("state_dict", "model_state"):
        if isinstance(content.get(key), Mapping):
            content = content[key]
            break
    weights = {key: value for key, value in content.items() if isinstance(value, Tensor)}
    if not weights:
        raise ZooError(f"{path} holds no weights; its entries are {', '.join(map(str, list(content)[:8]))}.")
    return weights
