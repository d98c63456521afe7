"""Official BackgroundMattingV2 weights, and the DeepLabV3 weights that its training starts from, under this network's names.

Official state dicts are torchvision's ResNet and MobileNetV2 with `aspp`, `decoder` and `refiner` beside them; ours differ in the backbone alone, which is
timm's. DeepLabV3 weights are those of VainF's DeepLabV3Plus-Pytorch, which the official training loads.
"""

import re
from collections.abc import Mapping

from timm.models import adapt_input_conv
from torch import Tensor

MOBILENETV2_BLOCKS = (1, 2, 3, 4, 3, 3, 1)
"""Blocks in each of MobileNetV2's stages."""


def to_network(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Official or DeepLabV3 weights renamed to a `MattingNetwork` on `TimmBackbone`; any other state dict as it is.

    From DeepLabV3 come backbone and ASPP. Its first convolution, made for one image, is given to source and background alike at half strength, as timm
    does with pretrained weights (the official training leaves that layer untrained).
    """
    if any(key.startswith("classifier.classifier.0.") for key in state):
        state = from_deeplab(state)
    return {official_to_ours(key): value for key, value in state.items()}


def from_deeplab(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """DeepLabV3's backbone and ASPP under official names, with six input channels."""
    kept = {}
    for key, value in state.items():
        name = key.replace("classifier.classifier.0.", "aspp.")
        name = re.sub(r"^backbone\.(low|high)_level_features\.", "backbone.features.", name)
        if name.startswith(("backbone.", "aspp.")):
            kept[name] = value
    for first in ("backbone.conv1.weight", "backbone.features.0.0.weight"):
        if first in kept and kept[first].shape[1] == 3:
            kept[first] = adapt_input_conv(6, kept[first])
    return kept


def official_to_ours(key: str) -> str:
    """The name of an official weight in our network."""
    mobilenet = re.match(r"backbone\.features\.(\d+)\.(.+)", key)
    if mobilenet:
        return f"backbone.model.{mobilenetv2_name(int(mobilenet[1]), mobilenet[2])}"
    if re.match(r"backbone\.(conv1|bn1|layer\d)\.", key):
        return key.replace("backbone.", "backbone.model.", 1)
    return key


def mobilenetv2_name(feature: int, rest: str) -> str:
    """torchvision's `features.{feature}.{rest}` in timm's MobileNetV2: `features.2.conv.1.0.weight` → `blocks.1.0.conv_dw.weight`."""
    if feature == 0:
        return rest.replace("0.", "conv_stem.", 1) if rest.startswith("0.") else rest.replace("1.", "bn1.", 1)
    stage, block = stage_and_block(feature - 1)
    layers = {"conv.0.0": "conv_pw", "conv.0.1": "bn1", "conv.1.0": "conv_dw", "conv.1.1": "bn2", "conv.2": "conv_pwl", "conv.3": "bn3"}
    if stage == 0:  # the first block does not expand, so it lacks the leading 1×1 convolution
        layers = {"conv.0.0": "conv_dw", "conv.0.1": "bn1", "conv.1": "conv_pw", "conv.2": "bn2"}
    layer, _, tensor = rest.rpartition(".")
    return f"blocks.{stage}.{block}.{layers[layer]}.{tensor}"


def stage_and_block(position: int) -> tuple[int, int]:
    """Which stage of MobileNetV2 the block at this position belongs to, and which block of the stage it is."""
    for stage, blocks in enumerate(MOBILENETV2_BLOCKS):
        if position < blocks:
            return stage, position
        position -= blocks
    raise ValueError(f"MobileNetV2 has {sum(MOBILENETV2_BLOCKS)} blocks; the weights name one more.")
