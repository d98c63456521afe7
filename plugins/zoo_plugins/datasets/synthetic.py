"""Synthetic mattes: rendered persons and things with exact alpha, and rooms and photographs as backgrounds."""

from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from zoo.matting.parts import Matte, MattingDataset
from zoo.media.cache import ArrayCache
from zoo_plugins.synthetic import check_arguments, check_index
from zoo_plugins.synthetic.drawing.backgrounds import generate_background
from zoo_plugins.synthetic.drawing.layers import Image8
from zoo_plugins.synthetic.drawing.photographs import Photographs, attribution, files_in
from zoo_plugins.synthetic.mattes.clutter import add_clutter
from zoo_plugins.synthetic.mattes.matte import MatteOptions, generate_matte

PHOTOGRAPHS_VERSION = 2  # the same for what a folder of photographs changes
VERSION = 4  # of the generator, part of the cache's key: raise it when the same seeds would give other images


class SyntheticMattes(MattingDataset):
    """Procedural cut-outs with exact alpha, over procedural rooms and the photographs that scikit-image carries.

    Hair of thousands of strands, thin things, veils, holes, blur by motion and defocus, clothes in the colours of the
    rooms. Everything follows from (seed, split, index). Images are generated on first use and cached on disk.

    Args:
        split: `train`, `validation` and `test` share no subject, no room and no photograph.
        count: how many cut-outs.
        backgrounds: how many backgrounds.
        size: height and width of both, in pixels.
        seed: another seed gives another dataset.
        people: fraction of persons among the subjects, in [0, 1]; the others are things.
        detail: how many strands of hair and other thin parts: 1 is usual, 0.1 coarse.
        frames: so many consecutive cut-outs are frames of one clip; 1 gives stills.
        patches: fraction of the subjects that carry badges, prints, straps and reflections, in [0, 1]: edges inside a
            subject that are not its outline. In a clip they change from frame to frame.
        clutter: fraction of the backgrounds in which a thing stands, in [0, 1].
        photographs: a folder of JPEG or PNG photographs for backgrounds and cloth, such as
            `tools/training_photographs.py` writes; most backgrounds are then photographs instead of rooms.
        cache: the folder of the cache; None is `$ZOO_CACHE/synthetic`, or the platform's cache folder.

    Raises:
        ValueError: an argument is out of its range.

    Example:
        >>> from tempfile import mkdtemp
        >>> dataset = SyntheticMattes("test", count=2, size=32, backgrounds=1, cache=mkdtemp())
        >>> matte = dataset.matte(1)
        >>> matte.name, matte.foreground.shape, matte.alpha.dtype
        ('synthetic_test_000001', torch.Size([3, 32, 32]), torch.uint8)
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
        patches: float = 0.0,
        clutter: float = 0.0,
        photographs: str | None = None,
        cache: str | None = None,
    ) -> None:
        check_arguments(split, count=(count, 1), backgrounds=(backgrounds, 1), size=(size, 32), frames=(frames, 1))
        for name, fraction in {"people": people, "patches": patches, "clutter": clutter}.items():
            if not 0 <= fraction <= 1:
                raise ValueError(f"{name} is {fraction}: it is a fraction, choose a number from 0 to 1.")
        if detail <= 0:
            raise ValueError(f"detail is {detail}: it must be above 0.")
        self.split = split
        self.count = count
        self.size = size
        self.seed = seed
        self.options = MatteOptions(size, people, detail, frames, patches)
        self.clutter = clutter
        self._background_count = backgrounds
        self.photographs = Photographs(split, photographs)
        key: dict[str, object] = {"version": VERSION, "split": split, "seed": seed}
        if photographs is not None:
            key["photographs"] = [PHOTOGRAPHS_VERSION, *(Path(path).name for path in files_in(photographs))]
        mattes: dict[str, object] = {**key, **asdict(self.options)}
        rooms: dict[str, object] = {**key, "size": size, "clutter": clutter}
        for settings, name in ((mattes, "patches"), (rooms, "clutter")):
            if not settings[name]:
                del settings[name]  # so that the caches of earlier versions are still found
        self._mattes = ArrayCache(cache, f"mattes-{split}-{size}", mattes)
        self._backgrounds = ArrayCache(cache, f"backgrounds-{split}-{size}", rooms)

    @property
    def notice(self) -> list[str]:
        """Lines for the README of written files: what the images are, and whose photographs they show."""
        return [
            "Every foreground is synthetic: no person or thing was photographed.",
            *attribution(self.split, self.photographs.folder),
        ]

    def __len__(self) -> int:
        return self.count

    def matte(self, index: int) -> Matte:
        """Return cut-out number `index`: uint8, (3, size, size) and (1, size, size)."""
        check_index(index, self.count, "cut-outs")
        pixels = self._cached(
            self._mattes, index, 4, lambda: generate_matte(self.seed, self.photographs, index, self.options)
        )
        return Matte(pixels[:3], pixels[3:], f"synthetic_{self.split}_{index:06d}")

    @property
    def background_count(self) -> int:
        return self._background_count

    def background(self, index: int) -> Tensor:
        """Return background number `index`: uint8, (3, size, size)."""
        check_index(index, self._background_count, "backgrounds")
        return self._cached(self._backgrounds, index, 3, lambda: self._generate_background(index))

    def _generate_background(self, index: int) -> Image8:
        background = generate_background(self.seed, self.photographs, index, self.size)
        return add_clutter(background, self.seed, self.photographs, index, self.clutter)

    def _cached(self, cache: ArrayCache, index: int, channels: int, generate: Callable[[], Image8]) -> Tensor:
        """Return the image (C, H, W) from the cache, or generate and cache it."""

        def usable(arrays: dict[str, np.ndarray]) -> bool:
            image = arrays.get("picture")
            return image is not None and image.shape == (self.size, self.size, channels) and image.dtype == np.uint8

        image = cache.get_arrays(f"{index:06d}", usable, lambda: {"picture": generate()})["picture"]
        # NumPy transposes here, since torch would start threads for it in every worker.
        return torch.from_numpy(np.ascontiguousarray(image.transpose(2, 0, 1)))
