"""Noise: smooth random fields, the raw material of cloth, wood, plaster, foliage and light."""

import numpy as np
from numpy.typing import NDArray
from PIL import Image

Field = NDArray[np.floating]


def smooth_noise(rng: np.random.Generator, shape: tuple[int, int], cells: tuple[int, int]) -> Field:
    """A field (H, W) in [0, 1]: random values on a grid of cells (rows, columns), cubic interpolation between them."""
    grid = Image.fromarray(rng.random((max(2, cells[0]), max(2, cells[1])), dtype=np.float32))
    field = np.asarray(grid.resize((shape[1], shape[0]), Image.Resampling.BICUBIC))
    return field.clip(0, 1)


def cloudy_noise(rng: np.random.Generator, shape: tuple[int, int], cells: tuple[int, int], octaves: int = 4) -> Field:
    """Smooth noise at several sizes, the finer the weaker: (H, W) in [0, 1], mean about 0.5."""
    total = np.zeros(shape, np.float32)
    weight = 0.0
    for octave in range(octaves):
        factor = 2**octave
        finer = (min(cells[0] * factor, shape[0]), min(cells[1] * factor, shape[1]))
        total += smooth_noise(rng, shape, finer) / factor
        weight += 1 / factor
    return total / np.float32(weight)


def stretch(field: Field) -> Field:
    """The field with its lowest value at 0 and its highest at 1."""
    low, high = field.min(), field.max()
    return (field - low) / max(float(high - low), 1e-6)
