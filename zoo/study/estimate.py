"""How long each training of a study will take, from a few of its own steps."""

import math
import time
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any

from lightning.pytorch import Callback, LightningModule, Trainer

from zoo.core.plain_yaml import to_yaml
from zoo.study.execute import command
from zoo.study.job import CONFIG
from zoo.study.plan import Plan, about, settings_hash

STEPS = 4
"""Steps that are run; the first, which warms up, does not count."""


class StepTimer(Callback):
    """Times a few steps of an epoch, leaves out the others, and writes what the whole training would take, in seconds.

    Args:
        file: where that is written.
        epochs: of the whole training.
    """

    def __init__(self, file: str, epochs: int) -> None:
        self.file = Path(file)
        self.epochs = epochs
        self.times: list[float] = []

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        self.times.append(time.perf_counter())
        trainer.should_stop = len(self.times) == STEPS

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        steps = [later - earlier for earlier, later in zip(self.times, self.times[1:], strict=False)]
        total = median(steps) * trainer.num_training_batches * self.epochs if steps else math.nan
        self.file.write_text(str(total))


def training_seconds(plan: Plan) -> dict[str, float]:
    """An estimate for each training, by its settings' hash; NaN where an epoch is too short to tell.

    Validation and reading data that the first steps did not need are not counted.

    Raises:
        ZooError: a training does not begin.
    """
    found: dict[str, float] = {}
    for run in plan.runs():
        key = settings_hash(run.settings)
        if run.trains and key not in found:
            found[key] = seconds(run.planned.row.name, run.settings)
    return found


def seconds(name: str, settings: dict[str, Any]) -> float:
    """The estimate for one row's settings."""
    with TemporaryDirectory(prefix="zoo-study-") as temporary, about(f"row '{name}'"):
        folder = Path(temporary)
        timer = {
            "class_path": "zoo.study.estimate.StepTimer",
            "init_args": {"file": str(folder / "seconds"), "epochs": settings["trainer"]["max_epochs"] or 1},
        }
        trainer = settings["trainer"] | {
            "max_epochs": 1,
            "limit_val_batches": 0,
            "num_sanity_val_steps": 0,
            "enable_checkpointing": False,
            "logger": None,
            "callbacks": [timer],
        }
        (folder / CONFIG).write_text(to_yaml(settings | {"trainer": trainer}))
        command("fit", ["--config", str(folder / CONFIG), "--runs", str(folder)], folder)
        return float((folder / "seconds").read_text())
