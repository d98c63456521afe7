"""Looks: colours and style of a person, and the head's skin and hair that follow from them."""

from dataclasses import dataclass
from functools import cache
from typing import Literal

import numpy as np
from numpy.random import Generator

from zoo.core.compiled import compiled
from zoo.core.seeding import derive_seed
from zoo.heads.render import vertex_normals
from zoo_plugins.synthetic.drawing.textures import HAIR, SKIN, Colour, sample_colour, smooth_noise
from zoo_plugins.synthetic.heads.meshes import Material, Mesh, Points, bounds, make_mesh, sheet
from zoo_plugins.synthetic.heads.regions import Regions, ramp

Style = Literal["bald", "shaved", "short", "full", "long", "afro"]
STYLES: dict[Style, float] = {"bald": 0.08, "shaved": 0.14, "short": 0.26, "full": 0.17, "long": 0.25, "afro": 0.1}
"""Probability of each hair style."""
IRISES = np.array(
    [(0.20, 0.11, 0.06), (0.30, 0.18, 0.09), (0.35, 0.32, 0.17), (0.32, 0.42, 0.36), (0.36, 0.48, 0.62)], np.float32
)
BEARD_FRACTION = 0.25  # fraction of the faces with a beard or stubble


@dataclass(frozen=True)
class Look:
    """The appearance of a person apart from the shape of the head; colours are linear, (3,) in [0, 1]."""

    skin: Colour
    hair: Colour
    eyes: Colour
    style: Style  # of the hair
    beard: float  # density, 0 for none
    make_up: float  # darker and redder lips
    redness: float  # of cheeks, nose and ears
    blotches: float  # unevenness of the skin


def sample_look(rng: Generator) -> Look:
    """Sample a look; dark skin mostly comes with dark hair and eyes, any other combination is equally likely."""
    tone = int(rng.integers(len(SKIN)))
    darkest = HAIR[:3] if tone >= 4 and rng.random() < 0.85 else HAIR
    skin = 0.8 * linear(sample_colour(rng, SKIN[tone : tone + 1], spread=0.03))
    hair = linear(sample_colour(rng, darkest, spread=0.03))
    eyes = linear(sample_colour(rng, IRISES[:2] if tone >= 4 and rng.random() < 0.9 else IRISES))
    style = list(STYLES)[rng.choice(len(STYLES), p=list(STYLES.values()))]
    beard = rng.uniform(0.2, 1.0) if rng.random() < BEARD_FRACTION else 0.0
    return Look(skin, hair, eyes, style, beard, rng.uniform(0, 1) ** 2, rng.uniform(0, 1), rng.uniform(0.2, 1))


def linear(colour: Colour) -> Colour:
    """Convert a displayed colour to linear light, by a gamma of 2."""
    return colour * colour


SCLERA = np.array([0.50, 0.46, 0.44], np.float32)
TEETH = np.array([0.75, 0.70, 0.58], np.float32)
GUMS = np.array([0.20, 0.035, 0.035], np.float32)
TONGUE = np.array([0.42, 0.12, 0.11], np.float32)
IRIS, PUPIL = 0.0058, 0.0022  # radii in metres


def head_mesh(rng: Generator, regions: Regions, look: Look, vertices: Points) -> Mesh:
    """Return the head's mesh (V, 3) with skin, lips, brows, beard, the shadow of hair, eyes and mouth."""
    gloss = 0.04 + 0.10 * regions.weights["lips"] + 0.5 * regions.weights["eyes"] + 0.15 * regions.weights["teeth"]
    colours, gloss = _colours(rng, regions, look), (gloss * rng.uniform(0.3, 1.5)).astype(np.float32)
    materials = np.where(regions.eye_faces, Material.EYE, Material.SKIN).astype(np.int8)
    return Mesh(vertices, regions.faces, colours, regions.template, materials, gloss)


def iris_colour(rng: Generator, regions: Regions, look: Look, positions: Points) -> Points:
    """Return colours (N, 3) of pixels of the eyes at positions (N, 3) on the resting head, with a random gaze."""
    gaze = rng.normal(0, 1, 2) * [0.0022, 0.0010]
    pupil = PUPIL * rng.uniform(0.6, 1.6)
    middles = regions.pupils[:, :2] + gaze
    nearest = middles[(positions[:, 0] > 0).astype(int)]
    distance = np.linalg.norm(positions[:, :2] - nearest, axis=1)[:, None]
    rays = 0.8 + 0.4 * distance / IRIS
    colour = SCLERA + (look.eyes * rays - SCLERA) * (1 - ramp(distance, IRIS - 0.0006, IRIS + 0.0006))
    return (colour * ramp(distance, pupil - 0.0005, pupil + 0.0005)).astype(np.float32)


def _colours(rng: Generator, regions: Regions, look: Look) -> Points:
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


def _waves(rng: Generator, positions: Points, count: int = 6) -> Points:
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


THICKNESS = {"short": (0.006, 0.014), "full": (0.014, 0.030), "long": (0.008, 0.018), "afro": (0.035, 0.075)}
"""Lowest and highest thickness in metres."""
TEXTURE = 1024  # columns of the texture around the head and its rows down to the shoulders, powers of 2


def hair_meshes(rng: Generator, regions: Regions, look: Look, vertices: Points) -> list[Mesh]:
    """Return the hair of a head (V, 3) in the head frame; none where it is bald or shaved."""
    if look.style not in THICKNESS or not regions.inside("scalp").any():
        return []
    thickness = rng.uniform(*THICKNESS[look.style])
    gloss = rng.uniform(0.0, 0.02 if look.style == "afro" else 0.12)
    ragged = 0.1 if look.style == "afro" else 0.25
    meshes = [scalp_shell(rng, regions, vertices, thickness, look.hair, Material.HAIR, gloss, ragged)]
    if look.style == "long":
        meshes.append(_curtain(rng, regions, vertices, thickness, look, gloss))
    return meshes


def scalp_shell(
    rng: Generator,
    regions: Regions,
    vertices: Points,
    thickness: float,
    colour: Points,
    material: Material,
    gloss: float = 0.0,
    ragged: float = 0.25,
) -> Mesh:
    """Return the scalp, lifted by a thickness in metres that vanishes at the hairline; `ragged` of it is random."""
    chosen, faces = regions.scalp
    low, high = bounds(vertices[regions.inside("head")])
    outwards = vertices[chosen] - (high + low) / 2
    outwards = outwards / np.linalg.norm(outwards, axis=1, keepdims=True)
    along = vertex_normals(vertices[chosen], faces) + outwards
    along /= np.linalg.norm(along, axis=1, keepdims=True)
    lift = thickness * ramp(regions.to_hairline[chosen], -0.004, 0.6 * thickness + 0.012)
    lift = lift * (1 + ragged * rng.uniform(-1, 1, len(chosen)))
    points = (vertices[chosen] + along * (0.001 + lift[:, None])).astype(np.float32)
    return make_mesh(points, faces, colour, material, gloss, positions=regions.template[chosen])


def strand_brightness(rng: Generator, positions: Points, curly: bool) -> Points:
    """Return factors (N,) of the hair's brightness at positions (3, N) on the resting head."""
    x, y, z = positions
    across = np.arctan2(x, z + 0.02) * (TEXTURE / (2 * np.pi))
    down = y * (TEXTURE / 0.4) + rng.uniform(0, TEXTURE)
    across += rng.uniform(0, 14) * np.sin(down * rng.uniform(0.005, 0.03)) + rng.uniform(0, TEXTURE)
    rows, columns = (axis.astype(np.int32) & (TEXTURE - 1) for axis in (down, across))
    return 0.6 + 0.8 * _texture(curly)[rows, columns]


@cache
def _texture(curly: bool) -> Points:
    """Return the brightness (TEXTURE, TEXTURE) of long strands or of curls, the same for all heads."""
    rng = np.random.default_rng(derive_seed("hair", str(curly)))
    return smooth_noise(rng, (TEXTURE, TEXTURE), (TEXTURE // 6, TEXTURE // 4) if curly else (16, TEXTURE // 3))


def _curtain(rng: Generator, regions: Regions, vertices: Points, thickness: float, look: Look, gloss: float) -> Mesh:
    low, high = bounds(vertices[regions.inside("head")])
    middle = (low + high) / 2
    reach = (high - low) / 2 + thickness * 0.8
    opening = np.radians(rng.uniform(62, 85))
    around = np.linspace(opening, 2 * np.pi - opening, 26)[None, :]
    top, bottom = middle[1] + 0.45 * reach[1], low[1] - rng.uniform(-0.02, 0.14)
    down = np.linspace(0, 1, 12)[:, None]
    flare = 1 + rng.uniform(-0.12, 0.2) * down + 0.05 * smooth_noise(rng, (12, 26), (3, 9))
    tuck = 0.82 + 0.18 * ramp(down, 0.0, 0.35)
    ends = bottom + 0.02 * smooth_noise(rng, (1, 26), (2, 12))
    x = middle[0] + reach[0] * np.sin(around) * flare * tuck
    z = middle[2] + 0.005 + 0.92 * reach[2] * np.cos(around) * flare * tuck
    points = np.stack([x, top + (ends - top) * down, z], axis=-1).reshape(-1, 3)
    return make_mesh(points.astype(np.float32), sheet(12, 26), look.hair, Material.HAIR, gloss)
