"""Refinement in evaluation, tile by tile: what makes `PatchRefiner` fast.

Only what selected patches see is ever computed, a portion of tiles at a time that fits into a processor's caches, and
only the outputs are as large as the picture. Where no gradient is wanted, this equals the paths of `PatchRefiner`.
"""

from collections.abc import Iterator, Mapping
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from zoo.matting.parts import PATCH, Coarse
from zoo_plugins.refinement.cells import Cells
from zoo_plugins.refinement.cover import cover
from zoo_plugins.refinement.windows import cut, lie_inside, sample

SIDES = (1, 2, 4, 8, 16)
"""Sides of tiles in patches: from a patch alone to nearly as good as the whole picture at once."""

PER_TILE = 420_000
"""What a tile costs besides its multiply-adds, in multiply-adds: for being cut out and written back.

One thread took, on a Xeon with AVX-512, 40, 58, 130, 380 and 1,180 µs for a tile of each side; 18 µs and 0.0425 µs for
each thousand multiply-adds come to 38, 59, 125, 355 and 1,200.
"""

PORTION = {"cpu": 2**23, "cuda": 2**28}
"""Bytes that the first convolution reads at once, by device: a cache's size where there are caches of such a size."""

Convolution = tuple[Tensor, Tensor | None]


class Kernels(NamedTuple):
    """Weight and bias of the refiner's convolutions, BatchNorm folded in."""

    conv1: Convolution
    conv2: Convolution
    conv3: Convolution
    conv4: Convolution

    @property
    def margins(self) -> tuple[int, int]:
        """What a tile's result at half size, and at full size, needs beyond its border, in pixels there."""
        return (3, 2) if self.conv1[0].shape[-1] == 3 else (0, 0)


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
    together[..., channels + 4 :] = 0
    return Pictures(source, background, together)


def refined_patches(
    given: Pictures, selected: Tensor, kernels: Kernels, costs: Mapping[int, float]
) -> Iterator[tuple[Cells, Tensor]]:
    """Every selected patch, in portions of some: the cells, and the refined patches (P, C, 4, 4).

    Args:
        selected: (B, 1, H/4, W/4), booleans.
        kernels: C is what the last one gives.
        costs: of a tile by its side, which decides on the tiles.
    """
    margin = 2 * kernels.margins[0]
    for side, tiles in cover(selected, costs).items():
        inside = lie_inside(tiles, PATCH * side, margin, given.size)
        for within in (True, False):
            for some in portions(tiles.some(inside == within), bytes_of(side, given, kernels), given.source.device):
                yield from_tiles(some, side, selected, refine(given, some, side, within, kernels))


def refine(given: Pictures, tiles: Cells, side: int, inside: bool, kernels: Kernels) -> Tensor:
    """The tiles refined, (P, C, 4·side, 4·side)."""
    half_margin, full_margin = kernels.margins
    windows = [cut(image, tiles, PATCH * side, 2 * half_margin, inside) for image in (given.source, given.background)]
    images = torch.cat(windows, 1)
    height, width = given.size
    x = sample(given.coarse, (height // 2, width // 2), tiles, PATCH // 2 * side, half_margin)
    x[..., -6:] = F.avg_pool2d(images, 2).permute(0, 2, 3, 1)  # at half size bilinear is the mean of four
    x = F.relu_(F.conv2d(x.permute(0, 3, 1, 2), *kernels.conv1))
    x = F.relu_(F.conv2d(x, *kernels.conv2))
    surplus = 2 * half_margin - full_margin
    images = images[:, :, surplus : images.shape[2] - surplus, surplus : images.shape[3] - surplus]
    x = F.relu_(F.conv2d(doubled_beside(x, images), *kernels.conv3))
    return F.conv2d(x, *kernels.conv4)


def doubled_beside(x: Tensor, images: Tensor) -> Tensor:
    """x (P, C, s, s) enlarged to twice its size, nearest, and the images (P, D, 2s, 2s): (P, C + D, 2s, 2s)."""
    count, channels, height, width = x.shape
    together = x.new_empty(count, height, 2, width, 2, channels + images.shape[1])
    together[..., :channels] = x.permute(0, 2, 3, 1)[:, :, None, :, None]
    together = together.view(count, 2 * height, 2 * width, -1)
    together[..., channels:] = images.permute(0, 2, 3, 1)
    return together.permute(0, 3, 1, 2)


def from_tiles(tiles: Cells, side: int, selected: Tensor, result: Tensor) -> tuple[Cells, Tensor]:
    """The selected patches of tiles: their cells, and themselves, (P, C, 4, 4)."""
    if side == 1:
        return tiles, result
    rows, columns = selected.shape[-2:]
    grid = F.pad(selected[:, 0], (0, -columns % side, 0, -rows % side)).unflatten(2, (-1, side))
    chosen = grid.unflatten(1, (-1, side))[tiles.image, tiles.row, :, tiles.column]
    tile, row, column = chosen.nonzero(as_tuple=True)
    patches = result.unflatten(3, (side, PATCH)).unflatten(2, (side, PATCH))[tile, :, row, :, column]
    cells = Cells(tiles.image[tile], tiles.row[tile] * side + row, tiles.column[tile] * side + column)
    return cells, patches


def portions(tiles: Cells, size: int, device: torch.device) -> Iterator[Cells]:
    """The tiles, some at a time, of `size` bytes each; the last ones repeated to one of few numbers of tiles, since a
    convolution of a number never seen before has to be prepared.
    """
    most = 2 ** max(0, (PORTION[device.type] // size).bit_length() - 1)
    step = max(1, most // 8)
    for first in range(0, tiles.number, most):
        some = tiles.some(slice(first, first + most))
        missing = -some.number % step
        yield Cells(*(torch.cat([values, values[-1:].expand(missing)]) for values in some)) if missing else some


def bytes_of(side: int, given: Pictures, kernels: Kernels) -> int:
    """What the first convolution reads of a tile."""
    return (PATCH // 2 * side + 2 * kernels.margins[0]) ** 2 * given.coarse.shape[-1] * given.coarse.element_size()


def cost(side: int, kernels: Kernels) -> float:
    """What a tile costs, in multiply-adds."""
    return PER_TILE + multiply_adds(side, kernels)


def multiply_adds(side: int, kernels: Kernels) -> float:
    """What the convolutions compute for a tile: 474,336 for a patch alone with kernels of 3×3."""
    total, length = 0, PATCH // 2 * side + 2 * kernels.margins[0]
    for weight, _ in kernels:
        if weight is kernels.conv3[0]:
            length *= 2
        length -= weight.shape[-1] - 1
        total += length**2 * weight.numel()
    return total
