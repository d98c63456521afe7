"""Hair: the scalp lifted off the head, and for long hair a curtain around the back of it."""

from functools import cache

import numpy as np

from zoo.core.seeding import derive_seed
from zoo.heads.render import vertex_normals
from zoo_plugins.synthetic.drawing.textures import smooth_noise
from zoo_plugins.synthetic.heads.looks import Look
from zoo_plugins.synthetic.heads.meshes import Material, Mesh, Points, bounds, make_mesh, sheet
from zoo_plugins.synthetic.heads.regions import Regions, ramp

THICKNESS = {"short": (0.006, 0.014), "full": (0.014, 0.030), "long": (0.008, 0.018), "afro": (0.035, 0.075)}
"""Lowest and highest thickness in metres."""
TEXTURE = 1024
"""Columns of the texture around the head and its rows down to the shoulders, powers of 2."""


def hair_meshes(rng: np.random.Generator, regions: Regions, look: Look, vertices: Points) -> list[Mesh]:
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
    rng: np.random.Generator,
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


def strand_brightness(rng: np.random.Generator, positions: Points, curly: bool) -> Points:
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


def _curtain(
    rng: np.random.Generator, regions: Regions, vertices: Points, thickness: float, look: Look, gloss: float
) -> Mesh:
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
