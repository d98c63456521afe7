"""The abstract parts that tasks share: backbones, loss terms, augmentations, datasets.

Each is a slot's whole contract. A plugin derives from one of these classes, gives its constructor explicit, typed
arguments, and implements what is abstract here.
"""

from abc import abstractmethod
from collections.abc import Sequence
from typing import Any, Literal

from torch import Tensor, nn
from torch.utils.data import Dataset

from zoo.core.seeding import RandomStream
from zoo.core.spec import Part


class Backbone(Part, nn.Module):
    """Turns an image into features at several strides.

    The network calls `build` once; then `channels` and `strides` are known and `forward` works.
    """

    channels: list[int]
    strides: list[int]

    @abstractmethod
    def build(self, in_channels: int, strides: Sequence[int]) -> None:
        """Make the layers for an input of this many channels and features at these strides (ascending).

        Raises:
            ValueError: the backbone has no features at one of the strides; the message names those it has.
        """

    @abstractmethod
    def forward(self, image: Tensor) -> list[Tensor]:
        """(B, in_channels, H, W) → a map a stride, finest first: (B, channels[i], ⌈H/s⌉, ⌈W/s⌉), s = strides[i]."""

    def until(self, image: Tensor, stride: int = 16) -> list[Tensor]:
        """The first of what `forward` gives, up to the features at this stride; `last_stage` goes on from there.

        Optional, both: for networks that change the features at the last stride but one before the backbone goes on.

        Args:
            image: (B, in_channels, H, W).
            stride: one of `strides`.

        Raises:
            ValueError: the backbone runs only as a whole.
        """
        raise ValueError(only_as_a_whole(type(self).__name__))

    def last_stage(self, features: Tensor) -> Tensor:
        """From features at the last stride but one to those at the last.

        `last_stage(forward(image)[-2])` is `forward(image)[-1]`.

        Raises:
            ValueError: the backbone runs only as a whole.
        """
        raise ValueError(only_as_a_whole(type(self).__name__))


def only_as_a_whole(backbone: str) -> str:
    """The sentence about a backbone that cannot stop before its last stage."""
    return (
        f"{backbone} cannot stop before its last stage, where this network changes its features: choose a backbone "
        "that can, for example TimmBackbone('resnet50', output_stride=32)."
    )


class LossTerm(Part, nn.Module):
    """One term of the training loss.

    The training module multiplies by `weight` and sums; a term of weight 0 is not computed.
    """

    def __init__(self, weight: float = 1.0) -> None:
        super().__init__()
        self.weight = weight

    @property
    @abstractmethod
    def reads(self) -> frozenset[str]:
        """The fields of the network's output that the term reads."""

    @property
    @abstractmethod
    def targets(self) -> frozenset[str]:
        """The fields of the batch that the term compares them with."""

    @abstractmethod
    def forward(self, output: Any, batch: Any) -> Tensor:
        """The unweighted value of the term, a scalar."""


class Augmentation(Part, nn.Module):
    """One random change of a batch, on whatever device the batch is.

    `phase` says when it runs: `canvas` before the crop, `scene` after it and before foreground and background are
    composited, `captured` on what the cameras saw. All randomness comes from `draws`, which holds a stream for each
    sample.
    """

    phase: Literal["canvas", "scene", "captured"]

    @abstractmethod
    def forward(self, batch: Any, draws: RandomStream) -> Any:
        """The changed batch (`batch._replace(...)`); tensors of the batch are not changed in place."""


class SampleSource(Part, Dataset):
    """A dataset: where samples come from. Each task says in its own `parts.py` what a sample is."""

    synthetic = False
    """Whether its pictures are drawn by a program: what is measured on them is no published number."""

    @abstractmethod
    def __len__(self) -> int:
        """How many samples there are."""
