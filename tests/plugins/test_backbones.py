"""TimmBackbone: features at the strides that the network asks for, and a sentence where a model has none."""

from pathlib import Path
from typing import Any

import pytest
import timm
import torch
from safetensors.torch import save_file
from zoo_plugins.backbones import TimmBackbone

from zoo.core.spec import without_downloads

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


def test_starts_from_a_file_and_does_not_keep_it_in_a_spec(tmp_path: Path) -> None:
    torch.manual_seed(0)
    model = timm.create_model("test_efficientnet", num_classes=7)
    path = str(tmp_path / "encoder.safetensors")
    save_file(model.state_dict(), path)
    backbone = TimmBackbone("test_efficientnet", checkpoint=path)
    backbone.build(in_channels=6, strides=STRIDES)
    image, background = backbone.model.conv_stem.weight.split(3, dim=1)
    assert torch.equal(image, model.conv_stem.weight)
    assert not background.any()
    assert torch.equal(backbone.model.blocks[1][0].conv_exp.weight, model.blocks[1][0].conv_exp.weight)
    assert "checkpoint" not in without_downloads(backbone.spec)["init_args"]


@pytest.mark.parametrize("in_channels", [3, 4, 7])
def test_what_it_saw_in_pretraining_it_sees_at_the_start(in_channels: int, tmp_path: Path) -> None:
    model = timm.create_model("test_resnet").eval()
    path = str(tmp_path / "encoder.safetensors")
    save_file(model.state_dict(), path)
    alone, with_others = (TimmBackbone("test_resnet", output_stride=32, checkpoint=path) for _ in range(2))
    alone.build(3, (4, 8, 16, 32))
    with_others.build(in_channels, (4, 8, 16, 32))
    inputs = torch.rand(1, in_channels, 64, 64)
    with torch.no_grad():
        for expected, got in zip(alone.eval()(inputs[:, :3]), with_others.eval()(inputs), strict=True):
            torch.testing.assert_close(got, expected)


def test_a_file_of_another_architecture_is_refused(tmp_path: Path) -> None:
    path = str(tmp_path / "encoder.safetensors")
    save_file(timm.create_model("test_resnet").state_dict(), path)
    with pytest.raises(ValueError, match=r"holds no weights of timm's 'test_efficientnet'.*absent"):
        TimmBackbone("test_efficientnet", checkpoint=path).build(in_channels=3, strides=STRIDES)
    with pytest.raises(ValueError, match="both pretrained=true and a checkpoint"):
        TimmBackbone("test_efficientnet", pretrained=True, checkpoint=path)


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
        ("hrnet_w18", 32, r"cannot make 'hrnet_w18'.*it takes images of certain sizes only.*; choose a model"),
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


# Stopping on the way

HEAD_STRIDES = (4, 8, 16, 32)


def for_heads(name: str, **arguments: Any) -> TimmBackbone:
    backbone = TimmBackbone(name, output_stride=32, **arguments)
    backbone.build(in_channels=3, strides=HEAD_STRIDES)
    for layer in backbone.modules():
        if isinstance(layer, torch.nn.BatchNorm2d):
            torch.nn.init.ones_(layer.weight)  # timm begins with residual branches at zero
    return backbone.eval()


@pytest.mark.parametrize(
    "name",
    [
        "resnet18",
        "resnet50",
        "mobilenetv1_100",
        "mobilenetv2_050",
        "mobilenetv2_100",
        "efficientnet_b0",
        "lcnet_050",
        "mobilenetv3_small_050",
        "convnext_atto",
        "densenet121",
        "regnety_002",
    ],
)
def test_stopping_and_going_on_gives_what_forward_gives(name: str) -> None:
    backbone = for_heads(name)
    image = torch.rand(1, 3, 64, 96)
    with torch.no_grad():
        whole = backbone(image)
        until = backbone.until(image, stride=16)
        kept = [feature.clone() for feature in until]
        last = backbone.last_stage(until[-1])
    for one, other in zip(whole, [*kept, last], strict=True):
        assert torch.equal(one, other)
    assert torch.equal(until[-1], kept[-1])  # going on does not change what was given


def test_it_stops_at_the_stride_it_is_told() -> None:
    backbone = for_heads("mobilenetv2_050")
    image = torch.rand(1, 3, 32, 32)
    with torch.no_grad():
        for count, stride in enumerate(HEAD_STRIDES, start=1):
            assert len(backbone.until(image, stride)) == count


def test_what_is_changed_at_the_stop_reaches_the_last_features() -> None:
    backbone = for_heads("resnet18")
    with torch.no_grad():
        c4 = backbone.until(torch.rand(1, 3, 64, 64))[-1]
        assert not torch.equal(backbone.last_stage(c4), backbone.last_stage(2 * c4))


@pytest.mark.parametrize("name", ["xception41", "twins_svt_small", "selecsls42"])
def test_a_model_that_is_no_chain_of_layers_gets_a_sentence(name: str) -> None:
    with pytest.raises(ValueError, match=rf"timm's '{name}'.* cannot stop before its last stage.*resnet50") as error:
        for_heads(name).until(torch.rand(1, 3, 64, 64))
    assert "\n" not in str(error.value)


def test_features_with_channels_last_are_refused() -> None:
    with pytest.raises(ValueError, match=r"cannot make 'mambaout_femto'.*channels last.*; choose a model"):
        for_heads("mambaout_femto")


# Variants


def test_strides_move_to_the_first_convolutions() -> None:
    plain, moved = for_heads("resnet50"), for_heads("resnet50", stride_in_first_conv=True)
    moved.load_state_dict(plain.state_dict())
    model: Any = moved.model
    for stage in (model.layer2, model.layer3, model.layer4):
        assert [block.conv1.stride[0] for block in stage] == [2] + [1] * (len(stage) - 1)
        assert {block.conv2.stride for block in stage} == {(1, 1)}
    assert {block.conv1.stride for block in model.layer1} == {(1, 1)}
    image = torch.rand(1, 3, 63, 97)
    with torch.no_grad():
        features = list(zip(plain(image), moved(image), strict=True))
    assert [one.shape == other.shape for one, other in features] == [True] * 4
    assert [torch.equal(one, other) for one, other in features] == [True, False, False, False]


def test_a_dilated_stage_has_no_stride_to_move() -> None:
    backbone = TimmBackbone("resnet50", output_stride=16, stride_in_first_conv=True)
    with torch.device("meta"):
        backbone.build(in_channels=3, strides=HEAD_STRIDES[:3])
    model: Any = backbone.model
    assert model.layer3[0].conv1.stride == (2, 2)
    assert model.layer4[0].conv1.stride == (1, 1)


@pytest.mark.parametrize("name", ["resnet18", "mobilenetv2_050"])
def test_without_bottlenecks_no_stride_can_move(name: str) -> None:
    with pytest.raises(ValueError, match=rf"'{name}', stride_in_first_conv=True\): expected a ResNet.*resnet50"):
        for_heads(name, stride_in_first_conv=True)


def test_another_activation_replaces_the_models_own() -> None:
    used = {type(layer) for layer in for_heads("mobilenetv1_100", activation="relu").modules()}
    assert torch.nn.ReLU in used
    assert torch.nn.ReLU6 not in used


def test_an_unknown_activation_is_refused() -> None:
    with pytest.raises(
        ValueError, match=r"activation='rlu'\): expected timm's name of an activation, for example relu"
    ):
        TimmBackbone("resnet18", activation="rlu")


def test_a_model_without_a_choice_of_activation_gets_a_sentence() -> None:
    with pytest.raises(ValueError, match=r"'repghostnet_050' .*its activation cannot be chosen"):
        for_heads("repghostnet_050", activation="silu")


def test_the_name_on_the_hub_is_timm_s_own() -> None:
    assert TimmBackbone("timm/test_resnet.r160_in1k").name == "test_resnet.r160_in1k"


def test_pretrained_weights_that_cannot_be_downloaded_are_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    def unreachable(*_: object, **__: object) -> None:
        raise ConnectionError("Name or service not known")

    monkeypatch.setattr("huggingface_hub.HfApi.model_info", unreachable)
    with pytest.raises(
        ValueError, match=r"test_resnet.r160_in1k are not on this machine and cannot be downloaded \(Nam"
    ):
        TimmBackbone("test_resnet", output_stride=32, pretrained=True).build(3, (4, 8, 16, 32))
