"""The contract of data modules."""

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
    """What a data module promises: batches that follow from seed, epoch and sample, and go on wherever a run was cut.

    Make one with at least two training batches an epoch, a validation set and a test set, all small.
    """

    slot = "data_modules"

    def asked(self) -> dict[str, Any]:
        """What it asks of the training module, by name; a head model, for example."""
        return {}

    def watched(self, what: str, seed: int, checkpoint: Path | None = None, cut: Path | None = None) -> "Watcher":
        """What a module got in `fit` (two epochs), `validate` or `test`.

        Args:
            what: the trainer's method.
            seed: of the run.
            checkpoint: to go on from.
            cut: where a checkpoint is written after the first batch.
        """
        watcher = Watcher(self.asked(), cut)
        given: dict[str, Any] = {} if checkpoint is None else {"ckpt_path": str(checkpoint), "weights_only": True}
        with run_seed(seed):
            getattr(quiet_trainer(2), what)(watcher, datamodule=self.make(), **given)
        return watcher

    def test_batches_are_records_of_finite_tensors(self) -> None:
        watcher = self.watched("fit", SEED)
        assert len(watcher.trained) >= 4, f"make {self.name()} with two training batches an epoch for this contract."
        for batch in (*watcher.trained, *watcher.evaluated):
            assert hasattr(batch, "_asdict"), f"{self.name()} gives batches as a NamedTuple; got {type(batch)}."
            counts = {field: len(value) for field, value in tensors(batch).items()}
            assert len(set(counts.values())) == 1, (
                f"{self.name()}'s tensors are one sample after another; got {counts}."
            )
            for field, value in tensors(batch).items():
                assert value.isfinite().all(), f"{self.name()} gives finite numbers in {field}."

    def test_training_batches_follow_from_the_seed(self) -> None:
        first, second = (self.watched("fit", SEED).trained for _ in range(2))
        self.check_same(first, second, "trains on the same batches under one seed")

    def test_a_run_that_was_cut_goes_on_with_the_next_batch(self) -> None:
        with TemporaryDirectory(prefix="zoo-data-") as folder:
            cut = Path(folder) / "cut.ckpt"
            whole = self.watched("fit", SEED, cut=cut).trained
            resumed = self.watched("fit", SEED, checkpoint=cut).trained
        self.check_same(whole[1:], resumed, "goes on with the next batch of an epoch that was cut")

    def test_evaluation_is_the_same_in_every_run(self) -> None:
        for what in ("validate", "test"):
            first, second = (self.watched(what, seed).evaluated for seed in (SEED, SEED + 1))
            assert first, f"make {self.name()} with a validation set and a test set for this contract."
            self.check_same(first, second, f"measures on the same batches whatever the seed, in {what}")

    def check_same(self, expected: list[Any], got: list[Any], promise: str) -> None:
        """AssertionError unless two lists of batches are equal."""
        assert len(expected) == len(got), f"{self.name()} {promise}; got {len(got)} batches, not {len(expected)}."
        for number, (one, other) in enumerate(zip(expected, got, strict=True)):
            for field, value in tensors(one).items():
                check_equal([value], [getattr(other, field)], f"{self.name()} {promise}: {field} of batch {number}")


class Watcher(LightningModule):
    """Keeps every batch that it gets."""

    def __init__(self, asked: dict[str, Any], cut: Path | None) -> None:
        super().__init__()
        for name, value in asked.items():
            setattr(self, name, value)
        self.weight = nn.Parameter(torch.zeros(1))
        self.cut = cut
        self.trained: list[Any] = []
        self.evaluated: list[Any] = []

    def training_step(self, batch: Any, batch_idx: int) -> Tensor:
        self.trained.append(batch)
        return self.weight.sum()

    def on_train_batch_end(self, outputs: Any, batch: Any, batch_idx: int) -> None:
        if self.cut is not None and len(self.trained) == 1:
            self.trainer.save_checkpoint(self.cut)

    def validation_step(self, batch: Any, batch_idx: int, dataloader_idx: int = 0) -> None:
        self.evaluated.append(batch)

    def test_step(self, batch: Any, batch_idx: int, dataloader_idx: int = 0) -> None:
        self.evaluated.append(batch)

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD([self.weight], lr=0.1)


class QuietTrainer(Trainer):
    """A trainer without a folder, where modules would write their pictures and tables; Lightning takes the one in which
    it was started.
    """

    @property
    def log_dir(self) -> None:
        return None


def quiet_trainer(epochs: int, *callbacks: Callback) -> Trainer:
    """A trainer on the CPU that writes and prints nothing."""
    return QuietTrainer(
        callbacks=list(callbacks),
        accelerator="cpu",
        max_epochs=epochs,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        num_sanity_val_steps=0,
    )
