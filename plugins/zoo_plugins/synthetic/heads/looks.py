"""Looks: the colours and style of a person, and the colours of the head's vertices that follow from them."""

from dataclasses import dataclass
from typing import Literal

import numpy as np

from zoo.core.compiled import compiled
from zoo_plugins.synthetic.drawing.textures import HAIR, SKIN, Colour, sample_colour
from zoo_plugins.synthetic.heads.meshes import Material, Mesh, Points
from zoo_plugins.synthetic.heads.regions import Regions, ramp

Style = Literal["bald", "shaved", "short", "full", "long", "afro"]
STYLES: dict[Style, float] = {"bald": 0.08, "shaved": 0.14, "short": 0.26, "full": 0.17, "long": 0.25, "afro": 0.1}
"""Probability of each hair style."""
IRISES = np.array(
    [(0.20, 0.11, 0.06), (0.30, 0.18, 0.09), (0.35, 0.32, 0.17), (0.32, 0.42, 0.36), (0.36, 0.48, 0.62)], np.float32
)
BEARD_FRACTION = 0.25
"""Fraction of the faces with a beard or stubble."""


@dataclass(frozen=True)
class Look:
    """The appearance of a person apart from the shape of the head; colours are linear, (3,) in [0, 1].

    Args:
        skin, hair, eyes: colours.
        style: of the hair.
        beard: how dense, 0 for none.
        make_up: how much darker and redder lips are than usual.
        redness: of cheeks, nose and ears.
        blotches: how uneven the skin is.
    """

    skin: Colour
    hair: Colour
    eyes: Colour
    style: Style
    beard: float
    make_up: float
    redness: float
    blotches: float


def sample_look(rng: np.random.Generator) -> Look:
    """Sample a look; dark skin mostly comes with dark hair and eyes, any other combination is equally likely."""
    tone = int(rng.integers(len(SKIN)))
    darkest = HAIR[:3] if tone >= 4 and rng.random() < 0.85 else HAIR
    return Look(
        skin=0.8 * linear(sample_colour(rng, SKIN[tone : tone + 1], spread=0.03)),
        hair=linear(sample_colour(rng, darkest, spread=0.03)),
        eyes=linear(sample_colour(rng, IRISES[:2] if tone >= 4 and rng.random() < 0.9 else IRISES)),
        style=list(STYLES)[rng.choice(len(STYLES), p=list(STYLES.values()))],
        beard=rng.uniform(0.2, 1.0) if rng.random() < BEARD_FRACTION else 0.0,
        make_up=rng.uniform(0, 1) ** 2,
        redness=rng.uniform(0, 1),
        blotches=rng.uniform(0.2, 1),
    )


def linear(colour: Colour) -> Colour:
    """Convert a displayed colour to linear light, by a gamma of 2."""
    return colour * colour


SCLERA = np.array([0.50, 0.46, 0.44], np.float32)
TEETH = np.array([0.75, 0.70, 0.58], np.float32)
GUMS = np.array([0.20, 0.035, 0.035], np.float32)
TONGUE = np.array([0.42, 0.12, 0.11], np.float32)
IRIS, PUPIL = 0.0058, 0.0022
"""Radii in metres."""


def head_mesh(rng: np.random.Generator, regions: Regions, look: Look, vertices: Points) -> Mesh:
    """Return the head's mesh (V, 3) with skin, lips, brows, beard, the shadow of hair, eyes and mouth."""
    gloss = 0.04 + 0.10 * regions.weights["lips"] + 0.5 * regions.weights["eyes"] + 0.15 * regions.weights["teeth"]
    return Mesh(
        points=vertices,
        faces=regions.faces,
        colours=_colours(rng, regions, look),
        positions=regions.template,
        materials=np.where(regions.eye_faces, Material.EYE, Material.SKIN).astype(np.int8),
        gloss=(gloss * rng.uniform(0.3, 1.5)).astype(np.float32),
    )


def iris_colour(rng: np.random.Generator, regions: Regions, look: Look, positions: Points) -> Points:
    """Return colours (N, 3) of pixels of the eyes at positions (N, 3) on the resting head, with a random gaze."""
    gaze = rng.normal(0, 1, 2) * [0.0022, 0.0010]
    pupil = PUPIL * rng.uniform(0.6, 1.6)
    middles = regions.pupils[:, :2] + gaze
    nearest = middles[(positions[:, 0] > 0).astype(int)]
    distance = np.linalg.norm(positions[:, :2] - nearest, axis=1)[:, None]
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


def _waves(rng: np.random.Generator, positions: Points, count: int = 6) -> Points:
    """Return a smooth random field (N,) of about unit variance: waves in any direction, 4 to 25 cm long."""
    frequencies = 25 * np.arange(1, count + 1, dtype=np.float32)  # radians a metre
    directions = rng.standard_normal((count, 3), np.float32) * frequencies[:, None]
    phases = rng.random((count, 1), np.float32) * np.float32(2 * np.pi)
    return np.cos(directions @ positions.T + phases).sum(0) * np.float32((2 / count) ** 0.5)


@compiled
def _blend(colours: Points, other: Points, fraction: Points) -> None:
    """Blend the colours (V, 3) with another colour, by a fraction for each vertex, in place."""
    for vertex in range(len(fraction)):
        if fraction[vertex] != 0:
            for channel in range(3):
                away = other[channel] - colours[vertex, channel]
                colours[vertex, channel] += away * fraction[vertex]
