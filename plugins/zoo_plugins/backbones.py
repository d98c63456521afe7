"""Backbones: any timm model that has features at the strides that the network asks for.

A *stride* is how many pixels of the input one feature stands for. With `output_stride` 16, timm replaces the last
stage's stride by dilation; of several stages at one stride the deepest is used.

A network may stop a backbone on the way, change its features, and let it go on. For this a model is a chain of layers,
cut into *legs*: a leg ends with a layer whose result is given as features. Most of timm's families are such chains;
those that collect their features by hooks (Xception), run inside a wrapper (Twins), or pass more than one map on
(SelecSLS) are not.

timm, which brings much else with it, is imported when a backbone is made.
"""

from collections.abc import Iterator, Sequence
from contextlib import suppress
from functools import cache
from typing import Any

import torch
from torch import Tensor, nn

from zoo.core.parts import Backbone, only_as_a_whole
from zoo.core.slots import nearest

CANNOT = (TypeError, ValueError, AssertionError, NotImplementedError, RuntimeError)
"""What timm raises for a model without features, or not at the stride asked for, or not of a picture of any size."""


class TimmBackbone(Backbone):
    """A timm model as feature extractor.

    With `output_stride` 16, `resnet50`, `resnet101` and `mobilenetv2_100` are the backbones of BackgroundMattingV2,
    parameter for parameter.

    Args:
        name: a timm model name, with its pretrained tag if wanted: `resnet50`, `mobilenetv2_100.ra_in1k`.
        output_stride: the stride of the deepest features, 8, 16 or 32. Models that know no dilation have 32; they serve
            a network that asks for features at 16 as well, since stages deeper than the network asks for are left out.
        pretrained: download timm's weights (ImageNet, as a rule). A first convolution for other than 3 channels gets
            them repeated and rescaled.
        stride_in_first_conv: for ResNets of bottleneck blocks: a stage strides in its first 1×1 convolution, as in the
            paper and in DAD-3DNet, instead of its first 3×3 (timm, torchvision). No weight changes its shape.
        activation: in place of the model's own, by timm's name for it: `relu` makes `mobilenetv1_100` the MobileNet of
            DAD-3DNet, which timm has with `relu6`.
    """

    def __init__(
        self,
        name: str,
        output_stride: int = 16,
        pretrained: bool = False,
        stride_in_first_conv: bool = False,
        activation: str | None = None,
    ) -> None:
        super().__init__()
        if output_stride not in (8, 16, 32):
            raise ValueError(f"TimmBackbone(output_stride={output_stride}): expected 8, 16 or 32.")
        if activation is not None and not has_activation(activation):
            raise ValueError(
                f"TimmBackbone(activation='{activation}'): expected timm's name of an activation, for example relu, "
                "relu6, silu or gelu."
            )
        self.name = name
        self.output_stride = output_stride
        self.pretrained = pretrained
        self.stride_in_first_conv = stride_in_first_conv
        self.activation = activation

    def build(self, in_channels: int, strides: Sequence[int]) -> None:
        import timm

        stages = self._stages_at(in_channels, strides)
        model: Any = timm.create_model(
            self.name,
            features_only=True,
            in_chans=in_channels,
            out_indices=stages,
            pretrained=self.pretrained,
            **self._choices(self.output_stride),
        )
        if self.stride_in_first_conv:
            move_strides(model, self.name)
        self.model = model
        self.channels = list(model.feature_info.channels())
        self.strides = list(strides)

    def forward(self, image: Tensor) -> list[Tensor]:
        return self.model(image)

    def until(self, image: Tensor, stride: int = 16) -> list[Tensor]:
        features = [image]
        for leg in self._legs()[: self.strides.index(stride) + 1]:
            features.append(run(leg, features[-1]))
        if not all(isinstance(feature, Tensor) for feature in features):  # SelecSLS passes more than one map on
            raise ValueError(only_as_a_whole(f"timm's '{self.name}'"))
        return features[1:]

    def last_stage(self, features: Tensor) -> Tensor:
        return run(self._legs()[-1], features)

    def _legs(self) -> list[list[nn.Module]]:
        """The model's layers in order, cut behind each that gives features.

        Raises:
            ValueError: the model is not a chain of layers.
        """
        legs: list[list[nn.Module]] = [[]]
        for layer, gives_features in chain(self.model, self.name):
            legs[-1].append(layer)
            if gives_features:
                legs.append([])
        return legs[: len(self.strides)]

    def _stages_at(self, in_channels: int, strides: Sequence[int]) -> tuple[int, ...]:
        """The deepest stage at each stride."""
        import timm

        if not timm.is_model(self.name.partition(".")[0]):
            hint = nearest(self.name.partition(".")[0], timm.list_models(), listed=False)
            raise ValueError(f"timm has no model named '{self.name}'{hint} timm.list_models() lists them all.")
        try:
            reductions = self._reductions(in_channels, self.output_stride)
        except CANNOT as error:
            raise ValueError(
                f"timm cannot make '{self.name}' with features and output_stride={self.output_stride} "
                f"({reason(error)}); {self._way_out(in_channels, strides)}."
            ) from error
        missing = [stride for stride in strides if stride not in reductions]
        if missing:
            raise ValueError(
                f"timm's '{self.name}' with output_stride={self.output_stride} has features at strides "
                f"{sorted(set(reductions))}, but the network needs {list(strides)}; "
                f"{self._way_out(in_channels, strides)}."
            )
        return tuple(len(reductions) - 1 - reductions[::-1].index(stride) for stride in strides)

    def _reductions(self, in_channels: int, output_stride: int) -> tuple[int, ...]:
        """The stride of each stage."""
        return reductions_of(self.name, in_channels, **self._choices(output_stride))

    def _choices(self, output_stride: int) -> dict[str, Any]:
        """timm's arguments for what was chosen. Most families refuse to be asked, even for what they have unasked."""
        from timm.layers import get_act_layer

        choices: dict[str, Any] = {} if output_stride == 32 else {"output_stride": output_stride}
        if self.activation is not None:
            choices["act_layer"] = get_act_layer(self.activation)
        return choices

    def _way_out(self, in_channels: int, strides: Sequence[int]) -> str:
        """What to choose instead: another output stride where that helps, otherwise another model."""
        for output_stride in (16, 32):
            with suppress(*CANNOT):
                if set(strides) <= set(self._reductions(in_channels, output_stride)):
                    return f"'{self.name}' works with output_stride={output_stride}"
        return "choose a model that has them, for example resnet50, mobilenetv2_100 or efficientnet_b0"


@cache
def reductions_of(name: str, in_channels: int, **choices: Any) -> tuple[int, ...]:
    """The stride of each stage of a model, told by a twin on the meta device, which allocates nothing."""
    import timm

    with torch.device("meta"):
        twin: Any = timm.create_model(name, features_only=True, in_chans=in_channels, **choices)
        try:
            twin.eval()(torch.empty(1, in_channels, 97, 161))
        except CANNOT as error:
            raise RuntimeError("it takes pictures of certain sizes only") from error
        if getattr(twin, "output_fmt", "NCHW") != "NCHW":
            raise NotImplementedError("it gives features with channels last")
    return tuple(twin.feature_info.reduction())


def chain(model: nn.Module, name: str) -> Iterator[tuple[nn.Module, bool]]:
    """The layers of one of timm's features-only models in order, and whether each one's result is given as features.

    Raises:
        ValueError: the model is not a chain of layers.
    """
    from timm.models._features import FeatureDictNet
    from timm.models.efficientnet import EfficientNetFeatures
    from timm.models.mobilenetv3 import MobileNetV3Features

    if isinstance(model, FeatureDictNet):
        for key, layer in model.items():
            yield layer, key in model.return_layers
    elif isinstance(model, EfficientNetFeatures | MobileNetV3Features):
        stages = {taken["stage"] for taken in model.feature_info.get_dicts()}  # 0 is the stem
        stem = [layer for key, layer in model.named_children() if key != "blocks"]
        for layer in stem:
            yield layer, layer is stem[-1] and 0 in stages
        for stage, layer in enumerate(model.blocks, start=1):
            yield layer, stage in stages
    else:
        raise ValueError(only_as_a_whole(f"timm's '{name}' ({type(model).__name__})"))


def run(layers: list[nn.Module], x: Tensor) -> Tensor:
    """x through one layer after the other."""
    for layer in layers:
        x = layer(x)
    return x


def has_activation(name: str) -> bool:
    """Whether timm knows an activation of this name."""
    from timm.layers import get_act_layer

    with suppress(KeyError):
        return get_act_layer(name) is not None
    return False


def move_strides(model: nn.Module, name: str) -> None:
    """Let each bottleneck block stride in its first convolution instead of its second.

    Raises:
        ValueError: no block of the model strides in its second convolution.
    """
    from timm.models.resnet import Bottleneck

    blocks = [block for block in model.modules() if isinstance(block, Bottleneck) and block.conv2.stride != (1, 1)]
    if not blocks:
        raise ValueError(
            f"TimmBackbone('{name}', stride_in_first_conv=True): expected a ResNet whose bottleneck blocks stride in "
            "their 3×3 convolution, for example resnet50; leave the argument out."
        )
    for block in blocks:
        block.conv1.stride, block.conv2.stride = block.conv2.stride, block.conv1.stride


def reason(error: Exception) -> str:
    """Why timm refused, in a few words; most refusals are an unknown keyword or an assertion without a message."""
    if "act_layer" in str(error):
        return "its activation cannot be chosen"
    if not str(error) or "output_stride" in str(error):
        return "it does not support that"
    return str(error).rstrip(".")
