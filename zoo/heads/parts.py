"""The slots of 3D heads, and the records that flow through it.

The *backbone* looks at a square crop of a head. A *fusion* makes a pyramid of its features and brings it, with the
*heatmaps* of the 68 landmarks, back into the backbone; from its last features the parameters of a *head model* and the
landmarks are read off. Data flows one way: batch → network → `HeadOutput`; the training module adds the mesh, once a
step.

What depends on the head model is told once, by `build(head_model)`: datasets, augmentations and loss terms do not
choose their own.
"""

from abc import abstractmethod
from collections.abc import Sequence
from typing import NamedTuple

from torch import Tensor, nn

from zoo.core.parts import Augmentation, LossTerm, SampleSource
from zoo.core.spec import Part
from zoo.heads.mesh import HeadModel

LANDMARKS = 68
HEATMAP_STRIDE = 4
"""Pixels of the crop that one heatmap cell stands for."""


class HeadOutput(NamedTuple):
    """What the network gives for crops of S×S pixels, and what the module adds."""

    heatmaps: Tensor | None
    """(B, 68, S/4, S/4) logits; None without a heatmap branch."""
    landmarks: Tensor | None
    """(B, 68, 2) in [0, 1] of the crop, x right, y down; None without a landmark branch."""
    params: Tensor
    """(B, N) parameters of the head model, see `zoo.heads.mesh.HeadParams`."""
    vertices: Tensor | None = None
    """(B, V, 3) metres, unrotated, in the head frame."""
    projected: Tensor | None = None
    """(B, V, 2) pixels of the crop."""
    rotation: Tensor | None = None
    """(B, 3, 3), head frame to picture frame."""


class HeadBatch(NamedTuple):
    """What the data module gives: square crops of S×S pixels with one head each."""

    image: Tensor
    """(B, 3, S, S) float RGB in [0, 1]."""
    vertices: Tensor
    """(B, V, 3) metres, unrotated, in the head frame, with expression and jaw."""
    projected: Tensor
    """(B, V, 2) pixels of the crop, x right, y down."""
    landmarks: Tensor
    """(B, 68, 2) in [0, 1] of the crop."""
    visible: Tensor
    """(B, 68) 1 where the landmark lies inside the crop, otherwise 0."""
    rotation: Tensor
    """(B, 3, 3), head frame to picture frame."""
    box: Tensor
    """(B, 4) the head's box x, y, width, height in pixels of the crop."""
    attributes: list[dict[str, str]] | None = None
    """What is known of each sample: `pose: front`, `occlusions: True`, … as in DAD-3DHeads."""
    neutral: Tensor | None = None
    """(B, V, 3) the same head with a closed, expressionless face, where that is known."""
    name: list[str] | None = None
    """One name a sample; crops of one picture share it."""
    seed: Tensor | None = None
    """(B,) integers: the stream that each sample's augmentations draw from."""


class HeadPicture(NamedTuple):
    """One head in a picture as a dataset yields it."""

    image: Tensor
    """(3, H, W) uint8 RGB, or float in [0, 1]."""
    box: Tensor
    """(4,) x, y, width, height of the head in pixels; may reach over the picture's edge."""
    vertices: Tensor
    """(V, 3) metres, unrotated, in the head frame."""
    projected: Tensor
    """(V, 2) pixels, x right, y down; (0, 0) is the picture's top left corner."""
    rotation: Tensor
    """(3, 3), head frame to picture frame."""
    attributes: dict[str, str]
    """As in DAD-3DHeads: quality, gender, expression, age, occlusions, pose, standard light."""
    name: str
    neutral: Tensor | None = None
    """(V, 3) the same head with a closed, expressionless face, where that is known."""


class HeadDataset(SampleSource):
    """A list of pictures of heads, all of one head model."""

    gives_neutral = False
    """Whether its pictures come with `neutral`, which the NoW metrics need."""

    def build(self, head_model: HeadModel) -> None:
        """Called once before the first picture is asked for, in the main process, with a head model on the CPU.

        Raises:
            ValueError: the data was made for another head model.
        """
        self.head_model = head_model

    @abstractmethod
    def picture(self, index: int) -> HeadPicture:
        """Picture number `index`, 0 ≤ index < len(self): the same whenever it is asked for."""


class HeadAugmentation(Augmentation):
    """A random change of a `HeadBatch`, on whatever device it is: picture and ground truth alike."""

    phase = "captured"

    def build(self, head_model: HeadModel) -> None:
        """Called once before training."""
        self.head_model = [head_model]  # in a list: the head model is no part of the augmentation


class HeadLoss(LossTerm):
    """A loss term that needs to know the head model: its subsets, for example."""

    def build(self, head_model: HeadModel) -> None:
        """Called once by the module that trains.

        Raises:
            ValueError: the head model lacks what the term needs.
        """


class Fusion(Part, nn.Module):
    """Makes a pyramid of the backbone's features, and merges it back into them.

    The network calls `build` once; then `pyramid_channels` is known.
    """

    pyramid_channels: int

    @abstractmethod
    def build(self, channels: Sequence[int], heatmaps: int) -> None:
        """Make the layers.

        Args:
            channels: of the features at strides 4, 8 and 16 (c2, c3, c4).
            heatmaps: how many heatmaps `merge` is given, 0 for none.
        """

    @abstractmethod
    def pyramid(self, c2: Tensor, c3: Tensor, c4: Tensor) -> list[Tensor]:
        """Features at strides 4, 8, 16, … with `pyramid_channels` each, finest first (p3 is at stride 4)."""

    @abstractmethod
    def merge(self, c4: Tensor, pyramid: list[Tensor], heatmaps: Tensor | None) -> Tensor:
        """The features that go on into the backbone's last stage, of c4's shape.

        Args:
            c4: (B, channels[2], h, w) at stride 16.
            pyramid: what `pyramid` gave.
            heatmaps: (B, 68, 4h, 4w) logits, or None.
        """


class LandmarkBranch(Part, nn.Module):
    """Finds the 68 landmarks in the picture itself, beside the head model's."""

    heatmap_count: int = 0
    """How many heatmaps it gives to the fusion; 0 for none."""
    gives_points: bool = True
    """Whether `points` gives landmarks."""

    @abstractmethod
    def build(self, pyramid_channels: int, last_channels: int, points: int = LANDMARKS) -> None:
        """Make the layers.

        Args:
            pyramid_channels: of the pyramid's features.
            last_channels: of the backbone's last features.
            points: how many landmarks there are.
        """

    @abstractmethod
    def heatmaps(self, pyramid: list[Tensor]) -> Tensor | None:
        """(B, points, S/4, S/4) logits, or None."""

    @abstractmethod
    def points(self, last: Tensor) -> Tensor | None:
        """From the last features (B, last_channels, h, w): (B, points, 2) in [0, 1] of the crop, or None."""
