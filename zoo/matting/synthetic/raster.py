"""Raster: which sample points lie inside an outline.

Pillow's own polygons have whole-numbered corners, are half a sample too large on every side, and leave holes where
an outline crosses itself. Here a sample is inside when the outline winds around its centre, whatever fraction of a
sample its corners lie at, so that the share of samples inside is the area without a bias.
"""

import numpy as np
from numpy.typing import NDArray

from zoo.matting.synthetic.curves import Points


def inside(outline: Points, size: int) -> tuple[NDArray[np.bool_], int, int]:
    """The samples inside an outline (N, 2); sample (row, column) has its centre at (column + 0.5, row + 0.5).

    Returns:
        A mask that just holds the shape, and its left column and top row on a canvas of size × size samples.
    """
    low = np.floor(outline.min(axis=0)).clip(0, size).astype(int)
    high = np.ceil(outline.max(axis=0)).clip(0, size).astype(int)
    (left, top), (width, height) = low.tolist(), (high - low).clip(0).tolist()
    rows, columns, winding = _crossings(outline - low, width, height)
    turns = np.zeros((height, width + 1), np.int8)
    np.add.at(turns, (rows, columns), winding)
    return np.cumsum(turns[:, :width], axis=1, dtype=np.int8) != 0, left, top


def _crossings(
    outline: Points, width: int, height: int
) -> tuple[NDArray[np.integer], NDArray[np.integer], NDArray[np.integer]]:
    """Where the outline crosses the rows' middles: row, first column to the right, 1 where it runs down and −1 up."""
    start, end = outline, np.roll(outline, -1, axis=0)
    first = np.ceil(np.minimum(start[:, 1], end[:, 1]) - 0.5).clip(0, height).astype(int)
    last = np.ceil(np.maximum(start[:, 1], end[:, 1]) - 0.5).clip(0, height).astype(int)
    counts = last - first
    edge = np.repeat(np.arange(len(outline)), counts)
    rows = np.arange(len(edge)) - np.repeat(np.cumsum(counts) - counts, counts) + first[edge]
    way = end - start
    along = (rows + 0.5 - start[edge, 1]) / way[edge, 1]
    columns = np.ceil(start[edge, 0] + along * way[edge, 0] - 0.5).clip(0, width).astype(int)
    return rows, columns, np.sign(way[edge, 1]).astype(np.int8)
