"""The order of samples: from (seed, epoch) alone, dealt out to processes, resumed in the middle."""

import pytest
from torch.utils.data import Dataset

from zoo.training import sampling
from zoo.training.sampling import EvaluationSampler, ResumableLoader, TrainingSampler


class Numbers(Dataset):
    def __init__(self, count: int) -> None:
        self.count = count

    def __len__(self) -> int:
        return self.count


def indices(sampler: TrainingSampler) -> list[int]:
    return [key.sample for key in sampler]


def test_order_depends_on_seed_and_epoch_alone() -> None:
    sampler = TrainingSampler(Numbers(50), seed=1, rank=0, world_size=1)
    first = indices(sampler)
    assert sorted(first) == list(range(50))
    assert indices(sampler) == first
    sampler.set_epoch(1)
    assert indices(sampler) != first
    assert indices(TrainingSampler(Numbers(50), seed=1, rank=0, world_size=1, epoch=1)) == indices(sampler)
    assert indices(TrainingSampler(Numbers(50), seed=2, rank=0, world_size=1)) != first


def test_keys_carry_the_epoch() -> None:
    assert {key.epoch for key in TrainingSampler(Numbers(5), seed=1, rank=0, world_size=1, epoch=7)} == {7}


def test_processes_share_an_epoch_without_overlap() -> None:
    shares = [indices(TrainingSampler(Numbers(11), seed=1, rank=rank, world_size=2)) for rank in range(2)]
    assert [len(share) for share in shares] == [5, 5]
    assert not set(shares[0]) & set(shares[1])


def test_skip_resumes_and_ends_with_the_epoch() -> None:
    whole = indices(TrainingSampler(Numbers(20), seed=1, rank=0, world_size=1, epoch=3))
    resumed = TrainingSampler(Numbers(20), seed=1, rank=0, world_size=1, epoch=3, skip=8)
    assert indices(resumed) == whole[8:]
    assert len(resumed) == 20
    resumed.set_epoch(3)
    assert indices(resumed) == whole[8:]
    resumed.set_epoch(4)
    assert len(indices(resumed)) == 20


def test_evaluation_sees_every_sample_once() -> None:
    shares = [list(EvaluationSampler(Numbers(7), rank, 3)) for rank in range(3)]
    assert sorted(index for share in shares for index in share) == list(range(7))
    assert [len(EvaluationSampler(Numbers(7), rank, 3)) for rank in range(3)] == [3, 2, 2]


class Clock:
    """A clock that only goes on when it is told to."""

    seconds = 0.0

    def monotonic(self) -> float:
        return self.seconds


class Slow(Numbers):
    """Each sample takes ten seconds."""

    def __init__(self, count: int, clock: Clock) -> None:
        super().__init__(count)
        self.clock = clock

    def __getitem__(self, index: int) -> int:
        self.clock.seconds += 10
        return index


def test_a_loader_knows_how_long_it_was_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock()
    monkeypatch.setattr(sampling, "time", clock)
    loader = ResumableLoader(Slow(4, clock), batch_size=2)
    for _ in range(2):  # anew in each epoch
        waited = []
        for _ in loader:
            waited.append(loader.waited)
            clock.seconds += 1000  # which the network takes
        assert (waited, loader.waited) == ([20, 40], 40)
