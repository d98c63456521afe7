"""Networks of MediaPipe in PyTorch: a face detector, a face mesh as a backbone for heads, a segmentation of people.

The first two consist of blocks of a depthwise and a pointwise convolution beside a shortcut, the last one is a
MobileNetV3 with a small decoder; all have TensorFlow's padding. The weights (Apache-2.0, The MediaPipe Authors) come
from `tools/mediapipe.py`; batch norms are fused into the convolutions.
"""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from zoo.core.parts import Backbone
from zoo.weights.reading import read_weights

INPUT = 128
"""Side in pixels of the square that BlazeFace sees."""
CHANNELS = (24, 28, 32, 36, 42, 48, 56, 64, 72, 80, 88, 96, 96, 96, 96, 96)
"""Channels after each of its blocks."""
STRIDED = (2, 5, 11)
"""Blocks that halve the resolution; from the last one on, features have stride 16, before it 8."""
FINE_ANCHORS, COARSE_ANCHORS = 2, 6
"""Faces that a cell of 8×8 and of 16×16 pixels can hold."""

MESH_POINTS = 468
MESH_SIDE = 192
"""Side in pixels of the square that the face mesh was trained with; its points are in these pixels."""
MESH_STAGES = ((16, 16, 16), (32, 32, 32), (64, 64, 64), (128, 128, 128), (128, 128, 128))
"""Channels after each block, by stride: 2, 4, 8, 16, 32."""
MESH_STRIDES = (2, 4, 8, 16, 32)
SELFIE_SIDE = 256
"""Side in pixels of the square that the segmentation of people sees."""
SELFIE_BLOCKS: tuple[tuple[int, int, int, int, int, type[nn.Module]], ...] = (
    (16, 16, 3, 2, 8, nn.ReLU),
    (72, 24, 3, 2, 0, nn.ReLU),
    (88, 24, 3, 1, 0, nn.ReLU),
    (96, 32, 5, 2, 24, nn.Hardswish),
    (128, 32, 5, 1, 32, nn.Hardswish),
    (128, 32, 5, 1, 32, nn.Hardswish),
    (96, 32, 5, 1, 24, nn.Hardswish),
    (96, 32, 5, 1, 24, nn.Hardswish),
)
"""Its blocks: inner channels, channels of the result, kernel size, stride, channels of the gate or 0, activation."""
SELFIE_SKIPS = (2, 0)
"""Blocks whose result the decoder joins, coarsest first; last comes the stem's."""

WINDOW_TOP, WINDOW_LEFT, WINDOW = 0.16, 0.08, 0.84
"""The part of a head's crop that shows the face, as fractions of its side; the window is a square. A face then fills
about as much of it as in the crops that the face mesh was made for."""


class BlazeBlock(nn.Module):
    """A depthwise and a pointwise convolution beside a shortcut, which is pooled and padded to the block's channels."""

    def __init__(self, inputs: int, outputs: int, stride: int, activation: nn.Module) -> None:
        super().__init__()
        self.stride = stride
        self.more = outputs - inputs
        self.depthwise = nn.Conv2d(inputs, inputs, 3, stride, groups=inputs)
        self.pointwise = nn.Conv2d(inputs, outputs, 1)
        self.activation = activation

    def forward(self, features: Tensor) -> Tensor:
        shortcut = features if self.stride == 1 else F.max_pool2d(features, 2, ceil_mode=True)
        convolved = self.pointwise(self.depthwise(padded(features, 3, self.stride)))
        return self.activation(convolved + F.pad(shortcut, (0, 0, 0, 0, 0, self.more)))


def padded(features: Tensor, kernel: int, stride: int) -> Tensor:
    """Pad as TensorFlow's `SAME` does: what is odd goes to the right and to the bottom."""
    sides: list[int] = []
    for extent in (features.shape[3], features.shape[2]):
        total = max((-(-extent // stride) - 1) * stride + kernel - extent, 0)
        sides += [total // 2, total - total // 2]
    return F.pad(features, sides)


class BlazeNetwork(nn.Module):
    """The network of BlazeFace, short range: (B, 3, 128, 128) in [−1, 1] to 896 boxes with scores.

    Returns:
        (B, 896, 4) left, top, right, bottom as fractions of the square, (B, 896) scores in [0, 1], and (B, 896) degrees
        by which the line of the eyes is rotated clockwise.

    Example:
        >>> [tuple(output.shape) for output in BlazeNetwork()(torch.zeros(1, 3, 128, 128))]
        [(1, 896, 4), (1, 896), (1, 896)]
    """

    anchors: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 24, 5, stride=2)
        channels = (24, *CHANNELS)
        self.blocks = nn.ModuleList(
            BlazeBlock(channels[index], channels[index + 1], 2 if index in STRIDED else 1, nn.ReLU())
            for index in range(len(CHANNELS))
        )
        self.fine_score = nn.Conv2d(88, FINE_ANCHORS, 1)
        self.coarse_score = nn.Conv2d(96, COARSE_ANCHORS, 1)
        self.fine_box = nn.Conv2d(88, FINE_ANCHORS * 16, 1)
        self.coarse_box = nn.Conv2d(96, COARSE_ANCHORS * 16, 1)
        anchors = torch.cat([centres(16).repeat_interleave(2, 0), centres(8).repeat_interleave(6, 0)])
        self.register_buffer("anchors", anchors, persistent=False)

    def raw(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Return (B, 896, 16) offsets from the anchors in pixels (box, then six points) and (B, 896) logits."""
        features = torch.relu(self.stem(padded(images, 5, 2)))
        for block in self.blocks[: STRIDED[-1]]:
            features = block(features)
        fine = features
        for block in self.blocks[STRIDED[-1] :]:
            features = block(features)
        offsets = torch.cat([cells(self.fine_box(fine), 16), cells(self.coarse_box(features), 16)], dim=1)
        logits = torch.cat([cells(self.fine_score(fine), 1), cells(self.coarse_score(features), 1)], dim=1)
        return offsets, logits[..., 0]

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        offsets, logits = self.raw(images)
        middle = offsets[..., :2] / INPUT + self.anchors
        half = offsets[..., 2:4] / (2 * INPUT)
        across, down = (offsets[..., 6:8] - offsets[..., 4:6]).unbind(-1)  # from the right eye to the left one
        return torch.cat([middle - half, middle + half], dim=-1), logits.sigmoid(), torch.atan2(down, across).rad2deg()


def centres(count: int) -> Tensor:
    """Return the centres x, y (count², 2) of a grid of square cells in [0, 1], row by row."""
    along = (torch.arange(count) + 0.5) / count
    rows, columns = torch.meshgrid(along, along, indexing="ij")
    return torch.stack([columns, rows], dim=-1).flatten(0, 1)


def cells(output: Tensor, numbers: int) -> Tensor:
    """(B, anchors × numbers, h, w) → (B, h × w × anchors, numbers), cell by cell."""
    return output.permute(0, 2, 3, 1).reshape(len(output), -1, numbers)


class FaceMesh(Backbone):
    """MediaPipe's face mesh, which has seen millions of real faces, as a backbone for heads.

    It looks at the window of a head's crop in which a face lies. Its features at stride 32 are joined by its 468 points
    (x, y, depth), each as a constant channel, in units of the window; a batch norm brings all channels to one scale. It
    was made for crops of 192 pixels; its points are right only there. Its input is normalised with ImageNet's mean and
    deviation, as the head network's.

    Args:
        checkpoint: its weights, as `tools/mediapipe.py facemesh` writes them; specs and checkpoints do not keep it.

    Example:
        >>> backbone = FaceMesh()
        >>> backbone.build(in_channels=3, strides=(4, 8, 16, 32))
        >>> [tuple(map.shape) for map in backbone(torch.rand(1, 3, 192, 192))]
        [(1, 32, 48, 48), (1, 64, 24, 24), (1, 128, 12, 12), (1, 1532, 6, 6)]
    """

    mean: Tensor
    std: Tensor

    def __init__(self, checkpoint: str | None = None) -> None:
        super().__init__()
        self.checkpoint = checkpoint

    def build(self, in_channels: int, strides: Sequence[int]) -> None:
        from timm.data import IMAGENET_DEFAULT_MEAN, IMAGENET_DEFAULT_STD  # imported here: timm is slow to import

        if in_channels != 3 or not set(strides) <= set(MESH_STRIDES):
            raise ValueError(
                f"FaceMesh has 3 input channels and features at strides {list(MESH_STRIDES)}, but the network needs "
                f"{in_channels} and {list(strides)}."
            )
        self.stem = nn.Conv2d(3, 16, 3, stride=2)
        self.stem_activation = nn.PReLU(16)
        stages, inputs = [], 16
        for number, stage in enumerate(MESH_STAGES):
            blocks: list[nn.Module] = []
            for index, outputs in enumerate(stage[1:] if number == 0 else stage):
                blocks.append(BlazeBlock(inputs, outputs, 2 if number and index == 0 else 1, nn.PReLU(outputs)))
                inputs = outputs
            stages.append(nn.Sequential(*blocks))
        self.stages = nn.ModuleList(stages)
        self.mesh = nn.Sequential(
            *(BlazeBlock(128, 128, stride, nn.PReLU(128)) for stride in (2, 1, 1)),
            nn.Conv2d(128, 32, 1),
            nn.PReLU(32),
            BlazeBlock(32, 32, 1, nn.PReLU(32)),
            nn.AdaptiveAvgPool2d(3),  # changes nothing for crops of 192
            nn.Conv2d(32, 3 * MESH_POINTS, 3),
        )
        self.norm = nn.BatchNorm2d(MESH_STAGES[-1][-1] + 3 * MESH_POINTS)
        self.register_buffer("mean", torch.tensor(IMAGENET_DEFAULT_MEAN)[:, None, None], persistent=False)
        self.register_buffer("std", torch.tensor(IMAGENET_DEFAULT_STD)[:, None, None], persistent=False)
        if self.checkpoint is not None:
            own = self.state_dict()
            given = {name: value.float() for name, value in read_weights(self.checkpoint).items()}
            # MediaPipe's network has no batch norm.
            start = {name: value for name, value in own.items() if name.startswith("norm.")} | given
            if {name: value.shape for name, value in start.items()} != {name: own[name].shape for name in own}:
                raise ValueError(
                    f"{self.checkpoint} holds no weights of the face mesh; expected a file of `tools/mediapipe.py "
                    "facemesh`."
                )
            self.load_state_dict(start)
        self.strides = list(strides)
        every = [stage[-1] for stage in MESH_STAGES[:-1]] + [MESH_STAGES[-1][-1] + 3 * MESH_POINTS]
        self.channels = [every[MESH_STRIDES.index(stride)] for stride in strides]

    def forward(self, image: Tensor) -> list[Tensor]:
        deepest = max(self.strides)
        features = self.until(image, min(deepest, MESH_STRIDES[-2]))
        return [*features, self.last_stage(features[-1])] if deepest == MESH_STRIDES[-1] else features

    def until(self, image: Tensor, stride: int = 16) -> list[Tensor]:
        features = self.start(window(image * self.std + self.mean))
        maps = []
        for number, stage in zip(MESH_STRIDES, self.stages, strict=True):
            if number > stride:
                break
            features = stage(features)
            if number in self.strides:
                maps.append(features)
        return maps

    def last_stage(self, features: Tensor) -> Tensor:
        features = self.stages[-1](features)
        points = self.points(features) / MESH_SIDE - 0.5
        return self.norm(torch.cat([features, points.expand(-1, -1, *features.shape[2:])], dim=1))

    def start(self, image: Tensor) -> Tensor:
        """Return the first features, at stride 2, of an image in [0, 1]."""
        return self.stem_activation(self.stem(padded(image, 3, 2)))

    def points(self, features: Tensor) -> Tensor:
        """Return the points (B, 1404, 1, 1), x, y, depth of each in pixels, from the features at stride 32."""
        return self.mesh(features)


def window(crops: Tensor) -> Tensor:
    """Return the part of each head's crop (B, 3, S, S) that shows the face, enlarged to (B, 3, S, S)."""
    height, width = crops.shape[2:]
    top, left = round(WINDOW_TOP * height), round(WINDOW_LEFT * width)
    part = crops[:, :, top : top + round(WINDOW * height), left : left + round(WINDOW * width)]
    return F.interpolate(part, (height, width), mode="bilinear", align_corners=False)


class Gate(nn.Module):
    """A weight in (0, 1) for each channel, from the mean of the features (squeeze and excitation)."""

    def __init__(self, channels: int, inner: int) -> None:
        super().__init__()
        self.inner, self.outer = nn.Conv2d(channels, inner, 1), nn.Conv2d(inner, channels, 1)

    def forward(self, features: Tensor) -> Tensor:
        return self.outer(F.relu(self.inner(features.mean((2, 3), keepdim=True)))).sigmoid()


class SelfieBlock(nn.Module):
    """A block of MobileNetV3: expanded, convolved depthwise, gated, projected; with a shortcut where sizes allow."""

    def __init__(
        self, inputs: int, inner: int, outputs: int, kernel: int, stride: int, gate: int, activation: type[nn.Module]
    ) -> None:
        super().__init__()
        self.stride = stride
        self.expand = nn.Conv2d(inputs, inner, 1)
        self.depthwise = nn.Conv2d(inner, inner, kernel, stride, groups=inner)
        self.gate = Gate(inner, gate) if gate else None
        self.project = nn.Conv2d(inner, outputs, 1)
        self.activation = activation()
        self.shortcut = stride == 1 and inputs == outputs

    def forward(self, features: Tensor) -> Tensor:
        x = self.activation(self.expand(features))
        x = self.activation(self.depthwise(padded(x, self.depthwise.kernel_size[0], self.stride)))
        x = self.project(x if self.gate is None else x * self.gate(x))
        return x + features if self.shortcut else x


class SelfieDecoderBlock(nn.Module):
    """Enlarges features twofold and joins them to finer ones, which are gated first."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.reduce = nn.Conv2d(inputs, outputs, 1)
        self.gate = Gate(outputs, outputs)
        self.pointwise = nn.Conv2d(outputs, outputs, 1)
        self.depthwise = nn.Conv2d(outputs, outputs, 3, padding=1, groups=outputs)

    def forward(self, features: Tensor, skip: Tensor) -> Tensor:
        size = (skip.shape[-2], skip.shape[-1])
        x = self.reduce(F.interpolate(features, size, mode="bilinear", align_corners=False))
        x = F.relu(self.pointwise(skip * self.gate(skip + x) + x))
        return x + F.relu(self.depthwise(x))


class SelfieNetwork(nn.Module):
    """MediaPipe's selfie segmentation, general model: (B, 3, 256, 256) in [0, 1] to (B, 1, 256, 256), 1 for people.

    Example:
        >>> SelfieNetwork()(torch.zeros(1, 3, 256, 256)).shape
        torch.Size([1, 1, 256, 256])
    """

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 16, 3, stride=2)
        outputs = [16, *(block[1] for block in SELFIE_BLOCKS)]
        self.blocks = nn.ModuleList(map(SelfieBlock, outputs, *zip(*SELFIE_BLOCKS, strict=True)))
        self.local, self.context = nn.Conv2d(outputs[-1], 128, 1), nn.Conv2d(outputs[-1], 128, 1)
        skips = [*(outputs[block + 1] for block in SELFIE_SKIPS), 16]
        self.decoder = nn.ModuleList(map(SelfieDecoderBlock, [128, *skips], skips))
        self.last = nn.ConvTranspose2d(16, 1, 2, stride=2)

    def forward(self, images: Tensor) -> Tensor:
        return self.last(self.features(images)).sigmoid()

    def features(self, images: Tensor) -> Tensor:
        """Return the features (B, 16, 128, 128) of which the last layer makes the result."""
        maps = [F.hardswish(self.stem(padded(images, 3, 2)))]
        for block in self.blocks:
            maps.append(block(maps[-1]))
        x = F.relu(self.local(maps[-1])) * self.context(maps[-1].mean((2, 3), keepdim=True)).sigmoid()
        for block, skip in zip(self.decoder, [*(maps[number + 1] for number in SELFIE_SKIPS), maps[0]], strict=True):
            x = block(x, skip)
        return x
