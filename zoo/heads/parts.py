"""Slots of 3D heads, and the records that pass between them.

The *backbone* computes features of a square crop of a head. A *fusion* makes a pyramid of them and merges it, with the
*heatmaps* of the 68 landmarks, back into the backbone. Its last features give the parameters of a *head model* and the
landmarks. Data flows one way: batch → network → `HeadOutput`; the training module adds the mesh, once per step.

Datasets, augmentations and loss terms receive the head model through `build(head_model)` and never choose their own.
"""

from abc import abstractmethod
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from zoo.core.parts import Augmentation, LossTerm, SampleSource
from zoo.core.spec import Part
from zoo.heads.mesh import HeadModel

LANDMARKS = 68
HEATMAP_STRIDE = 4
"""Pixels of the crop per heatmap cell, along each axis."""
HEATMAP_RADIUS = 5
"""Cells that the Gaussian of a target heatmap reaches to each side of its peak: it fills 11×11 cells."""
HEATMAP_SIGMA = (2 * HEATMAP_RADIUS + 1) / 6


class HeadOutput(NamedTuple):
    """Output of the network for crops of S×S pixels; the module adds the last three fields.

    Example:
        >>> output = HeadOutput(heatmaps=None, landmarks=None, params=torch.zeros(2, 413))
        >>> output.vertices is None
        True
    """

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
    """(B, 3, 3), head frame to image frame."""


class HeadBatch(NamedTuple):
    """Batch of the data module: square crops of S×S pixels with one head each.

    Example:
        >>> batch = HeadBatch(*[torch.zeros(4, 3)] * 7, attributes=[{"pose": "front"}] * 4)
        >>> batch.rotation.shape, batch.seed
        (torch.Size([4, 3]), None)
    """

    image: Tensor
    """(B, 3, S, S) float RGB in [0, 1]."""
    vertices: Tensor
    """(B, V, 3) metres, unrotated, in the head frame, with expression and jaw."""
    projected: Tensor
    """(B, V, 2) pixels of the crop, x right, y down."""
    landmarks: Tensor
    """(B, 68, 2) in [0, 1] of the crop."""
    visible: Tensor
    """(B, 68), 1 where the landmark lies inside the crop, otherwise 0."""
    rotation: Tensor
    """(B, 3, 3), head frame to image frame."""
    box: Tensor
    """(B, 4) the head's box x, y, width, height in pixels of the crop."""
    attributes: list[dict[str, str]] | None = None
    """Attributes of each sample: `pose: front`, `occlusions: True`, … as in DAD-3DHeads."""
    neutral: Tensor | None = None
    """(B, V, 3) the same head with a closed, expressionless face, where known."""
    name: list[str] | None = None
    """One name per sample; crops of one image share it."""
    seed: Tensor | None = None
    """(B,) integers that seed the augmentations of each sample."""


class HeadPicture(NamedTuple):
    """One head in an image, as a dataset returns it."""

    image: Tensor
    """(3, H, W) uint8 RGB, or float in [0, 1]."""
    box: Tensor
    """(4,) x, y, width, height of the head in pixels; may reach over the image's edge."""
    vertices: Tensor
    """(V, 3) metres, unrotated, in the head frame."""
    projected: Tensor
    """(V, 2) pixels, x right, y down; (0, 0) is the image's top left corner."""
    rotation: Tensor
    """(3, 3), head frame to image frame."""
    attributes: dict[str, str]
    """As in DAD-3DHeads: quality, gender, expression, age, occlusions, pose, standard light."""
    name: str
    neutral: Tensor | None = None
    """(V, 3) the same head with a closed, expressionless face, where known."""


class FoundHead(NamedTuple):
    """A head that a detector found.

    Example:
        >>> FoundHead((10.0, 20.0, 80.0, 100.0), 0.9).score
        0.9
    """

    box: tuple[float, float, float, float]
    """x, y, width, height of the head in pixels, within the image."""
    score: float
    """How sure the detector is, from 0 to 1."""
    roll: float = 0.0
    """Degrees by which the head is tilted clockwise, as far as the detector knows."""


class Detector(Part):
    """Finds the heads in an image.

    Example:
        >>> class Nobody(Detector):
        ...     def find(self, image): return []
        >>> Nobody().find(np.zeros((64, 64, 3), np.uint8))
        []
    """

    @abstractmethod
    def find(self, image: np.ndarray) -> list[FoundHead]:
        """Return the heads in an image, (H, W, 3) uint8 RGB, the surest first; an empty list where there is none."""


class HeadDataset(SampleSource):
    """List of images of heads, all of one head model.

    Example:
        >>> from zoo.core.spec import build
        >>> heads = build({"class_path": "SyntheticHeads", "init_args": {"split": "test", "count": 3}})
        >>> len(heads), heads.gives_neutral
        (3, True)
    """

    gives_neutral = False
    """Whether samples have `neutral`, which the NoW metrics need."""

    def build(self, head_model: HeadModel) -> None:
        """Receive the head model on the CPU; called once, in the main process, before the first sample is read.

        Raises:
            ValueError: the data was made for another head model.
        """
        self.head_model = head_model

    @abstractmethod
    def picture(self, index: int) -> HeadPicture:
        """Return image number `index`, 0 ≤ index < len(self), the same on every call."""


class HeadAugmentation(Augmentation):
    """Random change of a `HeadBatch`, on its device: of the image and the ground truth together.

    Example:
        >>> class Darken(HeadAugmentation):
        ...     def forward(self, batch, random):
        ...         return batch._replace(image=batch.image * random.uniform(0.5, 1).view(-1, 1, 1, 1))
        >>> Darken().spec
        {'class_path': 'Darken', 'init_args': {}}
    """

    def build(self, head_model: HeadModel) -> None:
        """Receive the head model, once before training."""
        self.head_model = [head_model]  # in a list, so that it does not become a submodule


class HeadLoss(LossTerm):
    """Loss term that needs the head model, for example its subsets.

    Example:
        >>> class Symmetry(HeadLoss):
        ...     reads, targets = frozenset({"vertices"}), frozenset()
        ...     def build(self, head_model):
        ...         self.register_buffer("mirror", head_model.mirror, persistent=False)
        ...     def forward(self, output, batch):
        ...         return (output.vertices[..., 0] + output.vertices[:, self.mirror, 0]).square().mean()
    """

    def build(self, head_model: HeadModel) -> None:
        """Receive the head model; called once by the training module.

        Raises:
            ValueError: the head model lacks what the term needs.
        """


class Fusion(Part, nn.Module):
    """Pyramid of the backbone's features, and its merge back into them.

    The network calls `build` once, which sets `pyramid_channels`.

    Example:
        >>> from zoo.core.spec import build
        >>> build({"class_path": "ConcatFusion", "init_args": {"channels": 8}}).pyramid_channels
        8
    """

    pyramid_channels: int
    fuses: bool = True
    """Whether `merge` depends on the pyramid and the heatmaps."""

    @abstractmethod
    def build(self, channels: Sequence[int], heatmaps: int) -> None:
        """Create the layers, for the channels of c2, c3 and c4 (strides 4, 8, 16) and a number of heatmaps, or 0."""

    @abstractmethod
    def pyramid(self, c2: Tensor, c3: Tensor, c4: Tensor) -> list[Tensor]:
        """Return features at strides 4, 8, 16, … with `pyramid_channels` each, finest first (p3 is at stride 4)."""

    @abstractmethod
    def merge(self, c4: Tensor, pyramid: list[Tensor], heatmaps: Tensor | None) -> Tensor:
        """Return the input of the backbone's last stage, of c4's shape.

        Args:
            c4: (B, channels[2], h, w) at stride 16.
            pyramid: the output of `pyramid`.
            heatmaps: (B, 68, 4h, 4w) logits, or None.
        """


class LandmarkBranch(Part, nn.Module):
    """Branch that predicts the 68 landmarks directly, in addition to those of the head mesh.

    Example:
        >>> from zoo.core.spec import build
        >>> build({"class_path": "HeatmapLandmarks"}).heatmap_count
        68
    """

    heatmap_count: int = 0
    """Number of heatmaps for the fusion; 0 for none."""
    gives_points: bool = True
    """Whether `points` returns landmarks."""

    @abstractmethod
    def build(self, pyramid_channels: int, last_channels: int, points: int = LANDMARKS) -> None:
        """Create the layers, for the channels of the pyramid and of the backbone's last features."""

    @abstractmethod
    def heatmaps(self, pyramid: list[Tensor]) -> Tensor | None:
        """Return (B, points, S/4, S/4) logits, or None."""

    @abstractmethod
    def points(self, last: Tensor) -> Tensor | None:
        """Return (B, points, 2) in [0, 1] of the crop, from features (B, last_channels, h, w); or None."""


def heatmap_targets(landmarks: Tensor, visible: Tensor, size: int) -> Tensor:
    """Return the target heatmaps of landmarks: (B, N, size, size) in [0, 1], on the landmarks' device.

    As in the official code (`HeatmapCoder`), the Gaussian exp(−d²/2σ²), σ = 11/6 cells, has its peak, 1, in the middle
    of a cell and ends 5 cells to each side of it. The map of a landmark that is not visible is 0. (The official code
    stores its maps as bytes, a difference of up to 1/255.)

    Args:
        landmarks: (B, N, 2) in [0, 1] of the crop.
        visible: (B, N), 1 where the landmark lies in the crop, otherwise 0.
        size: side of the heatmaps in cells.

    Example:
        >>> maps = heatmap_targets(torch.full((1, 68, 2), 0.5), torch.ones(1, 68), size=16)
        >>> maps.shape, float(maps[0, 0, 8, 8])
        (torch.Size([1, 68, 16, 16]), 1.0)
    """
    peaks = (landmarks * size).floor()
    distances = torch.arange(size, device=landmarks.device) - peaks[..., None]
    gaussians = torch.exp(-distances.square() / (2 * HEATMAP_SIGMA**2)) * (distances.abs() <= HEATMAP_RADIUS)
    across, down = gaussians.unbind(2)  # a Gaussian of the plane is the product of one along each axis
    return (visible[..., None] * down)[..., :, None] * across[..., None, :]
