"""Same seed, same draws: every random draw has a stream of its own, named by keys.

A stream is (seed, and what it is for): (seed, "PatchRefiner") initialises the refiner, (seed, epoch, step) serves the
dropout of one training step, (seed, epoch, sample, "noise") one augmentation of one sample. No draw depends on how many
were made before it, so a run that is cut anywhere resumes to the same weights, and two runs that differ in one part
share all the draws of the others.
"""

import copy
import hashlib
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor


def derive_seed(*keys: int | str) -> int:
    """A 63-bit seed from the keys, the same on every machine and in every process."""
    text = "\x1f".join(f"{type(key).__name__}:{key}" for key in keys)
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "big") >> 1


_outside: list[int] = []
"""The run's seed as it was before each stream that is open now: inside a stream, torch's own seed is the stream's."""


def run_seed() -> int:
    """The seed of this run: what `seed_everything` was given, otherwise torch's own initial seed."""
    given = os.environ.get("PL_GLOBAL_SEED")
    if given:
        return int(given)
    return _outside[0] if _outside else torch.initial_seed()


@contextmanager
def random_stream(*keys: int | str, device: torch.device | None = None) -> Iterator[None]:
    """Torch draws inside the block come from the stream of these keys; the surrounding stream is left as it was.

    Args:
        keys: what names the stream, the seed first.
        device: also covers this device's generator when it is a CUDA device.
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
    """Random draws for the samples of a batch, one independent stream a sample.

    Args:
        seeds: one integer a sample, (B,).
        purpose: what the draws are for; another purpose gives other draws from the same seeds.
        device: where `normal` makes its tensors.
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

    def __getitem__(self, chosen: Tensor) -> "RandomStream":
        """The streams of some samples, (B,) booleans on the CPU; they go on where they are."""
        some = copy.copy(self)
        some._generators, some._device_generators = (
            [generator for generator, wanted in zip(generators, chosen.tolist(), strict=True) if wanted]
            for generators in (self._generators, self._device_generators)
        )
        return some

    def uniform(self, low: float = 0.0, high: float = 1.0) -> Tensor:
        """(B,) floats in [low, high), on the CPU."""
        values = torch.stack([torch.rand((), generator=generator) for generator in self._generators])
        return low + (high - low) * values

    def chance(self, probability: float) -> Tensor:
        """(B,) booleans, each true with this probability, on the CPU."""
        return self.uniform() < probability

    def integers(self, low: int, high: int) -> Tensor:
        """(B,) integers in [low, high), on the CPU."""
        return torch.stack([torch.randint(low, high, (), generator=generator) for generator in self._generators])

    def normal(self, *shape: int) -> Tensor:
        """(B, *shape) standard normal floats, on the device."""
        return torch.stack(
            [torch.randn(shape, generator=generator, device=self.device) for generator in self._device_generators]
        )
