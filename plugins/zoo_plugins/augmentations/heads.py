"""Augmentations of heads: mirror image, movement in the picture plane, colour, occlusion.

Picture and ground truth change alike: after each step vertices, rotation and places in the picture still belong
together. Each step changes only the samples that it chose, and is switched off by `probability: 0`. (The official
training has none of these, only the random margins of the crop.)
"""

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from zoo.core.seeding import RandomStream
from zoo.heads.mesh import HeadModel
from zoo.heads.parts import LANDMARKS, HeadAugmentation, HeadBatch
from zoo.heads.rotation import matrix_from_axis_angle
from zoo_plugins.augmentations import check_limits, check_range
from zoo_plugins.augmentations.colour import check_jitter
from zoo_plugins.augmentations.geometry import SMALLEST_SCALE, random_theta, sample, sampling_grid

ROWS: tuple[tuple[int, ...], ...] = (
    tuple(range(17)),  # the contour, ear to ear
    tuple(range(17, 27)),  # both brows
    tuple(range(31, 36)),  # the base of the nose; its bridge, 27 to 30, lies in the middle
    (36, 37, 38, 39, 42, 43, 44, 45),  # the eyes' upper lids, corner to corner
    (41, 40, 47, 46),  # their lower lids
    tuple(range(48, 55)),  # the outer lips, upper
    tuple(range(55, 60)),  # and lower
    tuple(range(60, 65)),  # the inner lips, upper
    tuple(range(65, 68)),  # and lower
)
"""Rows of the 68 landmarks that run across the face: the mirror image turns each of them around."""

LUMINANCE = (0.299, 0.587, 0.114)
NOISE_CELLS = 8
"""Cells along each side of the coarse noise on an occluder."""


class HeadFlip(HeadAugmentation):
    """Mirrors the picture left to right: all ground truth is that of the mirrored head.

    Args:
        probability: of changing a sample.
    """

    def __init__(self, probability: float = 0.5) -> None:
        super().__init__()
        check_range(self, 0, 1, probability=probability)
        self.probability = probability

    def build(self, head_model: HeadModel) -> None:
        super().build(head_model)
        if self.probability > 0 and not len(head_model.get_buffer("mirror")):
            raise ValueError(
                f"HeadFlip: the head model '{head_model.name}' does not know which of its vertices mirror each other; "
                "set the probability of this augmentation to 0, or choose another head model."
            )

    def forward(self, batch: HeadBatch, draws: RandomStream) -> HeadBatch:
        chosen = draws.chance(self.probability)
        return change_chosen(batch, chosen, lambda samples: mirrored(samples, self.head_model[0].get_buffer("mirror")))


class HeadAffine(HeadAugmentation):
    """Turns, scales and moves the picture about its middle; what this uncovers is black.

    The head's rotation turns along. Its box moves and scales, but does not turn: its sides keep measuring the head.

    Args:
        degrees: largest rotation, either way.
        scale: smallest and largest scale.
        translate: largest movement along each axis, as a share of the picture.
        probability: of changing a sample.
    """

    def __init__(
        self,
        degrees: float = 15.0,
        scale: tuple[float, float] = (0.9, 1.1),
        translate: float = 0.05,
        probability: float = 1.0,
    ) -> None:
        super().__init__()
        check_range(self, 0, 180, degrees=degrees)
        check_limits(self, SMALLEST_SCALE, scale=scale)
        check_range(self, 0, 1, translate=translate, probability=probability)
        self.degrees, self.scale, self.translate, self.probability = degrees, scale, translate, probability

    def forward(self, batch: HeadBatch, draws: RandomStream) -> HeadBatch:
        chosen = draws.chance(self.probability)
        where_from = random_theta(draws, batch.image.shape[-2:], self.degrees, self.translate, self.scale, shear=0.0)
        return change_chosen(batch, chosen, lambda samples: moved(samples, where_from[chosen]))


class HeadColour(HeadAugmentation):
    """Changes brightness, contrast, saturation and hue.

    Together they are one affine map of the colours, the same for all pixels of a picture, clamped to [0, 1] at the end.

    Args:
        brightness, contrast, saturation: the factor is drawn from 1 ± this.
        hue: the turn about the axis of greys is drawn from ± this, in turns of the colour circle.
        probability: of changing a sample.
    """

    def __init__(
        self,
        brightness: float = 0.3,
        contrast: float = 0.3,
        saturation: float = 0.3,
        hue: float = 0.03,
        probability: float = 0.8,
    ) -> None:
        super().__init__()
        check_jitter(self, probability, brightness, contrast, saturation, hue)
        self.brightness, self.contrast, self.saturation, self.hue = brightness, contrast, saturation, hue
        self.probability = probability

    def forward(self, batch: HeadBatch, draws: RandomStream) -> HeadBatch:
        chosen = draws.chance(self.probability)
        brightness, contrast, saturation = (
            draws.uniform(1 - strength, 1 + strength)[chosen]
            for strength in (self.brightness, self.contrast, self.saturation)
        )
        turn = draws.uniform(-self.hue, self.hue)[chosen]
        matrix = brightness.view(-1, 1, 1) * colour_matrix(saturation, turn)
        return change_chosen(
            batch, chosen, lambda samples: samples._replace(image=recoloured(samples.image, matrix, contrast))
        )


class HeadOcclusion(HeadAugmentation):
    """Covers a place in the picture with a rectangle or an ellipse, in one colour with coarse noise on it.

    The ground truth stays: `visible` says whether a landmark lies in the crop, not whether something hides it.

    Args:
        share: size of the smallest and the largest shape, as a share of the picture; they may reach over its edge.
        probability: of changing a sample.
    """

    def __init__(self, share: tuple[float, float] = (0.02, 0.2), probability: float = 0.3) -> None:
        super().__init__()
        check_range(self, 0, 1, probability=probability)
        check_limits(self, 0, share=share)
        self.share, self.probability = share, probability

    def forward(self, batch: HeadBatch, draws: RandomStream) -> HeadBatch:
        chosen = draws.chance(self.probability)
        shapes = draw_shapes(draws, self.share)
        colour = torch.stack([draws.uniform() for _ in range(3)], dim=1).to(batch.image)
        roughness = draws.uniform(0, 0.3).to(batch.image)
        noise = draws.normal(3, NOISE_CELLS, NOISE_CELLS) * roughness.view(-1, 1, 1, 1)
        paint = (colour[:, :, None, None] + noise).clamp(0, 1)[chosen]
        covered = shapes.cover(batch.image.shape[-1])[chosen].to(batch.image.device)

        def occluded(samples: HeadBatch) -> HeadBatch:
            texture = F.interpolate(paint, samples.image.shape[-2:])
            return samples._replace(image=torch.where(covered, texture, samples.image))

        return change_chosen(batch, chosen, occluded)


class Shapes(NamedTuple):
    """One rectangle or ellipse a sample; lengths are shares of the picture's side."""

    centre: Tensor
    """(B, 2) x, y."""
    half: Tensor
    """(B, 2) half its width and height."""
    is_round: Tensor
    """(B,) whether it is an ellipse."""

    def cover(self, size: int) -> Tensor:
        """(B, 1, size, size) booleans: the pixels whose middle lies in the shape."""
        middles = (torch.arange(size) + 0.5) / size
        across, down = ((middles - self.centre[:, :, None]) / self.half[:, :, None]).square().unbind(1)
        across, down = across[:, None, :], down[:, :, None]
        ellipse, rectangle = across + down < 1, torch.maximum(across, down) < 1
        return torch.where(self.is_round.view(-1, 1, 1), ellipse, rectangle)[:, None]


def draw_shapes(draws: RandomStream, share: tuple[float, float]) -> Shapes:
    """Shapes of these shares of the picture, anywhere in it, up to twice as wide as high or as high as wide."""
    is_round = draws.chance(0.5)
    area = draws.uniform(share[0], share[1]) * torch.where(is_round, 4 / math.pi, 1.0)
    aspect = 2 ** draws.uniform(-1, 1)
    sides = torch.stack([(area * aspect).sqrt(), (area / aspect).sqrt()], dim=1)
    centre = torch.stack([draws.uniform(), draws.uniform()], dim=1)
    return Shapes(centre, sides / 2, is_round)


def change_chosen(batch: HeadBatch, chosen: Tensor, change: Callable[[HeadBatch], HeadBatch]) -> HeadBatch:
    """The batch with `change` applied to the chosen samples; the given tensors are not touched.

    Args:
        batch: the batch.
        chosen: (B,) booleans on the CPU.
        change: from a batch of the chosen samples to the changed one; fields that are no tensors it does not see.
    """
    if not chosen.any():
        return batch
    tensors = {name: value for name, value in batch._asdict().items() if isinstance(value, Tensor)}
    own: dict[str, Any] = {name: value[chosen] for name, value in tensors.items()}
    after = change(batch._replace(**own, attributes=None, name=None))
    changed: dict[str, Any] = {}
    for name, value in tensors.items():
        if getattr(after, name) is not own[name]:
            changed[name] = value.clone()
            changed[name][chosen] = getattr(after, name)
    return batch._replace(**changed)


def mirrored_landmarks() -> list[int]:
    """Which landmark of a head becomes each of the 68 of its mirror image."""
    order = list(range(LANDMARKS))
    for row in ROWS:
        for place, other in zip(row, reversed(row), strict=True):
            order[place] = other
    return order


def mirrored(batch: HeadBatch, mirror: Tensor) -> HeadBatch:
    """The mirror image of pictures and heads.

    The first axis is turned around in the picture's frame and in the head's: v ↦ M·v and R ↦ M·R·M, M = diag(−1, 1, 1).

    Args:
        batch: of heads.
        mirror: (V,) the vertex at the mirrored place of each.
    """
    size = batch.image.shape[-1]
    mirror, order = mirror.to(batch.vertices.device), mirrored_landmarks()
    turn_around = batch.vertices.new_tensor([-1.0, 1.0, 1.0])
    in_plane = turn_around[:2]
    x, y, width, height = batch.box.unbind(1)
    return batch._replace(
        image=batch.image.flip(-1),
        vertices=batch.vertices[:, mirror] * turn_around,
        neutral=None if batch.neutral is None else batch.neutral[:, mirror] * turn_around,
        projected=batch.projected[:, mirror] * in_plane + in_plane.new_tensor([size, 0]),
        landmarks=batch.landmarks[:, order] * in_plane + in_plane.new_tensor([1, 0]),
        visible=batch.visible[:, order],
        rotation=turn_around[:, None] * batch.rotation * turn_around,
        box=torch.stack([size - x - width, y, width, height], dim=1),
    )


def moved(batch: HeadBatch, where_from: Tensor) -> HeadBatch:
    """Pictures and heads turned, scaled and moved in the picture plane.

    Args:
        batch: of heads.
        where_from: (B, 2, 3), from places of the result to places of the picture, see `random_theta`; without shear.
    """
    image, size = sample(batch.image, sampling_grid(where_from, batch.image), "zeros"), batch.image.shape[-1]
    linear = torch.linalg.inv(where_from[:, :, :2])
    offset = -(linear @ where_from[:, :, 2:]).mT.to(batch.image)
    scale = torch.linalg.det(linear).sqrt()[:, None].to(batch.image)
    linear = linear.to(batch.image)

    def place(points: Tensor, side: float) -> Tensor:
        return ((points / side * 2 - 1) @ linear.mT + offset + 1) / 2 * side

    landmarks = place(batch.landmarks, 1)
    still_inside = ((landmarks > 0) & (landmarks < 1)).all(-1)
    turn = torch.eye(3).to(batch.rotation).repeat(len(linear), 1, 1)
    turn[:, :2, :2] = linear / scale[:, :, None]
    sides = batch.box[:, 2:] * scale
    middle = place((batch.box[:, :2] + batch.box[:, 2:] / 2)[:, None], size)[:, 0]
    return batch._replace(
        image=image,
        projected=place(batch.projected, size),
        landmarks=landmarks,
        visible=batch.visible * still_inside,
        rotation=turn @ batch.rotation,
        box=torch.cat([middle - sides / 2, sides], dim=1),
    )


def colour_matrix(saturation: Tensor, turn: Tensor) -> Tensor:
    """(n, 3, 3) maps of RGB that change the saturation by a factor (n,) and turn the hue by (n,) turns."""
    grey = torch.tensor(LUMINANCE).expand(3, 3)  # every channel of a grey picture is the luminance
    factor = saturation.view(-1, 1, 1)
    saturate = factor * torch.eye(3) + (1 - factor) * grey
    greys_axis = torch.ones(3) / math.sqrt(3)
    return matrix_from_axis_angle(2 * math.pi * turn[:, None] * greys_axis) @ saturate


def recoloured(images: Tensor, matrix: Tensor, contrast: Tensor) -> Tensor:
    """Change the colours of (n, 3, H, W) pictures by maps (n, 3, 3), and their contrast about the mean luminance by
    factors (n,).
    """
    mapped = torch.einsum("nij,njhw->nihw", matrix.to(images), images)
    luminance = torch.tensor(LUMINANCE).to(images)
    mean = torch.einsum("nchw,c->n", mapped, luminance) / (images.shape[-2] * images.shape[-1])
    factor = contrast.to(images).view(-1, 1, 1, 1)
    return (factor * mapped + (1 - factor) * mean.view(-1, 1, 1, 1)).clamp(0, 1)
