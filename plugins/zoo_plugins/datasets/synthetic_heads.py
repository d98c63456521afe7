"""Synthetic heads: renderings of any head model with exact ground truth."""

import json
from typing import Any, Literal

import numpy as np
import torch

from zoo.heads.dad_format import Annotation
from zoo.heads.mesh import HeadModel
from zoo.heads.parts import HeadDataset, HeadPicture
from zoo.media.cache import ArrayCache
from zoo.media.progress import count_rendered
from zoo_plugins.synthetic import check_arguments, check_index
from zoo_plugins.synthetic.drawing.photographs import attribution
from zoo_plugins.synthetic.heads.head import Diversity, PlacedHead, SyntheticHead, generate_head, place_head
from zoo_plugins.synthetic.heads.regions import find_regions

VERSION = 1  # of the generator, part of the cache's key: raise it when the same seeds would give other images
CACHED = {"image", "box", "model_view", "projection", "attributes"}


class SyntheticHeads(HeadDataset):
    """Rendered heads of the head model that is trained.

    Random shapes, expressions and poses with yaw up to ±100°, seen by pinhole cameras of any distance; skin of all
    tones, hair, beards, glasses and other things in front of the head; soft, harsh, dim and coloured light; rooms,
    photographs and walls behind it; blur, noise and JPEG. Everything follows from (seed, split, index). Where the head
    model has the subsets lips, eyes, scalp, ears, mouth, teeth or tongue, these are painted; without them, from the
    landmarks.

    Attributes are those of DAD-3DHeads and true of the image: `expression` (not neutral), `occlusions` (things hide
    more than 2 % of the head's visible vertices; hair does not count), `pose` (`front`, `sided` beyond 30° of yaw,
    `atypical` beyond 35° of pitch or roll or 90° of yaw), `standard light` (soft and white), `quality`; gender and age
    are `undefined`.

    The cameras are perspective, the networks' projection is orthographic: even with the true vertices, the best
    rotation, scale and shift (least squares on the 68 landmarks) leave a reprojection NME of 0.63 on average over 400
    validation heads of the open head: 1.3 at less than 0.7 m from the camera, 0.2 beyond 2 m, 2.2 at most. The rotation
    that fits best differs from the true one by 2.6° (all of the head's vertices) to 3.6° (landmarks).

    Args:
        split: `train`, `validation` and `test` share no head, no room and no photograph.
        count: how many heads.
        size: height and width of the images in pixels; a head takes 58 to 78 % of that.
        seed: another seed gives another dataset.
        keep: cache each rendered image on disk (under `ZOO_CACHE`), so that later epochs read it.
        yaw, pitch, roll: about the widest angles in degrees: poses are scaled to them, 0 is frontal.
        expression: factor of the strength of expressions and of the mouth's opening; 0 makes all heads neutral.
        occlusion: factor of the probability of each thing in front of the head; 0 leaves them out.

    Raises:
        ValueError: an argument is out of its range.

    Example:
        >>> dataset = SyntheticHeads("test", count=2, size=32)
        >>> dataset.build(HeadModel.load("procedural"))
        >>> head = dataset.picture(1)
        >>> head.name, head.image.shape, head.rotation.shape
        ('synthetic_test_000001', torch.Size([3, 32, 32]), torch.Size([3, 3]))
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
        yaw: float = 100.0,
        pitch: float = 60.0,
        roll: float = 75.0,
        expression: float = 1.0,
        occlusion: float = 1.0,
    ) -> None:
        check_arguments(split, count=(count, 1), size=(size, 32))
        self.diversity = Diversity(yaw, pitch, roll, expression, occlusion)
        for (name, value), highest in zip(self.diversity._asdict().items(), (180, 90, 180, 2, 5), strict=True):
            if not 0 <= value <= highest:
                raise ValueError(f"{name} is {value:g}: it must be from 0 to {highest}.")
        self.split: str = split
        self.count = count
        self.size = size
        self.seed = seed
        self.keep = keep

    @property
    def notice(self) -> list[str]:
        """Lines for the README of written files: what the images are, and whose photographs they show."""
        return ["They are no part of DAD-3DHeads, and no person was photographed.", *attribution(self.split)]

    def build(self, head_model: HeadModel) -> None:
        super().build(head_model)
        self._regions = find_regions(self.head_model)
        key: dict[str, Any] = {"version": VERSION, "split": self.split, "size": self.size, "seed": self.seed}
        if self.diversity != Diversity():  # images cached by earlier versions have the default without naming it
            key |= self.diversity._asdict()
        name = f"heads-{self.split}-{self.size}"
        self._cache = ArrayCache(None, name, {**key, "head": head_model.sha256}) if self.keep else None

    def __len__(self) -> int:
        return self.count

    def picture(self, index: int) -> HeadPicture:
        check_index(index, self.count, "heads")
        head = self._head(index)
        return HeadPicture(
            image=torch.from_numpy(np.ascontiguousarray(head.image.transpose(2, 0, 1))),
            box=torch.from_numpy(head.box).float(),
            vertices=torch.from_numpy(head.annotation.vertices),
            projected=torch.from_numpy(head.annotation.projected(self.size)).float(),
            rotation=torch.from_numpy(head.annotation.rotation).float(),
            attributes=head.attributes,
            name=f"synthetic_{self.split}_{index:06d}",
            neutral=torch.from_numpy(head.neutral),
        )

    def annotation(self, index: int) -> Annotation:
        """Return the vertices and the exact camera of image number `index`; nothing is rendered for it."""
        check_index(index, self.count, "heads")
        return self._place(index).annotation

    def _head(self, index: int) -> SyntheticHead:
        def generate() -> SyntheticHead:
            sample = (self.seed, self.split, index, self.size, self.diversity)
            return generate_head(self.head_model, self._regions, *sample)

        if self._cache is None:
            count_rendered()
            return generate()
        arrays = self._cache.get_arrays(f"{index:06d}", self._usable, lambda: _to_arrays(generate()))
        placed = self._place(index)
        annotation = placed.annotation._replace(model_view=arrays["model_view"], projection=arrays["projection"])
        attributes = json.loads(arrays["attributes"].tobytes())
        return SyntheticHead(arrays["image"], annotation, placed.neutral, arrays["box"], attributes)

    def _place(self, index: int) -> PlacedHead:
        return place_head(self.head_model, self.seed, self.split, index, self.size, self.diversity)

    def _usable(self, arrays: dict[str, np.ndarray]) -> bool:
        image = arrays.get("image")
        return set(arrays) == CACHED and image is not None and image.shape == (self.size, self.size, 3)


def _to_arrays(head: SyntheticHead) -> dict[str, np.ndarray]:
    """Return the arrays to cache; the vertices are recomputed instead."""
    attributes = np.frombuffer(json.dumps(head.attributes).encode(), np.uint8)
    cameras = {"model_view": head.annotation.model_view, "projection": head.annotation.projection}
    return {"image": head.image, "box": head.box, **cameras, "attributes": attributes}
