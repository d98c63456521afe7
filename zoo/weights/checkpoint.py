"""The `zoo` entry of a checkpoint: what it holds (`describe`), and the check of one from elsewhere (`record`).

The entry is plain data: the run's name, the specs of the module and of its data, the seed, the trainer's settings that
change results, versions, the origin of each plugin, and the module's `identity`. `TrainingModule` adds it on saving.
The rest of the file (weights, optimizer, loops) is Lightning's.
"""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

from lightning.pytorch import Trainer
from lightning.pytorch.utilities import rank_zero_warn

from zoo.core.errors import ZooError
from zoo.core.nested import class_names
from zoo.core.plugin_files import SESSION
from zoo.core.registry import find_plugin
from zoo.core.seeding import run_seed
from zoo.core.slot import PluginError
from zoo.core.spec import Part, Spec, is_spec, without_downloads
from zoo.measure.environment import versions

FORMAT = 1
"""Version of the `zoo` entry, increased when older readers could not understand it."""

NOT_REGISTERED = "a class that is not registered"
"""Origin of a part that no slot has."""

REQUIRED_KEYS = {"name", "model", "seed", "trainer", "plugins"}
"""Keys that every `zoo` entry has in addition to `format`."""

EVALUATION_SETTINGS = ("precision", "limit_val_batches", "limit_test_batches")
"""Trainer settings that change the result of an evaluation; a checkpoint holds them so that it can be repeated."""

TRAINING_SETTINGS = (
    "max_epochs", "max_steps", "accumulate_grad_batches", "gradient_clip_val", "gradient_clip_algorithm",
    "overfit_batches", "limit_train_batches", "check_val_every_n_epoch",
)  # fmt: skip
"""Trainer settings that change the result of training; a checkpoint holds them so that training can be resumed."""

MAX_DEPTH = 50
"""Levels that an entry may be nested; those of the shipped models have 9."""

MAX_VALUES = 100_000
"""Values that an entry may have; those of the shipped models have about 100."""


def record(content: Mapping[str, Any], path: str) -> dict[str, Any]:
    """Return the `zoo` entry of a checkpoint's content.

    Raises:
        ZooError: there is no entry, it is damaged, or it is too new for this version.
    """
    entry = content.get("zoo")
    if entry is None:
        raise unknown_model_error(path)
    damaged = ZooError(f"{path} is damaged: its description of the model is not what this program writes.")
    if not isinstance(entry, dict) or not isinstance(entry.get("format"), int) or is_too_large(entry):
        raise damaged
    if entry["format"] > FORMAT:
        raise ZooError(f"{path} has format {entry['format']}, this version reads up to {FORMAT}: upgrade ablation-zoo.")
    kinds = {"name": str, "seed": int, "trainer": dict, "plugins": dict, "card": dict}
    if (
        not set(entry) >= REQUIRED_KEYS
        or not all(is_spec(entry[key]) for key in ("model", "data") if key in entry)
        or not all(isinstance(entry[key], kind) for key, kind in kinds.items() if key in entry)
        or not isinstance(content.get("state_dict"), Mapping)
    ):
        raise damaged
    entry = entry | {"model": without_downloads(entry["model"])}  # a file must not ask for a download
    return entry | ({"data": without_caches(entry["data"])} if "data" in entry else {})


def without_caches(value: Any) -> Any:
    """Return a spec of data whose parts cache where they do by default: a file must not choose where this one writes.

    Example:
        >>> without_caches({"class_path": "SyntheticMattes", "init_args": {"count": 5, "cache": "/any/folder"}})
        {'class_path': 'SyntheticMattes', 'init_args': {'count': 5, 'cache': None}}
    """
    if isinstance(value, list):
        return [without_caches(item) for item in value]
    if not isinstance(value, dict):
        return value
    value = {key: without_caches(item) for key, item in value.items()}
    return value | {"cache": None} if isinstance(value.get("cache"), str) else value


def unknown_model_error(path: str) -> ZooError:
    """Return the error about a file of weights that does not describe its model."""
    return ZooError(
        f"{path} does not say which model it holds (weights of another origin?): name the model as well, with "
        f"`--model bgmv2_resnet50 --checkpoint {path}` for zoo matte and zoo head, `--model=bgmv2_resnet50 "
        f"--model.checkpoint={path}` for zoo fit and zoo test, or zoo.create_model('bgmv2_resnet50', "
        f"checkpoint='{Path(path).name}')."
    )


def is_too_large(entry: Any) -> bool:
    """Return whether plain data is nested too deeply, or has too many values, for recursive functions.

    Unlike them, this one neither recurses nor follows data that contains itself without end.
    """
    queue, count = [(entry, 0)], 0
    while queue:
        value, depth = queue.pop()
        count += 1
        if depth > MAX_DEPTH or count > MAX_VALUES:
            return True
        items = value.values() if isinstance(value, Mapping) else value if isinstance(value, list | tuple) else ()
        queue += [(item, depth + 1) for item in items]
    return False


class Describable(Protocol):
    """A module that a checkpoint can describe; every `TrainingModule` is one."""

    @property
    def spec(self) -> Spec:
        """Registered name and arguments."""

    def identity(self) -> dict[str, Any]:
        """Return further entries that identify the model."""


def describe(module: Describable, trainer: Trainer | None) -> dict[str, Any]:
    """Return the `zoo` entry for a module and the trainer it is attached to."""
    data = getattr(trainer, "datamodule", None)
    specs = {"model": without_downloads(module.spec)}
    if isinstance(data, Part):
        specs["data"] = data.spec
    settings = {}
    for name in (*EVALUATION_SETTINGS, *TRAINING_SETTINGS) if trainer is not None else ():
        value = getattr(trainer, name)
        value = getattr(value, "value", value)  # of a member of an enumeration
        # The limit 1.0 is the default, all batches; the limit 1 is one batch.
        if not (name.startswith("limit_") and isinstance(value, float) and value == 1.0):
            settings[name] = value
    plugins = {name: origin(name) for name in sorted(set(class_names(list(specs.values()))))}
    if needed := [name for name, place in plugins.items() if place in (SESSION, NOT_REGISTERED)]:
        rank_zero_warn(
            f"the checkpoint needs {', '.join(needed)}, of this Python session alone: to load it elsewhere, give a "
            "file with the class (--plugin FILE, zoo.load_plugin(FILE)), or call zoo.register with it there first."
        )
    return {
        "format": FORMAT,
        "name": str(getattr(getattr(trainer, "logger", None), "name", None) or "run"),
        **specs,
        "seed": run_seed(),
        "trainer": settings,
        "versions": versions(),
        "plugins": plugins,
        **module.identity(),
    }


def run_name(name: str) -> str:
    """Return a run's name from a file so that it stays inside the folder of runs: neither absolute nor with `..`."""
    parts = (part.strip() for part in re.split(r"[/\\:\x00-\x1f]", name))
    return "/".join(part for part in parts if part.strip(".")) or "run"


def origin(name: str) -> str:
    """Return the distribution and version of a plugin, such as `ablation-zoo 0.1.0`, or that it is not registered."""
    try:
        return find_plugin(name).origin
    except PluginError:
        return NOT_REGISTERED
