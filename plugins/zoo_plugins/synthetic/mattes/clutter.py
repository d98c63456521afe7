"""Clutter: things that stand in a background and belong to it."""

import numpy as np

from zoo.core.seeding import derive_seed
from zoo_plugins.synthetic.drawing.canvas import Light, View
from zoo_plugins.synthetic.drawing.layers import Image8, defocus
from zoo_plugins.synthetic.drawing.photographs import Photographs
from zoo_plugins.synthetic.mattes.patches import add_patches
from zoo_plugins.synthetic.mattes.things import render_thing

DETAIL = 0.5  # of the things, which are behind a subject and small


def add_clutter(background: Image8, seed: int, photographs: Photographs, index: int, fraction: float) -> Image8:
    """Put one to three things into a fraction of the backgrounds of a split, and leave the others as they are.

    Args:
        background: number `index` of the split, (size, size, 3).
        seed: of the dataset.
        photographs: of the split; things may show pieces of them.
        index: which background this is.
        fraction: of the backgrounds that get things.
    """
    rng = np.random.default_rng(derive_seed(seed, photographs.split, "clutter", index))
    if rng.random() >= fraction:
        return background
    size = len(background)
    result = background.astype(np.float32) / 255
    light = Light(rng.uniform(-np.pi, 0), rng.uniform(0.25, 0.7))
    for _ in range(int(rng.integers(1, 4))):
        unit, x, y = size * rng.uniform([0.2, 0.05, 0.05], [0.7, 0.95, 0.95])
        place = View(float(unit), float(x), float(y), flip=bool(rng.random() < 0.5))
        thing = add_patches(rng, render_thing(rng, size, place, light, photographs, DETAIL), photographs)
        thing = defocus(thing, rng.uniform(0, 0.012) * size)
        result = thing[..., :3] + result * (1 - thing[..., 3:])
    return np.rint(result.clip(0, 1) * 255).astype(np.uint8)
