"""Colours and smooth random fields: the raw material of skin, hair, cloth, walls and light.

Clothes and rooms share one list of colours, so a subject often has the colour of its background. That is on purpose: a
network must not learn that a foreground is whatever differs in colour.
"""

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray
from PIL import Image

Colour = NDArray[np.floating]
Field = NDArray[np.floating]

SKIN = np.array([
    (0.97, 0.84, 0.75), (0.94, 0.78, 0.67), (0.88, 0.69, 0.56), (0.80, 0.60, 0.45),
    (0.68, 0.47, 0.34), (0.53, 0.35, 0.25), (0.40, 0.26, 0.19), (0.29, 0.19, 0.14)
], np.float32)  # fmt: skip

HAIR = np.array([
    (0.06, 0.05, 0.05), (0.12, 0.08, 0.06), (0.22, 0.13, 0.08), (0.36, 0.22, 0.12), (0.50, 0.32, 0.17),
    (0.72, 0.53, 0.30), (0.87, 0.73, 0.48), (0.55, 0.21, 0.10), (0.62, 0.60, 0.58), (0.88, 0.87, 0.85)
], np.float32)  # fmt: skip

HOUSE = np.array([
    (0.96, 0.95, 0.92), (0.90, 0.88, 0.82), (0.82, 0.78, 0.70), (0.74, 0.74, 0.74), (0.52, 0.53, 0.55),
    (0.30, 0.31, 0.33), (0.13, 0.13, 0.15), (0.05, 0.05, 0.06), (0.72, 0.58, 0.42), (0.52, 0.36, 0.22),
    (0.33, 0.21, 0.13), (0.80, 0.66, 0.48), (0.62, 0.70, 0.78), (0.32, 0.45, 0.62), (0.14, 0.22, 0.40),
    (0.10, 0.14, 0.26), (0.66, 0.74, 0.62), (0.38, 0.50, 0.34), (0.18, 0.30, 0.20), (0.80, 0.35, 0.28),
    (0.60, 0.14, 0.14), (0.86, 0.62, 0.20), (0.93, 0.82, 0.40), (0.82, 0.60, 0.64), (0.52, 0.34, 0.52),
    (0.22, 0.52, 0.54), (0.88, 0.72, 0.66), (0.45, 0.30, 0.28)
], np.float32)  # fmt: skip

NEUTRAL_COUNT = 12  # the first colours of the list `HOUSE`, so many, are white, grey, black, beige and brown


def sample_colour(rng: Generator, colours: NDArray[np.floating], spread: float = 0.08) -> Colour:
    """Sample one of the colours (N, 3), lighter or darker, each channel changed by about `spread` of itself."""
    chosen = colours[rng.integers(len(colours))]
    return (chosen * rng.uniform(0.85, 1.12) * (1 + rng.normal(0, spread, 3))).clip(0, 1).astype(np.float32)


def house_colour(rng: Generator) -> Colour:
    """Sample a colour of cloth, walls or furniture; half are neutral, one in ten is any colour at all."""
    kind = rng.random()
    if kind < 0.1:
        return rng.uniform(0.03, 0.97, 3).astype(np.float32)
    return sample_colour(rng, HOUSE[:NEUTRAL_COUNT] if kind < 0.6 else HOUSE)


def to_image(colours: NDArray[np.floating]) -> Image.Image:
    """Convert colours (H, W, 3) to an 8-bit image, clipped to [0, 1] and rounded down."""
    return Image.fromarray((colours.clip(0, 1) * 255).astype(np.uint8))


def smooth_noise(rng: Generator, shape: tuple[int, int], cells: tuple[int, int]) -> Field:
    """Return a field (H, W) in [0, 1]: random values on a grid of (rows, columns) cells, interpolated cubically."""
    grid = Image.fromarray(rng.random((max(2, cells[0]), max(2, cells[1])), dtype=np.float32))
    return np.asarray(grid.resize((shape[1], shape[0]), Image.Resampling.BICUBIC)).clip(0, 1)


def cloudy_noise(rng: Generator, shape: tuple[int, int], cells: tuple[int, int], octaves: int = 4) -> Field:
    """Return a sum of smooth noise at several scales, the finer the weaker: (H, W) in [0, 1], mean about 0.5."""
    total = np.zeros(shape, np.float32)
    weight = 0.0
    for factor in (2**octave for octave in range(octaves)):
        finer = (min(cells[0] * factor, shape[0]), min(cells[1] * factor, shape[1]))
        total += smooth_noise(rng, shape, finer) / factor
        weight += 1 / factor
    return total / np.float32(weight)


def stretch(field: Field) -> Field:
    """Scale a field so that its lowest value is 0 and its highest 1."""
    low, high = field.min(), field.max()
    return (field - low) / max(float(high - low), 1e-6)
