"""The head network: every combination of its parts, where it begins, one graph, and sentences for what cannot work."""

from collections.abc import Sequence
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from zoo_plugins.backbones import TimmBackbone
from zoo_plugins.fusions import ConcatFusion, ConvFusion, GatedBiFPN, InceptionBiFPN
from zoo_plugins.landmark_branches import HeatmapLandmarks, NoLandmarks, PointLandmarks

from zoo.core.parts import Backbone
from zoo.heads.mesh import HeadParams, HeadSizes
from zoo.heads.net import HeadNetwork
from zoo.heads.parts import Fusion, HeadOutput, LandmarkBranch
from zoo.heads.rotation import FRONTAL, angle_between, matrix_from_6d

SIZES = HeadSizes(shape=6, expression=4)
FUSIONS = [GatedBiFPN, InceptionBiFPN, ConcatFusion, ConvFusion]
BRANCHES = [HeatmapLandmarks, PointLandmarks, NoLandmarks]


class SmallBackbone(Backbone):
    """Five convolutions, so that tests spend their time elsewhere."""

    def build(self, in_channels: int, strides: Sequence[int]) -> None:
        self.channels, self.strides = [8, 10, 12, 16], list(strides)
        self.stem = nn.Conv2d(in_channels, 6, 3, 2, 1)
        self.stages = nn.ModuleList(
            nn.Conv2d(before, after, 3, 2, 1) for before, after in zip([6, 8, 10, 12], self.channels, strict=True)
        )

    def forward(self, image: Tensor) -> list[Tensor]:
        features = self.until(image)
        return [*features, self.last_stage(features[-1])]

    def until(self, image: Tensor, stride: int = 16) -> list[Tensor]:
        features = [F.relu(self.stem(image))]
        for stage in self.stages[: self.strides.index(stride) + 1]:
            features.append(F.relu(stage(features[-1])))
        return features[1:]

    def last_stage(self, features: Tensor) -> Tensor:
        return F.relu(self.stages[-1](features))


def made(
    fusion: Fusion | None = None, branch: LandmarkBranch | None = None, sizes: HeadSizes = SIZES, **arguments: Any
) -> HeadNetwork:
    return HeadNetwork(
        arguments.pop("backbone", None) or SmallBackbone(),
        fusion or GatedBiFPN(8, batch_norm_momentum=0.1),
        branch or HeatmapLandmarks(width=16),
        sizes,
        width=16,
        **arguments,
    )


def crops(batch: int = 2, side: int = 64) -> Tensor:
    return torch.rand(batch, 3, side, side, generator=torch.Generator().manual_seed(0))


def given(output: HeadOutput) -> list[Tensor]:
    return [value for value in output if value is not None]


@pytest.mark.parametrize("branch", BRANCHES)
@pytest.mark.parametrize("fusion", FUSIONS)
def test_every_combination_gives_its_outputs_and_trains_every_parameter(fusion: Any, branch: Any) -> None:
    network = made(fusion(8), branch())
    output = network(crops())
    assert output.params.shape == (2, SIZES.total)
    assert (output.heatmaps is not None) == (branch is HeatmapLandmarks)
    assert (output.landmarks is not None) == (branch is not NoLandmarks)
    assert output.heatmaps is None or output.heatmaps.shape == (2, 68, 16, 16)
    assert output.landmarks is None or output.landmarks.shape == (2, 68, 2)
    torch.stack([value.square().sum() for value in given(output)]).sum().backward()
    assert not [name for name, value in network.named_parameters() if value.requires_grad and value.grad is None]


@pytest.mark.parametrize("name", ["resnet18", "mobilenetv1_100", "mobilenetv2_050", "lcnet_050"])
def test_timm_s_backbones(name: str) -> None:
    network = made(backbone=TimmBackbone(name, output_stride=32)).eval()
    with torch.no_grad():
        assert all(value.isfinite().all() for value in given(network(crops())))


@pytest.mark.parametrize("side", [32, 96, 160])
@pytest.mark.parametrize("fusion", FUSIONS)
def test_any_multiple_of_32_and_a_batch_of_one(fusion: Any, side: int) -> None:
    output = made(fusion(8)).eval()(crops(1, side))
    assert output.heatmaps is not None
    assert output.heatmaps.shape == (1, 68, side // 4, side // 4)
    assert output.params.shape == (1, SIZES.total)


def test_crops_of_a_batch_do_not_see_each_other() -> None:
    network = made().eval()
    with torch.no_grad():
        together, alone = network(crops(3)), network(crops(3)[1:2])
    for one, other in zip(given(together), given(alone), strict=True):
        torch.testing.assert_close(one[1:2], other)


def test_heatmaps_reach_the_parameters() -> None:
    network = made().eval()
    with torch.no_grad():
        before = network(crops())
        nn.init.constant_(network.landmark_branch.heatmap.bias, 5.0)
        assert not torch.allclose(before.params, network(crops()).params)


def test_it_begins_with_a_frontal_head_of_usual_size_in_the_middle() -> None:
    params = HeadParams.from_vector(made().eval()(crops()).params, *SIZES)
    turn = angle_between(matrix_from_6d(params.rotation), torch.tensor(FRONTAL))
    assert turn.rad2deg().max() < 30
    assert params.translation.abs().max() < 0.5
    height = (params.scale + 1) * 0.225 / 2  # of a head of 22.5 cm, in crops
    assert ((height > 0.6) & (height < 0.9)).all()


def test_shape_expression_and_jaw_are_limited_and_pose_is_not() -> None:
    network = made().eval()
    for head in (network.shape_head, network.pose_head):
        nn.init.constant_(head[-1].bias, 1000.0)
    params = network(crops()).params
    torch.testing.assert_close(params[:, :13], torch.full((2, 13), 3.0))
    assert (params[:, 13:] > 900).all()


def test_pictures_are_normalised_as_imagenet_s() -> None:
    network = made()
    seen: list[Tensor] = []
    network.backbone.stem.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    mean = torch.tensor([0.485, 0.456, 0.406])[:, None, None]
    std = torch.tensor([0.229, 0.224, 0.225])[:, None, None]
    network((mean + std).expand(2, 3, 64, 64))
    torch.testing.assert_close(seen[0], torch.ones(2, 3, 64, 64))


def test_children_are_the_parts_that_learning_rates_speak_of() -> None:
    names = [name for name, _ in made().named_children()]
    assert names == ["backbone", "fusion", "landmark_branch", "shape_head", "pose_head"]


def test_each_part_begins_alike_whatever_the_others_are(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PL_GLOBAL_SEED", "7")
    one, other = made(GatedBiFPN(8), HeatmapLandmarks()), made(ConcatFusion(8), NoLandmarks())
    for part in ("backbone", "shape_head", "pose_head"):
        first, second = (network.get_submodule(part).state_dict() for network in (one, other))
        assert all(torch.equal(first[key], second[key]) for key in first)
    assert not torch.equal(one.shape_head[2].weight, one.pose_head[2].weight)


def test_trying_the_backbone_leaves_no_trace() -> None:
    network = made(backbone=TimmBackbone("mobilenetv2_050", output_stride=32))
    assert all(module.training for module in network.modules())
    buffers = dict(network.backbone.named_buffers())
    assert all(not value.any() for name, value in buffers.items() if name.endswith(("running_mean", "tracked")))


def test_it_is_one_graph() -> None:
    network = made(backbone=TimmBackbone("resnet18", output_stride=32)).eval()
    with torch.no_grad():
        compiled = torch.compile(network, backend="eager", fullgraph=True)(crops())
        exported = torch.export.export(network, (crops(),)).module()(crops())
        for plain, *others in zip(given(network(crops())), given(compiled), given(exported), strict=True):
            for other in others:
                torch.testing.assert_close(plain, other)


class WholeBackbone(Backbone):
    """A stranger's that knows only the abstract methods."""

    def build(self, in_channels: int, strides: Sequence[int]) -> None:
        self.channels, self.strides = [4] * 4, list(strides)

    def forward(self, image: Tensor) -> list[Tensor]:
        return [image] * 4


@pytest.mark.parametrize(
    ("backbone", "sentence"),
    [
        (WholeBackbone(), r"^WholeBackbone cannot stop before its last stage.*choose a backbone that can"),
        (TimmBackbone("xception41", output_stride=32), r"'xception41' .*cannot stop before its last stage"),
        (TimmBackbone("resnet18"), r"has features at strides \[2, 4, 8, 16\], but the network needs \[4, 8, 16, 32\]"),
    ],
)
def test_a_backbone_that_cannot_stop_is_an_error_at_once(backbone: Backbone, sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        made(backbone=backbone)


@pytest.mark.parametrize("shape", [(3, 64, 64), (2, 1, 64, 64), (2, 3, 64, 96), (2, 3, 72, 72), (2, 64, 64, 3)])
def test_crops_of_another_shape_are_an_error(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=r"image has shape \(.*\); expected \(B, 3, S, S\).* multiple of 32"):
        made()(torch.rand(shape))


def test_integer_crops_are_an_error() -> None:
    with pytest.raises(ValueError, match=r"image has dtype torch\.uint8; expected floats.*divide.*by 255"):
        made()(torch.zeros(1, 3, 64, 64, dtype=torch.uint8))
