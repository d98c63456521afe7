"""Patches: badges, prints, straps, letters and reflections on whatever has been drawn.

They change colours inside a subject and never its alpha: an edge inside a subject is not its outline.
"""

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from zoo_plugins.synthetic.drawing.canvas import Canvas, Light, View
from zoo_plugins.synthetic.drawing.curves import Points, ellipse, limb, rectangle, rotation, smooth
from zoo_plugins.synthetic.drawing.layers import Layer
from zoo_plugins.synthetic.drawing.photographs import Photographs
from zoo_plugins.synthetic.drawing.textures import house_colour

MOST = 6  # patches of one subject
REFLECTIONS = 0.2  # fraction of the patches that are partly transparent
SIDES = (0.02, 0.16)  # half a patch's longer side, as a fraction of the image's side


def add_patches(rng: Generator, layer: Layer, photographs: Photographs) -> Layer:
    """Draw one to six patches around opaque pixels of a layer (size, size, 4); its alpha stays as it is."""
    inside = np.argwhere(layer[..., 3] > 0.9)
    if not len(inside):
        return layer
    for _ in range(int(rng.integers(1, MOST + 1))):
        row, column = inside[rng.integers(len(inside))]
        patch = _draw(rng, layer.shape[0], float(column), float(row), photographs)
        patch *= np.float32(rng.uniform(0.2, 0.8) if rng.random() < REFLECTIONS else 1.0)
        colours = patch[..., :3] * layer[..., 3:] + layer[..., :3] * (1 - patch[..., 3:])
        layer = np.concatenate([colours, layer[..., 3:]], axis=2)
    return layer


def _draw(rng: Generator, size: int, x: float, y: float, photographs: Photographs) -> Layer:
    """Draw one patch around a pixel of an image."""
    longest = float(np.exp(rng.uniform(*np.log(SIDES)))) * size
    canvas = Canvas(size, View(longest, x, y, rng.normal(0, 0.5), flip=bool(rng.random() < 0.5)), Light())
    kind = rng.choice(["badge", "blot", "strap", "letters"], p=[0.4, 0.2, 0.25, 0.15])
    if kind == "strap":
        _draw_strap(rng, canvas, photographs)
    elif kind == "letters":
        _draw_letters(rng, canvas)
    elif kind == "badge":
        _draw_badge(rng, canvas, photographs, _outline(rng))
    else:
        blot = smooth(ellipse((0, 0), 1, count=7) * rng.uniform(0.4, 1, (7, 1)))
        _draw_badge(rng, canvas, photographs, blot)
    return canvas.layer()


def _draw_badge(rng: Generator, canvas: Canvas, photographs: Photographs, outline: Points) -> None:
    """Draw a patch with an edge of another colour and up to four shapes on it."""
    canvas.fill(outline, canvas.paint(house_colour(rng)))
    canvas.fill(outline * rng.uniform(0.8, 1.0), canvas.paint(_colour(rng, canvas.size, photographs)))
    for _ in range(int(rng.integers(0, 5))):
        place = rng.uniform(-0.4, 0.4, 2)
        canvas.fill(place + rng.uniform(0.1, 0.4) * _outline(rng), canvas.paint(house_colour(rng)))


def _draw_strap(rng: Generator, canvas: Canvas, photographs: Photographs) -> None:
    """Draw a band that is a little bent, with a line along its middle."""
    width = rng.uniform(0.06, 0.3)
    path = smooth([(-0.2, -2.0), tuple(rng.normal(0, 0.3, 2)), (0.2, 2.0)], closed=False)
    canvas.fill(limb(path, [width] * 3), canvas.paint(_colour(rng, canvas.size, photographs)))
    canvas.line(path, width * rng.uniform(0.1, 0.8), canvas.paint(house_colour(rng)))


def _draw_letters(rng: Generator, canvas: Canvas) -> None:
    """Draw a row of upright bars of one colour."""
    ink = canvas.paint(house_colour(rng))
    for left in np.arange(-1.0, 1.0, rng.uniform(0.15, 0.4)):
        canvas.fill(rectangle(left, -rng.uniform(0.05, 0.3), left + rng.uniform(0.04, 0.15), 0.2), ink)


def _outline(rng: Generator) -> Points:
    """Return a disc or an ellipse, or a rectangle that is turned a little; half of the longer side is 1."""
    narrow = rng.choice([1.0, rng.uniform(0.3, 1.0)])
    if rng.random() < 0.5:
        return ellipse((0, 0), (1, narrow))
    return rectangle(-1, -narrow, 1, narrow) @ rotation(rng.normal(0, 0.2)).T


def _colour(rng: Generator, size: int, photographs: Photographs) -> NDArray[np.floating]:
    return photographs.crop(rng, size) if rng.random() < 0.35 else house_colour(rng)
