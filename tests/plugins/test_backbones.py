"""TimmBackbone: features at the strides that the network asks for, and a sentence where a model has none."""

from typing import Any

import pytest
import timm
import torch
from zoo_plugins.backbones import TimmBackbone

STRIDES = (2, 4, 8, 16)


def built(name: str, output_stride: int = 16, in_channels: int = 6) -> TimmBackbone:
    backbone = TimmBackbone(name, output_stride)
    backbone.build(in_channels=in_channels, strides=STRIDES)
    return backbone.eval()


@pytest.mark.parametrize(
    ("name", "output_stride", "channels"),
    [
        ("resnet18", 16, [64, 64, 128, 512]),
        ("mobilenetv2_050", 16, [8, 16, 16, 160]),
        ("efficientnet_b0", 16, [16, 24, 40, 320]),
        ("resnet18", 32, [64, 64, 128, 256]),
        ("ghostnet_050", 32, [8, 12, 20, 40]),
    ],
)
def test_features_have_the_strides_and_channels_it_says(name: str, output_stride: int, channels: list[int]) -> None:
    backbone = built(name, output_stride)
    assert backbone.channels == channels
    assert backbone.strides == list(STRIDES)
    with torch.no_grad():
        features = backbone(torch.rand(2, 6, 63, 97))
    assert [tuple(feature.shape) for feature in features] == [
        (2, count, -(-63 // stride), -(-97 // stride)) for count, stride in zip(channels, STRIDES, strict=True)
    ]


def test_any_number_of_input_channels() -> None:
    assert built("resnet18", in_channels=4)(torch.rand(1, 4, 32, 32))[0].shape == (1, 64, 16, 16)


def test_of_two_stages_at_one_stride_the_deepest_is_used() -> None:
    backbone = built("resnet18")
    with torch.no_grad():
        deepest = timm.create_model(
            "resnet18", features_only=True, in_chans=6, output_stride=16
        ).feature_info.channels()
    assert backbone.channels[-1] == deepest[-1]


def test_the_features_at_sixteen_are_dilated_not_shrunk() -> None:
    model: Any = built("resnet50").model
    assert model.layer4[1].conv2.dilation == (2, 2)
    assert model.layer4[0].conv2.dilation == (1, 1)
    assert model.layer4[0].conv2.stride == (1, 1)


@pytest.mark.parametrize(
    ("name", "output_stride", "sentence"),
    [
        (
            "swin_tiny_patch4_window7_224",
            16,
            r"cannot make 'swin_tiny.*output_stride=16 \(.*\); choose a model .*resnet50",
        ),
        ("vit_tiny_patch16_224", 16, r"cannot make 'vit_tiny.*output_stride=16 \(.*\); choose a model .*resnet50"),
        ("vit_tiny_patch16_224", 32, r"cannot make 'vit_tiny.*; choose a model .*resnet50"),
        ("hrnet_w18", 16, r"cannot make 'hrnet_w18'.*; choose a model"),
        ("hrnet_w18", 32, r"cannot make 'hrnet_w18'.*it takes pictures of certain sizes only.*; choose a model"),
        ("densenet121", 16, r"cannot make 'densenet121'.*'densenet121' works with output_stride=32\."),
        (
            "convnext_atto",
            16,
            r"features at strides \[4, 8, 16\], but the network needs \[2, 4, 8, 16\]; choose a model",
        ),
        ("resnet50", 8, r"features at strides \[2, 4, 8\], .*'resnet50' works with output_stride=16\."),
        ("coatnet_0_rw_224", 32, r"cannot make 'coatnet_0_rw_224'.*; choose a model"),
        ("resnet50.nonsense", 16, r"cannot make 'resnet50\.nonsense'.*Invalid pretrained tag"),
    ],
)
def test_a_model_without_the_features_gets_a_sentence(name: str, output_stride: int, sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence) as error:
        built(name, output_stride)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("resnet5", "resnet50"),
        ("mobilenet_v2_100", "mobilenetv2_100"),
        ("ResNet50", "resnet50"),
        ("efficientnetb0", "efficientnet_b0"),
    ],
)
def test_an_unknown_name_suggests_the_nearest(name: str, meant: str) -> None:
    with pytest.raises(ValueError, match=rf"no model named '{name}'; did you mean {meant} or "):
        built(name)


def test_a_name_like_no_other_suggests_none() -> None:
    with pytest.raises(ValueError, match=r"timm has no model named 'qqqq'\. timm\.list_models\(\) lists them all\."):
        built("qqqq")


@pytest.mark.parametrize("output_stride", [0, 4, 12, 64])
def test_another_output_stride_is_refused(output_stride: int) -> None:
    with pytest.raises(ValueError, match=rf"TimmBackbone\(output_stride={output_stride}\): expected 8, 16 or 32\."):
        TimmBackbone("resnet18", output_stride)
