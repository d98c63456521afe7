"""Painting: from the pieces of a scene to a picture, by light, texture and what is behind."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from zoo.core.compiled import compiled
from zoo.heads.render import Raster, interpolate_at, rasterise, shade, vertex_normals
from zoo.heads.synthetic.hair import strands
from zoo.heads.synthetic.light import Light
from zoo.heads.synthetic.looks import Look
from zoo.heads.synthetic.pieces import Kind, Piece, Points
from zoo.heads.synthetic.regions import Regions
from zoo.heads.synthetic.skin import iris_colour
from zoo.heads.synthetic.views import Camera

NEAR = 0.02
"""Metres before the camera at which things end."""


class View(NamedTuple):
    """A scene as a camera sees it."""

    scene: Piece
    """In the picture frame; the head comes first."""
    normals: Points
    """(N, 3) of the scene's points."""
    pixels: Points
    """(N, 2) where each point is seen."""
    raster: Raster


def look_at(scene: Piece, camera: Camera, size: int) -> View:
    """The scene (in the picture frame) in a square picture of `size` pixels."""
    z = scene.points[:, 2]
    pixels = camera.project(scene.points)
    depth = np.where(z > NEAR, -1 / z, np.nan)
    raster = rasterise(np.column_stack([pixels, depth]), scene.faces, size, size)
    return View(scene, vertex_normals(scene.points, scene.faces), pixels, raster)


def paint(
    rng: np.random.Generator, view: View, regions: Regions, look: Look, light: Light, background: NDArray[np.float32]
) -> NDArray[np.float32]:
    """(S, S, 3) in [0, 1] as it is displayed, like the background."""
    scene, triangles = view.scene, view.raster.triangles.reshape(-1)
    seen = np.flatnonzero(triangles >= 0)
    values = np.column_stack([view.normals, scene.colours, scene.gloss])
    surface = interpolate_at(seen, view.raster, scene.faces, values)
    facing, colours, gloss = surface[:3], surface[3:6], surface[6]
    kinds = scene.kinds.take(triangles.take(seen))
    eyes, hair = np.flatnonzero(kinds == Kind.EYE), np.flatnonzero(kinds == Kind.HAIR)
    looking, hanging = (interpolate_at(seen[some], view.raster, scene.faces, scene.places) for some in (eyes, hair))
    colours[:, eyes] = iris_colour(rng, regions, look, looking.T).T
    brightness = np.ones_like(gloss)
    brightness[hair] = strands(rng, hanging, curly=look.style == "afro")
    colours *= brightness
    half = light.direction + [0, 0, -1]
    half = half / np.linalg.norm(half)
    picture = background.copy()
    pixels, strength = picture.reshape(-1, 3), np.float32(light.brightness)
    lit = shade(facing, light.harmonics)
    _finish(pixels, seen, lit, facing, colours, gloss, half.astype(np.float32), strength)
    return picture


@compiled
def _finish(
    pixels: NDArray[np.float32],
    seen: NDArray[np.int64],
    light: NDArray[np.float32],
    facing: NDArray[np.float32],
    colours: NDArray[np.float32],
    gloss: NDArray[np.float32],
    half: NDArray[np.float32],
    strength: np.float32,
) -> None:
    """Light that arrives → what is displayed, by a gamma of 2: reflected by the colours, with highlights, in place.

    A highlight is what a glossy surface mirrors of the lamp to the viewer, by the direction half way between both
    (Blinn, "Models of Light Reflection for Computer Synthesized Pictures", SIGGRAPH 1977).
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


def hidden_share(view: View, inside: NDArray[np.integer]) -> float:
    """How much of some vertices that face the camera things hide."""
    normals, points = view.normals.take(inside, axis=0), view.scene.points.take(inside, axis=0)
    facing = np.einsum("nd,nd->n", normals, points) < 0
    column, row = view.pixels[inside[facing]].T.astype(int)
    size = len(view.raster.triangles)
    shown = (column >= 0) & (column < size) & (row >= 0) & (row < size)
    front = view.raster.triangles[row[shown], column[shown]]
    return float(np.count_nonzero(view.scene.kinds[front[front >= 0]] == Kind.THING) / max(len(front), 1))
