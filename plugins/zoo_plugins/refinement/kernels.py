"""The refiner's convolutions as tiles go through them: all at half size, where four pixels of full size are the
channels of one.

To enlarge a map to twice its size (nearest) and convolve it with 3×3 is to convolve it with 2×2, once for each of the
four pixels that a pixel becomes: what they see of the enlarged map are two pixels a side, some of them twice. So
nothing is enlarged, and where 12 or 4 channels would leave most of a processor's vectors empty, four times as many fill
them.
"""

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from zoo.matting.parts import PATCH

Convolution = tuple[Tensor, Tensor | None]


class Kernels(NamedTuple):
    """Weight and bias of each convolution, at half size; BatchNorm folded in."""

    conv1: Convolution
    conv2: Convolution
    conv3: Convolution
    """Its result is a pixel of full size larger than a tile on every side; fours begin with that pixel."""
    conv4: Convolution

    @property
    def margin(self) -> int:
        """What a tile's result needs beyond its border, in pixels of half size."""
        return sum(weight.shape[-1] - 1 for weight, _ in self) // 2

    @property
    def trimmed(self) -> int:
        """What the first two take off every side of a tile with its margin, before the pictures join."""
        return sum(weight.shape[-1] - 1 for weight, _ in (self.conv1, self.conv2)) // 2


def at_half_size(conv1: Convolution, conv2: Convolution, conv3: Convolution, conv4: Convolution) -> Kernels:
    """The kernels of convolutions of which the last two are at full size, behind the enlargement that joins the
    pictures' channels to those of the second.
    """
    hidden = len(conv2[0])
    four = in_fours(conv3[0])
    weight3 = torch.cat([four[:, :, :hidden].sum(1), four[:, :, hidden:].flatten(1, 2)], 1)
    weight4 = in_fours(conv4[0]).flatten(1, 2)
    return Kernels(conv1, conv2, (weight3, four_times(conv3[1])), (weight4, four_times(conv4[1])))


def in_fours(weight: Tensor) -> Tensor:
    """The kernel at half size that does what one does at full size: (O, C, k, k) → (4·O, 4, C, h, h), h = (k + 1) / 2.

    The fours that it gives begin where the first full kernel begins: those of a kernel of 3×3, a pixel before.
    """
    # A pixel of four sees the same kernel as the first, further right or down.
    kernels = [F.pad(weight, (right, 1 - right, down, 1 - down)) for down in (0, 1) for right in (0, 1)]
    split = torch.cat(kernels).unflatten(3, (-1, 2)).unflatten(2, (-1, 2))
    return split.permute(0, 3, 5, 1, 2, 4).flatten(1, 2)


def four_times(bias: Tensor | None) -> Tensor | None:
    """The bias of four pixels."""
    return None if bias is None else bias.repeat(4)


def multiply_adds(side: int, kernels: Kernels) -> int:
    """What the convolutions compute for a tile of `side` patches a side."""
    total, length = 0, PATCH // 2 * side + 2 * kernels.margin
    for weight, _ in kernels:
        length -= weight.shape[-1] - 1
        total += length**2 * weight.numel()
    return total
