"""Checkpoints that rebuild themselves: read safely, described by specs, loaded without YAML.

A checkpoint of ours is Lightning's plus one entry, `zoo`: plain data with the specs of the module and of its data, the
seed, versions, and where each plugin came from. It loads with `weights_only=True`, whether the command line made it,
Python did, or it was loaded and saved again. Names in it are looked up in the slots; nothing that a file says is ever
imported. A published file (`zoo.core.published`) is read to the same content.
"""

import re
from collections.abc import Iterator, Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from lightning.pytorch import Trainer
from torch import Tensor, nn

from zoo.core.registry import PluginError, find_class, find_plugin
from zoo.core.seeding import run_seed
from zoo.core.spec import Part, build, is_spec, texts_for_parts, without_downloads

if TYPE_CHECKING:
    from zoo.core.training import TrainingModule

FORMAT = 1
"""Version of the `zoo` entry; raised when an older reader could not understand it."""

DESCRIBED = {"name", "model", "seed", "trainer", "plugins"}
"""What the `zoo` entry always says, besides its format."""

EVALUATION_SETTINGS = ("precision", "limit_val_batches", "limit_test_batches")
"""Trainer settings that change what validation gives; a checkpoint carries them so that it can be repeated."""

TRAINING_SETTINGS = (
    "max_epochs",
    "max_steps",
    "accumulate_grad_batches",
    "gradient_clip_val",
    "gradient_clip_algorithm",
    "overfit_batches",
    "limit_train_batches",
    "check_val_every_n_epoch",
)
"""Trainer settings that change what training gives; a checkpoint carries them so that it can be resumed."""


_scalar = np.float64(0).__reduce__()[0]
NUMPY_NUMBERS: list[Any] = [
    _scalar,
    (_scalar, "numpy.core.multiarray.scalar"),
    (_scalar, "numpy._core.multiarray.scalar"),
    np.dtype,
    *(type(np.dtype(name)) for name in ("f4", "f8", "i4", "i8")),
]
"""NumPy's numbers, which the DeepLabV3 files carry beside their weights: plain data as well."""


DEEPEST = 50
"""How many levels a description may be nested; those of the shipped models have 9."""
MOST = 100_000
"""How many values a description may have; those of the shipped models have about 100."""


class CheckpointError(ValueError):
    """A file that cannot be loaded; the message is one sentence for the user."""


def read(path: str) -> dict[str, Any]:
    """What a checkpoint or published file holds: tensors and plain data, nothing else is let in.

    Raises:
        CheckpointError: no such file, not a checkpoint, or one that holds more than tensors and plain data.
    """
    if not Path(path).is_file():
        raise CheckpointError(f"there is no checkpoint at {path}.")
    from zoo.core import published  # which is built on this module
    from zoo.core.torchscript import is_torchscript  # as well

    if published.is_safetensors(path):
        return published.read(path)
    if is_torchscript(path):
        raise nameless(path)
    try:
        with torch.serialization.safe_globals(NUMPY_NUMBERS):
            content = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # the reader fails in many ways on files of another kind
        if wanted := re.search(r"GLOBAL ([\w.]+)", str(error)):
            raise CheckpointError(
                f"{path} was refused: it holds something other than tensors and plain data ({wanted[1]}); nothing of "
                "it was run."
            ) from error
        raise CheckpointError(f"{path} is not a readable checkpoint (truncated, or another kind of file).") from error
    if not isinstance(content, dict):
        raise CheckpointError(f"{path} holds a {type(content).__name__}; expected a checkpoint or a state dict.")
    return content


def record(content: Mapping[str, Any], path: str) -> dict[str, Any]:
    """The `zoo` entry of a checkpoint's content; CheckpointError when it has none or is too new for this version."""
    entry = content.get("zoo")
    if entry is None:
        raise nameless(path)
    damaged = CheckpointError(f"{path} is damaged: its description of the model is not what this program writes.")
    if not isinstance(entry, dict) or not isinstance(entry.get("format"), int) or is_boundless(entry):
        raise damaged
    if entry["format"] > FORMAT:
        raise CheckpointError(
            f"{path} has format {entry['format']}, this version reads up to {FORMAT}: upgrade ablation-zoo."
        )
    kinds = {"name": str, "seed": int, "trainer": dict, "plugins": dict, "card": dict}
    if (
        not set(entry) >= DESCRIBED
        or not all(is_spec(entry[key]) for key in ("model", "data") if key in entry)
        or not all(isinstance(entry[key], kind) for key, kind in kinds.items() if key in entry)
        or not isinstance(content.get("state_dict"), Mapping)
    ):
        raise damaged
    return entry


def nameless(path: str) -> CheckpointError:
    """The error about a file of weights alone, where it has to say whose they are."""
    return CheckpointError(
        f"{path} does not say which model it holds (weights of another origin?): name the model as well, with "
        f"`--model bgmv2_resnet50 --checkpoint {path}` for zoo matte and zoo head, `--model=bgmv2_resnet50 "
        f"--model.checkpoint={path}` for zoo fit and zoo test, or zoo.create_model('bgmv2_resnet50', "
        f"checkpoint='{Path(path).name}')."
    )


def is_boundless(entry: Any) -> bool:
    """Whether plain data is nested so deep, or so often within itself, that whoever walks through it would not end."""
    waiting, seen = [(entry, 0)], 0
    while waiting:
        value, depth = waiting.pop()
        seen += 1
        if depth > DEEPEST or seen > MOST:
            return True
        inside = value.values() if isinstance(value, Mapping) else value if isinstance(value, list | tuple) else ()
        waiting += [(item, depth + 1) for item in inside]
    return False


def describe(module: "TrainingModule", trainer: Trainer | None) -> dict[str, Any]:
    """The `zoo` entry for a module and the trainer it is attached to."""
    data = getattr(trainer, "datamodule", None)
    specs = {"model": without_downloads(module.spec)}
    if isinstance(data, Part):
        specs["data"] = data.spec
    wanted = (*EVALUATION_SETTINGS, *TRAINING_SETTINGS)
    settings = {name: getattr(trainer, name) for name in wanted} if trainer is not None else {}
    settings = {name: getattr(value, "value", value) for name, value in settings.items()}  # members of enumerations
    # 1.0 is all batches, the default; 1 is one batch.
    settings = {
        name: value
        for name, value in settings.items()
        if not (name.startswith("limit_") and isinstance(value, float) and value == 1.0)
    }
    return {
        "format": FORMAT,
        "name": str(getattr(getattr(trainer, "logger", None), "name", None) or "run"),
        **specs,
        "seed": run_seed(),
        "trainer": settings,
        "versions": versions(),
        "plugins": {name: origin(name) for name in sorted(set(class_names(list(specs.values()))))},
        **module.identity(),
    }


def rebuild(path: str) -> "TrainingModule":
    """The module that a checkpoint describes, with its weights, in training mode.

    Raises:
        CheckpointError: unreadable, of another origin, a plugin is missing (it says which distribution provided it), or
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


def build_described(entry: Mapping[str, Any], path: str) -> "TrainingModule":
    """The module that a record describes; CheckpointError where its parts do not take the arguments given there."""
    try:
        return build(entry["model"])
    except (TypeError, AttributeError, KeyError, IndexError) as error:
        raise CheckpointError(
            f"{path} describes a model that cannot be built here ({type(error).__name__}: {error}): it is damaged, or "
            f"made with another version of {', '.join(sorted(set(entry['plugins'].values()))) or 'its parts'}."
        ) from error


def check_sizes(entry: Mapping[str, Any], state: Mapping[str, Tensor], path: str) -> None:
    """CheckpointError when the weights do not fit the described module, before anything of its size is allocated: a
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


def run_name(name: str) -> str:
    """A run's name by a file, as one that stays inside the folder of runs: neither absolute nor with `..`."""
    parts = (part.strip() for part in re.split(r"[/\\:\x00-\x1f]", name))
    return "/".join(part for part in parts if part.strip(".")) or "run"


def check_plugins(entry: Mapping[str, Any], specs: list[Any], path: str) -> None:
    """CheckpointError for the first class named in the specs that no slot has: it says who provided it. Only what slots
    have is imported.
    """
    for name in class_names(specs):
        try:
            find_class(name)
        except PluginError as error:
            provider = entry["plugins"].get(name, "unknown origin")
            raise CheckpointError(f"{path} was made with '{name}' of {provider}: {error}") from error
    for text in texts_for_parts(specs, None):
        raise CheckpointError(
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
        raise CheckpointError(f"{path} holds no weights; its entries are {', '.join(map(str, list(content)[:8]))}.")
    return weights


def network_weights(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The network's share of a training module's state dict (keys under `network.`); another one as it is."""
    share = {key.removeprefix("network."): value for key, value in state.items() if key.startswith("network.")}
    return share or dict(state)


def load_all(module: nn.Module, state: Mapping[str, Tensor], path: str) -> None:
    """Load every weight; CheckpointError where they do not fit."""
    check_fit(module, state, path)
    module.load_state_dict(state)


def check_fit(module: nn.Module, state: Mapping[str, Tensor], path: str) -> None:
    """CheckpointError lists what is missing, unexpected or of another shape."""
    problems = list(mismatches(module, state))
    if problems:
        raise CheckpointError(mismatch_message(path, problems))


def load_parts(network: nn.Module, state: Mapping[str, Tensor], path: str) -> list[str]:
    """Load a network's weights, except for the children that have none at all in `state`; returns these children's
    names.

    Raises:
        CheckpointError: any other mismatch, or nothing fits.
    """
    fresh = [
        name
        for name, part in network.named_children()
        if part.state_dict() and not any(key.startswith(f"{name}.") for key in state)
    ]
    problems = [
        problem for problem in mismatches(network, state) if problem.split(".")[0].removeprefix("missing ") not in fresh
    ]
    if problems or len(fresh) == sum(1 for part in network.children() if part.state_dict()):
        raise CheckpointError(mismatch_message(path, problems or ["none of its weights belongs to this network"]))
    network.load_state_dict(state, strict=False)
    return fresh


def mismatches(module: nn.Module, state: Mapping[str, Tensor]) -> Iterator[str]:
    """What keeps a state dict from fitting a module, an entry a weight."""
    expected = module.state_dict()
    for key, value in expected.items():
        if key not in state:
            yield f"missing {key}"
        elif not isinstance(state[key], Tensor):
            yield f"{key} is a {type(state[key]).__name__}, expected a tensor"
        elif state[key].shape != value.shape:
            yield f"{key} has shape {tuple(state[key].shape)}, expected {tuple(value.shape)}"
    for key in state:
        if key not in expected:
            yield f"unexpected {key}"


def mismatch_message(path: str, problems: list[str]) -> str:
    """One sentence with the first few mismatches."""
    more = f" and {len(problems) - 4} more" if len(problems) > 4 else ""
    return (
        f"{path} does not fit this model: {'; '.join(problems[:4])}{more}. Choose the model and the parts that it "
        "was made with."
    )


def class_names(value: Any) -> Iterator[str]:
    """Every class_path in plain data."""
    if isinstance(value, Mapping):
        if isinstance(value.get("class_path"), str):
            yield value["class_path"]
        value = list(value.values())
    if isinstance(value, list):
        for item in value:
            yield from class_names(item)


def origin(name: str) -> str:
    """Who provides a plugin, for the record: `ablation-zoo 0.1.0`, or that it is not registered."""
    try:
        return find_plugin(name).origin
    except PluginError:
        return "a class that is not registered"


def versions() -> dict[str, str]:
    """Versions of the packages that results depend on."""
    found = {}
    for package in ("ablation-zoo", "torch", "lightning", "timm", "segmentation-models-pytorch", "torchmetrics"):
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            found[package] = "not installed"
    return found
