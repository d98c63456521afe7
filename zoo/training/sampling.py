"""The order of samples, from (seed, epoch) alone: the same in every process, and a run cut inside an epoch goes on
where it was.
"""

import time
from collections.abc import Iterator
from typing import Any, NamedTuple

import torch
from torch.utils.data import DataLoader, Dataset, DistributedSampler

from zoo.core.seeding import derive_seed


class SampleKey(NamedTuple):
    """Which sample, in which epoch: what a training dataset is asked for."""

    epoch: int
    sample: int


class TrainingSampler(DistributedSampler):
    """All samples once an epoch, shuffled by (seed, epoch), dealt out to the processes in turn.

    Deriving from DistributedSampler is what makes Lightning leave it in place and call `set_epoch`.

    Args:
        dataset: its length is the number of samples; those that do not fill a round of all processes are left out.
        seed: of the order.
        rank, world_size: this process and how many there are.
        epoch: the epoch to begin with.
        skip: samples (of this process) that were already used in that epoch.
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
        """Begin another epoch, from its first sample."""
        if epoch != self.epoch:
            self.epoch, self.skip = epoch, 0


class EvaluationSampler(DistributedSampler):
    """Every sample once over all processes, in order. No sample is repeated to even out the shares, which would bias
    the mean.
    """

    def __init__(self, dataset: Dataset, rank: int, world_size: int) -> None:
        super().__init__(dataset, num_replicas=world_size, rank=rank, shuffle=False)

    def __iter__(self) -> Iterator[int]:
        return iter(range(self.rank, len(self.dataset), self.num_replicas))  # type: ignore[arg-type]

    def __len__(self) -> int:
        return len(range(self.rank, len(self.dataset), self.num_replicas))  # type: ignore[arg-type]


class ResumableLoader(DataLoader):
    """A DataLoader whose place in an epoch is restored: by its sampler; having a state is how Lightning is told.

    `waited` is for how many seconds the batches of the current epoch have been waited for so far.
    """

    waited = 0.0

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
        """Nothing: (seed, epoch, batches done) say it all, and Lightning keeps these."""
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Nothing to restore, see `state_dict`."""
