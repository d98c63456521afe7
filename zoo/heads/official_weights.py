"""Official DAD-3DNet weights under this network's names.

They are published as TorchScript, which `zoo.weights.torchscript` reads; a state dict or a checkpoint of the official
training will do as well.
"""

import re
from collections.abc import Collection, Mapping

from torch import Tensor

PLACES = {
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
"""Layers that occur once, official name → ours. ResNet's and MobileNet's first layers have different official names."""

MOBILENET_LAYERS = {"dw_conv.conv": "conv_dw", "dw_conv.bn": "bn1", "pw_conv.conv": "conv_pw", "pw_conv.bn": "bn2"}
"""Layers of a block, pytorchcv's name → timm's."""


def to_network(state: Mapping[str, Tensor], own: Collection[str] = ()) -> dict[str, Tensor]:
    """Official weights renamed to a `HeadNetwork` on `TimmBackbone`; any other state dict as it is.

    Names in `own`, the network's, are never changed: a backbone of another kind may use names that look official. A
    checkpoint of the official training holds the network under `model.`, beside its losses, which are left out.
    """
    if any(key.startswith("model.encoder.") for key in state):
        state = {key.removeprefix("model."): value for key, value in state.items() if key.startswith("model.")}
    return {key if key in own else official_to_ours(key): value for key, value in state.items()}


def official_to_ours(key: str) -> str:
    """The name of an official weight in our network; a name that is not official is returned as it is."""
    shares = re.fullmatch(r"bifpn\.bifpn\.(\d+)\.w([12])", key)
    if shares:
        return f"fusion.bifpn.layers.{shares[1]}.{'top_down' if shares[2] == '1' else 'bottom_up'}_weights"
    layer, _, tensor = key.rpartition(".")
    place = PLACES.get(layer) or resnet_layer(layer) or mobilenet_layer(layer) or bifpn_layer(layer)
    return f"{place}.{tensor}" if place else key


def resnet_layer(layer: str) -> str | None:
    """pytorchcv's `encoder.model.stage2.unit1.body.conv1.bn` is timm's `backbone.model.layer2.0.bn1`."""
    found = re.fullmatch(
        r"encoder\.model\.stage(\d)\.unit(\d+)\.(?:body\.conv(?P<convolution>\d)|identity_conv)\.(?P<kind>conv|bn)",
        layer,
    )
    if not found:
        return None
    block = f"backbone.model.layer{found[1]}.{int(found[2]) - 1}"
    if found["convolution"]:
        return f"{block}.{found['kind']}{found['convolution']}"
    return f"{block}.downsample.{'0' if found['kind'] == 'conv' else '1'}"


def mobilenet_layer(layer: str) -> str | None:
    """pytorchcv's `encoder.model.stage2.unit1.dw_conv.conv` is timm's `backbone.model.blocks.1.0.conv_dw`."""
    found = re.fullmatch(r"encoder\.model\.stage(\d)\.unit(\d+)\.([dp]w_conv\.(?:conv|bn))", layer)
    if not found:
        return None
    return f"backbone.model.blocks.{int(found[1]) - 1}.{int(found[2]) - 1}.{MOBILENET_LAYERS[found[3]]}"


def bifpn_layer(layer: str) -> str | None:
    """The official `bifpn.bifpn.0.p6_td.bn` is our `fusion.bifpn.layers.0.top_down.0.bn`: ours are in order of use."""
    found = re.fullmatch(r"bifpn\.bifpn\.(\d+)\.(?:p([3-6])_td|p([4-7])_out)\.(depthwise|pointwise|bn)", layer)
    if not found:
        return None
    block = f"top_down.{6 - int(found[2])}" if found[2] else f"bottom_up.{int(found[3]) - 4}"
    return f"fusion.bifpn.layers.{found[1]}.{block}.{found[4]}"
