"""Cut-outs kept on disk as they lie on the canvas.

A worker spends most of its time decoding large files and shrinking them. Of a dataset that reads files, what comes out
of that can be kept, one uncompressed file a cut-out, and read in the next epoch or run. It is bounded: only the first
so many cut-outs are kept, and one whose source has changed replaces the old one.
"""

import numpy as np
import torch

from zoo.core.cache import ArrayCache, Arrays, cache_directory
from zoo.matting.compose import fit_canvas
from zoo.matting.parts import Matte, MattingDataset

VERSION = 1
"""Raise it whenever a canvas would look different."""


class KeptMattes:
    """The cut-outs of a dataset on a square canvas; the first ones are kept.

    Args:
        dataset: where they come from.
        canvas: its side in pixels.
        count: how many are kept, at most, in `cutouts` under `ZOO_CACHE`.

    Raises:
        ValueError: some are to be kept, of a dataset that reads no files.
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
        """Cut-out number `index`: (3, canvas, canvas) and (1, canvas, canvas)."""
        if index >= self.count:
            return self._on_canvas(index)
        fingerprint = self.dataset.fingerprint(index)

        def usable(arrays: Arrays) -> bool:
            return set(arrays) == {*Matte._fields, "fingerprint"} and str(arrays["fingerprint"]) == fingerprint

        def made() -> Arrays:
            matte = self._on_canvas(index)
            pictures = {"foreground": matte.foreground.numpy(), "alpha": matte.alpha.numpy()}
            return {**pictures, "name": np.array(matte.name), "fingerprint": np.array(fingerprint)}

        arrays = self._cache.get_arrays(f"{index:06d}", usable, made)
        return Matte(torch.from_numpy(arrays["foreground"]), torch.from_numpy(arrays["alpha"]), str(arrays["name"]))

    def _on_canvas(self, index: int) -> Matte:
        foreground, alpha, name = self.dataset.matte(index)
        return Matte(fit_canvas(foreground, self.canvas, "inside"), fit_canvas(alpha, self.canvas, "inside"), name)
