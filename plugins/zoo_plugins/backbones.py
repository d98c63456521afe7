"""Backbones: any timm model that has features at the strides that the network asks for.

A *stride* is how many pixels of the input one feature stands for. With `output_stride` 16, timm replaces the last stage's stride by dilation; of
several stages at one stride the deepest is used.
"""

from collections.abc import Sequence

import timm
import torch
from torch import Tensor

from zoo.core.parts import Backbone


class TimmBackbone(Backbone):
    """A timm model as feature extractor.

    With `output_stride` 16, `resnet50`, `resnet101` and `mobilenetv2_100` are the backbones of BackgroundMattingV2, parameter for parameter.

    Args:
        name: a timm model name, with its pretrained tag if wanted: `resnet50`, `mobilenetv2_100.ra_in1k`.
        output_stride: the stride of the deepest features, 8, 16 or 32.
        pretrained: download timm's weights (ImageNet, as a rule). A first convolution for other than 3 channels gets them repeated and rescaled.
    """

    def __init__(self, name: str, output_stride: int = 16, pretrained: bool = False) -> None:
        super().__init__()
        self.name = name
        self.output_stride = output_stride
        self.pretrained = pretrained

    def build(self, in_channels: int, strides: Sequence[int]) -> None:
        stages = self._stages_at(in_channels, strides)
        self.model = timm.create_model(
            self.name,
            features_only=True,
            in_chans=in_channels,
            output_stride=self.output_stride,
            out_indices=stages,
            pretrained=self.pretrained,
        )
        self.channels = list(self.model.feature_info.channels())
        self.strides = list(strides)

    def forward(self, image: Tensor) -> list[Tensor]:
        return self.model(image)

    def _stages_at(self, in_channels: int, strides: Sequence[int]) -> tuple[int, ...]:
        """The deepest stage at each stride, told by a twin on the meta device, which allocates nothing."""
        if not timm.is_model(self.name.partition(".")[0]):
            close = timm.list_models(f"*{self.name.partition('.')[0]}*")[:5] or timm.list_models(f"{self.name[:6]}*")[:5]
            hint = f"; did you mean {', '.join(close)}?" if close else "; timm.list_models() lists them all."
            raise ValueError(f"timm has no model named '{self.name}'{hint}")
        try:
            with torch.device("meta"):
                twin = timm.create_model(
                    self.name, features_only=True, in_chans=in_channels, output_stride=self.output_stride, pretrained=False
                )
        except (TypeError, AssertionError, NotImplementedError, RuntimeError) as error:
            raise ValueError(
                f"timm's '{self.name}' cannot give features with output_stride={self.output_stride} ({type(error).__name__}: {error}); "
                "families that can are resnet, resnext, mobilenetv2, mobilenetv3, efficientnet, convnext (strides from 4) and mobileone."
            ) from error
        reductions = list(twin.feature_info.reduction())
        missing = [stride for stride in strides if stride not in reductions]
        if missing:
            raise ValueError(
                f"timm's '{self.name}' with output_stride={self.output_stride} has features at strides {sorted(set(reductions))}, but the network "
                f"needs {list(strides)}; choose a model with features at {missing} as well, for example resnet50 or mobilenetv2_100."
            )
        return tuple(len(reductions) - 1 - reductions[::-1].index(stride) for stride in strides)
