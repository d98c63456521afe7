"""Capture: what a camera does to the light: a soft lens, the sensor's noise, and a JPEG file."""

import io
from functools import cache

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from zoo.core.seeding import derive_seed
from zoo.heads.render import compiled
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
    exposed = soften(picture, rng.uniform(0.1, 0.5))
    exposed += noise(rng, len(picture)) * np.float32(rng.uniform(0.04, 0.12) if poor else rng.uniform(0.0, 0.03))
    exposed *= np.float32(255)
    photograph = Image.fromarray(np.clip(exposed, 0, 255, out=exposed).astype(np.uint8))
    if poor:
        small = photograph.reduce(int(rng.integers(2, 4)))
        photograph = small.resize(photograph.size, Image.Resampling.BICUBIC)
    if poor or rng.random() < 0.5:
        photograph = through_jpeg(photograph, int(rng.integers(25, 55) if poor else rng.integers(70, 96)))
    return np.array(photograph), "lq" if poor else "hq"


def soften(picture: NDArray[np.float32], beside: float) -> NDArray[np.float32]:
    """The picture blurred by the kernel [b, 1, b] / (1 + 2b) along both axes; its edge pixels are continued."""
    result = np.empty_like(picture)
    padded = np.pad(picture, ((1, 1), (1, 1), (0, 0)), mode="edge")
    _soften(padded, np.float32(beside), np.float32(1 / (1 + 2 * beside) ** 2), result)
    return result


def noise(rng: np.random.Generator, size: int) -> NDArray[np.float32]:
    """(size, size, 1) standard normal noise: a piece of a larger field that is drawn once a process."""
    field = noise_field(2 * size)
    top, left = rng.integers(size, size=2)
    return field[top : top + size, left : left + size]


@cache
def noise_field(size: int) -> NDArray[np.float32]:
    """(size, size, 1); not to be changed."""
    return np.random.default_rng(derive_seed("sensor noise", size)).standard_normal((size, size, 1), np.float32)


def through_jpeg(photograph: Image.Image, quality: int) -> Image.Image:
    """The photograph written as JPEG of a quality from 1 to 95 and read again."""
    file = io.BytesIO()
    photograph.save(file, "JPEG", quality=quality)
    return Image.open(file)


@compiled
def _soften(padded: NDArray[np.float32], beside: np.float32, scale: np.float32, result: NDArray[np.float32]) -> None:
    height, width = result.shape[:2]
    column_sums = np.empty((width + 2, 3), np.float32)
    for row in range(height):
        for column in range(width + 2):
            for channel in range(3):
                around = padded[row, column, channel] + padded[row + 2, column, channel]
                column_sums[column, channel] = padded[row + 1, column, channel] + beside * around
        for column in range(width):
            for channel in range(3):
                around = column_sums[column, channel] + column_sums[column + 2, channel]
                result[row, column, channel] = scale * (column_sums[column + 1, channel] + beside * around)
