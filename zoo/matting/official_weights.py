"""Official BackgroundMattingV2 weights, and the DeepLabV3 weights that its training starts from, under this network's
names.

Official state dicts are torchvision's ResNet and MobileNetV2 with `aspp`, `decoder` and `refiner` beside them; ours
differ in the backbone alone, which is timm's. DeepLabV3 weights are those of VainF's DeepLabV3Plus-Pytorch, which the
official training loads.
"""

import re
from collections.abc import Collection, Mapping

from torch import Tensor

MOBILENETV2_BLOCKS = (1, 2, 3, 4, 3, 3, 1)
"""Blocks in each of MobileNetV2's stages."""

FIRST_BLOCK = {"conv.0.0": "conv_dw", "conv.0.1": "bn1", "conv.1": "conv_pw", "conv.2": "bn2"}
BLOCK = {
    "conv.0.0": "conv_pw",
    "conv.0.1": "bn1",
    "conv.1.0": "conv_dw",
    "conv.1.1": "bn2",
    "conv.2": "conv_pwl",
    "conv.3": "bn3",
}
"""Layers of a block, torchvision's name → timm's."""


def to_network(state: Mapping[str, Tensor], own: Collection[str] = ()) -> dict[str, Tensor]:
    """Official or DeepLabV3 weights renamed to a `MattingNetwork` on `TimmBackbone`; any other state dict as it is.

    Names in `own`, the network's, are never changed: a backbone of another kind may use names that look official.

    From DeepLabV3 come backbone and ASPP. Its first convolution, made for one image, is given to source and background
    alike at half strength, as timm does with pretrained weights (the official training leaves that layer untrained).
    """
    if any(key.startswith("classifier.classifier.0.") for key in state):
        state = from_deeplab(state)
    return {key if key in own else official_to_ours(key): value for key, value in state.items()}


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
            from timm.models import adapt_input_conv  # loaded here, since most weights are official ones

            kept[first] = adapt_input_conv(6, kept[first])
    return kept


def official_to_ours(key: str) -> str:
    """The name of an official weight in our network; a name that is not official is returned as it is."""
    mobilenet = re.match(r"backbone\.features\.(\d+)\.(.+)\.(\w+)$", key)
    if mobilenet:
        layer = mobilenetv2_layer(int(mobilenet[1]), mobilenet[2])
        return f"backbone.model.{layer}.{mobilenet[3]}" if layer else key
    if re.match(r"backbone\.(conv1|bn1|layer\d)\.", key):
        return key.replace("backbone.", "backbone.model.", 1)
    return key


def mobilenetv2_layer(feature: int, layer: str) -> str | None:
    """torchvision's layer `features.{feature}.{layer}` in timm's MobileNetV2: `features.2.conv.1.0` is
    `blocks.1.0.conv_dw`.

    None for a layer that the network does not have.
    """
    if feature == 0:
        return {"0": "conv_stem", "1": "bn1"}.get(layer)
    if feature > sum(MOBILENETV2_BLOCKS):
        return None
    stage, block = stage_and_block(feature - 1)
    # The first block does not expand, so it lacks the leading 1×1 convolution.
    names = FIRST_BLOCK if stage == 0 else BLOCK
    return f"blocks.{stage}.{block}.{names[layer]}" if layer in names else None


def stage_and_block(position: int) -> tuple[int, int]:
    """Which stage of MobileNetV2 the block at this position (from 0) belongs to, and which block of the stage it is."""
    stage = 0
    while position >= MOBILENETV2_BLOCKS[stage]:
        position -= MOBILENETV2_BLOCKS[stage]
        stage += 1
    return stage, position
