"""Refinement in evaluation, tile by tile: what makes `PatchRefiner` fast.

Only what selected patches see is ever computed, a portion of tiles at a time that fits into a processor's caches, and
only the outputs are as large as the picture. Where no gradient is wanted, this equals the paths of `PatchRefiner`.
"""

from collections.abc import Iterator, Mapping

import torch
import torch.nn.functional as F
from torch import Tensor

from zoo.matting.parts import PATCH
from zoo_plugins.refinement.cells import Cells
from zoo_plugins.refinement.cover import cover
from zoo_plugins.refinement.kernels import Kernels, multiply_adds
from zoo_plugins.refinement.windows import Look, Pictures, pieces

SIDES = (1, 2, 4, 8, 16)
"""Sides of tiles in patches: from a patch alone to nearly as good as the whole picture at once."""

PER_TILE = 460_000
"""What a tile costs besides its multiply-adds, in multiply-adds: for being cut out and joined.

One thread took, on a Xeon with AVX-512, 22, 36, 75, 198 and 670 µs for a tile of each side; 11 µs and 0.024 µs for
each thousand multiply-adds come to 22, 34, 71, 199 and 670.
"""

PORTION = {"cpu": 2**23, "cuda": 2**28}
"""Bytes that the first convolution reads at once, by device: a cache's size where there are caches of such a size."""


def refined_patches(
    given: Pictures, selected: Tensor, kernels: Kernels, costs: Mapping[int, float], look: Look
) -> Iterator[tuple[Cells, Tensor]]:
    """Every selected patch, in portions of some: the cells, and the refined patches (P, C, 4, 4).

    Args:
        selected: (B, 1, H/4, W/4), booleans.
        kernels: the last one gives 4·C channels.
        costs: of a tile by its side, which decides on the tiles.
        look: gives what a tile sees.
    """
    for side, tiles in cover(selected, costs).items():
        for some in portions(tiles, bytes_of(side, given, kernels), given.source.device):
            yield from_tiles(some, side, selected, refine(given, some, side, kernels, look))


def refine(given: Pictures, tiles: Cells, side: int, kernels: Kernels, look: Look) -> Tensor:
    """The tiles refined, (P, 2·side, 2·side, 4·C): four pixels a pixel of half size, by rows."""
    x, fours = look(given, tiles, side, kernels)
    x = F.relu_(F.conv2d(x.permute(0, 3, 1, 2), *kernels.conv1))
    x = F.relu_(F.conv2d(x, *kernels.conv2)).permute(0, 2, 3, 1)
    x = torch.cat([x, *fours], 3)
    x = F.relu_(F.conv2d(x.permute(0, 3, 1, 2), *kernels.conv3))
    return F.conv2d(x, *kernels.conv4).permute(0, 2, 3, 1)


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
