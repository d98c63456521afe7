"""What the data modules of all tasks share: a checkpoint can describe them, a cut epoch goes on where it was, and
workers augment where there is no accelerator.
"""

from collections.abc import Callable
from typing import Any

from lightning.pytorch import LightningDataModule, Trainer
from torch.utils.data import DataLoader, Dataset

from zoo.core.seeding import run_seed
from zoo.core.spec import Part
from zoo.training.sampling import EvaluationSampler, ResumableLoader, TrainingSampler


class DataModule(Part, LightningDataModule):
    """A data module that a checkpoint can describe, so that `zoo test --ckpt_path` needs nothing else."""

    trainer: Trainer  # set before any hook is called; Lightning declares it optional
    workers: int
    """Processes that read and decode; 0 reads in the main process."""

    @property
    def workers_augment(self) -> bool:
        """Whether workers augment what they read, not the main process: where training itself is computed on the CPU,
        there is no faster device, and the main process has more to do than they.
        """
        return self.workers > 0 and self.trainer.strategy.root_device.type == "cpu"

    def augmenter(self, epoch: int) -> Callable[[Any], Any]:
        """What makes a batch that is trained on of one that was read; it can be sent to workers. Here, nothing is
        changed.
        """
        return unchanged

    def training_loader(
        self, samples: Dataset, batch_size: int, collate: Callable[[Any], Any], epoch: int, done: int
    ) -> ResumableLoader:
        """Batches of an epoch's samples in their random order, without the `done` ones; samples are asked for by
        `SampleKey`.

        Raises:
            ValueError: fewer samples than one batch for each process.
        """
        count, processes = len(samples), self.trainer.world_size  # type: ignore[arg-type]
        if count // processes < batch_size:
            raise ValueError(
                f"the training set has {count} samples for {processes} process(es), fewer than one batch of "
                f"{batch_size} each: lower --data.batch_size or give more data."
            )
        sampler = TrainingSampler(
            samples, run_seed(), self.trainer.global_rank, processes, epoch, skip=done * batch_size
        )
        if self.workers_augment:
            collate = Chain(collate, self.augmenter(epoch))
        return ResumableLoader(
            samples, batch_size=batch_size, sampler=sampler, drop_last=True, collate_fn=collate, **self._reading()
        )

    def evaluation_loader(self, samples: Dataset, batch_size: int, collate: Callable[[Any], Any]) -> DataLoader:
        """Every sample once over all processes, in order."""
        sampler = EvaluationSampler(samples, self.trainer.global_rank, self.trainer.world_size)
        return DataLoader(samples, batch_size=batch_size, sampler=sampler, collate_fn=collate, **self._reading())

    def place(self, batches: Callable[[int], int]) -> tuple[int, int]:
        """The epoch to train, and how many of its batches are done: more than 0 when resuming inside an epoch.

        Args:
            batches: how many batches an epoch has, by its number.
        """
        epoch, loop = self.trainer.current_epoch, self.trainer.fit_loop
        epochs: Any = loop.epoch_progress.current
        batches_seen: Any = loop.epoch_loop.batch_progress.current
        if not loop.restarting or epochs.ready <= epochs.processed:  # no epoch was left unfinished
            return epoch, 0
        done = batches_seen.processed
        if done < batches(epoch):
            return epoch, done
        # The checkpoint was written after the epoch's last batch. Lightning would compare its count with the length of
        # the next epoch, which may belong to another stage: say that the epoch is over, as a checkpoint from its end
        # says.
        loop.epoch_progress.increment_processed()
        loop.restarting = False
        return epoch + 1, 0

    def _reading(self) -> dict[str, Any]:
        accelerated = self.trainer.strategy.root_device.type == "cuda"
        return {"num_workers": self.workers, "pin_memory": accelerated, "persistent_workers": self.workers > 0}


def unchanged(batch: Any) -> Any:
    """The batch itself."""
    return batch


class Chain:
    """One function after the other, as one that can be sent to a worker."""

    def __init__(self, first: Callable[[Any], Any], second: Callable[[Any], Any]) -> None:
        self.first, self.second = first, second

    def __call__(self, value: Any) -> Any:
        return self.second(self.first(value))
