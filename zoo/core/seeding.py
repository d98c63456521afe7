"""Same seed, same random numbers: every use of random numbers has its own stream, named by keys.

The keys are the seed and the purpose: (seed, "PatchRefiner") initialises the refiner, (seed, epoch, step) serves the
dropout of one training step, (seed, epoch, sample, "noise") one augmentation of one sample. No random number depends on
how many were generated before, so an interrupted run resumes to the same weights, and two runs that differ in one part
share the random numbers of all other parts.
"""

import copy
import hashlib
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor


def derive_seed(*keys: int | str) -> int:
    """Return a 63-bit seed from the keys, the same on every machine and in every process.

    Example:
        >>> derive_seed(0, "noise")
        6029071906908135005
    """
    text = "\x1f".join(f"{type(key).__name__}:{key}" for key in keys)
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "big") >> 1


_outside: list[int] = []
"""The run's seed outside each open stream; inside a stream, torch's initial seed is that of the stream."""


def run_seed() -> int:
    """Return the seed of this run: that of `seed_everything`, otherwise torch's initial seed."""
    if seed := os.environ.get("PL_GLOBAL_SEED"):
        return int(seed)
    return _outside[0] if _outside else torch.initial_seed()


@contextmanager
def random_stream(*keys: int | str, device: torch.device | None = None) -> Iterator[None]:
    """Seed torch's generators for the block by these keys; restore their states afterwards.

    Args:
        keys: name of the stream, the seed first.
        device: a CUDA device whose generator is seeded too.

    Example:
        >>> with random_stream(0, "weights"):
        ...     first = torch.rand(2)
        >>> with random_stream(0, "weights"):
        ...     print(torch.equal(torch.rand(2), first))
        True
    """
    seed, surrounding = derive_seed(*keys), run_seed()
    cuda = [device.index or 0] if device is not None and device.type == "cuda" else []
    with torch.random.fork_rng(devices=cuda):
        torch.default_generator.manual_seed(seed)
        for index in cuda:
            torch.cuda.default_generators[index].manual_seed(seed)
        _outside.append(surrounding)
        try:
            yield
        finally:
            _outside.pop()


class RandomStream:
    """Random numbers for the samples of a batch, one independent stream per sample.

    Args:
        seeds: one integer per sample, (B,).
        purpose: with another purpose, the same seeds yield other random numbers.
        device: device of the tensors from `normal`.

    Example:
        >>> stream = RandomStream([11, 12, 13], "noise")
        >>> stream.integers(0, 10), stream.normal(2, 2).shape
        (tensor([5, 2, 7]), torch.Size([3, 2, 2]))
    """

    def __init__(self, seeds: Tensor | Sequence[int], purpose: str, device: torch.device | str = "cpu") -> None:
        self.device = torch.device(device)
        own = [derive_seed(int(seed), purpose) for seed in seeds]
        self._generators = [torch.Generator().manual_seed(seed) for seed in own]
        self._device_generators = self._generators
        if self.device.type != "cpu":
            self._device_generators = [torch.Generator(self.device).manual_seed(seed) for seed in own]

    def __len__(self) -> int:
        return len(self._generators)

    def __getitem__(self, mask: Tensor) -> "RandomStream":
        """Return the streams of the samples in a mask, (B,) booleans on the CPU; their states are shared."""
        selected = copy.copy(self)
        selected._generators, selected._device_generators = (
            [generator for generator, is_in in zip(generators, mask.tolist(), strict=True) if is_in]
            for generators in (self._generators, self._device_generators)
        )
        return selected

    def uniform(self, low: float = 0.0, high: float = 1.0) -> Tensor:
        """Return (B,) floats in [low, high), on the CPU."""
        values = torch.stack([torch.rand((), generator=generator) for generator in self._generators])
        return low + (high - low) * values

    def chance(self, probability: float) -> Tensor:
        """Return (B,) booleans, each true with this probability, on the CPU."""
        return self.uniform() < probability

    def integers(self, low: int, high: int) -> Tensor:
        """Return (B,) integers in [low, high), on the CPU."""
        return torch.stack([torch.randint(low, high, (), generator=generator) for generator in self._generators])

    def normal(self, *shape: int) -> Tensor:
        """Return (B, *shape) standard normal floats, on the device."""
        return torch.stack(
            [torch.randn(shape, generator=generator, device=self.device) for generator in self._device_generators]
        )
