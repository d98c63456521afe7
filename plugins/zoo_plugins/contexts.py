"""Contexts: what a matting network computes from the backbone's coarsest features before it decodes them."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from zoo.matting.parts import Context


class ASPP(Context):
    """DeepLabV3's atrous spatial pyramid pooling with rates 3, 6 and 9 (BackgroundMattingV2).

    A batch of one trains, too.

    Args:
        width: channels of each branch and of the result (official 256).

    Raises:
        ValueError: less than one channel.

    Example:
        >>> context = ASPP(width=16)
        >>> context.build(in_channels=8)
        >>> context.eval()(torch.rand(1, 8, 4, 6)).shape
        torch.Size([1, 16, 4, 6])
    """

    def __init__(self, width: int = 256) -> None:
        super().__init__()
        self.channels = checked_width(width, "ASPP")

    def build(self, in_channels: int) -> None:
        from segmentation_models_pytorch.decoders.deeplabv3.decoder import ASPP as Layers  # imports all encoders

        layers = Layers(in_channels, self.channels, (3, 6, 9), separable=False, dropout=0.5)
        pooling = layers.convs[-1]
        position = next(index for index, layer in enumerate(pooling) if isinstance(layer, nn.BatchNorm2d))
        pooling[position] = PooledBatchNorm(pooling[position].num_features)
        self.convs, self.project = layers.convs, layers.project  # the names of official weights

    def forward(self, features: Tensor) -> Tensor:
        return self.project(torch.cat([branch(features) for branch in self.convs], dim=1))


class NoContext(Context):
    """A 1×1 convolution with BatchNorm and ReLU: each position sees its own features alone.

    Args:
        width: channels of the result, as in `ASPP`.

    Raises:
        ValueError: less than one channel.

    Example:
        >>> context = NoContext(width=16)
        >>> context.build(in_channels=8)
        >>> context(torch.rand(2, 8, 4, 6)).shape
        torch.Size([2, 16, 4, 6])
    """

    def __init__(self, width: int = 256) -> None:
        super().__init__()
        self.channels = checked_width(width, "NoContext")

    def build(self, in_channels: int) -> None:
        self.project = nn.Sequential(
            nn.Conv2d(in_channels, self.channels, 1, bias=False), nn.BatchNorm2d(self.channels), nn.ReLU()
        )

    def forward(self, features: Tensor) -> Tensor:
        return self.project(features)


class PooledBatchNorm(nn.BatchNorm2d):
    """BatchNorm after global pooling. With a batch of one, a channel has one value and no variance: then it takes the
    running statistics.
    """

    def forward(self, x: Tensor) -> Tensor:
        if self.training and x.numel() == x.shape[1]:
            return F.batch_norm(x, self.running_mean, self.running_var, self.weight, self.bias, False, 0.0, self.eps)
        return super().forward(x)


def checked_width(width: int, owner: str) -> int:
    """Return the width, or raise ValueError where there is no channel."""
    if width < 1:
        raise ValueError(f"{owner}(width={width}): expected at least one channel.")
    return width
