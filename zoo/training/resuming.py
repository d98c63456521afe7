"""Resuming under other settings: today's settings win over those that Lightning restores from a checkpoint."""

import inspect
from collections.abc import Mapping
from typing import Any

from lightning.pytorch.utilities import rank_zero_info

from zoo.core.errors import ZooError
from zoo.core.seeding import run_seed
from zoo.core.spec import Spec

OPTIMIZER_SETTINGS = ("optimizer", "learning_rates", "schedule", "frozen")


def apply_settings(checkpoint: dict[str, Any], entry: Mapping[str, Any], module: Any) -> None:
    """Put today's settings into a checkpoint before Lightning restores a training from it, in place.

    Args:
        checkpoint: its content.
        entry: its `zoo` entry.
        module: the training module, attached to its trainer.

    Raises:
        ZooError: the checkpoint was written inside an epoch whose samples are others today.
    """
    if "loops" not in checkpoint:  # a published file, from whose weights another training begins
        return
    check_position(checkpoint["loops"]["fit_loop"], entry, module.trainer)
    update_optimizer(checkpoint, entry, module)
    states = {callback.state_key: callback for callback in module.trainer.callbacks}
    checkpoint["callbacks"] = {key: state for key, state in checkpoint["callbacks"].items() if key in states}
    for key, state in checkpoint["callbacks"].items():
        # Lightning would restore arguments as well, such as the patience of EarlyStopping.
        arguments = inspect.signature(type(states[key])).parameters.keys() - {"dirpath"}
        state.update({name: value for name, value in states[key].state_dict().items() if name in arguments})


def check_position(loop: Mapping[str, Any], entry: Mapping[str, Any], trainer: Any) -> None:
    """Raise ZooError where the rest of an epoch would have other samples: batches, order or data have changed."""
    epoch, batches = loop["epoch_progress"]["current"], loop["epoch_loop.batch_progress"]
    if epoch["ready"] <= epoch["processed"] or batches["is_last_batch"] or "data" not in entry:
        return
    before, now = (spec["init_args"] for spec in (entry["data"], trainer.datamodule.spec))
    changed = [f"data.{name}" for name in ("batch_size", "train", "order") if before.get(name) != now.get(name)]
    changed += ["seed_everything"] if entry["seed"] != run_seed() else []
    if changed:
        raise ZooError(
            f"the checkpoint was written inside an epoch, after batch {batches['current']['processed']}, and "
            f"{' and '.join(changed)} would change which samples are left of it: resume without this change, or from a "
            "checkpoint that was written at the end of an epoch."
        )


def update_optimizer(checkpoint: dict[str, Any], entry: Mapping[str, Any], module: Any) -> None:
    """Put today's optimizer, learning rates and schedule into a checkpoint where they differ from the recorded ones.

    Learning rates that `schedule: plateau` has reduced stay unless they, the schedule or the optimizer have changed.
    """
    before, now = entry["model"]["init_args"], module.spec["init_args"]
    changed = [name for name in OPTIMIZER_SETTINGS if (before.get(name) or None) != (now.get(name) or None)]
    if not changed:
        return
    rank_zero_info(f"Resuming with other settings than before: {', '.join(f'model.{name}' for name in changed)}.")
    if "learning_rates" in changed and module.schedule == "cosine":
        rank_zero_info(
            "The schedule is cosine: the learning rates continue on the curve, below those given. "
            "--model.schedule=constant takes them as they are."
        )
    if "frozen" in changed or not shares_state(before.get("optimizer"), now.get("optimizer")):
        rank_zero_info("The state of the optimizer, such as its averages of gradients, starts fresh.")
        checkpoint["optimizer_states"], checkpoint["lr_schedulers"] = [], []
        return
    optimizer: Any = module.configure_optimizers()
    optimizer = optimizer["optimizer"] if isinstance(optimizer, dict) else optimizer
    groups = {group["name"]: group for group in optimizer.state_dict()["param_groups"]}
    for group in checkpoint["optimizer_states"][0]["param_groups"]:
        name = group["name"]
        same = changed == ["learning_rates"] and before["learning_rates"].get(name) == now["learning_rates"].get(name)
        kept = {"params", "lr"} if same else {"params"}
        group.update({key: value for key, value in groups.get(name, {}).items() if key not in kept})


def shares_state(before: Spec | None, now: Spec | None) -> bool:
    """Return whether an optimizer can continue from the state of another: same class, no argument switched on or off.

    Example:
        >>> shares_state({"class_path": "SGD"}, {"class_path": "SGD", "init_args": {"momentum": 0.9}})
        False
    """
    first, second = (spec or {"class_path": "Adam"} for spec in (before, now))
    one, other = first.get("init_args", {}), second.get("init_args", {})
    return first["class_path"] == second["class_path"] and all(
        bool(one.get(name)) == bool(other.get(name)) for name in one.keys() | other.keys()
    )
