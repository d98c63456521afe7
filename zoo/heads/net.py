"""The head network: backbone, fusion, landmark branch, and the two heads that give the head model's parameters.

Pure torch, built from its parts; it knows nothing of training. With `GatedBiFPN`, `HeatmapLandmarks` and timm's
`resnet50` with its strides in the first convolutions, or `mobilenetv1_100` with ReLU, it is DAD-3DNet, parameter for
parameter and number for number.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from zoo.core.parts import Backbone
from zoo.core.seeding import random_stream, run_seed
from zoo.heads.mesh import POSE_SIZE, HeadSizes
from zoo.heads.parts import Fusion, HeadOutput, LandmarkBranch

STRIDES = (4, 8, 16, 32)
SHAPE_LIMIT = 3.0
"""Shape, expression and jaw lie within ± this many standard deviations of the head model (radians for the jaw)."""

HEAD_HEIGHT = 0.23
"""Metres from chin to crown, about."""
START_SCALE = 0.75 * 2 / HEAD_HEIGHT - 1
"""The scale at which such a head fills three quarters of a crop, which is two half pictures high."""
START_POSE = (*(1.0, 0.0, 0.0), *(0.0, -1.0, 0.0), *(0.0, 0.0, 0.0), START_SCALE)
"""Where the pose head begins: a head in the middle of the crop that looks straight at the camera. A rotation that began
at the back of the head would be led the wrong way round."""


class HeadNetwork(nn.Module):
    """A crop of a head in, the parameters of a head model, heatmaps and landmarks out (DAD-3DNet, CVPR 2022).

    The backbone is stopped at stride 16, where the fusion brings in the pyramid and the heatmaps, and goes on from
    there.

    Args:
        backbone: features at strides 4, 8, 16 and 32; it can stop at 16.
        fusion: makes the pyramid and merges it back into the backbone.
        landmark_branch: heatmaps and points, or one of them, or none.
        sizes: how many shape and expression parameters the head model has.
        width: of the hidden layer of the shape head and of the pose head.
        dropout: share of these layers that is dropped in training.

    Raises:
        ValueError: the backbone lacks one of the strides or cannot stop.
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
        try_stopping(backbone)
        with random_stream(run_seed(), "fusion"):
            fusion.build(backbone.channels[:3], landmark_branch.heatmap_count)
        last_channels = backbone.channels[3]
        with random_stream(run_seed(), "landmark_branch"):
            landmark_branch.build(fusion.pyramid_channels, last_channels)
        self.backbone = backbone
        self.fusion = fusion
        self.landmark_branch = landmark_branch
        with random_stream(run_seed(), "shape_head"):
            self.shape_head = regression_head(last_channels, width, dropout, sizes.total - POSE_SIZE)
        with random_stream(run_seed(), "pose_head"):
            self.pose_head = regression_head(last_channels, width, dropout, POSE_SIZE)
            start_at(self.pose_head, START_POSE)
        from timm.data import IMAGENET_DEFAULT_MEAN, IMAGENET_DEFAULT_STD  # loaded here: timm brings much else with it

        self.register_buffer("mean", torch.tensor(IMAGENET_DEFAULT_MEAN)[:, None, None], persistent=False)
        self.register_buffer("std", torch.tensor(IMAGENET_DEFAULT_STD)[:, None, None], persistent=False)

    def forward(self, image: Tensor) -> HeadOutput:
        """Look at crops of heads.

        Args:
            image: (B, 3, S, S) RGB in [0, 1], S a multiple of 32; official weights were trained at 256.

        Raises:
            ValueError: the crops have another shape or are no floats.
        """
        check_crops(image)
        c2, c3, c4 = self.backbone.until((image - self.mean) / self.std, stride=16)
        pyramid = self.fusion.pyramid(c2, c3, c4)
        heatmaps = self.landmark_branch.heatmaps(pyramid)
        last = self.backbone.last_stage(self.fusion.merge(c4, pyramid, heatmaps))
        shape = SHAPE_LIMIT * self.shape_head(last).tanh()
        return HeadOutput(
            heatmaps=heatmaps,
            landmarks=self.landmark_branch.points(last),
            params=torch.cat([shape, self.pose_head(last)], dim=1),
        )


def regression_head(channels: int, width: int, dropout: float, outputs: int) -> nn.Sequential:
    """Features averaged over the picture, one hidden layer, then numbers: (B, channels, h, w) → (B, outputs)."""
    return nn.Sequential(
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(channels, width),
        nn.ReLU(),
        nn.Dropout(dropout),
        nn.Linear(width, outputs),
    )


def start_at(head: nn.Sequential, outputs: Sequence[float] | float) -> None:
    """Let the outputs of a regression head begin near these numbers."""
    layer = head[-1]
    assert isinstance(layer, nn.Linear)
    with torch.no_grad():
        layer.bias.copy_(torch.as_tensor(outputs))


def try_stopping(backbone: Backbone) -> None:
    """ValueError at once, rather than in the first step, if the backbone cannot stop at stride 16 and go on."""
    backbone.eval()
    with torch.no_grad():
        backbone.last_stage(backbone.until(torch.zeros(1, 3, 96, 96), stride=16)[-1])
    backbone.train()


def check_crops(image: Tensor) -> None:
    """ValueError unless these are float pictures, three channels, square, with sides that are multiples of 32."""
    if not image.is_floating_point():
        raise ValueError(f"image has dtype {image.dtype}; expected floats in [0, 1]: divide uint8 pictures by 255.")
    side = STRIDES[-1]
    if image.ndim != 4 or image.shape[1] != 3 or image.shape[2] != image.shape[3] or image.shape[2] % side:
        raise ValueError(
            f"image has shape {tuple(image.shape)}; expected (B, 3, S, S), square crops of RGB with S a multiple of "
            f"{side}, for example 256."
        )
