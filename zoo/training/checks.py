"""Checks of a training module's arguments: loss terms against records, learning rates against parts."""

from collections.abc import Collection, Mapping
from typing import Any

from torch import nn

from zoo.core.errors import ZooError
from zoo.core.parts import LossTerm
from zoo.core.slot import nearest
from zoo.core.spec import place_of


def check_losses(losses: Mapping[str, LossTerm], output: type, batch: type) -> None:
    """Raise ZooError for a loss term that reads a field that does not exist, or if all terms have weight 0.

    Without any term a module serves inference; see `TrainingModule.check_trainable`.
    """
    produced, targets = set(output._fields), set(batch._fields)  # type: ignore[attr-defined]
    for name, term in losses.items():
        if not name.isidentifier() or hasattr(nn.Module, name):
            raise ZooError(
                f"the loss term '{name}' needs another name: expected one word that torch.nn.Module has no use for "
                "itself."
            )
        for attribute in ("reads", "targets"):
            if not isinstance(getattr(term, attribute, None), frozenset | set):
                raise ZooError(
                    f"{place_of(type(term))} has no {attribute}; its slot promises a set of fields, such as "
                    f'{attribute} = frozenset({{"alpha"}}).'
                )
        for reads, fields, record in ((term.reads, produced, "output"), (term.targets, targets, "batch")):
            if missing := sorted(reads - fields):
                raise ZooError(
                    f"the loss term '{name}' ({type(term).__name__}) reads {', '.join(missing)}, which the {record} "
                    f"does not have; it has {', '.join(sorted(fields))}."
                )
    if losses and not any(term.weight != 0 for term in losses.values()):
        raise ZooError("losses: expected at least one loss term with a weight other than 0.")


def check_schedule(module: Any, data: Any, trainer: Any) -> None:
    """Raise ZooError for a schedule that needs a validation where there is none."""
    if module.schedule == "plateau" and not validates(data, trainer):
        raise ZooError(
            f"schedule=plateau lowers the learning rates by {module.monitor}, and there is no validation: give "
            "--data.validation, or --model.schedule=constant or cosine."
        )


def check_monitors(module: Any, data: Any, trainer: Any) -> None:
    """Raise ZooError for a callback that monitors a metric that nothing logs.

    Nothing is checked where a callback of another origin than Lightning may log metrics, or where the module does not
    list its own.
    """
    origins = {type(callback).__module__.partition(".")[0] for callback in trainer.callbacks}
    try:
        metrics = module.metric_names(data) if origins <= {"lightning", "zoo"} else None
    except NotImplementedError:
        metrics = None
    if metrics is None:
        return
    known = [name for name in metrics if name.startswith("validation/")] if validates(data, trainer) else []
    known += ["validation/loss"] if known else []
    known += ["train/loss", *(f"train/{name}" for name in module.losses)]
    for callback in (each for each in trainer.callbacks if not type(each).__module__.startswith("zoo.")):
        monitor = getattr(callback, "monitor", None)
        if isinstance(monitor, str) and monitor not in {*known, "train/waiting_for_data", "epoch", "step"}:
            raise ZooError(f"{type(callback).__name__} monitors '{monitor}'{nearest(monitor, sorted(known))}")


def validates(data: Any, trainer: Any) -> bool:
    """Return whether training is to be interrupted by validations."""
    return getattr(data, "validation", None) is not None and trainer.limit_val_batches != 0


def check_learning_rates(learning_rates: Mapping[str, float], network: nn.Module, frozen: Collection[str]) -> None:
    """Raise ZooError for a child with parameters that has no learning rate and is not frozen, for a name without a
    child, and where nothing is left to train.
    """
    children = dict(network.named_children())
    for argument, names in (("learning_rates", learning_rates), ("frozen", frozen)):
        for name in names:
            if name not in children:
                raise ZooError(
                    f"{argument} names '{name}', which is no part of the network{nearest(name, list(children))}"
                )
    trained = [name for name, part in children.items() if any(True for _ in part.parameters()) and name not in frozen]
    if not trained:
        raise ZooError(f"frozen names every part ({', '.join(sorted(frozen))}): expected at least one that is trained.")
    for name in trained:
        if name not in learning_rates:
            raise ZooError(f"learning_rates has none for '{name}': add learning_rates.{name}, for example 1e-4.")
