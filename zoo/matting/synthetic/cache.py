"""Pictures that were drawn once are read from disk afterwards."""

from collections.abc import Callable, Mapping

import numpy as np

from zoo.core.cache import ArrayCache
from zoo.matting.synthetic.layers import Picture

VERSION = 3
"""Raise it whenever the same seeds would draw something else."""


class PictureCache(ArrayCache):
    """Pictures on disk; arguments as of `ArrayCache`."""

    def __init__(self, directory: str | None, name: str, settings: Mapping[str, object]) -> None:
        super().__init__(directory, name, {"version": VERSION, **settings})

    def get(self, name: str, shape: tuple[int, ...], draw: Callable[[], Picture]) -> Picture:
        """The picture of this name and shape; drawn, and kept, where it is not there yet."""

        def usable(arrays: dict[str, np.ndarray]) -> bool:
            picture = arrays.get("picture")
            return picture is not None and picture.shape == shape and picture.dtype == np.uint8

        return self.get_arrays(name, usable, lambda: {"picture": draw()})["picture"]
