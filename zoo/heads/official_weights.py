"""Official DAD-3DNet weights, renamed for our network.

They are published as TorchScript, which `zoo.weights.torchscript` reads; a state dict or a checkpoint of the official
training also works.
"""

import re
from collections.abc import Collection, Mapping

from torch import Tensor

LAYERS = {
    "encoder.model.init_block.conv.conv": "backbone.model.conv1",
    "encoder.model.init_block.conv.bn": "backbone.model.bn1",
    "encoder.model.init_block.conv": "backbone.model.conv_stem",
    "encoder.model.init_block.bn": "backbone.model.bn1",
    "bifpn.p3": "fusion.bifpn.laterals.0",
    "bifpn.p4": "fusion.bifpn.laterals.1",
    "bifpn.p5": "fusion.bifpn.laterals.2",
    "bifpn.p6": "fusion.bifpn.p6",
    "bifpn.p7.conv": "fusion.bifpn.p7.0",
    "bifpn.p7.bn": "fusion.bifpn.p7.1",
    "fusion_layer.conv1x1": "fusion.gate",
    "head.heatmap": "landmark_branch.heatmap",
    "shape.logit_image.0": "shape_head.2",
    "shape.logit_image.3": "shape_head.5",
    "pose.logit_image.0": "pose_head.2",
    "pose.logit_image.3": "pose_head.5",
    "landmarks.logit_image.0": "landmark_branch.regressor.2",
    "landmarks.logit_image.3": "landmark_branch.regressor.5",
}
"""Layers that occur once, official name → ours; the first layer is called differently in ResNet and MobileNet."""

MOBILENET_LAYERS = {"dw_conv.conv": "conv_dw", "dw_conv.bn": "bn1", "pw_conv.conv": "conv_pw", "pw_conv.bn": "bn2"}
"""Layers of a block, pytorchcv's name → timm's."""


def to_network(state: Mapping[str, Tensor], own: Collection[str] = ()) -> dict[str, Tensor]:
    """Return official weights under the names of a `HeadNetwork` on `TimmBackbone`; any other state dict unchanged.

    Names in `own`, the network's, are never changed: a backbone of another kind may use names that look official. A
    checkpoint of the official training has the network under `model.` and its losses, which are left out.

    Example:
        >>> import torch
        >>> list(to_network({"fusion_layer.conv1x1.weight": torch.ones(1)}))
        ['fusion.gate.weight']
    """
    if any(key.startswith("model.encoder.") for key in state):
        state = {key.removeprefix("model."): value for key, value in state.items() if key.startswith("model.")}
    return {key if key in own else official_to_ours(key): value for key, value in state.items()}


def official_to_ours(key: str) -> str:
    """Return the name of an official weight in our network; names that are not official are unchanged.

    Example:
        >>> official_to_ours("encoder.model.stage2.unit1.body.conv1.bn.weight")
        'backbone.model.layer2.0.bn1.weight'
    """
    fusion_weights = re.fullmatch(r"bifpn\.bifpn\.(\d+)\.w([12])", key)
    if fusion_weights:
        direction = "top_down" if fusion_weights[2] == "1" else "bottom_up"
        return f"fusion.bifpn.layers.{fusion_weights[1]}.{direction}_weights"
    layer, _, tensor = key.rpartition(".")
    ours = LAYERS.get(layer) or _resnet_layer(layer) or _mobilenet_layer(layer) or _bifpn_layer(layer)
    return f"{ours}.{tensor}" if ours else key


def _resnet_layer(layer: str) -> str | None:
    """Map pytorchcv's `encoder.model.stage2.unit1.body.conv1.bn` to timm's `backbone.model.layer2.0.bn1`."""
    match = re.fullmatch(
        r"encoder\.model\.stage(\d)\.unit(\d+)\.(?:body\.conv(?P<convolution>\d)|identity_conv)\.(?P<kind>conv|bn)",
        layer,
    )
    if not match:
        return None
    block = f"backbone.model.layer{match[1]}.{int(match[2]) - 1}"
    if match["convolution"]:
        return f"{block}.{match['kind']}{match['convolution']}"
    return f"{block}.downsample.{'0' if match['kind'] == 'conv' else '1'}"


def _mobilenet_layer(layer: str) -> str | None:
    """Map pytorchcv's `encoder.model.stage2.unit1.dw_conv.conv` to timm's `backbone.model.blocks.1.0.conv_dw`."""
    match = re.fullmatch(r"encoder\.model\.stage(\d)\.unit(\d+)\.([dp]w_conv\.(?:conv|bn))", layer)
    if not match:
        return None
    return f"backbone.model.blocks.{int(match[1]) - 1}.{int(match[2]) - 1}.{MOBILENET_LAYERS[match[3]]}"


def _bifpn_layer(layer: str) -> str | None:
    """Map the official `bifpn.bifpn.0.p6_td.bn` to our `fusion.bifpn.layers.0.top_down.0.bn`, in order of use."""
    match = re.fullmatch(r"bifpn\.bifpn\.(\d+)\.(?:p([3-6])_td|p([4-7])_out)\.(depthwise|pointwise|bn)", layer)
    if not match:
        return None
    block = f"top_down.{6 - int(match[2])}" if match[2] else f"bottom_up.{int(match[3]) - 4}"
    return f"fusion.bifpn.layers.{match[1]}.{block}.{match[4]}"
