"""Size at which the base network sees an image: about the size of the images that it was trained on.

A base network trained on small images fails on a person ten times that size, and one trained on large images loses hair
in small ones. The paper's 1/4 for HD and 1/8 for 4K follow the same rule.
"""

import math
from collections.abc import Mapping
from typing import Any

from zoo.matting.net import MattingNetwork


def fitting_scale(network: MattingNetwork, height: int, width: int, trained_side: float) -> float:
    """Return the power of 1/2 that brings an image's area nearest to the square that the base network was trained on.

    It is never more than the network allows, and leaves at least one pixel.

    Example:
        >>> import zoo
        >>> network = zoo.create_model("bgmv2_mobilenetv2").network
        >>> fitting_scale(network, 1080, 1920, trained_side=384)
        0.25
    """
    halvings = round(math.log2(math.sqrt(height * width) / trained_side))
    largest = 1 if network.refiner.refines else 0
    smallest = max(largest, math.floor(math.log2(min(height, width))))
    return 2.0 ** -min(max(halvings, largest), smallest)


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
