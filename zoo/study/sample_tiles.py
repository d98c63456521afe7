"""Pictures of the first samples of each test set, as a run keeps them: `pictures/SET_NUMBER/PLACE_TILE.png`."""

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np

from zoo.media.images import read_image, write_image

PICTURES = "pictures"
"""The folder of them in a run's directory."""

COUNT = 3
"""Samples of each test set that are kept."""

SIDE = 256
"""Pixels of the longer side of a tile, at most."""


class Sample(NamedTuple):
    """One sample of a test set."""

    set: str
    number: int


def write_tiles(folder: Path, sample: Sample, tiles: Mapping[str, np.ndarray]) -> None:
    """Write a sample's tiles, uint8 (h, w, 3) by name, in their order."""
    for place, (name, tile) in enumerate(tiles.items()):
        write_image(folder / f"{sample.set}_{sample.number}" / f"{place}_{name}.png", tile)


def read_tiles(folder: Path) -> dict[Sample, dict[str, np.ndarray]]:
    """The tiles of each sample by name, in their order; empty where nothing was kept."""
    found = {}
    for kept in folder.glob("*_*"):
        name, _, number = kept.name.rpartition("_")
        files = sorted(kept.glob("*_*.png"), key=lambda file: int(file.name.partition("_")[0]))
        found[Sample(name, int(number))] = {file.stem.partition("_")[2]: read_image(file) for file in files}
    return dict(sorted(found.items()))
