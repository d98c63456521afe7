"""How large the base network should see a picture: about as large as the pictures that it was trained on.

A base network that was trained on small pictures does not know what to make of a person ten times that size, and one
that was trained on large ones loses hair in small ones. The paper goes by the same rule when it takes 1/4 for HD and
1/8 for 4K.
"""

import math
from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn

from zoo.matting.net import MattingNetwork
from zoo.matting.parts import MattingOutput


class FittingScale(nn.Module):
    """A matting model that gives its base network every picture at about the size that it was trained on.

    Args:
        model: with a `MattingNetwork` as `network`.
        trained_side: side in pixels of the squares that the base network saw in training, from `trained_side`.
    """

    def __init__(self, model: nn.Module, trained_side: float) -> None:
        super().__init__()
        self.model, self.trained_side = model, trained_side
        self.train(model.training)

    def forward(self, source: Tensor, background: Tensor) -> MattingOutput:
        """Source and background (B, 3, H, W) in [0, 1] → what the model gives."""
        network: Any = self.model.network
        height, width = source.shape[-2:]
        network.set_base_scale(fitting_scale(network, height, width, self.trained_side))
        return self.model(source, background)


def fitting_scale(network: MattingNetwork, height: int, width: int, trained_side: float) -> float:
    """The power of 1/2 that brings the picture's area nearest to the square that the base network was trained on; never
    more than the network allows, nor so small that nothing would be left.
    """
    halvings = round(math.log2(math.sqrt(height * width) / trained_side))
    largest = 1 if network.refiner.refines else 0
    smallest = max(largest, math.floor(math.log2(min(height, width))))
    return 2.0 ** -min(max(halvings, largest), smallest)


def trained_side(record: Mapping[str, Any]) -> float | None:
    """What the base network saw in training, in pixels, by a checkpoint's record; None when it does not say.

    The last stage of the curriculum counts, and the middle of its range of crops.
    """
    data, model = record.get("data", {}).get("init_args", {}), record["model"].get("init_args", {})
    stages, order = data.get("train"), data.get("order")
    if not isinstance(stages, Mapping) or not stages or "base_scale" not in model:
        return None
    last = stages.get(order[-1] if order else list(stages)[-1], {})
    crop, canvas = last.get("crop"), last.get("canvas")
    side = sum(crop) / len(crop) if crop else canvas
    return None if side is None else side * model["base_scale"]
