"""Rendering: light as spherical harmonics, rasterisation, textures, highlights, over a background."""

from typing import NamedTuple

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from zoo.core.compiled import compiled
from zoo.heads.render import Raster, glow, interpolate_at, lamp, rasterise, shade, vertex_normals
from zoo_plugins.synthetic.heads.cameras import Camera
from zoo_plugins.synthetic.heads.looks import Look, iris_colour, strand_brightness
from zoo_plugins.synthetic.heads.meshes import Floats, Material, Mesh, Points
from zoo_plugins.synthetic.heads.regions import Regions

LIGHTS = {"soft": 0.7, "harsh": 0.13, "dim": 0.09, "coloured": 0.08}
"""Probability of each kind of light: from a sky or a room, from one side, weak, or of two colours."""


class Light(NamedTuple):
    """The light in a scene; directions are those of the picture frame."""

    harmonics: Points  # (9, 3), see `zoo.heads.render.shade`
    direction: Points  # (3,) unit vector to the strongest lamp, which makes the highlights
    standard: bool  # DAD-3DHeads' attribute: enough light, white, and not from one side alone
    brightness: float  # factor of the background's brightness


def sample_light(rng: Generator) -> Light:
    """Sample the kind of light, its direction and colours."""
    kind = list(LIGHTS)[rng.choice(len(LIGHTS), p=list(LIGHTS.values()))]
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


NEAR = 0.02  # metres; nearer to the camera nothing is rendered


class View(NamedTuple):
    """A rasterised scene."""

    scene: Mesh  # in the picture frame; the head comes first
    normals: Points  # (N, 3) of the scene's points
    pixels: Points  # (N, 2) projections of the scene's points
    raster: Raster


def rasterise_scene(scene: Mesh, camera: Camera, size: int) -> View:
    """Rasterise a scene in the picture frame to `size` × `size` pixels."""
    z = scene.points[:, 2]
    pixels = camera.project(scene.points)
    depth = np.where(z > NEAR, -1 / z, np.nan)
    raster = rasterise(np.column_stack([pixels, depth]), scene.faces, size, size)
    return View(scene, vertex_normals(scene.points, scene.faces), pixels, raster)


def render(rng: Generator, view: View, regions: Regions, look: Look, light: Light, background: Floats) -> Floats:
    """Return the image (S, S, 3) in [0, 1] over a background of the same kind, both as displayed."""
    scene, triangles = view.scene, view.raster.triangles.reshape(-1)
    seen = np.flatnonzero(triangles >= 0)
    values = np.column_stack([view.normals, scene.colours, scene.gloss])
    surface = interpolate_at(seen, view.raster, scene.faces, values)
    facing, colours, gloss = surface[:3], surface[3:6], surface[6]
    materials = scene.materials.take(triangles.take(seen))
    eyes, hair = np.flatnonzero(materials == Material.EYE), np.flatnonzero(materials == Material.HAIR)
    chosen = (seen[eyes], seen[hair])
    on_eyes, on_hair = (interpolate_at(pixels, view.raster, scene.faces, scene.positions) for pixels in chosen)
    colours[:, eyes] = iris_colour(rng, regions, look, on_eyes.T).T
    brightness = np.ones_like(gloss)
    brightness[hair] = strand_brightness(rng, on_hair, curly=look.style == "afro")
    colours *= brightness
    half = light.direction + [0, 0, -1]
    half = half / np.linalg.norm(half)
    image = background.copy()
    pixels, strength = image.reshape(-1, 3), np.float32(light.brightness)
    lit = shade(facing, light.harmonics)
    _finish(pixels, seen, lit, facing, colours, gloss, half.astype(np.float32), strength)
    return image


@compiled
def _finish(
    pixels: Floats,
    seen: NDArray[np.int64],
    light: Floats,
    facing: Floats,
    colours: Floats,
    gloss: Floats,
    half: Floats,
    strength: np.float32,
) -> None:
    """Convert arriving light to displayed colours by a gamma of 2: reflected, with highlights, in place.

    Highlights follow the direction half way between lamp and viewer (Blinn, "Models of Light Reflection
    for Computer Synthesized Pictures", SIGGRAPH 1977).
    """
    for channel in range(3):
        for place in range(len(seen)):
            x, y, z = facing[0, place], facing[1, place], facing[2, place]
            aligned = max(np.float32(0), x * half[0] + y * half[1] + z * half[2])
            for _ in range(4):
                aligned *= aligned
            highlight = gloss[place] * aligned * strength
            reflected = light[channel, place] * colours[channel, place] + highlight
            light[channel, place] = np.sqrt(min(reflected, np.float32(1)))
        for place in range(len(seen)):
            pixels[seen[place], channel] = light[channel, place]


def occluded_fraction(view: View, inside: NDArray[np.integer]) -> float:
    """Return the fraction of the vertices `inside` facing the camera that things occlude."""
    normals, points = view.normals.take(inside, axis=0), view.scene.points.take(inside, axis=0)
    facing = np.einsum("nd,nd->n", normals, points) < 0
    column, row = view.pixels[inside[facing]].T.astype(int)
    size = len(view.raster.triangles)
    shown = (column >= 0) & (column < size) & (row >= 0) & (row < size)
    front = view.raster.triangles[row[shown], column[shown]]
    return float(np.count_nonzero(view.scene.materials[front[front >= 0]] == Material.THING) / max(len(front), 1))
