"""Read checkpoints safely and rebuild their modules without YAML; `zoo.weights.checkpoint` decides what they hold.

Our checkpoints are those of Lightning with one more entry, `zoo` (see `zoo.weights.checkpoint`). They load with
`weights_only=True`. Names in them are looked up in the slots, and no import path in a file is ever imported. A
published file (`zoo.weights.published`) is read to the same content.
"""

import re
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from zoo.core.errors import ZooError
from zoo.core.nested import class_names
from zoo.core.registry import find_class, slots
from zoo.core.slot import PluginError
from zoo.core.spec import Spec, build, current_arguments, is_spec
from zoo.weights import published
from zoo.weights.checkpoint import EVALUATION_SETTINGS, TRAINING_SETTINGS, record, run_name, unknown_model_error
from zoo.weights.files import remove_unfinished
from zoo.weights.part_texts import texts_for_parts
from zoo.weights.state import check_fit, load_all, unwrapped
from zoo.weights.torchscript import is_torchscript

_scalar = np.float64(0).__reduce__()[0]

NUMPY_NUMBERS: list[Any] = [
    _scalar,
    (_scalar, "numpy.core.multiarray.scalar"),
    (_scalar, "numpy._core.multiarray.scalar"),
    np.dtype,
    *(type(np.dtype(name)) for name in ("f4", "f8", "i4", "i8")),
]
"""NumPy's numbers: plain data, which the DeepLabV3 files hold in addition to their weights."""

STATES = ("state_dict_ema", "model_ema", "state_dict", "model_state", "model")
"""Keys of the weights in a file with more than these, the better ones first."""

MAX_GROWTH = 4
"""Bytes of all tensors for each byte of their file; several may share numbers."""


class UnreadableError(ZooError):
    """A checkpoint that is truncated, or another kind of file."""


def readable(path: Path) -> Path:
    """Return a checkpoint to resume from: this one, or else the newest of its folder that can be read, with a message.

    Files of the folder that a killed process left unfinished are removed.

    Raises:
        ZooError: there is no such file, or none that can be read.
    """
    remove_unfinished(path.parent)
    try:
        read(str(path))
        return path
    except UnreadableError as error:
        others = [file for file in path.parent.glob("*.ckpt") if file != path and not file.name.startswith(".")]
        for other in sorted(others, key=lambda file: file.stat().st_mtime, reverse=True):
            with suppress(ZooError):
                read(str(other))
                print(f"{error} Resuming from {other} instead.")
                return other
        raise


def read(path: str) -> dict[str, Any]:
    """Return the content of a checkpoint or published file, which may hold only tensors and plain data.

    Raises:
        ZooError: there is no such file, it is no checkpoint, or it holds anything else.
    """
    if not Path(path).is_file():
        raise ZooError(f"there is no checkpoint at {path}.")
    if published.is_safetensors(path):
        return published.read(path)
    if is_torchscript(path):
        raise unknown_model_error(path)
    check_archive(path)
    try:
        with torch.serialization.safe_globals(NUMPY_NUMBERS):
            content = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch raises errors of many kinds for other files
        if forbidden := re.search(r"GLOBAL ([\w.]+)", str(error)):
            raise ZooError(
                f"{path} was refused: it holds something other than tensors and plain data ({forbidden[1]}); nothing "
                "of it was run."
            ) from error
        raise UnreadableError(f"{path} is not a readable checkpoint (truncated, or another kind of file).") from error
    if not isinstance(content, dict):
        raise ZooError(f"{path} holds a {type(content).__name__}; expected a checkpoint or a state dict.")
    check_tensors(content, path)
    if "zoo" in content and isinstance(content.get("state_dict"), Mapping):
        content["state_dict"] = unwrapped(content["state_dict"])
    return content


def progress(path: str) -> tuple[int, int]:
    """Return the finished epochs and steps of the training in a checkpoint; none for a published file."""
    if published.is_safetensors(path):
        return 0, 0
    with torch.serialization.safe_globals(NUMPY_NUMBERS):
        content = torch.load(path, map_location="cpu", weights_only=True, mmap=True)  # does not read the weights
    if "loops" not in content:
        return 0, 0
    return content["loops"]["fit_loop"]["epoch_progress"]["current"]["processed"], content["global_step"]


def check_archive(path: str) -> None:
    """Raise ZooError for a checkpoint that says to expand to more bytes than it has."""
    if not zipfile.is_zipfile(path):
        return
    with suppress(zipfile.BadZipFile), zipfile.ZipFile(path) as archive:  # torch reports a damaged one
        if sum(entry.file_size for entry in archive.infolist()) > Path(path).stat().st_size:
            raise ZooError(f"{path} was refused: it is compressed, which no checkpoint is.")


def check_tensors(content: Mapping[str, Any], path: str) -> None:
    """Raise ZooError for tensors that are not plain numbers in the file, and for weights without a name."""
    total, size = 0, Path(path).stat().st_size
    for name, value in named_values(content):
        if isinstance(value, Tensor):
            kinds = {"nested": value.is_nested, "quantised": value.is_quantized, "complex": value.is_complex()}
            kinds |= {"sparse": value.layout != torch.strided, "without numbers (meta)": value.is_meta}
            for kind in (kind for kind, applies in kinds.items() if applies):
                raise ZooError(
                    f"{path} was refused: '{name}' is {kind}; expected numbers that are all in the file, as "
                    "`torch.save` writes those of a module on the CPU."
                )
            total += value.nbytes
    if total > MAX_GROWTH * size + 2**24:
        raise ZooError(f"{path} was refused: its tensors ask for {total:,} bytes, and the file has {size:,}.")
    for state in (content, *(content.get(key) for key in STATES)):
        if unnamed := [key for key in state if not isinstance(key, str)] if isinstance(state, Mapping) else []:
            raise ZooError(f"{path} was refused: it names a weight {unnamed[0]!r}; expected text, decoder.conv1.bias.")


def named_values(content: Any) -> Iterator[tuple[Any, Any]]:
    """Yield every value inside dicts and lists with its key, the content of each container once."""
    queue, seen = [("", content)], set()
    while queue:
        name, value = queue.pop()
        yield name, value
        if isinstance(value, Mapping | list | tuple) and id(value) not in seen:
            seen.add(id(value))
            queue += value.items() if isinstance(value, Mapping) else ((name, item) for item in value)


def rebuild(path: str) -> Any:
    """Return the module that a checkpoint describes, with its weights, in training mode.

    Raises:
        ZooError: the file is unreadable or does not describe a model, a plugin is missing (the message names its
            distribution), or the weights do not fit.
    """
    content = read(path)
    entry = record(content, path)
    model, unusable = for_inference(entry, path)
    check_plugins(entry, [model], path)  # its data set may be missing
    check_sizes(entry | {"model": model}, content["state_dict"], path)
    module = build_module(entry | {"model": model}, path)
    module.check_identity(entry, path)
    load_all(module, content["state_dict"], path)
    module.record = entry
    if unusable is not None:
        module.unusable_losses = unusable
        module._arguments["losses"] = entry["model"]["init_args"]["losses"]  # saved again as they came
    return module


def for_inference(entry: dict[str, Any], path: str) -> tuple[Spec, str | None]:
    """Return the spec of a model, and a sentence about its loss terms where some cannot be used here, otherwise None.

    Only training needs loss terms, so the spec then has none. The sentence names all that cannot be used.
    """
    model = entry["model"]
    losses = model.get("init_args", {}).get("losses")
    problems = []
    for name, term in losses.items() if isinstance(losses, dict) else ():
        # Other text than a registered name stays in the spec, which `check_plugins` refuses then.
        if is_spec(term) and all(word.isidentifier() for word in class_names(term)):
            try:
                check_plugins(entry, [term], path)
                build_module(entry | {"model": term}, path)
            except ZooError as error:
                problems.append(f"'{name}' ({str(error).removeprefix(f'{path} ').rstrip('.')})")
            except ValueError as error:
                problems.append(f"'{name}' ({error})")
    if not problems:
        return model, None
    sentence = f"{path} was trained with loss terms that cannot be used here: {'; '.join(problems)}."
    return model | {"init_args": model["init_args"] | {"losses": {}}}, sentence


def build_module(entry: Mapping[str, Any], path: str) -> Any:
    """Return the module that a `zoo` entry describes; ZooError where a part does not accept its arguments."""
    try:
        return build(entry["model"])
    except (TypeError, AttributeError, KeyError, IndexError) as error:
        raise ZooError(
            f"{path} describes a model that cannot be built here ({type(error).__name__}: {error}): it is damaged, or "
            f"made with another version of {', '.join(sorted(set(entry['plugins'].values()))) or 'its parts'}."
        ) from error


def check_sizes(entry: Mapping[str, Any], state: Mapping[str, Tensor], path: str) -> None:
    """Raise ZooError when the weights do not fit the described module, before allocating memory for it.

    A damaged description could ask for more memory than there is.
    """
    try:
        with torch.device("meta"):
            meta_copy = build(entry["model"])
    except Exception:  # a part needs values, or is wrong, which building it on the CPU reports
        return
    meta_copy.check_identity(entry, path)
    check_fit(meta_copy, state, path)


def configuration(path: str, command: str) -> dict[str, Any]:
    """Return a checkpoint's settings in the form of a configuration file.

    Args:
        path: the checkpoint.
        command: `fit` also gets the settings of training, to resume it; `validate`, `test` and `predict` get only their
            own data, since the training data may be missing.
    """
    content = read(path)
    entry = record(content, path)
    if command != "fit":
        entry["model"], _ = for_inference(entry, path)
    check_plugins(entry, [entry["model"], entry.get("data")], path)
    check_sizes(entry, content["state_dict"], path)
    if "data" in entry and command != "fit":
        own = {"validate": "validation", "test": "test"}.get(command)
        arguments = entry["data"].get("init_args", {})
        arguments |= {name: None for name in ("train", "validation", "test") if name in arguments and name != own}
    names = (*EVALUATION_SETTINGS, *TRAINING_SETTINGS) if command == "fit" else EVALUATION_SETTINGS
    trainer = {name: value for name, value in entry["trainer"].items() if name in names}
    seed = entry["seed"] % 2**32  # Python's own seeds may be larger than those of seed_everything
    specs = without_retired({key: entry[key] for key in ("model", "data") if key in entry})
    return {"name": run_name(entry["name"]), "seed_everything": seed, "trainer": trainer, **specs}


def without_retired(value: Any) -> Any:
    """Return plain data whose specs hold no retired arguments: what a configuration file may hold today."""
    if isinstance(value, list):
        return [without_retired(item) for item in value]
    if not isinstance(value, dict):
        return value
    if is_spec(value) and "init_args" in value:
        value = value | {"init_args": current_arguments(find_class(value["class_path"]), value["init_args"])}
    return {key: without_retired(item) for key, item in value.items()}


def check_plugins(entry: Mapping[str, Any], specs: list[Any], path: str) -> None:
    """Raise ZooError for the classes in the specs that no slot has, naming their distributions.

    Only classes of the slots are imported.
    """
    problems = []
    for name in dict.fromkeys(class_names(specs)):
        try:
            find_class(name)
        except PluginError as error:
            origin, reason = str(entry["plugins"].get(name, "unknown origin")), str(error)
            known = any(name in slot.plugins() for slot in slots().values())
            if re.fullmatch(r"[\w.-]+ [\w.!+-]+", origin) and not known:
                reason = f"it is not installed; pip install {origin.split()[0]}, or give --plugin FILE."
            problems.append(f"'{name}' of {origin}: {reason}")
    if problems:
        raise ZooError(f"{path} was made with {' And with '.join(problems)}")
    for text in texts_for_parts(specs, None):
        raise ZooError(
            f"{path} was refused: it names '{text}' where a plugin with its arguments belongs; nothing of it was run."
        )


def read_weights(path: str) -> dict[str, Tensor]:
    """Return the state dict in a file: a checkpoint of ours or Lightning's, a DeepLabV3 file, or a bare state dict.

    Averaged weights (EMA) come before the others, and prefixes of wrappers are removed.
    """
    content = read(path)
    for key in STATES:
        if isinstance(content.get(key), Mapping):
            content = content[key]
            break
    weights = {key: value for key, value in content.items() if isinstance(value, Tensor)}
    if not weights:
        raise ZooError(f"{path} holds no weights; its entries are {', '.join(map(str, list(content)[:8]))}.")
    return unwrapped(weights)
