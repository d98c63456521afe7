"""Synthetic heads: renderings of any head model with exact ground truth."""

from typing import Literal

import numpy as np
import torch

from zoo.core.cache import ArrayCache
from zoo.heads.mesh import HeadModel
from zoo.heads.parts import HeadDataset, HeadPicture
from zoo.heads.synthetic import SyntheticHead, draw_head, find_regions, head_name, restored, stored

VERSION = 1
"""Raise it whenever the same seeds would draw something else."""
KEPT = {"image", "box", "model_view", "projection", "attributes"}


class SyntheticHeads(HeadDataset):
    """Rendered heads of whatever head model is trained, each drawn anew whenever it is asked for.

    Random shapes, expressions and poses with yaw up to ±100°, seen by pinhole cameras of any distance; skin of all
    tones, hair, beards, glasses and other things in front of the head; soft, harsh, dim and coloured light; rooms,
    photographs and walls behind it; blur, noise and JPEG. Everything follows from (seed, split, index). Where the head
    model has the subsets lips, eyes, scalp, ears, mouth, teeth or tongue, these are painted; without them, from the
    landmarks.

    Attributes are those of DAD-3DHeads and true of the picture: `expression` (one was drawn), `occlusions` (things hide
    more than 2 % of the head's visible vertices; hair does not count), `pose` (`front`, `sided` beyond 30° of yaw,
    `atypical` beyond 35° of pitch or roll or 90° of yaw), `standard light` (soft and white), `quality`; gender and age
    are `undefined`.

    The cameras are perspective, the networks' projection is orthographic: even with the true vertices, the best
    rotation, scale and shift (least squares on the 68 landmarks) leave a reprojection NME of 0.63 on average over 400
    validation heads of the open head: 1.3 at less than 0.7 m from the camera, 0.2 beyond 2 m, 2.2 at most. The rotation
    that fits best lies 2.6° (all of the head's vertices) to 3.6° (landmarks) beside the true one.

    Args:
        split: `train`, `validation` and `test` share no head, no room and no photograph.
        count: how many heads.
        size: height and width of the pictures in pixels; a head takes 58 to 78 % of that.
        seed: another seed gives another dataset.
        keep: keep each picture on disk once it is drawn, so that later epochs read it (under `ZOO_CACHE`).

    Raises:
        ValueError: an argument is out of its range.
    """

    synthetic = True
    gives_neutral = True

    def __init__(
        self,
        split: Literal["train", "validation", "test"] = "train",
        count: int = 1000,
        size: int = 256,
        seed: int = 0,
        keep: bool = False,
    ) -> None:
        if split not in ("train", "validation", "test"):
            raise ValueError(f"split is {split!r}: choose train, validation or test.")
        for name, value, least in (("count", count, 1), ("size", size, 32)):
            if value < least:
                raise ValueError(f"{name} is {value}: it must be at least {least}.")
        self.split: str = split
        self.count = count
        self.size = size
        self.seed = seed
        self.keep = keep

    def build(self, head_model: HeadModel) -> None:
        super().build(head_model)
        self._regions = find_regions(self.head_model)
        shared = {"version": VERSION, "split": self.split, "size": self.size, "seed": self.seed}
        name = f"heads-{self.split}-{self.size}"
        self._kept = ArrayCache(None, name, {**shared, "head": head_model.sha256}) if self.keep else None

    def __len__(self) -> int:
        return self.count

    def picture(self, index: int) -> HeadPicture:
        if not 0 <= index < self.count:
            raise IndexError(f"index {index} is out of range: the dataset has {self.count} heads.")
        head = self._head(index)
        return HeadPicture(
            image=torch.from_numpy(np.ascontiguousarray(head.image.transpose(2, 0, 1))),
            box=torch.from_numpy(head.box).float(),
            vertices=torch.from_numpy(head.annotation.vertices),
            projected=torch.from_numpy(head.annotation.projected(self.size)).float(),
            rotation=torch.from_numpy(head.annotation.rotation).float(),
            attributes=head.attributes,
            name=head_name(self.split, index),
            neutral=torch.from_numpy(head.neutral),
        )

    def _head(self, index: int) -> SyntheticHead:
        def draw() -> SyntheticHead:
            return draw_head(self.head_model, self._regions, self.seed, self.split, index, self.size)

        if self._kept is None:
            return draw()
        arrays = self._kept.get_arrays(f"{index:06d}", self._usable, lambda: stored(draw()))
        return restored(arrays, self.head_model, self.seed, self.split, index)

    def _usable(self, arrays: dict[str, np.ndarray]) -> bool:
        image = arrays.get("image")
        return set(arrays) == KEPT and image is not None and image.shape == (self.size, self.size, 3)
