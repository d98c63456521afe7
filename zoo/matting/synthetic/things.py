"""Things: what a subject is when it is not a person, and what a person holds: thin, furry or clear."""

from collections.abc import Callable

import numpy as np

from zoo.matting.synthetic.canvas import Canvas, Light, View
from zoo.matting.synthetic.clear_things import hanging_gauze, vase
from zoo.matting.synthetic.furry_things import draw_animal, draw_plume
from zoo.matting.synthetic.layers import Layer
from zoo.matting.synthetic.thin_things import (
    draw_bicycle,
    draw_chair,
    draw_lattice,
    draw_mug,
    draw_potted_plant,
    draw_umbrella,
    draw_wires,
)

Maker = Callable[[np.random.Generator, Canvas, View, float], None]

THINGS: tuple[Maker, ...] = (
    draw_bicycle,
    draw_potted_plant,
    draw_chair,
    draw_lattice,
    draw_wires,
    draw_mug,
    draw_umbrella,
    draw_animal,
    draw_animal,
    draw_plume,
)

HELD: dict[Maker, tuple[float, float]] = {
    draw_mug: (0.7, 0.0),
    draw_umbrella: (4.0, -1.6),
    draw_plume: (1.6, -0.7),
    draw_potted_plant: (1.5, -0.6),
}
"""What a hand may hold: the thing's size in heads, and how far its middle is from the hand, downwards."""


def draw_thing(rng: np.random.Generator, size: int, view: View, light: Light, split: str, detail: float) -> Layer:
    """One thing as a premultiplied layer (size, size, 4).

    Args:
        rng: the subject's draws.
        size: height and width of the picture in pixels.
        view: from the thing's square to pixels.
        light: where the light comes from.
        split: whose photographs may be printed on cloth.
        detail: how many spokes, leaves and hairs, 1 is usual.
    """
    canvas = Canvas(size, view, light)
    kind = rng.integers(len(THINGS) + 2)
    if kind == len(THINGS):
        return hanging_gauze(rng, canvas, split)
    if kind == len(THINGS) + 1:
        return vase(rng, canvas)
    THINGS[kind](rng, canvas, View(1.0, 0.0, 0.0), detail)
    return canvas.layer()
