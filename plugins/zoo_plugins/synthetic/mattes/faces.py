"""Faces: the head, its features, glasses, headphones and hats."""

from dataclasses import dataclass

import numpy as np

from zoo_plugins.synthetic.drawing.canvas import Canvas
from zoo_plugins.synthetic.drawing.curves import Points, ellipse, mirror, smooth
from zoo_plugins.synthetic.drawing.textures import Colour, house_colour, sample_colour
from zoo_plugins.synthetic.mattes.hair import tilted


@dataclass(frozen=True)
class Face:
    """Shape and pose of a head.

    Attributes:
        jaw, cheek: half widths in heads.
        yaw: to the right, about −1 to 1; it moves the features sideways.
        tilt: radians, clockwise on the screen.
    """

    jaw: float
    cheek: float
    yaw: float
    tilt: float


def sample_face(rng: np.random.Generator) -> Face:
    """Sample an adult's head, mostly towards the viewer."""
    return Face(rng.uniform(0.15, 0.25), rng.uniform(0.33, 0.39), rng.normal(0, 0.25), rng.normal(0, 0.09))


def _head_outline(face: Face) -> Points:
    """Return the outline of head and jaw, upright."""
    jaw, cheek = face.jaw, face.cheek
    right = np.array(
        [(0.0, -0.5), (0.24, -0.43), (0.36, -0.2), (cheek, 0.06), (cheek * 0.88, 0.26), (jaw, 0.43), (jaw * 0.4, 0.5)]
    )
    outline = np.concatenate([right, mirror(right[1:])])
    outline[:, 0] += face.yaw * 0.12 * (outline[:, 1] + 0.3).clip(0)
    return smooth(outline, steps=5)


def draw_head(
    rng: np.random.Generator, canvas: Canvas, face: Face, skin_colour: Colour, hair_colour: Colour, skin: int
) -> None:
    """Draw ears, head, eyes, brows, nose and mouth."""
    shade = canvas.paint(skin_colour * 0.8)
    lit = canvas.paint((skin_colour * 1.1).clip(0, 1))
    for side in (-1, 1):
        if side * face.yaw < 0.35:
            canvas.fill(_put(face, ellipse((side * (face.cheek + 0.01), 0.06), (0.06, 0.115), side * 0.2)), shade)
    canvas.fill(_put(face, _head_outline(face)), skin)
    _draw_eyes(rng, canvas, face, hair_colour, shade)
    shift = 0.16 * face.yaw
    bridge, left, tip, right = shift * 1.1 - 0.015, shift * 1.5 - 0.055, shift * 1.4, shift * 1.5 + 0.06
    nose = [(bridge, -0.02), (left, 0.17), (tip, 0.195), (right, 0.165)]
    canvas.fill(_put(face, smooth(nose, steps=4)), shade)
    canvas.line(_put(face, np.array([(shift * 1.2, 0.0), (shift * 1.55, 0.15)])), 0.03, lit)
    lips = canvas.paint((skin_colour * np.array([0.85, 0.55, 0.55], np.float32)).clip(0, 1))
    smile, width = rng.uniform(-0.02, 0.05), rng.uniform(0.09, 0.14)
    corner, low = 0.3 - smile, 0.325 + 0.6 * abs(smile)
    mouth = [(shift - width, corner), (shift, 0.285), (shift + width, corner), (shift, low)]
    canvas.fill(_put(face, smooth(mouth, steps=4)), lips)


def _draw_eyes(rng: np.random.Generator, canvas: Canvas, face: Face, hair_colour: Colour, shade: int) -> None:
    white, pupil = canvas.paint((0.93, 0.93, 0.92)), canvas.paint((0.05, 0.04, 0.04))
    irises = np.array([(0.2, 0.12, 0.07), (0.25, 0.4, 0.55), (0.3, 0.4, 0.25)], np.float32)
    iris = canvas.paint(sample_colour(rng, irises))
    brow = canvas.paint(hair_colour * 0.75)
    open_by = rng.uniform(0.022, 0.036)
    for side in (-1, 1):
        x = side * 0.155 * (1 - 0.25 * side * face.yaw) + 0.16 * face.yaw
        canvas.fill(_put(face, ellipse((x, -0.022), (0.078, 0.05))), shade)
        canvas.fill(_put(face, ellipse((x, -0.01), (0.062, open_by))), white)
        canvas.fill(_put(face, ellipse((x + 0.03 * face.yaw, -0.01), 0.029)), iris)
        canvas.fill(_put(face, ellipse((x + 0.03 * face.yaw, -0.01), 0.013)), pupil)
        canvas.line(_put(face, np.array([(x - 0.085, -0.105), (x, -0.13), (x + 0.085, -0.105)])), 0.028, brow)


def draw_glasses(rng: np.random.Generator, canvas: Canvas, face: Face) -> None:
    """Draw glasses with a thin frame."""
    frame = canvas.paint(house_colour(rng) * 0.6)
    radii = (rng.uniform(0.1, 0.13), rng.uniform(0.075, 0.115))
    width = rng.uniform(0.012, 0.03)
    for side in (-1, 1):
        x = side * 0.158 + 0.16 * face.yaw
        canvas.line(_put(face, ellipse((x, 0.0), radii)), width, frame, closed=True)
        temple = np.array([(x + side * radii[0], -0.02), (side * (face.cheek + 0.05), -0.02)])
        canvas.line(_put(face, temple), width, frame)
    middle = 0.16 * face.yaw
    canvas.line(_put(face, np.array([(middle - 0.06, -0.02), (middle, -0.035), (middle + 0.06, -0.02)])), width, frame)


def draw_headphones(rng: np.random.Generator, canvas: Canvas, face: Face) -> None:
    """Draw a band over the head, two cups, and often a microphone on a thin arm."""
    colour = house_colour(rng) * 0.7
    band, cup = canvas.paint(colour), canvas.paint(colour, relief=0.08)
    angles = np.linspace(np.pi, 2 * np.pi, 24)
    arc = np.stack([0.45 * np.cos(angles), 0.04 + 0.63 * np.sin(angles)], axis=1)
    canvas.line(_put(face, arc), rng.uniform(0.04, 0.08), band)
    for side in (-1, 1):
        canvas.fill(_put(face, ellipse((side * 0.43, 0.06), (0.09, 0.16))), cup)
    if rng.random() < 0.6:
        boom = smooth([(0.43, 0.12), (0.4, 0.34), (0.2, 0.4)], closed=False)
        canvas.line(_put(face, boom), 0.022, band)
        canvas.fill(_put(face, ellipse((0.19, 0.4), (0.05, 0.035))), cup)


def draw_hat(rng: np.random.Generator, canvas: Canvas, face: Face) -> None:
    """Draw a cap, a woollen hat or a hat with a brim."""
    colour = house_colour(rng)
    crown, dark = canvas.paint(colour, relief=0.25), canvas.paint(colour * 0.7, relief=0.05)
    height = rng.uniform(0.55, 0.75)
    right = np.array([(0.0, -height), (0.25, -height + 0.04), (0.4, -0.42), (0.425, -0.2)])
    dome = np.concatenate([right, mirror(right[1:])])
    canvas.fill(_put(face, smooth(dome, steps=6)), crown)
    kind = rng.integers(3)
    if kind == 0:
        canvas.fill(_put(face, ellipse((0.16 * face.yaw, -0.22), (0.44, 0.07))), dark)
    elif kind == 1:
        canvas.fill(_put(face, ellipse((0.0, -0.23), (rng.uniform(0.7, 0.95), 0.09))), dark)
    else:
        canvas.fill(_put(face, ellipse((0.0, -0.25), (0.44, 0.09))), dark)
        canvas.fill(_put(face, ellipse((0.0, -height - 0.06), 0.12)), crown)


def _put(face: Face, points: Points) -> Points:
    """Tilt points of an upright head."""
    return tilted(np.asarray(points, np.float64), face.tilt)
