"""What tiles of patches see, with the margin that the convolutions need, and nothing of what no tile sees.

The coarse result is sampled where its enlargement to half size would be looked at, the pictures are cut at full size;
beyond the picture's border everything is zero.
"""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from zoo_plugins.refinement.cells import Cells


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


def cut(pictures: Sequence[Tensor], tiles: Cells, side: int, margin: int, inside: bool) -> Tensor:
    """Windows of pictures (B, C, H, W), of any strides, one picture's channels behind another's: (P, ΣC, s, s),
    s = side + 2·margin.

    Args:
        tiles: on the grid of tiles of `side` pixels.
        inside: whether all windows lie in the picture, see `lie_inside`; those that do not take longer.
    """
    full = side + 2 * margin
    channels = [picture.shape[1] for picture in pictures]
    found = pictures[0].new_empty(tiles.number, sum(channels), full, full)
    for picture, part in zip(pictures, found.split(channels, 1), strict=True):
        if inside:
            cut_inside(picture, tiles, side, margin, part)
        else:
            part.copy_(cut_anywhere(picture, tiles, side, margin))
    return found


def cut_inside(image: Tensor, tiles: Cells, side: int, margin: int, found: Tensor) -> None:
    """Write windows that lie in the picture into `found`."""
    along = image.stride()
    first = tiles.image * along[0]
    for place, stride in zip((tiles.row, tiles.column), along[2:], strict=True):
        first = first + (place * side - margin) * stride
    # One window begins at each number of the picture's memory, and those at `first` are taken.
    last = sum((length - size) * stride for length, size, stride in zip(image.shape, (1, *found.shape[1:]), along, strict=True))
    windows = image.as_strided((last + 1, *found.shape[1:]), (1, *along[1:]))
    torch.index_select(windows, 0, first, out=found)


def cut_anywhere(image: Tensor, tiles: Cells, side: int, margin: int) -> Tensor:
    """Windows with zeros beyond the picture's border, (P, C, s, s)."""
    height, width = image.shape[-2:]
    rows, columns = (places(place, side, margin) for place in (tiles.row, tiles.column))
    number, down, right = tiles.image[:, None, None], rows.clamp(0, height - 1), columns.clamp(0, width - 1)
    found = image[number, :, down[:, :, None], right[:, None, :]]
    beyond = ((rows != down)[:, :, None] | (columns != right)[:, None, :])[..., None]
    return found.masked_fill_(beyond, 0).permute(0, 3, 1, 2)


def lie_inside(tiles: Cells, side: int, margin: int, size: tuple[int, int]) -> Tensor:
    """Which tiles' windows lie in a picture of a size, (P,) booleans; side and margin as in `cut`."""
    inside = torch.ones_like(tiles.row, dtype=torch.bool)
    for place, length in zip((tiles.row, tiles.column), size, strict=True):
        inside &= (place * side >= margin) & ((place + 1) * side + margin <= length)
    return inside


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
