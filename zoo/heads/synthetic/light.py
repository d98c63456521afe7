"""Light: soft from a sky or a room, harsh from one side, dim, or coloured; as spherical harmonics."""

from typing import NamedTuple

import numpy as np

from zoo.heads.render import glow, lamp
from zoo.heads.synthetic.pieces import Points

KINDS = {"soft": 0.7, "harsh": 0.13, "dim": 0.09, "coloured": 0.08}
"""Share of each kind of light."""


class Light(NamedTuple):
    """The light in a scene; directions are those of the picture frame."""

    harmonics: Points
    """(9, 3), see `zoo.heads.render.shade`."""
    direction: Points
    """(3,) unit vector to the strongest lamp, which makes the highlights."""
    standard: bool
    """What DAD-3DHeads calls standard light: enough of it, white, and not from one side alone."""
    brightness: float
    """Of what is behind the head, 1 as it is."""


def draw_light(rng: np.random.Generator) -> Light:
    """One of the kinds of light, from somewhere."""
    kind = list(KINDS)[rng.choice(len(KINDS), p=list(KINDS.values()))]
    steep = kind in ("harsh", "coloured")
    side, height = rng.uniform(-1, 1) * (2.2 if steep else 1.0), rng.uniform(-0.3 if steep else 0.0, 1.2)
    direction = np.array([side, -height, -(0.15 if steep else 0.8)])
    direction /= np.linalg.norm(direction)
    warmth = rng.normal(0, 0.07)
    white = np.array([1 + warmth, 1.0, 1 - warmth])
    other = lamp([-direction[0], direction[1], 0.6], rng.uniform(0, 0.3) * white)
    below = lamp([0, 1, -0.3], rng.uniform(0, 0.12) * white)
    if kind == "soft":
        harmonics = glow(1.6 * white) + lamp(direction, rng.uniform(0.25, 0.75) * white) + other + below
        return Light(rng.uniform(0.6, 1.0) * harmonics, direction, True, rng.uniform(0.8, 1.1))
    if kind == "harsh":
        harmonics = glow(rng.uniform(0.1, 0.5) * white) + lamp(direction, rng.uniform(0.9, 1.6) * white)
        return Light(harmonics, direction, False, rng.uniform(0.4, 1.0))
    if kind == "dim":
        strength = rng.uniform(0.1, 0.3)
        harmonics = strength * (glow(2.0 * white) + lamp(direction, rng.uniform(0.2, 0.8) * white))
        return Light(harmonics, direction, False, float(np.sqrt(strength)) * rng.uniform(0.7, 1.1))
    first, second = rng.uniform(0.15, 1.0, 3), rng.uniform(0.15, 1.0, 3)
    return Light(glow(0.5 * second) + lamp(direction, 1.2 * first) + 2.5 * other * second, direction, False, 0.7)
