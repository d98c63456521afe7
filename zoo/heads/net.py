"""Head network: backbone, fusion, landmark branch, and two regression heads for the head model's parameters.

Pure torch, built from its parts, independent of training. With `GatedBiFPN`, `HeatmapLandmarks` and timm's
`resnet50` with its strides in the first convolutions, or `mobilenetv1_100` with ReLU, it is DAD-3DNet, parameter for
parameter and number for number.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from zoo.core.parts import Backbone
from zoo.core.promises import check_built, check_features, check_output
from zoo.core.seeding import random_stream, run_seed
from zoo.heads.mesh import POSE_SIZE, HeadSizes
from zoo.heads.parts import LANDMARKS, Fusion, HeadOutput, LandmarkBranch

STRIDES = (4, 8, 16, 32)
SHAPE_LIMIT = 3.0
"""Bound of shape and expression in standard deviations of the head model, and of the jaw in radians."""

HEAD_HEIGHT = 0.23
"""Approximate metres from chin to crown."""
START_SCALE = 0.75 * 2 / HEAD_HEIGHT - 1
"""Scale at which such a head fills three quarters of a crop, which is two half images high."""
START_POSE = (*(1.0, 0.0, 0.0), *(0.0, -1.0, 0.0), *(0.0, 0.0, 0.0), START_SCALE)
"""Initial output of the pose head: a frontal head in the middle of the crop. From a rotation near the back of the head,
the gradient would lead the wrong way."""


class HeadNetwork(nn.Module):
    """Network from a crop of a head to parameters of a head model, heatmaps and landmarks (DAD-3DNet, CVPR 2022).

    The backbone pauses at stride 16, where the fusion merges the pyramid and the heatmaps into its features.

    Args:
        backbone: features at strides 4, 8, 16 and 32; it can pause at 16.
        fusion: makes the pyramid and merges it back into the backbone.
        landmark_branch: heatmaps and points, or one of them, or none.
        sizes: numbers of shape and expression parameters of the head model.
        width: of the hidden layers of shape head and pose head.
        dropout: probability in these layers.

    Raises:
        ValueError: the backbone lacks one of the strides or cannot pause.

    Example:
        >>> from zoo.core.spec import build
        >>> timm_arguments = {"name": "test_efficientnet", "output_stride": 32}
        >>> backbone = build({"class_path": "TimmBackbone", "init_args": timm_arguments})
        >>> fusion = build({"class_path": "ConcatFusion", "init_args": {"channels": 8}})
        >>> branch = build({"class_path": "HeatmapLandmarks", "init_args": {"width": 8}})
        >>> network = HeadNetwork(backbone, fusion, branch, HeadSizes(shape=10, expression=5), width=8)
        >>> output = network(torch.rand(2, 3, 64, 64))
        >>> output.params.shape, output.heatmaps.shape
        (torch.Size([2, 28]), torch.Size([2, 68, 16, 16]))
    """

    mean: Tensor
    std: Tensor

    def __init__(
        self,
        backbone: Backbone,
        fusion: Fusion,
        landmark_branch: LandmarkBranch,
        sizes: HeadSizes,
        width: int = 512,
        dropout: float = 0.3,
    ) -> None:
        super().__init__()
        with random_stream(run_seed(), "backbone"):
            backbone.build(in_channels=3, strides=STRIDES)
        check_built(backbone, STRIDES)
        self.backbone = backbone
        self._check_pausing()
        with random_stream(run_seed(), "fusion"):
            fusion.build(backbone.channels[:3], landmark_branch.heatmap_count)
        last_channels = backbone.channels[3]
        with random_stream(run_seed(), "landmark_branch"):
            landmark_branch.build(fusion.pyramid_channels, last_channels)
        self.fusion = fusion
        self.landmark_branch = landmark_branch
        with random_stream(run_seed(), "shape_head"):
            self.shape_head = regression_head(last_channels, width, dropout, sizes.total - POSE_SIZE)
        with random_stream(run_seed(), "pose_head"):
            self.pose_head = regression_head(last_channels, width, dropout, POSE_SIZE)
            start_at(self.pose_head, START_POSE)
        from timm.data import IMAGENET_DEFAULT_MEAN, IMAGENET_DEFAULT_STD  # imported here: timm is slow to import

        self.register_buffer("mean", torch.tensor(IMAGENET_DEFAULT_MEAN)[:, None, None], persistent=False)
        self.register_buffer("std", torch.tensor(IMAGENET_DEFAULT_STD)[:, None, None], persistent=False)

    def forward(self, image: Tensor) -> HeadOutput:
        """Predict heads from crops.

        Args:
            image: (B, 3, S, S) RGB in [0, 1], S a multiple of 32; official weights were trained at 256.

        Raises:
            ValueError: the crops have another shape or are no floats.
        """
        _check_crops(image)
        c2, c3, c4 = self._until((image - self.mean) / self.std)
        pyramid = self.fusion.pyramid(c2, c3, c4)
        check_pyramid(self.fusion, pyramid, c2)
        heatmaps = self.landmark_branch.heatmaps(pyramid)
        count = self.landmark_branch.heatmap_count
        check_optional(self.landmark_branch, "heatmaps", heatmaps, count > 0, (c2.shape[0], count, *c2.shape[-2:]))
        merged = self.fusion.merge(c4, pyramid, heatmaps)
        check_output(self.fusion, merged, [c4.shape], f"from merge c4's shape, {tuple(c4.shape)}")
        last = self.backbone.last_stage(merged)
        check_features(self.backbone, image, [c2, c3, c4, last])
        shape = SHAPE_LIMIT * self.shape_head(last).tanh()  # before the points: the order in which dropout draws
        landmarks = self.landmark_branch.points(last)
        check_optional(
            self.landmark_branch, "points", landmarks, self.landmark_branch.gives_points, (c2.shape[0], LANDMARKS, 2)
        )
        return HeadOutput(
            heatmaps=heatmaps,
            landmarks=landmarks,
            params=torch.cat([shape, self.pose_head(last)], dim=1),
        )

    def _until(self, image: Tensor) -> list[Tensor]:
        """Return the backbone's features at strides 4, 8 and 16."""
        features = self.backbone.until(image, stride=16)
        check_features(self.backbone, image, features, len(STRIDES) - 1)
        return features

    def _check_pausing(self) -> None:
        """Raise ValueError now, rather than in the first step, if the backbone cannot pause at stride 16."""
        self.backbone.eval()
        with torch.no_grad():
            self.backbone.last_stage(self._until(torch.zeros(1, 3, 96, 96))[-1])
        self.backbone.train()


def check_pyramid(fusion: Fusion, pyramid: Any, c2: Tensor) -> None:
    """Check the pyramid of a fusion: at least one feature, those of half the size after one another."""
    levels = len(pyramid) if isinstance(pyramid, list | tuple) else 1
    sides = [[-(-side // 2**level) for side in c2.shape[-2:]] for level in range(max(1, levels))]
    shapes = [(c2.shape[0], fusion.pyramid_channels, *each) for each in sides]
    check_output(fusion, pyramid, shapes, f"from pyramid features of {', '.join(map(str, shapes))}, finest first")


def check_optional(part: LandmarkBranch, method: str, output: Any, expected: bool, shape: tuple[int, ...]) -> None:
    """Check the output of a method of a landmark branch that says whether it has one; otherwise it is None."""
    if expected or output is not None:
        promise = str(shape) if expected else "None, by its class attribute"
        check_output(part, output, [shape] if expected else [], f"from {method} {promise}")


def regression_head(channels: int, width: int, dropout: float, outputs: int) -> nn.Sequential:
    """Return global average pooling and two linear layers, (B, channels, h, w) → (B, outputs).

    Example:
        >>> regression_head(16, width=8, dropout=0.3, outputs=4)(torch.rand(2, 16, 3, 3)).shape
        torch.Size([2, 4])
    """
    hidden = (nn.Linear(channels, width), nn.ReLU(), nn.Dropout(dropout))
    return nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), *hidden, nn.Linear(width, outputs))


def start_at(head: nn.Sequential, outputs: Sequence[float] | float) -> None:
    """Initialise the bias of a regression head, so that its outputs start near these numbers.

    Example:
        >>> head = regression_head(16, width=8, dropout=0.0, outputs=4)
        >>> start_at(head, 0.5)
        >>> head[-1].bias.tolist()
        [0.5, 0.5, 0.5, 0.5]
    """
    layer = head[-1]
    assert isinstance(layer, nn.Linear)
    with torch.no_grad():
        layer.bias.copy_(torch.as_tensor(outputs))


def _check_crops(image: Tensor) -> None:
    """Raise ValueError unless the images are floats of shape (B, 3, S, S) with S a multiple of 32."""
    if not image.is_floating_point():
        raise ValueError(f"image has dtype {image.dtype}; expected floats in [0, 1]: divide uint8 images by 255.")
    side = STRIDES[-1]
    if image.ndim != 4 or image.shape[1] != 3 or image.shape[2] != image.shape[3] or image.shape[2] % side:
        raise ValueError(
            f"image has shape {tuple(image.shape)}; expected (B, 3, S, S), square crops of RGB with S a multiple of "
            f"{side}, for example 256."
        )
