"""Cut-outs cached on disk as they lie on the canvas, so that large files are decoded and shrunk once.

There is one uncompressed file a cut-out. Only the first cut-outs of a dataset are cached, up to a number, and a cut-out
whose source has changed replaces the old one.
"""

import numpy as np
import torch

from zoo.core.files import cache_directory
from zoo.matting.compose import fit_canvas
from zoo.matting.parts import Matte, MattingDataset
from zoo.media.cache import ArrayCache, Arrays

VERSION = 1
"""Raise it whenever a canvas would look different."""


class CachedMattes:
    """The cut-outs of a dataset on a square canvas; the first ones are cached.

    Args:
        dataset: reads them from files.
        canvas: its side in pixels.
        count: how many are cached, at most, in `cutouts` under `ZOO_CACHE`.

    Raises:
        ValueError: some are to be cached, of a dataset that reads no files.

    Example:
        >>> from zoo.core.registry import find_class
        >>> mattes = CachedMattes(find_class("SyntheticMattes")(count=1, size=32), canvas=16)
        >>> mattes.matte(0).alpha.shape
        torch.Size([1, 16, 16])
    """

    def __init__(self, dataset: MattingDataset, canvas: int, count: int = 0) -> None:
        if count > 0 and dataset.fingerprint(0) is None:
            raise ValueError(
                f"a training stage has keep={count}, but {type(dataset).__name__} says of no file that it reads its "
                "cut-outs from it, so it could not be seen when they change: set keep to 0."
            )
        self.dataset = dataset
        self.canvas = canvas
        self.count = count
        settings = {"version": VERSION, "dataset": dataset.spec, "canvas": canvas}
        directory = str(cache_directory() / "cutouts")
        self._cache = ArrayCache(directory, f"{type(dataset).__name__}-{canvas}", settings, compressed=False)

    def matte(self, index: int) -> Matte:
        """Return cut-out number `index`: (3, canvas, canvas) and (1, canvas, canvas)."""
        if index >= self.count:
            return self._on_canvas(index)
        fingerprint = self.dataset.fingerprint(index)

        def is_current(arrays: Arrays) -> bool:
            return set(arrays) == {*Matte._fields, "fingerprint"} and str(arrays["fingerprint"]) == fingerprint

        def decode() -> Arrays:
            matte = self._on_canvas(index)
            images = {"foreground": matte.foreground.numpy(), "alpha": matte.alpha.numpy()}
            return {**images, "name": np.array(matte.name), "fingerprint": np.array(fingerprint)}

        arrays = self._cache.get_arrays(f"{index:06d}", is_current, decode)
        return Matte(torch.from_numpy(arrays["foreground"]), torch.from_numpy(arrays["alpha"]), str(arrays["name"]))

    def _on_canvas(self, index: int) -> Matte:
        foreground, alpha, name = self.dataset.matte(index)
        return Matte(fit_canvas(foreground, self.canvas, "inside"), fit_canvas(alpha, self.canvas, "inside"), name)
