"""Where the heads of an image are: boxes that a detector finds."""

from functools import cache
from typing import Any, NamedTuple

import numpy as np

from zoo.core.spec import build
from zoo.heads.crop import Box
from zoo.heads.parts import Detector

LOW_SCORE = 0.75
"""Heads of a lower score are doubtful: they are passed over where a better one is found, and marked otherwise."""
LYING = 40
"""Degrees of roll from which a head lies on its side: detectors see less roll than there is."""
PORTRAIT = (0.6, 1.2)
"""Width / height of images that may show one head and little else."""


class FoundBox(NamedTuple):
    """Box of a head in an image."""

    box: Box
    """x, y, width, height in pixels within the image."""
    how: str
    """Origin of the box: the end of a sentence that begins "the head was …"."""
    score: float | None = None
    """How sure it is that a head is there, from 0 to 1; None for a box that was given."""


@cache
def default_detector() -> Detector:
    """Return the detector that is used where none is given."""
    detector: Any = build({"class_path": "BlazeFace"})
    return detector


def find_head_boxes(image: np.ndarray, detector: Detector | None = None, rotations: bool = True) -> list[FoundBox]:
    """Return the boxes of the heads in an image, the largest first.

    Doubtful heads are left out where there are others; of doubtful heads alone the best is returned. An image without
    any that has the aspect ratio of a portrait counts as one head, of score 0.

    Args:
        image: (H, W, 3) RGB, uint8.
        detector: None takes `default_detector()`.
        rotations: where no head is certain, look whether the image lies on its side or head; `how` reports it.

    Raises:
        ValueError: no head was found, and the image is no portrait.

    Example:
        >>> (found,) = find_head_boxes(np.zeros((100, 80, 3), np.uint8))
        >>> found.box, found.score
        ((0.0, 0.0, 80.0, 100.0), 0.0)
    """
    detector = detector or default_detector()
    height, width = image.shape[:2]
    heads = detector.find(image)
    certain = [head for head in heads if head.score >= LOW_SCORE and abs(head.roll) < LYING]
    name = type(detector).__name__
    if certain:
        certain.sort(key=lambda head: head.box[2] * head.box[3], reverse=True)
        return [FoundBox(head.box, f"found by {name}", head.score) for head in certain]
    rotated = ""
    if rotations:
        for degrees in (90, 180, 270):
            turned = detector.find(np.ascontiguousarray(np.rot90(image, -degrees // 90)))
            if turned and turned[0].score >= LOW_SCORE and abs(turned[0].roll) < LYING / 2:
                rotated = f"; the image seems to be rotated: a face appears when it is rotated by {degrees}° clockwise"
    if heads:
        best = heads[0]
        return [FoundBox(best.box, f"perhaps found by {name}{rotated}", 0.0 if rotated else best.score)]
    if PORTRAIT[0] <= width / height <= PORTRAIT[1]:
        how = f"taken to fill the picture, in which no face was found{rotated}"
        return [FoundBox((0.0, 0.0, float(width), float(height)), how, 0.0)]
    raise ValueError(
        f"no face was found in the image of {width}×{height} pixels, and it has not the shape of a portrait{rotated}: "
        "give the head's box x, y, width, height, or crop the image to the head."
    )


def overlap(one: Box, other: Box) -> float:
    """Return intersection over union of two boxes.

    Example:
        >>> overlap((0, 0, 2, 2), (1, 0, 2, 2))
        0.3333333333333333
    """
    sides = [min(one[i] + one[i + 2], other[i] + other[i + 2]) - max(one[i], other[i]) for i in (0, 1)]
    shared = max(0.0, sides[0]) * max(0.0, sides[1])
    return shared / (one[2] * one[3] + other[2] * other[3] - shared)
