"""Backgrounds: two in three are rooms, the others pieces of photographs."""

import numpy as np
from PIL import Image, ImageFilter

from zoo.core.seeding import derive_seed
from zoo.matting.synthetic import photographs
from zoo.matting.synthetic.layers import Picture
from zoo.matting.synthetic.rooms import draw_room

ROOMS = 0.67
"""Share of rooms among the backgrounds."""


def draw_background(seed: int, split: str, index: int, size: int) -> Picture:
    """Background number `index` of a split: (size, size, 3) uint8."""
    rng = np.random.default_rng(derive_seed(seed, split, "background", index))
    if rng.random() < ROOMS:
        return draw_room(rng, size, split)
    piece = photographs.crop(rng, split, size)
    picture = Image.fromarray(np.rint(piece * 255).astype(np.uint8))
    if rng.random() < 0.35:
        picture = picture.filter(ImageFilter.GaussianBlur(rng.uniform(0.003, 0.02) * size))
    return np.array(picture)
