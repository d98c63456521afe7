"""Capture: what a camera does to the light: a soft lens, the sensor's noise, and a JPEG file."""

import io
from functools import cache

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from zoo.core.compiled import compiled
from zoo.core.seeding import derive_seed
from zoo.matting.synthetic.optics import motion_blur

POOR = 0.15
"""Share of the pictures of low quality."""


def capture(rng: np.random.Generator, picture: NDArray[np.float32]) -> tuple[NDArray[np.uint8], str]:
    """The photograph of a picture (S, S, 3) in [0, 1], as it is displayed, and its quality as DAD-3DHeads has it.

    Returns:
        (S, S, 3) and `hq`, or `lq`: of few pixels, noisy and strongly compressed, sometimes shaken.
    """
    poor = rng.random() < POOR
    if poor and rng.random() < 0.4:
        way, angle = rng.uniform(0.01, 0.025) * len(picture), rng.uniform(0, np.pi)
        picture = motion_blur(picture, way * np.cos(angle), way * np.sin(angle)).astype(np.float32)
    beside, grain = rng.uniform(0.1, 0.5), noise(rng, len(picture))
    strength = rng.uniform(0.04, 0.12) if poor else rng.uniform(0.0, 0.03)
    photograph = Image.fromarray(expose(picture, beside, grain * np.float32(strength)))
    if poor:
        small = photograph.reduce(int(rng.integers(2, 4)))
        photograph = small.resize(photograph.size, Image.Resampling.BICUBIC)
    if poor or rng.random() < 0.5:
        photograph = through_jpeg(photograph, int(rng.integers(25, 55) if poor else rng.integers(70, 96)))
    return np.array(photograph), "lq" if poor else "hq"


def expose(picture: NDArray[np.float32], beside: float, grain: NDArray[np.float32]) -> NDArray[np.uint8]:
    """What the sensor reads: the picture (S, S, 3) behind a soft lens, with the same grain (S, S) in each colour.

    The lens blurs by the kernel [b, 1, b] / (1 + 2b) along both axes; the picture's edge pixels are continued.
    """
    rows = picture.reshape(len(picture), -1)
    result = np.empty(rows.shape, np.uint8)
    _expose(rows, np.float32(beside), np.float32(1 / (1 + 2 * beside) ** 2), grain, result)
    return result.reshape(picture.shape)


def noise(rng: np.random.Generator, size: int) -> NDArray[np.float32]:
    """(size, size) standard normal noise: a piece of a larger field that is drawn once a process."""
    field = noise_field(2 * size)
    top, left = rng.integers(size, size=2)
    return field[top : top + size, left : left + size]


@cache
def noise_field(size: int) -> NDArray[np.float32]:
    """(size, size); not to be changed."""
    return np.random.default_rng(derive_seed("sensor noise", size)).standard_normal((size, size), np.float32)


def through_jpeg(photograph: Image.Image, quality: int) -> Image.Image:
    """The photograph written as JPEG of a quality from 1 to 95 and read again."""
    file = io.BytesIO()
    photograph.save(file, "JPEG", quality=quality)
    return Image.open(file)


@compiled
def _expose(
    picture: NDArray[np.float32],
    beside: np.float32,
    scale: np.float32,
    grain: NDArray[np.float32],
    result: NDArray[np.uint8],
) -> None:
    """Rows of the picture and of the result are red, green, blue, red and so on: (S, 3·S)."""
    height, length = picture.shape
    sums, read = np.empty(length + 6, np.float32), np.empty(length, np.float32)
    for row in range(height):
        above, below = max(row - 1, 0), min(row + 1, height - 1)
        for place in range(length):
            sums[place + 3] = picture[row, place] + beside * (picture[above, place] + picture[below, place])
        sums[:3], sums[-3:] = sums[3:6], sums[-6:-3]
        for place in range(length):
            read[place] = scale * (sums[place + 3] + beside * (sums[place] + sums[place + 6]))
        for column in range(length // 3):
            for place in range(3 * column, 3 * column + 3):
                level = (read[place] + grain[row, column]) * np.float32(255)
                result[row, place] = np.uint8(min(max(level, np.float32(0)), np.float32(255)))
