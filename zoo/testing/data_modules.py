"""Contract of data modules."""

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from torch import Tensor, nn

from zoo.testing.augmentations import tensors
from zoo.testing.networks import check_equal
from zoo.testing.parts import PartContract, run_seed

SEED = 1


class DataModuleContract(PartContract):
    """Contract tests of a data module: batches depend only on seed, epoch and sample, also after resuming.

    `make` returns one with at least two training batches per epoch, a validation set and a test set, all small.

    Example:
        >>> from zoo_plugins.datasets.synthetic import SyntheticMattes
        >>> from zoo.matting.data import EvaluationSet, MattingData
        >>> class TestMattingData(DataModuleContract):
        ...     def make(self): return MattingData(None, {}, EvaluationSet(SyntheticMattes(count=1, size=32)), {})
        >>> TestMattingData().test_arguments_are_explicit_and_typed()
    """

    slot = "data_modules"

    def asked(self) -> dict[str, Any]:
        """Return the attributes that it reads from the training module, such as a head model, by name."""
        return {}

    def record(self, phase: str, seed: int, resume: Path | None = None, save: Path | None = None) -> "BatchRecorder":
        """Return the batches of a run.

        Args:
            phase: method of the trainer: `fit` (two epochs), `validate` or `test`.
            seed: of the run.
            resume: checkpoint to resume from.
            save: checkpoint to write after the first batch.
        """
        recorder = BatchRecorder(self.asked(), save)
        options: dict[str, Any] = {} if resume is None else {"ckpt_path": str(resume), "weights_only": True}
        with run_seed(seed):
            getattr(quiet_trainer(2), phase)(recorder, datamodule=self.make(), **options)
        return recorder

    def test_batches_are_records_of_finite_tensors(self) -> None:
        recorder = self.record("fit", SEED)
        assert len(recorder.training_batches) >= 4, f"make {self.name()} with two training batches an epoch."
        for batch in (*recorder.training_batches, *recorder.evaluation_batches):
            assert hasattr(batch, "_asdict"), f"{self.name()} gives batches as a NamedTuple; got {type(batch)}."
            counts = {field: len(value) for field, value in tensors(batch).items()}
            assert len(set(counts.values())) == 1, (
                f"{self.name()}'s tensors are one sample after another; got {counts}."
            )
            for field, value in tensors(batch).items():
                assert value.isfinite().all(), f"{self.name()} gives finite numbers in {field}."

    def test_training_batches_follow_from_the_seed(self) -> None:
        first, second = (self.record("fit", SEED).training_batches for _ in range(2))
        self.check_same(first, second, "trains on the same batches under one seed")

    def test_a_run_that_was_cut_goes_on_with_the_next_batch(self) -> None:
        with TemporaryDirectory(prefix="zoo-data-") as folder:
            cut = Path(folder) / "cut.ckpt"
            whole = self.record("fit", SEED, save=cut).training_batches
            resumed = self.record("fit", SEED, resume=cut).training_batches
        self.check_same(whole[1:], resumed, "goes on with the next batch of an epoch that was cut")

    def test_evaluation_is_the_same_in_every_run(self) -> None:
        for phase in ("validate", "test"):
            first, second = (self.record(phase, seed).evaluation_batches for seed in (SEED, SEED + 1))
            assert first, f"make {self.name()} with a validation set and a test set."
            self.check_same(first, second, f"measures on the same batches whatever the seed, in {phase}")

    def check_same(self, expected: list[Any], got: list[Any], promise: str) -> None:
        """Raise AssertionError unless two lists of batches are equal."""
        assert len(expected) == len(got), f"{self.name()} {promise}; got {len(got)} batches, not {len(expected)}."
        for number, (one, other) in enumerate(zip(expected, got, strict=True)):
            for field, value in tensors(one).items():
                check_equal([value], [getattr(other, field)], f"{self.name()} {promise}: {field} of batch {number}")


class BatchRecorder(LightningModule):
    """Module that keeps every batch, and saves a checkpoint after the first one of training."""

    def __init__(self, attributes: dict[str, Any], checkpoint: Path | None) -> None:
        super().__init__()
        for name, value in attributes.items():
            setattr(self, name, value)
        self.weight = nn.Parameter(torch.zeros(1))
        self.checkpoint = checkpoint
        self.training_batches: list[Any] = []
        self.evaluation_batches: list[Any] = []

    def training_step(self, batch: Any, batch_idx: int) -> Tensor:
        self.training_batches.append(batch)
        return self.weight.sum()

    def on_train_batch_end(self, outputs: Any, batch: Any, batch_idx: int) -> None:
        if self.checkpoint is not None and len(self.training_batches) == 1:
            self.trainer.save_checkpoint(self.checkpoint)

    def validation_step(self, batch: Any, batch_idx: int, dataloader_idx: int = 0) -> None:
        self.evaluation_batches.append(batch)

    def test_step(self, batch: Any, batch_idx: int, dataloader_idx: int = 0) -> None:
        self.evaluation_batches.append(batch)

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD([self.weight], lr=0.1)


class QuietTrainer(Trainer):
    """Trainer without a folder for pictures and tables; Lightning would use the current one."""

    @property
    def log_dir(self) -> None:
        return None


def quiet_trainer(epochs: int, *callbacks: Callback) -> Trainer:
    """Return a trainer on the CPU that writes and prints nothing.

    Example:
        >>> quiet_trainer(2).max_epochs
        2
    """
    quiet: dict[str, Any] = dict.fromkeys(
        ("logger", "enable_checkpointing", "enable_progress_bar", "enable_model_summary"), False
    )
    return QuietTrainer(
        callbacks=list(callbacks), accelerator="cpu", max_epochs=epochs, num_sanity_val_steps=0, **quiet
    )
