"""Colours: what skin, hair, cloth and rooms are coloured with.

Cloth and rooms draw from one list, so a subject often has the colour of what it stands in front of. That is on
purpose: a network must not learn that a difference of colour is what makes a foreground.
"""

import numpy as np
from numpy.typing import NDArray

Colour = NDArray[np.floating]

SKIN = np.array(
    [
        (0.97, 0.84, 0.75), (0.94, 0.78, 0.67), (0.88, 0.69, 0.56), (0.80, 0.60, 0.45),
        (0.68, 0.47, 0.34), (0.53, 0.35, 0.25), (0.40, 0.26, 0.19), (0.29, 0.19, 0.14),
    ],
    np.float32,
)  # fmt: skip

HAIR = np.array(
    [
        (0.06, 0.05, 0.05), (0.12, 0.08, 0.06), (0.22, 0.13, 0.08), (0.36, 0.22, 0.12), (0.50, 0.32, 0.17),
        (0.72, 0.53, 0.30), (0.87, 0.73, 0.48), (0.55, 0.21, 0.10), (0.62, 0.60, 0.58), (0.88, 0.87, 0.85),
    ],
    np.float32,
)  # fmt: skip

HOUSE = np.array(
    [
        (0.96, 0.95, 0.92), (0.90, 0.88, 0.82), (0.82, 0.78, 0.70), (0.74, 0.74, 0.74), (0.52, 0.53, 0.55),
        (0.30, 0.31, 0.33), (0.13, 0.13, 0.15), (0.05, 0.05, 0.06), (0.72, 0.58, 0.42), (0.52, 0.36, 0.22),
        (0.33, 0.21, 0.13), (0.80, 0.66, 0.48), (0.62, 0.70, 0.78), (0.32, 0.45, 0.62), (0.14, 0.22, 0.40),
        (0.10, 0.14, 0.26), (0.66, 0.74, 0.62), (0.38, 0.50, 0.34), (0.18, 0.30, 0.20), (0.80, 0.35, 0.28),
        (0.60, 0.14, 0.14), (0.86, 0.62, 0.20), (0.93, 0.82, 0.40), (0.82, 0.60, 0.64), (0.52, 0.34, 0.52),
        (0.22, 0.52, 0.54), (0.88, 0.72, 0.66), (0.45, 0.30, 0.28),
    ],
    np.float32,
)  # fmt: skip

NEUTRAL = 12
"""So many colours of the list, its first ones, are white, grey, black, beige and brown."""


def pick(rng: np.random.Generator, colours: NDArray[np.floating], spread: float = 0.08) -> Colour:
    """One of the colours (N, 3), a little lighter or darker, and each channel changed by about `spread` of itself."""
    chosen = colours[rng.integers(len(colours))]
    return (chosen * rng.uniform(0.85, 1.12) * (1 + rng.normal(0, spread, 3))).clip(0, 1).astype(np.float32)


def house(rng: np.random.Generator) -> Colour:
    """A colour of cloth, walls and furniture; half are neutral, one in ten is any colour at all."""
    kind = rng.random()
    if kind < 0.1:
        return rng.uniform(0.03, 0.97, 3).astype(np.float32)
    return pick(rng, HOUSE[:NEUTRAL] if kind < 0.6 else HOUSE)


def grey_to_colours(grey: NDArray[np.floating], dark: Colour, light: Colour) -> NDArray[np.floating]:
    """(H, W) in [0, 1] → (H, W, 3) between two colours."""
    return dark + (light - dark) * grey[..., None]
