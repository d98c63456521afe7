"""Backgrounds of heads: rooms and photographs as for mattes, and plain walls; many out of focus."""

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from zoo.core.seeding import derive_seed
from zoo.matting.synthetic import photographs
from zoo.matting.synthetic.colours import house
from zoo.matting.synthetic.noise import cloudy_noise
from zoo.matting.synthetic.rooms import draw_room

ROOMS = 64
"""How many rooms a split has: a room takes longer to draw than a head, so each is drawn once a process and kept."""
OUT_OF_FOCUS = 0.6
"""Share of the rooms and photographs that are."""


def draw_background(rng: np.random.Generator, seed: int, split: str, size: int) -> NDArray[np.float32]:
    """(size, size, 3) in [0, 1]; of the dataset's seed, a split's rooms are made.

    What is out of focus is drawn smaller and enlarged.
    """
    smaller = max(8, size // int(rng.integers(2, 7))) if rng.random() < OUT_OF_FOCUS else size
    kind = rng.random()
    if kind < 0.35:
        picture = Image.fromarray(room(seed, split, int(rng.integers(ROOMS)), size))
        picture = picture.resize((smaller, smaller), Image.Resampling.BOX)
        picture = picture.transpose(Image.Transpose.FLIP_LEFT_RIGHT) if rng.random() < 0.5 else picture
    elif kind < 0.7:
        picture = as_image(photographs.crop(rng, split, smaller))
    else:
        picture = as_image(wall(rng, max(8, size // 4)))
    return np.asarray(picture.resize((size, size), Image.Resampling.BICUBIC), np.float32) / np.float32(255)


def as_image(picture: NDArray[np.floating]) -> Image.Image:
    """(H, W, 3) in [0, 1] as bytes."""
    return Image.fromarray((255 * picture).astype(np.uint8))


@lru_cache(maxsize=3 * ROOMS)
def room(seed: int, split: str, number: int, size: int) -> NDArray[np.uint8]:
    """Room `number` of a split; not to be changed."""
    return draw_room(np.random.default_rng(derive_seed(seed, split, "room", number)), size, split)


def wall(rng: np.random.Generator, size: int) -> NDArray[np.float32]:
    """Two colours that run into each other, a little uneven."""
    first, second = house(rng), house(rng)
    angle = rng.uniform(0, 2 * np.pi)
    rows, columns = np.ogrid[-1 : 1 : size * 1j, -1 : 1 : size * 1j]
    share = (0.5 + 0.4 * (np.cos(angle) * columns + np.sin(angle) * rows)).astype(np.float32)
    share += np.float32(rng.uniform(0, 0.8)) * (cloudy_noise(rng, (size, size), (4, 4), octaves=3) - np.float32(0.5))
    return (first + (second - first) * share.clip(0, 1)[..., None]).astype(np.float32)
