"""Skin: the colours of the head's own vertices."""

import numpy as np

from zoo.core.compiled import compiled
from zoo.heads.synthetic.looks import Look
from zoo.heads.synthetic.pieces import Kind, Piece, Points
from zoo.heads.synthetic.regions import Regions, ramp

SCLERA = np.array([0.50, 0.46, 0.44], np.float32)
TEETH = np.array([0.75, 0.70, 0.58], np.float32)
GUMS = np.array([0.20, 0.035, 0.035], np.float32)
TONGUE = np.array([0.42, 0.12, 0.11], np.float32)
IRIS, PUPIL = 0.0058, 0.0022
"""Radii in metres."""


def head_piece(rng: np.random.Generator, regions: Regions, look: Look, vertices: Points) -> Piece:
    """The head's mesh (V, 3) with skin, lips, brows, beard, the shadow of hair, eyes and mouth."""
    gloss = 0.04 + 0.10 * regions.weights["lips"] + 0.5 * regions.weights["eyes"] + 0.15 * regions.weights["teeth"]
    return Piece(
        points=vertices,
        faces=regions.faces,
        colours=_colours(rng, regions, look),
        places=regions.template,
        kinds=np.where(regions.eye_faces, Kind.EYE, Kind.SKIN).astype(np.int8),
        gloss=(gloss * rng.uniform(0.3, 1.5)).astype(np.float32),
    )


def iris_colour(rng: np.random.Generator, regions: Regions, look: Look, places: Points) -> Points:
    """Colours (N, 3) of pixels of the eyes: white, iris and pupil, looking some way.

    Args:
        places: (N, 3) where on the resting head each pixel is.
    """
    gaze = rng.normal(0, 1, 2) * [0.0022, 0.0010]
    pupil = PUPIL * rng.uniform(0.6, 1.6)
    middles = regions.pupils[:, :2] + gaze
    own = middles[(places[:, 0] > 0).astype(int)]
    distance = np.linalg.norm(places[:, :2] - own, axis=1)[:, None]
    rays = 0.8 + 0.4 * distance / IRIS
    colour = SCLERA + (look.eyes * rays - SCLERA) * (1 - ramp(distance, IRIS - 0.0006, IRIS + 0.0006))
    return (colour * ramp(distance, pupil - 0.0005, pupil + 0.0005)).astype(np.float32)


def _colours(rng: np.random.Generator, regions: Regions, look: Look) -> Points:
    weights = regions.weights
    uneven = 1 + 0.12 * look.blotches * _waves(rng, regions.template)
    lips = look.skin * (np.array([0.80, 0.48, 0.48]) - look.make_up * np.array([0.25, 0.30, 0.25]))
    colours = look.skin * uneven[:, None]
    _blend(colours, look.skin * np.array([1.05, 0.68, 0.66]), look.redness * regions.rosy)
    _blend(colours, lips, 0.85 * weights["lips"])
    _blend(colours, look.hair, rng.uniform(0.4, 0.95) * weights["brows"])
    if look.beard:
        _blend(colours, look.hair, 0.85 * look.beard * weights["beard"])
    if look.style != "bald":
        _blend(colours, look.hair, 0.9 * ramp(regions.to_hairline, 0.0, 0.015))
    colours *= 1 - regions.hollows[:, None] * np.array([0.44, 0.55, 0.55], np.float32)
    for name, colour in (("eyes", SCLERA), ("mouth", GUMS * 0.5), ("tongue", TONGUE * 0.7), ("teeth", TEETH)):
        colours[weights[name] > 0.5] = colour
    return colours.clip(0.004, 1)


def _waves(rng: np.random.Generator, places: Points, count: int = 6) -> Points:
    """(N,) a smooth random field of about unit variance: waves in any direction, centimetres to decimetres long."""
    frequencies = 25 * np.arange(1, count + 1, dtype=np.float32)  # radians a metre
    directions = rng.standard_normal((count, 3), np.float32) * frequencies[:, None]
    phases = rng.random((count, 1), np.float32) * np.float32(2 * np.pi)
    return np.cos(directions @ places.T + phases).sum(0) * np.float32((2 / count) ** 0.5)


@compiled
def _blend(colours: Points, other: Points, share: Points) -> None:
    """Bring the colours (V, 3) nearer to another, in place."""
    for vertex in range(len(share)):
        if share[vertex] != 0:
            for channel in range(3):
                away = other[channel] - colours[vertex, channel]
                colours[vertex, channel] += away * share[vertex]
