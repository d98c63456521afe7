"""Order of samples from (seed, epoch) alone: equal in all processes, and resumable inside an epoch."""

import time
from collections.abc import Iterator
from typing import Any, NamedTuple

import torch
from torch.utils.data import DataLoader, Dataset, DistributedSampler

from zoo.core.seeding import derive_seed


class SampleKey(NamedTuple):
    """Epoch and index of a sample, the key of a training dataset."""

    epoch: int
    sample: int


class TrainingSampler(DistributedSampler):
    """Sampler that shuffles all samples by (seed, epoch) and deals them out to the processes.

    It derives from DistributedSampler so that Lightning leaves it in place and calls `set_epoch`.

    Args:
        dataset: only its length is used; samples that do not fill a round of all processes are left out.
        seed: seed of the order.
        rank, world_size: index of this process and number of processes.
        epoch: the first epoch.
        skip: number of samples of this process that were already used in this epoch.

    Example:
        >>> [key.sample for key in TrainingSampler(range(6), seed=0, rank=0, world_size=1)]
        [0, 2, 5, 3, 1, 4]
        >>> [key.sample for key in TrainingSampler(range(6), seed=0, rank=0, world_size=1, skip=4)]
        [1, 4]
    """

    def __init__(self, dataset: Dataset, seed: int, rank: int, world_size: int, epoch: int = 0, skip: int = 0) -> None:
        super().__init__(dataset, num_replicas=world_size, rank=rank, shuffle=True, drop_last=True)
        self.order_seed = seed
        self.epoch = epoch
        self.skip = skip

    def __iter__(self) -> Iterator[SampleKey]:
        generator = torch.Generator().manual_seed(derive_seed(self.order_seed, "order", self.epoch))
        order = torch.randperm(len(self.dataset), generator=generator).tolist()  # type: ignore[arg-type]
        mine = order[self.rank : self.total_size : self.num_replicas]
        return (SampleKey(self.epoch, sample) for sample in mine[self.skip :])

    def set_epoch(self, epoch: int) -> None:
        """Start another epoch at its first sample."""
        if epoch != self.epoch:
            self.epoch, self.skip = epoch, 0


class EvaluationSampler(DistributedSampler):
    """Sampler of every sample once over all processes, in order, without repeated samples that would bias the mean.

    Example:
        >>> [list(EvaluationSampler(range(5), rank, world_size=2)) for rank in range(2)]
        [[0, 2, 4], [1, 3]]
    """

    def __init__(self, dataset: Dataset, rank: int, world_size: int) -> None:
        super().__init__(dataset, num_replicas=world_size, rank=rank, shuffle=False)

    def __iter__(self) -> Iterator[int]:
        return iter(range(self.rank, len(self.dataset), self.num_replicas))  # type: ignore[arg-type]

    def __len__(self) -> int:
        return len(range(self.rank, len(self.dataset), self.num_replicas))  # type: ignore[arg-type]


class ResumableLoader(DataLoader):
    """DataLoader whose sampler restores its position in an epoch; its empty state makes Lightning rely on that."""

    waited = 0.0
    """Seconds spent waiting for the batches of the current epoch."""

    def __iter__(self) -> Iterator[Any]:  # type: ignore[override]
        self.waited = 0.0
        batches = super().__iter__()
        while True:
            began = time.monotonic()
            try:
                batch = next(batches)
            except StopIteration:
                return
            finally:
                self.waited += time.monotonic() - began
            yield batch

    def state_dict(self) -> dict[str, Any]:
        """Return no state: the sampler needs only seed, epoch and number of batches, which Lightning saves."""
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore nothing, see `state_dict`."""
