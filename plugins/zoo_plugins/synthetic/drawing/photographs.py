"""Photographs that the scikit-image wheel carries: raw material for backgrounds and cloth.

They are read from the installed package as files; nothing is ever downloaded. Each split has photographs of its own, so
that no image of a test has been trained on. Only photographs that are free of copyright are used.
"""

import warnings
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray
from PIL import Image

from zoo.media.folders import find_images
from zoo.media.images import MediaWarning, read_image, to_uint8
from zoo_plugins.synthetic.drawing.textures import house_colour, stretch

PHOTOGRAPHS = {
    "train": ("camera.png", "brick.png", "grass.png", "coffee.png", "hubble_deep_field.jpg"),
    "validation": ("clock_motion.png", "gravel.png"),
    "test": ("coins.png", "retina.jpg"),
}
"""The photographs of each split, files of `skimage/data`."""

HELD_OUT = ("astronaut.png", "chelsea.png", "motorcycle_left.png", "motorcycle_right.png", "rocket.jpg")
"""Photographs that no split contains: they stay unseen, for examples and for tests on real photographs."""

ATTRIBUTION = {
    "camera.png": "CC0 by the photographer, Lav Varshney",
    "brick.png": "CC0, CC0Textures (Bricks25)",
    "grass.png": "CC0, DeviantArt user linolafett",
    "coffee.png": "CC0 by the photographer, Rachel Michetti, courtesy of Pikolo Espresso Bar",
    "hubble_deep_field.jpg": "public domain, NASA (Hubble eXtreme Deep Field)",
    "clock_motion.png": "released into the public domain by the photographer, Stefan van der Walt",
    "gravel.png": "CC0, CC0Textures (Gravel04)",
    "coins.png": "no known copyright restrictions, Brooklyn Museum Collection",
    "retina.jpg": "CC0, Mikael Häggström",
}
"""Author and licence of each photograph, as scikit-image's documentation of `skimage.data` states them."""


FOLDER_FRACTION = 0.9
"""Fraction of the crops that are from the folder of photographs, where there is one."""


def attribution(split: str, folder: str | None = None) -> list[str]:
    """Return the lines that tell the authors and licences of a split's photographs, and of those in a folder."""
    lines = [
        "Cloth and backgrounds may show pieces of these photographs, which come with scikit-image; authors and "
        "licences, as its documentation states them:"
    ]
    lines += [f"{name}: {ATTRIBUTION[name]}" for name in sorted(PHOTOGRAPHS[split])]
    if folder is not None:
        told = Path(folder) / "ATTRIBUTION.txt"
        lines += told.read_text(encoding="utf-8").splitlines() if told.is_file() else [f"and those in {folder}"]
    return lines


@dataclass(frozen=True)
class Photographs:
    """The photographs of a split, and those of a folder where there is one.

    Args:
        split: whose photographs of scikit-image are taken.
        folder: with more photographs; nine in ten crops then come from there.
    """

    split: str
    folder: str | None = None

    def crop(self, rng: Generator, size: int) -> NDArray[np.floating]:
        """Return a square crop of a photograph, perhaps mirrored, and toned: (size, size, 3) in [0, 1].

        Its side is at least 0.35 of the photograph's shorter side, 0.2 for those of the folder, which are larger.
        """
        names, smallest = [str(folder() / name) for name in PHOTOGRAPHS[self.split]], 0.35
        if self.folder is not None and rng.random() < FOLDER_FRACTION:
            names, smallest = files_in(self.folder), 0.2
        return _crop(rng, _read(names[rng.integers(len(names))]), size, smallest)


@cache
@cache
def files_in(directory: str) -> list[str]:
    """Return the images of a folder and its subfolders in order of their names.

    Raises:
        MediaError: it has none.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", MediaWarning)  # ATTRIBUTION.txt is no image
        return sorted(str(path) for path in find_images(directory))


def _crop(rng: Generator, photograph: Image.Image, size: int, smallest: float) -> NDArray[np.floating]:
    side = int(min(photograph.size) * rng.uniform(smallest, 1.0))
    left = int(rng.integers(photograph.width - side + 1))
    top = int(rng.integers(photograph.height - side + 1))
    piece = photograph.resize(
        (size, size), Image.Resampling.BICUBIC, (left, top, left + side, top + side), reducing_gap=2.0
    )
    if rng.random() < 0.5:
        piece = piece.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    return _tone(rng, np.asarray(piece, np.float32) / 255)


def _tone(rng: Generator, piece: NDArray[np.floating]) -> NDArray[np.floating]:
    """Colour a grey photograph, or change brightness and balance of a coloured one."""
    if piece.ndim == 2:
        if rng.random() < 0.3:
            return np.repeat(piece[..., None], 3, axis=2) ** np.float32(rng.uniform(0.6, 1.6))
        dark, light = sorted((house_colour(rng), house_colour(rng)), key=lambda colour: float(colour.sum()))
        dark, light = 0.6 * dark, light + 0.3 * (1 - light)
        return dark + (light - dark) * stretch(piece)[..., None]
    balance = rng.uniform(0.8, 1.2, 3).astype(np.float32)
    return (piece ** np.float32(rng.uniform(0.6, 1.5)) * balance).clip(0, 1)


@cache
def _read(path: str) -> Image.Image:
    if not Path(path).is_file():
        raise FileNotFoundError(f"{path} is missing: the synthetic backgrounds need it, reinstall scikit-image.")
    pixels = to_uint8(read_image(path))
    return Image.fromarray(pixels[:, :, 0] if (pixels == pixels[:, :, :1]).all() else pixels)


def folder() -> Path:
    """Return the folder of scikit-image's photographs. (Its own readers are not used: they may download.)"""
    spec = find_spec("skimage")
    if spec is None or not spec.submodule_search_locations:
        raise FileNotFoundError("scikit-image is not installed: install it with `pip install scikit-image`.")
    return Path(spec.submodule_search_locations[0]) / "data"
