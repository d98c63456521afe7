"""What tiles of patches see, with the margin that the convolutions need, and nothing of what no tile sees.

The coarse result is sampled where its enlargement to half size would be looked at, the pictures are cut at full size;
beyond the picture's border everything is zero.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from zoo.matting.parts import PATCH, Coarse
from zoo_plugins.refinement.cells import Cells
from zoo_plugins.refinement.kernels import Kernels


class Pictures(NamedTuple):
    """What is looked at."""

    source: Tensor
    """(B, 3, H, W), sides multiples of 4."""
    background: Tensor
    coarse: Tensor
    """(B, h, w, 42): hidden, alpha and foreground, and room for source and background."""

    @property
    def size(self) -> tuple[int, int]:
        """Of source and background."""
        return self.source.shape[-2], self.source.shape[-1]


def pictures(source: Tensor, background: Tensor, coarse: Coarse) -> Pictures:
    """Make ready to be looked at."""
    batch, channels, height, width = coarse.hidden.shape
    together = coarse.hidden.new_empty(batch, height, width, channels + 4 + 6)
    together[..., :channels] = coarse.hidden.permute(0, 2, 3, 1)
    together[..., channels] = coarse.alpha[:, 0]
    together[..., channels + 1 : channels + 4] = coarse.foreground.permute(0, 2, 3, 1)
    return Pictures(source, background, together)


Look = Callable[[Pictures, Cells, int, Kernels], tuple[Tensor, list[Tensor]]]
"""What `look_with_torch` is, and whatever else gives the same."""


def looking(windows: str, device: torch.device) -> Look:
    """The way to look of this name, "torch" or "triton"; ValueError where pictures on the device cannot be looked at in
    this way.
    """
    if windows == "torch":
        return look_with_torch
    try:
        from zoo_plugins.refinement import triton_windows
    except ImportError as error:
        raise ValueError(
            f"windows=triton needs Triton, which cannot be imported here ({error}): take windows=torch, or install "
            "torch for CUDA on Linux, with which Triton comes."
        ) from error
    if device.type not in triton_windows.DEVICES:
        raise ValueError(
            f"windows=triton needs pictures on a CUDA device and got some on {device}: move them and the network "
            "there, or take windows=torch."
        )
    return triton_windows.look_with_triton


def look_with_torch(given: Pictures, tiles: Cells, side: int, kernels: Kernels) -> tuple[Tensor, list[Tensor]]:
    """What the convolutions of tiles read.

    Args:
        tiles: on the grid of tiles of `side` patches.
        kernels: which say how much margin they need.

    Returns:
        What the first one reads: (P, s, s, 42), s = 2·side + 2·margin, the coarse result and the pictures at half size.
        What the third one reads behind the second one's result, which is s' a side: the four pixels of full size of
        each pixel, as maps (P, s', s', ·) to be joined in this order, 24 channels together.
    """
    half, margin = PATCH // 2 * side, kernels.margin
    images = cut((given.source, given.background), tiles, PATCH * side, 2 * margin)
    height, width = given.size
    x = sample(given.coarse, (height // 2, width // 2), tiles, half, margin)
    x[..., -6:] = halved(images).permute(0, 2, 3, 1)
    return x, [each.permute(0, 2, 3, 1) for each in fours(images, x.shape[1] - 2 * kernels.trimmed)]


def halved(images: Tensor) -> Tensor:
    """(P, C, 2s, 2s) at half size, (P, C, s, s); bilinear is the mean of four there.

    As a product of matrices, since pooling takes longer.
    """
    side = images.shape[-1] // 2
    pairs = torch.eye(side, dtype=images.dtype, device=images.device).repeat_interleave(2, 1) / 4
    return F.linear(images.unflatten(2, (side, 2)).flatten(3), pairs.repeat(1, 2))


def fours(images: Tensor, side: int) -> list[Tensor]:
    """Of each four pixels in the middle of images (P, C, ·, ·) the first, second, third and fourth: (P, C, side, side)
    each.
    """
    first = images.shape[-1] // 2 - side
    last = first + 2 * side
    return [images[:, :, first + down : last : 2, first + right : last : 2] for down in (0, 1) for right in (0, 1)]


def sample(x: Tensor, size: tuple[int, int], tiles: Cells, side: int, margin: int) -> Tensor:
    """Windows of an enlarged map that is never made.

    Args:
        x: (B, h, w, C), the channels innermost.
        size: height and width that x would be enlarged to, bilinearly as `resize` does.
        tiles: on the grid of tiles of `side` pixels of the enlarged map.
        side, margin: in its pixels.

    Returns:
        (P, s, s, C), s = side + 2·margin.
    """
    batch, height, width, channels = x.shape
    precise = torch.promote_types(x.dtype, torch.float32)  # half precision could not count pixels
    rows, row_weights = neighbours(places(tiles.row, side, margin), size[0], height, precise)
    columns, column_weights = neighbours(places(tiles.column, side, margin), size[1], width, precise)
    # Of the four pixels around each place: above left, above right, below left, below right.
    rows = (rows + tiles.image[:, None, None] * height).repeat_interleave(2, 2) * width
    index = rows[:, :, None] + columns.repeat(1, 1, 2)[:, None]
    weights = row_weights.repeat_interleave(2, 2)[:, :, None] * column_weights.repeat(1, 1, 2)[:, None]
    values = F.embedding_bag(
        index.view(-1, 4),
        x.reshape(batch * height * width, channels),
        mode="sum",
        per_sample_weights=weights.to(x.dtype).view(-1, 4),
    )
    return values.view(*index.shape[:3], channels)


def cut(pictures: Sequence[Tensor], tiles: Cells, side: int, margin: int) -> Tensor:
    """Windows of pictures (B, C, H, W), of any strides, one picture's channels behind another's: (P, ΣC, s, s),
    s = side + 2·margin; zeros beyond the border.

    Args:
        tiles: on the grid of tiles of `side` pixels.
    """
    full = side + 2 * margin
    channels = [picture.shape[1] for picture in pictures]
    found = pictures[0].new_empty(tiles.number, sum(channels), full, full)
    height, width = (max(length, full) for length in pictures[0].shape[-2:])
    wanted = torch.stack([tiles.row, tiles.column], 1) * side - margin
    # Windows that lie in the picture, first; those that should lie elsewhere are moved afterwards.
    start = torch.minimum(wanted.clamp(min=0), wanted.new_tensor([height - full, width - full]))
    for picture, part in zip(pictures, found.split(channels, 1), strict=True):
        pieces(at_least(picture, full), {0: tiles.image, 2: start[:, 0], 3: start[:, 1]}, part.shape[1:], part)
    astray = (start != wanted).any(1).nonzero()[:, 0]
    moves = (start - wanted)[astray]
    for down, right in moves.unique(dim=0).tolist():
        which = astray[(moves == moves.new_tensor([down, right])).all(1)]
        found[which] = F.pad(found[which], (right, -right, down, -down))
    return found


def pieces(x: Tensor, begin: Mapping[int, Tensor], size: Sequence[int], out: Tensor | None = None) -> Tensor:
    """Pieces of a tensor of any strides, which may overlap: (P, *size).

    Args:
        x: has one dimension more than a piece, the first.
        begin: the index at which each piece begins, (P,), by dimension; in those that are not there, 0.
        size: of a piece, in all dimensions but the first.
        out: where to write them.
    """
    strides = x.stride()
    first = torch.stack([index * strides[dimension] for dimension, index in begin.items()]).sum(0)
    last = sum((length - part) * stride for length, part, stride in zip(x.shape, (1, *size), strides, strict=True))
    # As if a piece began with every number in memory: then one index finds it, and it is copied as a whole.
    every = x.as_strided((last + 1, *size), (1, *strides[1:]))
    return torch.index_select(every, 0, first, out=out)


def at_least(image: Tensor, side: int) -> Tensor:
    """The image with so many zeros below and to the right that no side is shorter."""
    below, right = (max(0, side - length) for length in image.shape[-2:])
    return F.pad(image, (0, right, 0, below)) if below or right else image


def places(tiles: Tensor, side: int, margin: int) -> Tensor:
    """The rows, or columns, of pixels that tiles with their margin span: (P,) → (P, s)."""
    return tiles[:, None] * side + torch.arange(-margin, side + margin, device=tiles.device)


def neighbours(places: Tensor, size: int, coarse: int, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    """Which two of `coarse` pixels each place among `size` lies between, and their weights: (P, s, 2) each.

    As in `resize`: pixels are tiles, and what lies beyond the centre of the first or last one is like it. The weights
    are 0 for places beyond the border.
    """
    position = ((places.to(dtype) + 0.5) * (coarse / size) - 0.5).clamp(0, coarse - 1)
    before = position.floor()
    fraction = position - before
    indices = torch.stack([before, (before + 1).clamp(max=coarse - 1)], 2).long()
    weights = torch.stack([1 - fraction, fraction], 2)
    return indices, weights * ((places >= 0) & (places < size))[..., None]
