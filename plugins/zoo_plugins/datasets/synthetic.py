"""Synthetic mattes: drawn persons and things with exact alpha, and rooms and photographs to set them in."""

from dataclasses import asdict
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from zoo.matting.parts import Matte, MattingDataset
from zoo.matting.synthetic.backgrounds import draw_background
from zoo.matting.synthetic.cache import PictureCache
from zoo.matting.synthetic.layers import Picture
from zoo.matting.synthetic.mattes import MatteOptions, draw_matte


class SyntheticMattes(MattingDataset):
    """Procedural cut-outs with exact alpha, over procedural rooms and the photographs that scikit-image carries.

    Hair of thousands of strands, thin things, veils, holes, blur by motion and defocus, clothes in the colours of the
    rooms. Everything follows from (seed, split, index). Pictures are drawn when they are first asked for and kept in a
    cache on disk.

    Args:
        split: `train`, `validation` and `test` share no subject, no room and no photograph.
        count: how many cut-outs.
        backgrounds: how many backgrounds.
        size: height and width of both, in pixels.
        seed: another seed gives another dataset.
        people: share of persons among the subjects, in [0, 1]; the others are things.
        detail: how many strands of hair and other thin parts: 1 is usual, 0.1 coarse.
        frames: so many consecutive cut-outs are frames of one clip; 1 gives stills.
        cache: the folder to keep the pictures in; None is `$ZOO_CACHE/synthetic`, or the platform's cache folder.

    Raises:
        ValueError: an argument is out of its range.
    """

    synthetic = True

    def __init__(
        self,
        split: Literal["train", "validation", "test"] = "train",
        count: int = 1000,
        size: int = 256,
        backgrounds: int = 300,
        seed: int = 0,
        people: float = 0.75,
        detail: float = 1.0,
        frames: int = 1,
        cache: str | None = None,
    ) -> None:
        if split not in ("train", "validation", "test"):
            raise ValueError(f"split is {split!r}: choose train, validation or test.")
        for name, value, least in (
            ("count", count, 1),
            ("backgrounds", backgrounds, 1),
            ("size", size, 32),
            ("frames", frames, 1),
        ):
            if value < least:
                raise ValueError(f"{name} is {value}: it must be at least {least}.")
        if not 0 <= people <= 1:
            raise ValueError(f"people is {people}: it is a share, choose a number from 0 to 1.")
        if detail <= 0:
            raise ValueError(f"detail is {detail}: it must be above 0.")
        self.split = split
        self.count = count
        self.size = size
        self.seed = seed
        self.options = MatteOptions(size, people, detail, frames)
        self._background_count = backgrounds
        shared = {"split": split, "seed": seed}
        self._mattes = PictureCache(cache, f"mattes-{split}-{size}", {**shared, **asdict(self.options)})
        self._backgrounds = PictureCache(cache, f"backgrounds-{split}-{size}", {**shared, "size": size})

    def __len__(self) -> int:
        return self.count

    def matte(self, index: int) -> Matte:
        """Cut-out number `index`: uint8, (3, size, size) and (1, size, size)."""
        _check(index, self.count, "cut-outs")
        shape = (self.size, self.size, 4)
        picture = self._mattes.get(
            f"{index:06d}", shape, lambda: draw_matte(self.seed, self.split, index, self.options)
        )
        tensor = _channels_first(picture)
        return Matte(tensor[:3], tensor[3:], f"synthetic_{self.split}_{index:06d}")

    @property
    def background_count(self) -> int:
        return self._background_count

    def background(self, index: int) -> Tensor:
        """Background number `index`: uint8, (3, size, size)."""
        _check(index, self._background_count, "backgrounds")
        shape = (self.size, self.size, 3)
        picture = self._backgrounds.get(
            f"{index:06d}", shape, lambda: draw_background(self.seed, self.split, index, self.size)
        )
        return _channels_first(picture)


def _channels_first(picture: Picture) -> Tensor:
    """(H, W, C) → (C, H, W); by NumPy, since torch would start threads for it in every worker."""
    return torch.from_numpy(np.ascontiguousarray(picture.transpose(2, 0, 1)))


def _check(index: int, count: int, what: str) -> None:
    if not 0 <= index < count:
        raise IndexError(f"index {index} is out of range: the dataset has {count} {what}.")
