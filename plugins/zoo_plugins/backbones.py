"""Backbones: any timm model that has features at the strides that the network asks for.

With `output_stride` 16, timm replaces the last stage's stride by dilation; of several stages at one stride the deepest
is used. A network may stop a backbone, change its features, and continue. For this a model is a chain of layers, cut
into stages, each ending with a layer whose result is returned as features. Most of timm's families are such chains;
those that collect their features by hooks (Xception), run inside a wrapper (Twins), or pass on more than one map
(SelecSLS) are not. timm is slow to import, so it is imported when a backbone is made.
"""

from collections.abc import Iterator, Sequence
from contextlib import suppress
from functools import cache, reduce
from typing import Any

import torch
from torch import Tensor, nn

from zoo.core.parts import Backbone, only_as_a_whole
from zoo.core.slot import nearest
from zoo.weights.reading import read_weights

TIMM_ERRORS = (TypeError, ValueError, AssertionError, NotImplementedError, RuntimeError)
"""Errors of timm for a model without features, with none at this stride, or with a fixed image size."""


class TimmBackbone(Backbone):
    """A timm model as feature extractor.

    With `output_stride` 16, `resnet50`, `resnet101` and `mobilenetv2_100` are the backbones of BackgroundMattingV2,
    parameter for parameter.

    Args:
        name: a timm model name, with its pretrained tag if wanted: `resnet50`, `mobilenetv2_100.ra_in1k`; also as on
            the Hugging Face hub, `timm/resnet50.a1_in1k`.
        output_stride: the stride of the deepest features, 8, 16 or 32. Models that know no dilation have 32; they serve
            a network that asks for features at 16 as well, since deeper stages are left out.
        pretrained: download timm's weights (ImageNet, as a rule). Of more than 3 input channels they see the first 3,
            and kernels of the others begin at 0.
        stride_in_first_conv: for ResNets of bottleneck blocks: a stage strides in its first 1×1 convolution, as in the
            paper and in DAD-3DNet, instead of its first 3×3 (timm, torchvision). No weight changes its shape.
        activation: in place of the model's own, by timm's name for it: `relu` makes `mobilenetv1_100` the MobileNet of
            DAD-3DNet, which timm has with `relu6`.
        checkpoint: a file of the whole timm model's weights to start from, such as `tools/encoders.py` writes; input
            channels are as with `pretrained`. Specs and checkpoints do not keep it.

    Example:
        >>> backbone = TimmBackbone("test_resnet", output_stride=32)
        >>> backbone.build(in_channels=6, strides=(4, 8, 16, 32))
        >>> [tuple(map.shape) for map in backbone(torch.rand(1, 6, 64, 64))]
        [(1, 32, 16, 16), (1, 48, 8, 8), (1, 192, 4, 4), (1, 96, 2, 2)]
    """

    def __init__(
        self,
        name: str,
        output_stride: int = 16,
        pretrained: bool = False,
        stride_in_first_conv: bool = False,
        activation: str | None = None,
        checkpoint: str | None = None,
    ) -> None:
        super().__init__()
        if output_stride not in (8, 16, 32):
            raise ValueError(f"TimmBackbone(output_stride={output_stride}): expected 8, 16 or 32.")
        if activation is not None and not has_activation(activation):
            raise ValueError(
                f"TimmBackbone(activation='{activation}'): expected timm's name of an activation, for example relu, "
                "relu6, silu or gelu."
            )
        if checkpoint is not None and pretrained:
            raise ValueError("TimmBackbone has both pretrained=true and a checkpoint: give one of them.")
        self.name = name.removeprefix("timm/")
        self.output_stride = output_stride
        self.pretrained = pretrained
        self.stride_in_first_conv = stride_in_first_conv
        self.activation = activation
        self.checkpoint = checkpoint

    def build(self, in_channels: int, strides: Sequence[int]) -> None:
        import timm

        stages = self._stages_at(in_channels, strides)
        if self.checkpoint is not None:
            check_weights(self.name, self.checkpoint)
        if self.pretrained:
            check_download(self.name)
        model: Any = timm.create_model(
            self.name,
            features_only=True,
            in_chans=in_channels,
            out_indices=stages,
            pretrained=self.pretrained or self.checkpoint is not None,
            pretrained_cfg_overlay={"file": self.checkpoint} if self.checkpoint is not None else None,
            **self._options(self.output_stride),
        )
        if (self.pretrained or self.checkpoint is not None) and in_channels > 3:
            see_first_image(model, in_channels)
        if self.stride_in_first_conv:
            move_strides(model, self.name)
        self.model = model
        self.channels = list(model.feature_info.channels())
        self.strides = list(strides)

    def forward(self, image: Tensor) -> list[Tensor]:
        return self.model(image)

    def until(self, image: Tensor, stride: int = 16) -> list[Tensor]:
        features = [image]
        for layers in self._stages()[: self.strides.index(stride) + 1]:
            features.append(reduce(lambda x, layer: layer(x), layers, features[-1]))
        if not all(isinstance(feature, Tensor) for feature in features):  # SelecSLS passes more than one map on
            raise ValueError(only_as_a_whole(f"timm's '{self.name}'"))
        return features[1:]

    def last_stage(self, features: Tensor) -> Tensor:
        return reduce(lambda x, layer: layer(x), self._stages()[-1], features)

    def _stages(self) -> list[list[nn.Module]]:
        """Return the model's layers in order, cut behind each whose result is returned as features.

        Raises:
            ValueError: the model is not a chain of layers.
        """
        stages: list[list[nn.Module]] = [[]]
        for layer, is_feature in chain(self.model, self.name):
            stages[-1].append(layer)
            if is_feature:
                stages.append([])
        return stages[: len(self.strides)]

    def _stages_at(self, in_channels: int, strides: Sequence[int]) -> tuple[int, ...]:
        """Return the deepest stage at each stride."""
        import timm

        if not timm.is_model(self.name.partition(".")[0]):
            hint = nearest(self.name.partition(".")[0], timm.list_models(), listed=False)
            raise ValueError(f"timm has no model named '{self.name}'{hint} timm.list_models() lists them all.")
        try:
            reductions = self._reductions(in_channels, self.output_stride)
        except TIMM_ERRORS as error:
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
        """Return the stride of each stage."""
        return reductions_of(self.name, in_channels, **self._options(output_stride))

    def _options(self, output_stride: int) -> dict[str, Any]:
        """Return timm's arguments. Most families refuse these arguments even where they ask for the default."""
        from timm.layers import get_act_layer

        options: dict[str, Any] = {} if output_stride == 32 else {"output_stride": output_stride}
        if self.activation is not None:
            options["act_layer"] = get_act_layer(self.activation)
        return options

    def _way_out(self, in_channels: int, strides: Sequence[int]) -> str:
        """Return what to choose instead: another output stride where that helps, otherwise another model."""
        for output_stride in (16, 32):
            with suppress(*TIMM_ERRORS):
                if set(strides) <= set(self._reductions(in_channels, output_stride)):
                    return f"'{self.name}' works with output_stride={output_stride}"
        return "choose a model that has them, for example resnet50, mobilenetv2_100 or efficientnet_b0"


def check_weights(name: str, path: str) -> None:
    """Raise ValueError unless the file holds the features of the timm model.

    timm itself loads what fits and passes over the rest.
    """
    import timm

    found = read_weights(path)
    with torch.device("meta"):
        model: Any = timm.create_model(name, num_classes=0)
    expected = {key: value for key, value in model.state_dict().items() if "num_batches_tracked" not in key}
    other = [key for key, value in expected.items() if key not in found or found[key].shape != value.shape]
    if other:
        raise ValueError(
            f"{path} holds no weights of timm's '{name}': {len(other)} of {len(expected)} tensors are absent or have "
            f"another shape, for example '{other[0]}'. Choose the file or the name that belongs to it."
        )


def check_download(name: str) -> None:
    """Raise ValueError where the pretrained weights of a timm model are neither here nor can be downloaded.

    It asks once and briefly; timm would try for a minute.
    """
    import timm
    from huggingface_hub import HfApi, try_to_load_from_cache

    known = timm.get_pretrained_cfg(name, allow_unregistered=False)
    place = getattr(known, "hf_hub_id", None)
    if place is None:
        return
    if any(isinstance(try_to_load_from_cache(place, file), str) for file in ("model.safetensors", "pytorch_model.bin")):
        return
    try:
        HfApi().model_info(place, timeout=10)
    except Exception as error:  # of the transport, whichever it is, or of the hub
        raise ValueError(
            f"TimmBackbone(name='{name}', pretrained=True): the ImageNet weights {place} are not on this machine and "
            f"cannot be downloaded ({str(error).splitlines()[0].rstrip('.')}). Give "
            "--model.backbone.pretrained=false to train without them, with --model.backbone.checkpoint=FILE "
            "to take them from a file."
        ) from error


@torch.no_grad()
def see_first_image(model: nn.Module, in_channels: int) -> None:
    """Let pretrained kernels of the first convolution see the first 3 channels alone, those of others begin at 0.

    timm repeats the kernels and scales them by 3 / in_channels. Of an image and its background they then see the
    average, a person through whom the wall shows, which no pretraining has seen.
    """
    first = next(kernel for kernel in model.parameters() if kernel.ndim == 4 and kernel.shape[1] == in_channels)
    first[:, :3] *= in_channels / 3
    first[:, 3:] = 0


@cache
def reductions_of(name: str, in_channels: int, **options: Any) -> tuple[int, ...]:
    """Return the stride of each stage of a model, from a meta copy, which allocates nothing."""
    import timm

    with torch.device("meta"):
        copy: Any = timm.create_model(name, features_only=True, in_chans=in_channels, **options)
        try:
            copy.eval()(torch.empty(1, in_channels, 97, 161))
        except TIMM_ERRORS as error:
            raise RuntimeError("it takes images of certain sizes only") from error
        if getattr(copy, "output_fmt", "NCHW") != "NCHW":
            raise NotImplementedError("it returns features with channels last")
    return tuple(copy.feature_info.reduction())


def chain(model: nn.Module, name: str) -> Iterator[tuple[nn.Module, bool]]:
    """Yield the layers of one of timm's features-only models in order, and whether each one's result is a feature map.

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


def has_activation(name: str) -> bool:
    """Return whether timm has an activation of this name."""
    from timm.layers import get_act_layer

    with suppress(KeyError):
        return get_act_layer(name) is not None
    return False


def move_strides(model: nn.Module, name: str) -> None:
    """Move the stride of each bottleneck block from its second convolution to its first.

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
    """Return why timm refused, in a few words; most refusals are an unknown keyword or an empty assertion."""
    if "act_layer" in str(error):
        return "its activation cannot be chosen"
    if not str(error) or "output_stride" in str(error):
        return "it does not support that"
    return str(error).rstrip(".")
