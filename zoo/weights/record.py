"""The `zoo` entry of a checkpoint: what it says about the model, and the checks that a foreign one passes.

The entry is plain data: the specs of the module and of its data, the seed, versions, and the origin of each plugin.
"""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

from lightning.pytorch import Trainer

from zoo.core.errors import ZooError
from zoo.core.nested import class_names
from zoo.core.registry import find_plugin
from zoo.core.seeding import run_seed
from zoo.core.slots import PluginError
from zoo.core.spec import Part, Spec, is_spec, without_downloads
from zoo.measure.environment import versions

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

DEEPEST = 50
"""How many levels a description may be nested; those of the shipped models have 9."""

MOST = 100_000
"""How many values a description may have; those of the shipped models have about 100."""


def record(content: Mapping[str, Any], path: str) -> dict[str, Any]:
    """The `zoo` entry of a checkpoint's content; ZooError when it has none or is too new for this version."""
    entry = content.get("zoo")
    if entry is None:
        raise nameless(path)
    damaged = ZooError(f"{path} is damaged: its description of the model is not what this program writes.")
    if not isinstance(entry, dict) or not isinstance(entry.get("format"), int) or is_boundless(entry):
        raise damaged
    if entry["format"] > FORMAT:
        raise ZooError(f"{path} has format {entry['format']}, this version reads up to {FORMAT}: upgrade ablation-zoo.")
    kinds = {"name": str, "seed": int, "trainer": dict, "plugins": dict, "card": dict}
    if (
        not set(entry) >= DESCRIBED
        or not all(is_spec(entry[key]) for key in ("model", "data") if key in entry)
        or not all(isinstance(entry[key], kind) for key, kind in kinds.items() if key in entry)
        or not isinstance(content.get("state_dict"), Mapping)
    ):
        raise damaged
    return entry


def nameless(path: str) -> ZooError:
    """The error about a file of weights alone, where it has to say whose they are."""
    return ZooError(
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


class Describable(Protocol):
    """A module that a checkpoint can describe; every `TrainingModule` is one."""

    @property
    def spec(self) -> Spec:
        """Its registered name and arguments."""

    def identity(self) -> dict[str, Any]:
        """Further entries that say which model this is."""


def describe(module: Describable, trainer: Trainer | None) -> dict[str, Any]:
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


def run_name(name: str) -> str:
    """A run's name by a file, as one that stays inside the folder of runs: neither absolute nor with `..`."""
    parts = (part.strip() for part in re.split(r"[/\\:\x00-\x1f]", name))
    return "/".join(part for part in parts if part.strip(".")) or "run"


def origin(name: str) -> str:
    """Who provides a plugin, for the record: `ablation-zoo 0.1.0`, or that it is not registered."""
    try:
        return find_plugin(name).origin
    except PluginError:
        return "a class that is not registered"
