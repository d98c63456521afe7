"""Cloth: woven patterns with folds, and transparent gauze."""

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from zoo_plugins.synthetic.drawing.canvas import Canvas
from zoo_plugins.synthetic.drawing.layers import Layer
from zoo_plugins.synthetic.drawing.photographs import Photographs
from zoo_plugins.synthetic.drawing.textures import cloudy_noise, house_colour, smooth_noise, stretch

Texture = NDArray[np.floating]

PATTERNS = ("plain", "plain", "stripes", "checks", "dots", "knit", "photograph", "gradient")


def cloth(rng: Generator, size: int, photographs: Photographs, unit: float) -> Texture:
    """Return a texture (size, size, 3) of cloth; patterns scale with `unit`, the height of a head in pixels."""
    pattern = PATTERNS[rng.integers(len(PATTERNS))]
    first, second = house_colour(rng), house_colour(rng)
    if pattern == "plain":
        texture = np.broadcast_to(first, (size, size, 3))
    elif pattern == "photograph":
        texture = photographs.crop(rng, size)
    else:
        texture = first + (second - first) * _pattern(rng, pattern, size, unit)[..., None]
    return (texture * folds(rng, size, unit)[..., None]).clip(0, 1).astype(np.float32)


def folds(rng: Generator, size: int, unit: float) -> NDArray[np.floating]:
    """Return light and shade of folds (size, size), mean about 1: noise that is stretched in one direction."""
    along, across = size / (1.6 * unit), size / (0.35 * unit)
    cells = (int(along) + 2, int(across) + 2) if rng.random() < 0.6 else (int(across) + 2, int(along) + 2)
    depth = rng.uniform(0.1, 0.45)
    return (1 + depth * (cloudy_noise(rng, (size, size), cells, octaves=2) - 0.5)).astype(np.float32)


def gauze(rng: Generator, canvas: Canvas) -> Layer:
    """Return the drawing as a transparent veil: thin where it hangs flat, denser along its folds."""
    layer = canvas.layer()
    size, unit = canvas.size, canvas.view.scale
    waves = stretch(smooth_noise(rng, (size, size), (int(size / (2.5 * unit)) + 2, int(size / (0.25 * unit)) + 2)))
    ridges = 1 - np.abs(2 * waves - 1)
    thin, dense = rng.uniform(0.08, 0.35), rng.uniform(0.3, 0.75)
    return layer * (thin + (dense - thin) * ridges**2)[..., None].astype(np.float32)


def _pattern(rng: Generator, kind: str, size: int, unit: float) -> NDArray[np.floating]:
    """Return a pattern (size, size) of values in [0, 1]."""
    rows, columns = np.mgrid[:size, :size].astype(np.float32)
    if kind == "stripes":
        period = max(3.0, unit * rng.uniform(0.06, 0.5))
        return _bands(_project(rng, rows, columns), period, rng.uniform(0.2, 0.7))
    if kind == "checks":
        period, width = max(3.0, unit * rng.uniform(0.08, 0.45)), rng.uniform(0.25, 0.6)
        lean = rng.uniform(-0.3, 0.3)
        return 0.5 * _bands(columns + lean * rows, period, width) + 0.5 * _bands(rows - lean * columns, period, width)
    if kind == "dots":
        period = max(4.0, unit * rng.uniform(0.1, 0.35))
        shifted = columns + period / 2 * ((rows // period) % 2)
        radius = np.hypot(rows % period - period / 2, shifted % period - period / 2)
        return (period * rng.uniform(0.2, 0.35) - radius + 0.5).clip(0, 1)
    if kind == "knit":
        cells = int(size / max(1.5, unit * rng.uniform(0.02, 0.2)))
        return cloudy_noise(rng, (size, size), (cells, cells), octaves=2)
    return stretch(_project(rng, rows, columns) + unit * smooth_noise(rng, (size, size), (4, 4)))  # a gradient


def _project(rng: Generator, rows: NDArray[np.floating], columns: NDArray[np.floating]) -> NDArray[np.floating]:
    """Return the coordinate of each pixel along a random direction, in pixels."""
    angle = rng.choice([0.0, np.pi / 2, rng.uniform(0, np.pi)])
    return columns * np.float32(np.cos(angle)) + rows * np.float32(np.sin(angle))


def _bands(distance: NDArray[np.floating], period: float, width: float) -> NDArray[np.floating]:
    """Return bands of 1 between 0s with edges about one pixel wide; `width` is a fraction of the period."""
    offset = np.abs((distance / period) % 1 - 0.5) * period
    return (0.5 + width * period / 2 - offset).clip(0, 1)
