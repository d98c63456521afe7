"""Progress bar of `zoo fit`, `validate`, `test` and `predict`."""

import math
from typing import Any

from lightning.pytorch import Trainer
from lightning.pytorch.callbacks import ProgressBar
from rich.progress import Progress, TaskID, TextColumn

from zoo.media.progress import RenderedColumn, progress_bar

PREPARING = "Preparing the run"


class RunProgress(ProgressBar):
    """Bars of epochs and evaluations. They also move while data are rendered, and that of each epoch stays."""

    def __init__(self) -> None:
        super().__init__()
        self.enabled = True
        self.bar: Progress | None = None
        self.epoch = self.evaluation = TaskID(0)

    def disable(self) -> None:
        self.enabled = False

    def enable(self) -> None:
        self.enabled = True

    def prepare(self) -> None:
        """Show that the data are set up, until the first bar begins."""
        self.begin(PREPARING, math.inf)

    def begin(self, description: str, batches: float) -> TaskID:
        """Show a bar, below another one that has not ended."""
        if self.bar is None:
            metrics = TextColumn("{task.fields[metrics]}")
            self.bar = progress_bar(metrics, RenderedColumn(), disable=not self.enabled)
            self.bar.start()
        for task in self.bar.tasks:
            if task.description == PREPARING:
                self.bar.remove_task(task.id)
        return self.bar.add_task(description, total=batches if math.isfinite(batches) else None, metrics="")

    def end(self) -> None:
        """Leave the bars as they are."""
        if self.bar is not None:
            self.bar.stop()
            self.bar = None

    def on_train_epoch_start(self, trainer: Trainer, *_: Any) -> None:
        limit = trainer.max_epochs or 0
        of = f" of {limit}" if limit > 0 else ""
        self.epoch = self.begin(f"Epoch {trainer.current_epoch + 1}{of}", self.total_train_batches)

    def on_train_batch_end(self, trainer: Trainer, module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
        if self.bar is not None:
            values = {name: value for name, value in self.get_metrics(trainer, module).items() if name != "v_num"}
            text = " ".join(f"{name} {value:.3g}" for name, value in values.items() if isinstance(value, float | int))
            self.bar.update(self.epoch, completed=batch_idx + 1, metrics=text)

    def on_train_epoch_end(self, *_: Any) -> None:
        self.end()

    def on_validation_start(self, trainer: Trainer, *_: Any) -> None:
        batches = trainer.num_sanity_val_batches if trainer.sanity_checking else trainer.num_val_batches
        self.evaluation = self.begin("Validation", sum(batches))

    def on_test_start(self, trainer: Trainer, *_: Any) -> None:
        self.evaluation = self.begin("Test", sum(trainer.num_test_batches))

    def on_predict_start(self, trainer: Trainer, *_: Any) -> None:
        self.evaluation = self.begin("Prediction", sum(trainer.num_predict_batches))

    def on_validation_batch_end(self, *_: Any, **__: Any) -> None:
        if self.bar is not None:
            self.bar.advance(self.evaluation)

    on_test_batch_end = on_predict_batch_end = on_validation_batch_end

    def on_validation_end(self, trainer: Trainer, *_: Any) -> None:
        if self.bar is not None and trainer.state.fn == "fit":
            self.bar.remove_task(self.evaluation)
            if not self.bar.tasks:  # before training, or after its last batch
                self.end()
        else:
            self.end()

    def on_test_end(self, *_: Any, **__: Any) -> None:
        self.end()

    on_predict_end = teardown = on_exception = on_test_end
