"""The cheapest tiles that hold every selected patch.

A *tile* is a square of n×n patches that is computed at once. Its patches share what they see beyond their borders, so
it costs less than n² patches alone; but patches that nobody selected are computed too. Where the selected ones lie
close, large tiles are cheaper, where they are scattered, small ones.
"""

from collections.abc import Mapping
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor

from zoo_plugins.refinement.cells import Cells


def cover(selected: Tensor, costs: Mapping[int, float]) -> dict[int, Cells]:
    """Disjoint tiles that hold all selected patches and cost least, of all that halving allows.

    Args:
        selected: (B, 1, R, C), booleans.
        costs: above 0, of a tile by its side in patches; each side is a multiple of the next smaller one.

    Returns:
        The tiles of each side, on the grid of tiles of that side.
    """
    sides = sorted(costs)
    rows, columns = selected.shape[-2:]
    padded = F.pad(selected[:, 0].float(), (0, -columns % sides[-1], 0, -rows % sides[-1]))
    taken = {sides[0]: sums(padded, sides[0]) > 0}
    cost = taken[sides[0]].float() * costs[sides[0]]
    for smaller, side in pairwise(sides):
        apart = sums(cost, side // smaller)
        taken[side] = apart >= costs[side]
        cost = apart.clamp(max=costs[side])
    found: dict[int, Cells] = {}
    held = torch.zeros_like(taken[sides[-1]])
    for side in reversed(sides):  # what lies in a larger tile is held already
        ratio = len(taken[side][0]) // len(held[0])
        held = held.repeat_interleave(ratio, 1).repeat_interleave(ratio, 2)
        found[side] = Cells(*(taken[side] & ~held).nonzero(as_tuple=True))
        held = held | taken[side]
    return found


def sums(x: Tensor, side: int) -> Tensor:
    """The sum over each tile: (B, R, C) → (B, R/side, C/side)."""
    batch, rows, columns = x.shape
    return x.view(batch, rows // side, side, columns // side, side).sum((2, 4))
