"""Painting: from the pieces of a scene to a picture, by light, texture and what is behind."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from zoo.heads.render import Raster, compiled, interpolate, rasterise, shade, vertex_normals
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
    scene, triangles = view.scene, view.raster.triangles
    facing = interpolate(view.raster, scene.faces, view.normals)
    surface = interpolate(view.raster, scene.faces, np.column_stack([scene.colours, scene.gloss, scene.places]))
    kinds = np.where(triangles < 0, -1, scene.kinds.take(triangles, mode="clip"))
    pixels = surface.reshape(-1, 7)
    eyes, hair = np.flatnonzero(kinds == Kind.EYE), np.flatnonzero(kinds == Kind.HAIR)
    pixels[eyes, :3] = iris_colour(rng, regions, look, pixels[eyes, 4:])
    pixels[hair, :3] *= strands(rng, pixels[hair, 4:], curly=look.style == "afro")
    picture = shade(facing, light.harmonics)
    half = light.direction + [0, 0, -1]
    half = (half / np.linalg.norm(half)).astype(np.float32)
    _finish(picture, triangles, facing, surface, half, np.float32(light.brightness), background)
    return picture


@compiled
def _finish(
    picture: NDArray[np.float32],
    triangles: NDArray[np.int32],
    facing: NDArray[np.float32],
    surface: NDArray[np.float32],
    half: NDArray[np.float32],
    strength: np.float32,
    background: NDArray[np.float32],
) -> None:
    """Light that arrives → what is displayed, by a gamma of 2: reflected by the colours, with highlights, in place.

    A highlight is what a glossy surface mirrors of the lamp to the viewer, by the direction half way between both
    (Blinn, "Models of Light Reflection for Computer Synthesized Pictures", SIGGRAPH 1977).
    """
    height, width = triangles.shape
    for row in range(height):
        for column in range(width):
            if triangles[row, column] < 0:
                picture[row, column] = background[row, column]
                continue
            x, y, z = facing[row, column]
            aligned = max(np.float32(0), x * half[0] + y * half[1] + z * half[2])
            for _ in range(4):
                aligned *= aligned
            highlight = surface[row, column, 3] * aligned * strength
            for channel in range(3):
                light = picture[row, column, channel] * surface[row, column, channel] + highlight
                picture[row, column, channel] = np.sqrt(min(light, np.float32(1)))


def hidden_share(view: View, inside: NDArray[np.integer]) -> float:
    """How much of some vertices that face the camera things hide."""
    facing = np.einsum("nd,nd->n", view.normals[inside], view.scene.points[inside]) < 0
    column, row = view.pixels[inside[facing]].T.astype(int)
    size = len(view.raster.triangles)
    shown = (column >= 0) & (column < size) & (row >= 0) & (row < size)
    front = view.raster.triangles[row[shown], column[shown]]
    return float(np.count_nonzero(view.scene.kinds[front[front >= 0]] == Kind.THING) / max(len(front), 1))
