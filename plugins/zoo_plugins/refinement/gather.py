"""Patches and tiles of images: gathering them with a halo, and writing patches back.

A *tile* is a square of n×n patches, its *halo* the border around it that the convolutions read. Beyond the image's
border everything is zero. The coarse result is sampled only at the pixels that a tile reads; it is never enlarged as a
whole.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from zoo.matting.parts import PATCH, Coarse

ROW = {torch.float32: torch.complex128, torch.float16: torch.float64, torch.bfloat16: torch.float64}
"""By dtype, a dtype of four times its size: a row of a patch moves faster as one number than as four."""


class Cells(NamedTuple):
    """Squares by image, row and column on a grid of squares, (P,) each; of patches, unless said otherwise."""

    image: Tensor
    row: Tensor
    column: Tensor

    def subset(self, index: Tensor | slice) -> "Cells":
        """Return the squares that an index, a mask or a slice chooses."""
        return Cells(*(values[index] for values in self))

    @property
    def number(self) -> int:
        """How many there are."""
        return len(self.image)


class RefinerInputs(NamedTuple):
    """The images that tiles are gathered from."""

    source: Tensor
    """(B, 3, H, W), sides multiples of 4."""
    background: Tensor | None
    coarse: Tensor
    """(B, h, w, 42), channels last: hidden, alpha and foreground, then six channels for source and background, or three
    without background."""

    @property
    def images(self) -> tuple[Tensor, ...]:
        """Source and, where there is one, background."""
        return (self.source,) if self.background is None else (self.source, self.background)


def refiner_inputs(source: Tensor, background: Tensor | None, coarse: Coarse) -> RefinerInputs:
    """Return the inputs with the coarse result in one map, channels last."""
    batch, channels, height, width = coarse.hidden.shape
    joined = coarse.hidden.new_empty(batch, height, width, channels + 4 + (3 if background is None else 6))
    joined[..., :channels] = coarse.hidden.permute(0, 2, 3, 1)
    joined[..., channels] = coarse.alpha[:, 0]
    joined[..., channels + 1 : channels + 4] = coarse.foreground.permute(0, 2, 3, 1)
    return RefinerInputs(source, background, joined)


def gather_tiles(
    inputs: RefinerInputs, tiles: Cells, side: int, margin: int, trimmed: int
) -> tuple[Tensor, list[Tensor]]:
    """Gather the receptive fields of tiles.

    Args:
        inputs: the images.
        tiles: P positions on a grid whose cells are `side`×`side` patches.
        side: side of a tile, in patches.
        margin: width of the halo around a tile, in pixels at half resolution.
        trimmed: pixels by which the halo of the second result is narrower.

    Returns:
        First, the coarse result and both images at half size, (P, s, s, 42) with s = 2·side + 2·margin: 32 hidden
        channels, 1 of alpha, 3 of foreground, 6 of both images. Second, both images at full size,
        pixel-unshuffled: four maps (P, s', s', 6), s' = s − 2·trimmed, one for each pixel of a 2×2 square.
    """
    half = PATCH // 2 * side
    images = gather_crops(inputs.images, tiles, PATCH * side, 2 * margin)
    height, width = inputs.source.shape[-2:]
    x = gather_enlarged(inputs.coarse, (height // 2, width // 2), tiles, half, margin)
    x[..., -images.shape[1] :] = half_size(images).permute(0, 2, 3, 1)
    return x, [each.permute(0, 2, 3, 1) for each in pixel_unshuffle(images, x.shape[1] - 2 * trimmed)]


def half_size(images: Tensor) -> Tensor:
    """Return (P, C, 2s, 2s) at half size, (P, C, s, s): bilinear is the mean of four pixels there.

    As a product of matrices, since pooling takes longer.
    """
    side = images.shape[-1] // 2
    pairs = torch.eye(side, dtype=images.dtype, device=images.device).repeat_interleave(2, 1) / 4
    return F.linear(images.unflatten(2, (side, 2)).flatten(3), pairs.repeat(1, 2))


def pixel_unshuffle(images: Tensor, side: int) -> list[Tensor]:
    """Return the first, second, third and fourth pixel of each 2×2 square in the middle of (P, C, ·, ·): four tensors
    (P, C, side, side).
    """
    first = images.shape[-1] // 2 - side
    last = first + 2 * side
    return [images[:, :, first + down : last : 2, first + right : last : 2] for down in (0, 1) for right in (0, 1)]


def gather_enlarged(x: Tensor, size: tuple[int, int], tiles: Cells, side: int, margin: int) -> Tensor:
    """Gather tiles of an enlarged map without enlarging the map.

    Args:
        x: (B, h, w, C), channels last.
        size: height and width of the enlarged map, bilinear as `resize` makes it.
        tiles: on the grid of tiles of `side` pixels of the enlarged map.
        side, margin: in its pixels.

    Returns:
        (P, s, s, C), s = side + 2·margin.
    """
    batch, height, width, channels = x.shape
    precise = torch.promote_types(x.dtype, torch.float32)  # half precision could not count pixels
    rows, row_weights = interpolation(positions(tiles.row, side, margin), size[0], height, precise)
    columns, column_weights = interpolation(positions(tiles.column, side, margin), size[1], width, precise)
    # The four pixels around each position: above left, above right, below left, below right.
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


def positions(tiles: Tensor, side: int, margin: int) -> Tensor:
    """Return the rows, or columns, of pixels that tiles with their halo span: (P,) → (P, s)."""
    return tiles[:, None] * side + torch.arange(-margin, side + margin, device=tiles.device)


def interpolation(position: Tensor, size: int, coarse: int, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    """Return the two of `coarse` pixels next to each position among `size`, and their weights: (P, s, 2) each.

    As in `resize`, a position beyond the centre of the first or last pixel takes that pixel's value. The weights are 0
    beyond the border.
    """
    centre = ((position.to(dtype) + 0.5) * (coarse / size) - 0.5).clamp(0, coarse - 1)
    before = centre.floor()
    fraction = centre - before
    indices = torch.stack([before, (before + 1).clamp(max=coarse - 1)], 2).long()
    weights = torch.stack([1 - fraction, fraction], 2)
    return indices, weights * ((position >= 0) & (position < size))[..., None]


def gather_crops(images: Sequence[Tensor], tiles: Cells, side: int, margin: int) -> Tensor:
    """Gather tiles of several images (B, C, H, W) of any strides: (P, ΣC, s, s), s = side + 2·margin.

    Args:
        images: their channels are concatenated.
        tiles: on the grid of tiles of `side` pixels.
        side, margin: in pixels.
    """
    full = side + 2 * margin
    channels = [image.shape[1] for image in images]
    crops = images[0].new_empty(tiles.number, sum(channels), full, full)
    height, width = (max(length, full) for length in images[0].shape[-2:])
    exact = torch.stack([tiles.row, tiles.column], 1) * side - margin
    # First crops that lie inside the image. Those that should begin elsewhere are moved afterwards.
    start = torch.minimum(exact.clamp(min=0), exact.new_tensor([height - full, width - full]))
    for image, part in zip(images, crops.split(channels, 1), strict=True):
        slices(pad_to(image, full), {0: tiles.image, 2: start[:, 0], 3: start[:, 1]}, part.shape[1:], part)
    astray = (start != exact).any(1).nonzero()[:, 0]
    moves = (start - exact)[astray]
    for down, right in moves.unique(dim=0).tolist():
        moved = astray[(moves == moves.new_tensor([down, right])).all(1)]
        crops[moved] = F.pad(crops[moved], (right, -right, down, -down))
    return crops


def slices(x: Tensor, begin: Mapping[int, Tensor], size: Sequence[int], out: Tensor | None = None) -> Tensor:
    """Return slices of a tensor of any strides, which may overlap: (P, *size).

    Args:
        x: has one dimension more than a slice, the first.
        begin: the index at which each slice begins, (P,), by dimension; 0 in dimensions that are left out.
        size: of a slice, in all dimensions but the first.
        out: where to write them.
    """
    strides = x.stride()
    first = torch.stack([index * strides[dimension] for dimension, index in begin.items()]).sum(0)
    last = sum((length - part) * stride for length, part, stride in zip(x.shape, (1, *size), strides, strict=True))
    # As if a slice began with every number in memory: then one index finds it, and it is copied as a whole.
    every = x.as_strided((last + 1, *size), (1, *strides[1:]))
    return torch.index_select(every, 0, first, out=out)


def pad_to(image: Tensor, side: int) -> Tensor:
    """Pad with zeros below and to the right until no side is shorter than `side`."""
    below, right = (max(0, side - length) for length in image.shape[-2:])
    return F.pad(image, (0, right, 0, below)) if below or right else image


def crop(x: Tensor, cells: Cells, size: int, margin: int) -> Tensor:
    """Crop the cells' squares with a margin, zeros beyond the border: (P, C, s, s), s = size + 2·margin."""
    side = size + 2 * margin
    squares = F.pad(x, (margin,) * 4).permute(0, 2, 3, 1).unfold(1, side, size).unfold(2, side, size)
    return squares[cells.image, cells.row, cells.column]


def write(x: Tensor, cells: Cells, patches: Tensor) -> Tensor:
    """Return a copy of x (B, C, H, W) with the patches (P, C, 4, 4) at the cells."""
    grid = by_patches(x).index_put((cells.image, cells.row, cells.column), patches.to(x.dtype))
    return grid.permute(0, 3, 1, 4, 2, 5).reshape(x.shape)


def write_in_place(x: Tensor, cells: Cells, patches: Tensor) -> None:
    """Write the patches (P, C, 4, 4) into x (B, C, H, W) itself, which is contiguous."""
    patches = patches.to(x.dtype)
    if x.dtype in ROW:
        row = ROW[x.dtype]
        x, patches = x.view(-1).view(row).view(*x.shape[:3], -1), patches.contiguous().view(row)
    by_patches(x, patches.shape[3]).index_put_((cells.image, cells.row, cells.column), patches)


def by_patches(x: Tensor, width: int = PATCH) -> Tensor:
    """Return x (B, C, H, W) as its patches, (B, H/4, W/width, C, 4, width)."""
    batch, channels, height, columns = x.shape
    return x.view(batch, channels, height // PATCH, PATCH, columns // width, width).permute(0, 2, 4, 1, 3, 5)
