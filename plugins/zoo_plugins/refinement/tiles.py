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
from zoo_plugins.refinement.kernels import Kernels, multiply_adds
from zoo_plugins.refinement.windows import cut, pieces, sample

SIDES = (1, 2, 4, 8, 16)
"""Sides of tiles in patches: from a patch alone to nearly as good as the whole picture at once."""

PER_TILE = 460_000
"""What a tile costs besides its multiply-adds, in multiply-adds: for being cut out and joined.

One thread took, on a Xeon with AVX-512, 22, 36, 75, 198 and 670 µs for a tile of each side; 11 µs and 0.024 µs for
each thousand multiply-adds come to 22, 34, 71, 199 and 670.
"""

PORTION = {"cpu": 2**23, "cuda": 2**28}
"""Bytes that the first convolution reads at once, by device: a cache's size where there are caches of such a size."""


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


def refined_patches(
    given: Pictures, selected: Tensor, kernels: Kernels, costs: Mapping[int, float]
) -> Iterator[tuple[Cells, Tensor]]:
    """Every selected patch, in portions of some: the cells, and the refined patches (P, C, 4, 4).

    Args:
        selected: (B, 1, H/4, W/4), booleans.
        kernels: the last one gives 4·C channels.
        costs: of a tile by its side, which decides on the tiles.
    """
    for side, tiles in cover(selected, costs).items():
        for some in portions(tiles, bytes_of(side, given, kernels), given.source.device):
            yield from_tiles(some, side, selected, refine(given, some, side, kernels))


def refine(given: Pictures, tiles: Cells, side: int, kernels: Kernels) -> Tensor:
    """The tiles refined, (P, 2·side, 2·side, 4·C): four pixels a pixel of half size, by rows."""
    half, margin = PATCH // 2 * side, kernels.margin
    images = cut((given.source, given.background), tiles, PATCH * side, 2 * margin)
    height, width = given.size
    x = sample(given.coarse, (height // 2, width // 2), tiles, half, margin)
    x[..., -6:] = halved(images).permute(0, 2, 3, 1)
    x = F.relu_(F.conv2d(x.permute(0, 3, 1, 2), *kernels.conv1))
    x = F.relu_(F.conv2d(x, *kernels.conv2)).permute(0, 2, 3, 1)
    x = torch.cat([x, *(each.permute(0, 2, 3, 1) for each in fours(images, x.shape[1]))], 3)
    x = F.relu_(F.conv2d(x.permute(0, 3, 1, 2), *kernels.conv3))
    return F.conv2d(x, *kernels.conv4).permute(0, 2, 3, 1)


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


def from_tiles(tiles: Cells, side: int, selected: Tensor, result: Tensor) -> tuple[Cells, Tensor]:
    """The selected patches of tiles: their cells, and themselves, (P, C, 4, 4).

    Args:
        result: (P, 2·side, 2·side, 4·C), as `refine` gives it.
    """
    rows, columns = selected.shape[-2:]
    grid = F.pad(selected[:, 0], (0, -columns % side, 0, -rows % side)).unflatten(2, (-1, side))
    chosen = grid.unflatten(1, (-1, side))[tiles.image, tiles.row, :, tiles.column]
    tile, row, column = chosen.nonzero(as_tuple=True)
    cells = Cells(tiles.image[tile], tiles.row[tile] * side + row, tiles.column[tile] * side + column)
    split = result.unflatten(3, (2, 2, -1)).permute(0, 5, 1, 3, 2, 4)  # (P, C, 2·side, 2, 2·side, 2)
    patches = pieces(split, {0: tile, 2: 2 * row, 4: 2 * column}, (split.shape[1], 2, 2, 2, 2))
    return cells, patches.flatten(4, 5).flatten(2, 3)


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
    return (PATCH // 2 * side + 2 * kernels.margin) ** 2 * given.coarse.shape[-1] * given.coarse.element_size()


def cost(side: int, kernels: Kernels) -> float:
    """What a tile costs, in multiply-adds."""
    return PER_TILE + multiply_adds(side, kernels)
