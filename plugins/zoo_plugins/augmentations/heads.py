"""Augmentations of heads: flip, affine transform in the image plane, colour, occlusion.

Image and ground truth change together: after each step vertices, rotation and projection are still consistent. Each
step changes only the samples that it selects, and `probability: 0` switches it off. (The official training has none of
these, only the random margins of the crop.)
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
"""Rows of the 68 landmarks that run across the face; a flip reverses each of them."""

LUMINANCE = (0.299, 0.587, 0.114)
NOISE_CELLS = 8
"""Cells along each side of the coarse noise of an occluder."""


class HeadFlip(HeadAugmentation):
    """Horizontal flip of the image and all ground truth.

    Args:
        probability: of changing a sample.

    Example:
        >>> HeadFlip(probability=0.5).spec
        {'class_path': 'HeadFlip', 'init_args': {'probability': 0.5}}
    """

    def __init__(self, probability: float = 0.5) -> None:
        super().__init__()
        check_range(self, 0, 1, probability=probability)
        self.probability = probability

    def build(self, head_model: HeadModel) -> None:
        super().build(head_model)
        if self.probability > 0 and not len(head_model.get_buffer("mirror")):
            raise ValueError(
                f"HeadFlip: the head model '{head_model.name}' has no table of mirrored vertices; "
                "set the probability of this augmentation to 0, or choose another head model."
            )

    def forward(self, batch: HeadBatch, random: RandomStream) -> HeadBatch:
        chosen = random.chance(self.probability)
        return change_chosen(batch, chosen, lambda samples: flip(samples, self.head_model[0].get_buffer("mirror")))


class HeadAffine(HeadAugmentation):
    """Random rotation, scale and translation of the image about its middle, with black beyond its edges.

    The head's rotation changes accordingly. Its box is moved and scaled but stays axis-aligned.

    Args:
        degrees: largest rotation, in both directions.
        scale: smallest and largest scale.
        translate: largest translation along each axis, as a fraction of the image.
        probability: of changing a sample.

    Example:
        >>> HeadAffine(degrees=30).scale
        (0.9, 1.1)
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

    def forward(self, batch: HeadBatch, random: RandomStream) -> HeadBatch:
        chosen = random.chance(self.probability)
        theta = random_theta(random, batch.image.shape[-2:], self.degrees, self.translate, self.scale, shear=0.0)
        return change_chosen(batch, chosen, lambda samples: transform(samples, theta[chosen]))


class HeadColour(HeadAugmentation):
    """Random brightness, contrast, saturation and hue.

    Together they are one affine map of the colours, equal for all pixels of an image, clamped to [0, 1] at the end.

    Args:
        brightness, contrast, saturation: the factor is uniform in 1 ± this.
        hue: the rotation about the grey axis is uniform in ± this, as a fraction of the colour circle.
        probability: of changing a sample.

    Example:
        >>> batch = HeadBatch(torch.rand(2, 3, 8, 8), *[torch.rand(2)] * 6)
        >>> HeadColour()(batch, RandomStream([1, 2], "colour")).image.shape
        torch.Size([2, 3, 8, 8])
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

    def forward(self, batch: HeadBatch, random: RandomStream) -> HeadBatch:
        chosen = random.chance(self.probability)
        brightness, contrast, saturation = (
            random.uniform(1 - strength, 1 + strength)[chosen]
            for strength in (self.brightness, self.contrast, self.saturation)
        )
        hue = random.uniform(-self.hue, self.hue)[chosen]
        matrix = brightness.view(-1, 1, 1) * colour_matrix(saturation, hue)
        return change_chosen(
            batch, chosen, lambda samples: samples._replace(image=recolour(samples.image, matrix, contrast))
        )


class HeadOcclusion(HeadAugmentation):
    """Random occlusion by a rectangle or an ellipse of one colour with coarse noise.

    The ground truth is unchanged: `visible` says whether a landmark lies in the crop, not whether it is occluded.

    Args:
        share: area of the smallest and largest shape, as a fraction of the image; shapes may reach over its edge.
        probability: of changing a sample.

    Example:
        >>> batch = HeadBatch(torch.ones(1, 3, 8, 8), *[torch.rand(1)] * 6)
        >>> occluded = HeadOcclusion(share=(0.2, 0.2), probability=1.0)(batch, RandomStream([1], "occlusion"))
        >>> bool((occluded.image != 1).any())
        True
    """

    def __init__(self, share: tuple[float, float] = (0.02, 0.2), probability: float = 0.3) -> None:
        super().__init__()
        check_range(self, 0, 1, probability=probability)
        check_limits(self, 0, share=share)
        self.share, self.probability = share, probability

    def forward(self, batch: HeadBatch, random: RandomStream) -> HeadBatch:
        chosen = random.chance(self.probability)
        shapes = _sample_shapes(random, self.share)
        colour = torch.stack([random.uniform() for _ in range(3)], dim=1).to(batch.image)
        roughness = random.uniform(0, 0.3).to(batch.image)
        noise = random.normal(3, NOISE_CELLS, NOISE_CELLS) * roughness.view(-1, 1, 1, 1)
        paint = (colour[:, :, None, None] + noise).clamp(0, 1)[chosen]
        covered = shapes.mask(batch.image.shape[-1])[chosen].to(batch.image.device)

        def occluded(samples: HeadBatch) -> HeadBatch:
            texture = F.interpolate(paint, samples.image.shape[-2:])
            return samples._replace(image=torch.where(covered, texture, samples.image))

        return change_chosen(batch, chosen, occluded)


class _Shapes(NamedTuple):
    """One rectangle or ellipse per sample; lengths are fractions of the image's side."""

    centre: Tensor
    """(B, 2) x, y."""
    half: Tensor
    """(B, 2) half its width and height."""
    is_round: Tensor
    """(B,) whether it is an ellipse."""

    def mask(self, size: int) -> Tensor:
        """Return (B, 1, size, size) booleans: the pixels whose centre lies in the shape."""
        centres = (torch.arange(size) + 0.5) / size
        across, down = ((centres - self.centre[:, :, None]) / self.half[:, :, None]).square().unbind(1)
        across, down = across[:, None, :], down[:, :, None]
        ellipse, rectangle = across + down < 1, torch.maximum(across, down) < 1
        return torch.where(self.is_round.view(-1, 1, 1), ellipse, rectangle)[:, None]


def _sample_shapes(random: RandomStream, share: tuple[float, float]) -> _Shapes:
    """Sample shapes of an area in this range, centred anywhere in the image, with an aspect of ½ to 2."""
    is_round = random.chance(0.5)
    area = random.uniform(share[0], share[1]) * torch.where(is_round, 4 / math.pi, 1.0)
    aspect = 2 ** random.uniform(-1, 1)
    sides = torch.stack([(area * aspect).sqrt(), (area / aspect).sqrt()], dim=1)
    centre = torch.stack([random.uniform(), random.uniform()], dim=1)
    return _Shapes(centre, sides / 2, is_round)


def change_chosen(batch: HeadBatch, chosen: Tensor, change: Callable[[HeadBatch], HeadBatch]) -> HeadBatch:
    """Apply `change` to the tensors of the chosen samples, (B,) booleans on the CPU; the inputs stay unchanged."""
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
    """Return for each of the 68 landmarks of a flipped head the landmark of the head.

    Example:
        >>> mirrored_landmarks()[:3]
        [16, 15, 14]
    """
    order = list(range(LANDMARKS))
    for row in ROWS:
        for landmark, other in zip(row, reversed(row), strict=True):
            order[landmark] = other
    return order


def flip(batch: HeadBatch, mirror: Tensor) -> HeadBatch:
    """Flip images and heads horizontally.

    The first axis is inverted in the image frame and in the head frame: v ↦ M·v and R ↦ M·R·M, M = diag(−1, 1, 1).

    Args:
        batch: of heads.
        mirror: (V,) the index of each vertex's mirror image.
    """
    size = batch.image.shape[-1]
    mirror, order = mirror.to(batch.vertices.device), mirrored_landmarks()
    inversion = batch.vertices.new_tensor([-1.0, 1.0, 1.0])
    in_plane = inversion[:2]
    x, y, width, height = batch.box.unbind(1)
    return batch._replace(
        image=batch.image.flip(-1),
        vertices=batch.vertices[:, mirror] * inversion,
        neutral=None if batch.neutral is None else batch.neutral[:, mirror] * inversion,
        projected=batch.projected[:, mirror] * in_plane + in_plane.new_tensor([size, 0]),
        landmarks=batch.landmarks[:, order] * in_plane + in_plane.new_tensor([1, 0]),
        visible=batch.visible[:, order],
        rotation=inversion[:, None] * batch.rotation * inversion,
        box=torch.stack([size - x - width, y, width, height], dim=1),
    )


def transform(batch: HeadBatch, theta: Tensor) -> HeadBatch:
    """Rotate, scale and translate images and heads in the image plane.

    Args:
        batch: of heads.
        theta: (B, 2, 3) inverse affine matrices, from the result to the image, see `random_theta`; without shear.
    """
    image, size = sample(batch.image, sampling_grid(theta, batch.image), "zeros"), batch.image.shape[-1]
    linear = torch.linalg.inv(theta[:, :, :2])
    offset = -(linear @ theta[:, :, 2:]).mT.to(batch.image)
    scale = torch.linalg.det(linear).sqrt()[:, None].to(batch.image)
    linear = linear.to(batch.image)

    def mapped(points: Tensor, side: float) -> Tensor:
        return ((points / side * 2 - 1) @ linear.mT + offset + 1) / 2 * side

    landmarks = mapped(batch.landmarks, 1)
    inside = ((landmarks > 0) & (landmarks < 1)).all(-1)
    rotation = torch.eye(3).to(batch.rotation).repeat(len(linear), 1, 1)
    rotation[:, :2, :2] = linear / scale[:, :, None]
    sides = batch.box[:, 2:] * scale
    middle = mapped((batch.box[:, :2] + batch.box[:, 2:] / 2)[:, None], size)[:, 0]
    return batch._replace(
        image=image,
        projected=mapped(batch.projected, size),
        landmarks=landmarks,
        visible=batch.visible * inside,
        rotation=rotation @ batch.rotation,
        box=torch.cat([middle - sides / 2, sides], dim=1),
    )


def colour_matrix(saturation: Tensor, hue: Tensor) -> Tensor:
    """Return (n, 3, 3) maps of RGB that scale the saturation by (n,) and rotate the hue by (n,) turns."""
    grey = torch.tensor(LUMINANCE).expand(3, 3)  # every channel of a grey image is the luminance
    factor = saturation.view(-1, 1, 1)
    saturate = factor * torch.eye(3) + (1 - factor) * grey
    greys_axis = torch.ones(3) / math.sqrt(3)
    return matrix_from_axis_angle(2 * math.pi * hue[:, None] * greys_axis) @ saturate


def recolour(images: Tensor, matrix: Tensor, contrast: Tensor) -> Tensor:
    """Apply colour maps (n, 3, 3), and factors (n,) of contrast about the mean luminance, to (n, 3, H, W) images."""
    mapped = torch.einsum("nij,njhw->nihw", matrix.to(images), images)
    luminance = torch.tensor(LUMINANCE).to(images)
    mean = torch.einsum("nchw,c->n", mapped, luminance) / (images.shape[-2] * images.shape[-1])
    factor = contrast.to(images).view(-1, 1, 1, 1)
    return (factor * mapped + (1 - factor) * mean.view(-1, 1, 1, 1)).clamp(0, 1)
