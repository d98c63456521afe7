"""Base class of all data modules: specs in checkpoints, resuming inside an epoch, augmentation in workers."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from lightning.pytorch import LightningDataModule, Trainer
from torch.utils.data import DataLoader, Dataset, get_worker_info

from zoo.core.errors import explain
from zoo.core.promises import explain_with_part, raising_part
from zoo.core.seeding import run_seed
from zoo.core.spec import Part
from zoo.training.sampling import EvaluationSampler, ResumableLoader, TrainingSampler


class DataModule(Part, LightningDataModule):
    """LightningDataModule with a spec, so that `zoo test --ckpt_path` needs no other configuration."""

    trainer: Trainer  # set before any hook is called; Lightning declares it optional
    workers: int
    """Number of processes that read and decode; 0 reads in the main process."""

    @property
    def workers_augment(self) -> bool:
        """Whether workers augment their batches: only when training runs on the CPU, where no device is faster."""
        return self.workers > 0 and self.trainer.strategy.root_device.type == "cpu"

    def augmenter(self, epoch: int) -> Callable[[Any], Any]:
        """Return the function, picklable for workers, that augments a training batch; by default none."""
        return unchanged

    def training_loader(
        self, samples: Dataset, batch_size: int, collate: Callable[[Any], Any], epoch: int, done: int
    ) -> ResumableLoader:
        """Return the loader of an epoch's batches in random order, without the first `done` ones.

        Args:
            samples: dataset with `SampleKey` as keys.

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
            Named(samples),
            batch_size=batch_size,
            sampler=sampler,
            drop_last=True,
            collate_fn=collate,
            **self._reading(),
        )

    def evaluation_loader(self, samples: Dataset, batch_size: int, collate: Callable[[Any], Any]) -> DataLoader:
        """Return the loader of every sample once over all processes, in order."""
        sampler = EvaluationSampler(samples, self.trainer.global_rank, self.trainer.world_size)
        return DataLoader(Named(samples), batch_size=batch_size, sampler=sampler, collate_fn=collate, **self._reading())

    def place(self, batches: Callable[[int], int]) -> tuple[int, int]:
        """Return the epoch to train and its number of finished batches, above 0 when resuming inside an epoch.

        Args:
            batches: a function from an epoch to its number of batches.
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
        # the next epoch, which may belong to another stage. So mark the epoch as finished, as later checkpoints do.
        loop.epoch_progress.increment_processed()
        loop.restarting = False
        return epoch + 1, 0

    def _reading(self) -> dict[str, Any]:
        accelerated = self.trainer.strategy.root_device.type == "cuda"
        return {"num_workers": self.workers, "pin_memory": accelerated, "persistent_workers": self.workers > 0}


def samples_of(record: Any, chosen: slice) -> Any:
    """Return these samples of a batch, or of a network's output for it: a record of the same type.

    Example:
        >>> from zoo.matting.parts import MattingBatch
        >>> samples_of(MattingBatch("abc", "def", "ghi", "jkl"), slice(1, 2)).alpha
        'h'
    """
    return type(record)._make(None if value is None else value[chosen] for value in record)


def unchanged(batch: Any) -> Any:
    """Return the batch itself."""
    return batch


@contextmanager
def naming_parts() -> Iterator[None]:
    """In a worker, note in an error in which part it was raised: its text leaves the worker, the part does not."""
    try:
        yield
    except Exception as error:
        if get_worker_info() is not None and explain_with_part(error) != explain(error):
            error.add_note(f"It was raised in {raising_part(error)}.")
        raise


class Named(Dataset):
    """Samples whose errors name their part, see `naming_parts`."""

    def __init__(self, samples: Dataset) -> None:
        self.samples = samples

    def __len__(self) -> int:
        return len(self.samples)  # type: ignore[arg-type]

    def __getitem__(self, key: Any) -> Any:
        with naming_parts():
            return self.samples[key]


class Chain:
    """Composition of two functions, picklable for workers; errors name their part, see `naming_parts`."""

    def __init__(self, first: Callable[[Any], Any], second: Callable[[Any], Any]) -> None:
        self.first, self.second = first, second

    def __call__(self, value: Any) -> Any:
        with naming_parts():
            return self.second(self.first(value))
