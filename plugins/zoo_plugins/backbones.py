"""Backbones: any timm model that has features at the strides that the network asks for.

A *stride* is how many pixels of the input one feature stands for. With `output_stride` 16, timm replaces the last
stage's stride by dilation; of several stages at one stride the deepest is used.
"""

from collections.abc import Sequence
from contextlib import suppress
from typing import Any

import timm
import torch
from torch import Tensor

from zoo.core.parts import Backbone
from zoo.core.registry import nearest

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
    """

    def __init__(self, name: str, output_stride: int = 16, pretrained: bool = False) -> None:
        super().__init__()
        if output_stride not in (8, 16, 32):
            raise ValueError(f"TimmBackbone(output_stride={output_stride}): expected 8, 16 or 32.")
        self.name = name
        self.output_stride = output_stride
        self.pretrained = pretrained

    def build(self, in_channels: int, strides: Sequence[int]) -> None:
        stages = self._stages_at(in_channels, strides)
        model: Any = timm.create_model(
            self.name,
            features_only=True,
            in_chans=in_channels,
            out_indices=stages,
            pretrained=self.pretrained,
            **stride_argument(self.output_stride),
        )
        self.model = model
        self.channels = list(model.feature_info.channels())
        self.strides = list(strides)

    def forward(self, image: Tensor) -> list[Tensor]:
        return self.model(image)

    def _stages_at(self, in_channels: int, strides: Sequence[int]) -> tuple[int, ...]:
        """The deepest stage at each stride."""
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

    def _reductions(self, in_channels: int, output_stride: int) -> list[int]:
        """The stride of each stage, told by a twin on the meta device, which allocates nothing."""
        with torch.device("meta"):
            asked = stride_argument(output_stride)
            twin: Any = timm.create_model(self.name, features_only=True, in_chans=in_channels, **asked)
            try:
                twin.eval()(torch.empty(1, in_channels, 97, 161))
            except CANNOT as error:
                raise RuntimeError("it takes pictures of certain sizes only") from error
        return list(twin.feature_info.reduction())

    def _way_out(self, in_channels: int, strides: Sequence[int]) -> str:
        """What to choose instead: another output stride where that helps, otherwise another model."""
        for output_stride in (16, 32):
            with suppress(*CANNOT):
                if set(strides) <= set(self._reductions(in_channels, output_stride)):
                    return f"'{self.name}' works with output_stride={output_stride}"
        return "choose a model that has them, for example resnet50, mobilenetv2_100 or efficientnet_b0"


def stride_argument(output_stride: int) -> dict[str, Any]:
    """timm's argument for an output stride. 32 is what a model has unasked, and most families refuse to be asked."""
    return {} if output_stride == 32 else {"output_stride": output_stride}


def reason(error: Exception) -> str:
    """Why timm refused, in a few words; most refusals are an unknown keyword or an assertion without a message."""
    if not str(error) or "output_stride" in str(error):
        return "it does not support that"
    return str(error).rstrip(".")
