"""Refinement in evaluation, tile by tile: only the receptive fields of selected patches are ever computed.

All four convolutions run at half size, with the 2×2 pixels of full size in the channels (pixel-unshuffled). Enlarging a
map to twice its size (nearest) and convolving with 3×3 equals convolving with 2×2, once for each of the four pixels
that a pixel becomes. So nothing is enlarged, and four times as many channels fill a processor's vectors.

Patches of a tile share their halo, so a tile costs less than its patches alone; but patches that nobody selected are
computed too. Where the selected ones lie close, large tiles are cheaper, where they are scattered, small ones.
"""

from collections.abc import Iterator, Mapping
from itertools import pairwise
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from zoo.matting.parts import PATCH
from zoo_plugins.refinement.gather import Cells, RefinerInputs, gather_tiles, slices

TILE_SIDES = (1, 2, 4, 8, 16)
"""Sides of tiles in patches: from a patch alone to nearly as good as the whole image at once."""

TILE_OVERHEAD = 460_000
"""Cost of a tile besides its multiply-adds, in multiply-adds: of gathering and joining it.

One thread took, on a Xeon with AVX-512, 22, 36, 75, 198 and 670 µs for a tile of each side; 11 µs and 0.024 µs for
each thousand multiply-adds come to 22, 34, 71, 199 and 670.
"""

CHUNK_BYTES = {"cpu": 2**23, "cuda": 2**28}
"""Bytes that the first convolution reads at once, by device: a cache's size where there are caches of such a size."""

Convolution = tuple[Tensor, Tensor | None]


class Kernels(NamedTuple):
    """Weight and bias of each convolution, at half size, BatchNorm fused."""

    conv1: Convolution
    conv2: Convolution
    conv3: Convolution
    """Its result is one pixel of full size larger than a tile on every side, and begins with that pixel."""
    conv4: Convolution

    @property
    def margin(self) -> int:
        """Width of the halo of a tile, in pixels of half size."""
        return sum(weight.shape[-1] - 1 for weight, _ in self) // 2

    @property
    def trimmed(self) -> int:
        """How much of the halo the first two convolutions use up, before the images join."""
        return sum(weight.shape[-1] - 1 for weight, _ in (self.conv1, self.conv2)) // 2


def half_size_kernels(conv1: Convolution, conv2: Convolution, conv3: Convolution, conv4: Convolution) -> Kernels:
    """Return the kernels at half size of two convolutions at half size and two at full size.

    The second result is enlarged and joined by the images' channels before the third.
    """
    hidden = len(conv2[0])
    unshuffled = unshuffled_kernel(conv3[0])
    weight3 = torch.cat([unshuffled[:, :, :hidden].sum(1), unshuffled[:, :, hidden:].flatten(1, 2)], 1)
    weight4 = unshuffled_kernel(conv4[0]).flatten(1, 2)
    bias3, bias4 = (None if bias is None else bias.repeat(4) for _, bias in (conv3, conv4))
    return Kernels(conv1, conv2, (weight3, bias3), (weight4, bias4))


def unshuffled_kernel(weight: Tensor) -> Tensor:
    """Return the kernel for pixel-unshuffled maps: (O, C, k, k) → (4·O, 4, C, h, h), h = (k + 1) / 2.

    The 2×2 squares of its result begin where the first full kernel begins: one pixel before, for a kernel of 3×3.
    """
    # Each of the four pixels has the same kernel as the first, further right or down.
    kernels = [F.pad(weight, (right, 1 - right, down, 1 - down)) for down in (0, 1) for right in (0, 1)]
    split = torch.cat(kernels).unflatten(3, (-1, 2)).unflatten(2, (-1, 2))
    return split.permute(0, 3, 5, 1, 2, 4).flatten(1, 2)


def multiply_adds(side: int, kernels: Kernels) -> int:
    """Return the multiply-adds of all convolutions for a tile of `side` × `side` patches, halo included."""
    total, length = 0, PATCH // 2 * side + 2 * kernels.margin
    for weight, _ in kernels:
        length -= weight.shape[-1] - 1
        total += length**2 * weight.numel()
    return total


def tiling(selected: Tensor, costs: Mapping[int, float]) -> dict[int, Cells]:
    """Return disjoint tiles that hold all selected patches, the cheapest that halving allows.

    Args:
        selected: (B, 1, R, C), booleans.
        costs: above 0, of a tile by its side in patches; each side is a multiple of the next smaller one.

    Returns:
        The tiles of each side, on the grid of tiles of that side.
    """
    sides = sorted(costs)
    rows, columns = selected.shape[-2:]
    padded = F.pad(selected[:, 0].float(), (0, -columns % sides[-1], 0, -rows % sides[-1]))
    taken = {sides[0]: tile_sums(padded, sides[0]) > 0}
    cost = taken[sides[0]].float() * costs[sides[0]]
    for smaller, side in pairwise(sides):
        apart = tile_sums(cost, side // smaller)
        taken[side] = apart >= costs[side]
        cost = apart.clamp(max=costs[side])
    tiles: dict[int, Cells] = {}
    held = torch.zeros_like(taken[sides[-1]])
    for side in reversed(sides):  # patches in a larger tile are held already
        ratio = len(taken[side][0]) // len(held[0])
        held = held.repeat_interleave(ratio, 1).repeat_interleave(ratio, 2)
        tiles[side] = Cells(*(taken[side] & ~held).nonzero(as_tuple=True))
        held = held | taken[side]
    return tiles


def tile_sums(x: Tensor, side: int) -> Tensor:
    """Return the sum over each tile: (B, R, C) → (B, R/side, C/side)."""
    batch, rows, columns = x.shape
    return x.view(batch, rows // side, side, columns // side, side).sum((2, 4))


def refined_patches(
    inputs: RefinerInputs, selected: Tensor, kernels: Kernels, sides: tuple[int, ...] = TILE_SIDES
) -> Iterator[tuple[Cells, Tensor]]:
    """Yield every selected patch, some at a time: the cells, and the refined patches (P, C, 4, 4).

    Args:
        inputs: the images.
        selected: (B, 1, H/4, W/4), booleans.
        kernels: the last one has 4·C output channels.
        sides: of the tiles to choose from, in patches.
    """
    costs = {side: TILE_OVERHEAD + multiply_adds(side, kernels) for side in sides}
    pixel_bytes = inputs.coarse.shape[-1] * inputs.coarse.element_size()
    for side, tiles in tiling(selected, costs).items():
        tile_bytes = (PATCH // 2 * side + 2 * kernels.margin) ** 2 * pixel_bytes
        for chunk in chunks(tiles, tile_bytes, inputs.source.device):
            yield patches_of_tiles(chunk, side, selected, refine_tiles(inputs, chunk, side, kernels))


def refine_tiles(inputs: RefinerInputs, tiles: Cells, side: int, kernels: Kernels) -> Tensor:
    """Return the refined tiles, (P, 2·side, 2·side, 4·C): pixel-unshuffled, channels last."""
    x, unshuffled = gather_tiles(inputs, tiles, side, kernels.margin, kernels.trimmed)
    x = F.relu_(F.conv2d(x.permute(0, 3, 1, 2), *kernels.conv1))
    x = F.relu_(F.conv2d(x, *kernels.conv2)).permute(0, 2, 3, 1)
    x = torch.cat([x, *unshuffled], 3)
    x = F.relu_(F.conv2d(x.permute(0, 3, 1, 2), *kernels.conv3))
    return F.conv2d(x, *kernels.conv4).permute(0, 2, 3, 1)


def patches_of_tiles(tiles: Cells, side: int, selected: Tensor, result: Tensor) -> tuple[Cells, Tensor]:
    """Return the selected patches of refined tiles: their cells, and the patches, (P, C, 4, 4)."""
    rows, columns = selected.shape[-2:]
    grid = F.pad(selected[:, 0], (0, -columns % side, 0, -rows % side)).unflatten(2, (-1, side))
    chosen = grid.unflatten(1, (-1, side))[tiles.image, tiles.row, :, tiles.column]
    tile, row, column = chosen.nonzero(as_tuple=True)
    cells = Cells(tiles.image[tile], tiles.row[tile] * side + row, tiles.column[tile] * side + column)
    split = result.unflatten(3, (2, 2, -1)).permute(0, 5, 1, 3, 2, 4)  # (P, C, 2·side, 2, 2·side, 2)
    patches = slices(split, {0: tile, 2: 2 * row, 4: 2 * column}, (split.shape[1], 2, 2, 2, 2))
    return cells, patches.flatten(4, 5).flatten(2, 3)


def chunks(tiles: Cells, tile_bytes: int, device: torch.device) -> Iterator[Cells]:
    """Yield the tiles, some at a time. The last ones are repeated up to one of few numbers of tiles, since a
    convolution has to be prepared for every new number.
    """
    most = 2 ** max(0, (CHUNK_BYTES[device.type] // tile_bytes).bit_length() - 1)
    step = max(1, most // 8)
    for first in range(0, tiles.number, most):
        chunk = tiles.subset(slice(first, first + most))
        missing = -chunk.number % step
        yield Cells(*(torch.cat([values, values[-1:].expand(missing)]) for values in chunk)) if missing else chunk
