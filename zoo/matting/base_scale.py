"""Size at which the base network sees an image: about the size of the images that it was trained on.

A base network trained on small images fails on a person ten times that size, and one trained on large images loses hair
in small ones. The paper's 1/4 for HD and 1/8 for 4K follow the same rule.
"""

import math
from collections.abc import Mapping
from typing import Any

from zoo.matting.net import MattingNetwork
from zoo.matting.parts import PATCH

SIDE_STEP = 16
"""Pixels: the backbone halves its input four times. Where a side cannot be halved, its features do not lie where the
decoder takes them to lie: the bundled weights err less at 480×272 than at 480×270."""


def fitting_scale(network: MattingNetwork, height: int, width: int, trained_side: float) -> tuple[float, float]:
    """Return the scales, vertical and horizontal, at which the base network sees an image of this size.

    They are about the power of 1/2 that brings its area nearest to the square that the base network was trained on, and
    make the sides of its input multiples of `SIDE_STEP`. They are never more than the network allows, and leave at
    least one pixel.

    Example:
        >>> import zoo
        >>> network = zoo.create_model("bgmv2_mobilenetv2").network
        >>> vertical, horizontal = fitting_scale(network, 1080, 1920, trained_side=384)
        >>> int(1080 * vertical), int(1920 * horizontal)
        (272, 480)
    """
    if network.refiner.refines:
        height, width = (side + -side % PATCH for side in (height, width))
    halvings = round(math.log2(math.sqrt(height * width) / trained_side))
    largest = 1 if network.refiner.refines else 0
    scale = 2.0 ** -max(halvings, largest)
    return side_scale(height, scale, 2.0**-largest), side_scale(width, scale, 2.0**-largest)


def side_scale(side: int, scale: float, largest: float) -> float:
    """Return the scale of one side: near `scale`, and at most `largest`."""
    steps = min(round(side * scale / SIDE_STEP), int(side * largest) // SIDE_STEP)
    # Sides are rounded down, so half a pixel more is asked for. A side too short for one step keeps `scale`.
    return min((steps * SIDE_STEP + 0.5) / side, largest) if steps else min(max(scale, 1 / side), largest)


def trained_side(record: Mapping[str, Any]) -> float | None:
    """Return the side in pixels of the base network's input in training, or None when the record does not say.

    That is `base_scale` times the middle of the last stage's range of crops, or times its canvas without crops.

    Args:
        record: of a checkpoint.

    Example:
        >>> stages = {"train": {"hd": {"canvas": 2048, "crop": [1024, 2048]}}}
        >>> trained_side({"data": {"init_args": stages}, "model": {"init_args": {"base_scale": 0.25}}})
        384.0
    """
    data, model = record.get("data", {}).get("init_args", {}), record["model"].get("init_args", {})
    stages, order = data.get("train"), data.get("order")
    if not isinstance(stages, Mapping) or not stages or "base_scale" not in model:
        return None
    last = stages.get(order[-1] if order else list(stages)[-1], {})
    crop, canvas = last.get("crop"), last.get("canvas")
    side = sum(crop) / len(crop) if crop else canvas
    return None if side is None else side * model["base_scale"]
