"""Official BackgroundMattingV2 weights, and the DeepLabV3 weights that its training starts from, renamed for ours.

Official state dicts are torchvision's ResNet and MobileNetV2 plus `aspp`, `decoder` and `refiner`; ours differ in the
backbone alone, which is timm's. DeepLabV3 weights are those of VainF's DeepLabV3Plus-Pytorch, which the
official training loads.
"""

import re
from collections.abc import Collection, Mapping

import torch
from torch import Tensor

MOBILENETV2_BLOCKS = (1, 2, 3, 4, 3, 3, 1)
"""Blocks in each of MobileNetV2's stages."""

INPUTS = {3: (3, 0, 0), 4: (3, 0, 1), 6: (3, 3, 0), 7: (3, 3, 1)}
"""Channels of source, captured background and guide, by their sum."""

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
    """Rename official or DeepLabV3 weights to a `MattingNetwork` on `TimmBackbone`; return other state dicts unchanged.

    Names in `own`, the network's, are never changed: a backbone of another kind may use names like official ones.

    From DeepLabV3 come backbone and ASPP. Its first convolution was made for one image: `fit_inputs` adds the inputs
    that it lacks, at 0 (the official training leaves that layer untrained).

    Example:
        >>> import torch
        >>> list(to_network({"backbone.conv1.weight": torch.rand(64, 6, 7, 7)}))
        ['backbone.model.conv1.weight']
    """
    if any(key.startswith("classifier.classifier.0.") for key in state):
        state = from_deeplab(state)
    return {key if key in own else official_to_ours(key): value for key, value in state.items()}


def fit_inputs(state: Mapping[str, Tensor], own: Mapping[str, Tensor], channels: int) -> dict[str, Tensor]:
    """Return weights of a network with other inputs, changed for a network that has these.

    Every layer that reads the inputs reads them last. Weights for inputs that the network has not are left out, those
    for new ones are 0: a network with a guide begins with the function of that without.

    Args:
        state: the weights.
        own: those of the network that is to take them.
        channels: of its base network's inputs, 3 to 7.

    Example:
        >>> import torch
        >>> name, without, guided = "backbone.conv.weight", torch.ones(8, 6, 3, 3), torch.ones(8, 7, 3, 3)
        >>> fit_inputs({name: without}, {name: guided}, 7)[name].sum((0, 2, 3)).tolist()
        [72.0, 72.0, 72.0, 72.0, 72.0, 72.0, 0.0]
    """
    result = dict(state)
    for key, value in state.items():
        if key not in own or value.ndim != 4 or own[key].ndim != 4:
            continue
        images = channels // 3 * 3 if key.startswith("refiner.") else channels  # the refiner sees no guide
        before = images + value.shape[1] - own[key].shape[1]
        if before != images and before in INPUTS:
            features, *parts = value.split([value.shape[1] - before, *INPUTS[before]], 1)
            padded = [
                value.new_zeros(len(value), count, *value.shape[2:]) if part.shape[1] < count else part[:, :count]
                for part, count in zip(parts, INPUTS[images], strict=True)
            ]
            result[key] = torch.cat([features, *padded], 1)
    return result


def from_deeplab(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return DeepLabV3's backbone and ASPP under official names; `fit_inputs` makes room for the background."""
    renamed = {}
    for key, value in state.items():
        name = key.replace("classifier.classifier.0.", "aspp.")
        name = re.sub(r"^backbone\.(low|high)_level_features\.", "backbone.features.", name)
        if name.startswith(("backbone.", "aspp.")):
            renamed[name] = value
    return renamed


def official_to_ours(key: str) -> str:
    """Return the name of an official weight in our network; other names unchanged.

    Example:
        >>> official_to_ours("backbone.features.2.conv.1.0.weight")
        'backbone.model.blocks.1.0.conv_dw.weight'
    """
    mobilenet = re.match(r"backbone\.features\.(\d+)\.(.+)\.(\w+)$", key)
    if mobilenet:
        layer = mobilenetv2_layer(int(mobilenet[1]), mobilenet[2])
        return f"backbone.model.{layer}.{mobilenet[3]}" if layer else key
    if re.match(r"backbone\.(conv1|bn1|layer\d)\.", key):
        return key.replace("backbone.", "backbone.model.", 1)
    return key


def mobilenetv2_layer(feature: int, layer: str) -> str | None:
    """Return timm's name of torchvision's MobileNetV2 layer `features.{feature}.{layer}`.

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
    """Return the stage of MobileNetV2 of the block at this position (from 0), and its position in the stage."""
    stage = 0
    while position >= MOBILENETV2_BLOCKS[stage]:
        position -= MOBILENETV2_BLOCKS[stage]
        stage += 1
    return stage, position
