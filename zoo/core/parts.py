"""The abstract parts that tasks share: backbones, loss terms, augmentations, datasets.

Each is the whole contract of a slot. A plugin derives from one of these classes, gives its constructor explicit, typed
arguments, and implements what is abstract here.
"""

from abc import abstractmethod
from collections.abc import Sequence
from typing import Any

from torch import Tensor, nn
from torch.utils.data import Dataset

from zoo.core.seeding import RandomStream
from zoo.core.spec import Part


class Backbone(Part, nn.Module):
    """Turns an image into features at several strides.

    The network calls `build` once; then `channels` and `strides` are known and `forward` works.

    Example:
        >>> class Identity(Backbone):
        ...     def build(self, in_channels, strides): self.channels, self.strides = [in_channels], [1]
        ...     def forward(self, image): return [image]
        >>> Identity().spec
        {'class_path': 'Identity', 'init_args': {}}
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
        """Return features of (B, in_channels, H, W), one map a stride, finest first: (B, channels[i], ⌈H/s⌉, ⌈W/s⌉)."""

    def until(self, image: Tensor, stride: int = 16) -> list[Tensor]:
        """Return the features up to this stride, the first of `forward`'s; `last_stage` continues from there.

        Optional, both: for networks that change the features before the last stage.

        Args:
            image: (B, in_channels, H, W).
            stride: one of `strides`.

        Raises:
            ValueError: the backbone runs only as a whole.
        """
        raise ValueError(only_as_a_whole(type(self).__name__))

    def last_stage(self, features: Tensor) -> Tensor:
        """Return the features at the last stride, of those at the last but one.

        `last_stage(forward(image)[-2])` is `forward(image)[-1]`.

        Raises:
            ValueError: the backbone runs only as a whole.
        """
        raise ValueError(only_as_a_whole(type(self).__name__))


def only_as_a_whole(backbone: str) -> str:
    """Return the error message for a backbone that cannot stop before its last stage.

    Example:
        >>> only_as_a_whole("SelecSLS")[:47]
        'SelecSLS cannot stop before its last stage, whe'
    """
    return (
        f"{backbone} cannot stop before its last stage, where this network changes its features: choose a backbone "
        "that can, for example TimmBackbone('resnet50', output_stride=32)."
    )


class LossTerm(Part, nn.Module):
    """One term of the training loss.

    The training module multiplies by `weight` and sums; a term of weight 0 is not computed. `reads` and `targets` are
    class attributes, or set in the constructor where they depend on an argument.

    Example:
        >>> class AlphaBias(LossTerm):
        ...     reads, targets = frozenset({"alpha"}), frozenset({"alpha"})
        ...     def forward(self, output, batch): return (output.alpha - batch.alpha).mean().abs()
        >>> AlphaBias(weight=2.0).spec
        {'class_path': 'AlphaBias', 'init_args': {'weight': 2.0}}
    """

    reads: frozenset[str]
    """The fields of the network's output that the term reads."""
    targets: frozenset[str]
    """The fields of the batch that the term compares them with."""

    def __init__(self, weight: float = 1.0) -> None:
        super().__init__()
        self.weight = weight

    @abstractmethod
    def forward(self, output: Any, batch: Any) -> Tensor:
        """Return the unweighted value of the term, a scalar."""


class Augmentation(Part, nn.Module):
    """One random change of a batch, on the device of the batch.

    Example:
        >>> class Darken(Augmentation):
        ...     def forward(self, batch, random):
        ...         return batch._replace(source=batch.source * random.uniform(0.5, 1).view(-1, 1, 1, 1))
        >>> Darken().spec
        {'class_path': 'Darken', 'init_args': {}}
    """

    @abstractmethod
    def forward(self, batch: Any, random: RandomStream) -> Any:
        """Return the changed batch (`batch._replace(...)`); tensors of the batch are not changed in place.

        Args:
            batch: the batch.
            random: the only source of random numbers, one stream a sample.
        """


class SampleSource(Part, Dataset):
    """A dataset. Each task defines its samples in its own `parts.py`.

    Example:
        >>> class Empty(SampleSource):
        ...     def __len__(self): return 0
        >>> len(Empty()), Empty.synthetic
        (0, False)
    """

    synthetic = False
    """Whether a program renders its images: a result on them is no published number."""

    @abstractmethod
    def __len__(self) -> int:
        """Return the number of samples."""
