"""Parts that are nearly right are named with their file and what their slot promised, when the network first runs."""

import re
from collections.abc import Callable, Sequence
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from zoo_plugins.error_maps import PredictedError
from zoo_plugins.fusions import ConcatFusion, NoFusion
from zoo_plugins.landmark_branches import HeatmapLandmarks, NoLandmarks, PointLandmarks
from zoo_plugins.losses.matting import AlphaL1
from zoo_plugins.refiners import PatchRefiner
from zoo_plugins.selectors import TopK

import zoo
from zoo.core.errors import ZooError
from zoo.core.parts import Backbone, LossTerm
from zoo.core.promises import explain_with_part
from zoo.heads.mesh import HeadSizes
from zoo.heads.net import HeadNetwork
from zoo.matting.net import MattingNetwork
from zoo.matting.parts import Coarse, ErrorMap, PatchSelector, Refiner


class Whole(Backbone):
    """A backbone that keeps its promise; the others change one thing."""

    step = 2

    def build(self, in_channels: int, strides: Sequence[int]) -> None:
        self.channels, self.strides = [8] * len(strides), list(strides)
        widths = [in_channels, *self.channels[:-1]]
        self.stages = nn.ModuleList(nn.Conv2d(width, 8, 3, self.step, 1) for width in widths)

    def forward(self, image: Tensor) -> list[Tensor]:
        features = [image]
        for stage in self.stages:
            features.append(stage(features[-1]))
        return features[1:]


class WrongStrides(Whole):
    step = 1


class WrongChannels(Whole):
    def build(self, in_channels: int, strides: Sequence[int]) -> None:
        super().build(in_channels, strides)
        self.channels = [9] * len(strides)


class NoChannels(Whole):
    def build(self, in_channels: int, strides: Sequence[int]) -> None:
        super().build(in_channels, strides)
        del self.channels


class OneFeature(Whole):
    def forward(self, image: Tensor) -> list[Tensor]:
        return super().forward(image)[-1]  # type: ignore[return-value]


class NoFeatures(Whole):
    def forward(self, image: Tensor) -> list[Tensor]:
        super().forward(image)
        return None  # type: ignore[return-value]


class Cropped(PatchSelector):
    patches = 5

    def forward(self, error: Tensor) -> Tensor:
        return error[..., 1:]


class Nothing(PatchSelector):
    patches = 5

    def forward(self, error: Tensor) -> Tensor:
        pass


class NoChannel(ErrorMap):
    def forward(self, coarse: Coarse, source: Tensor, background: Tensor, target: Tensor | None = None) -> Tensor:
        return coarse.alpha[:, 0]


class AlphaAlone(Refiner):
    def forward(self, source: Tensor, background: Tensor, coarse: Coarse, score: Tensor, patches: int | None) -> Any:
        return source[:, :1]


class AlphaOfEach(PatchRefiner):
    def alpha(self, *inputs: Any) -> Any:
        return super().alpha(*inputs)[0]


class Pausing(Whole):
    """A backbone that keeps the promise of those that pause."""

    def build(self, in_channels: int, strides: Sequence[int]) -> None:
        super().build(in_channels, strides)
        self.stages[0].stride = (4, 4)

    def until(self, image: Tensor, stride: int = 16) -> list[Tensor]:
        return self(image)[: self.strides.index(stride) + 1]

    def last_stage(self, features: Tensor) -> Tensor:
        return self.stages[-1](features)


class PausesLate(Pausing):
    def until(self, image: Tensor, stride: int = 16) -> list[Tensor]:
        return self(image)


class PausesNever(Pausing):
    def until(self, image: Tensor, stride: int = 16) -> list[Tensor]:
        return super().until(image)[-1]  # type: ignore[return-value]


class LostStage(Pausing):
    def until(self, image: Tensor, stride: int = 16) -> list[Tensor]:
        return [self.stages[name](image) for name in ("first",)]  # type: ignore[call-overload]


class Coarse4(NoFusion):
    def pyramid(self, c2: Tensor, c3: Tensor, c4: Tensor) -> list[Tensor]:
        return [c4]


class NoPyramid(ConcatFusion):
    def pyramid(self, c2: Tensor, c3: Tensor, c4: Tensor) -> list[Tensor]:
        pass  # type: ignore[empty-body]


class Unbuilt(ConcatFusion):
    def build(self, channels: Sequence[int], heatmaps: int) -> None:
        pass


class Merges(ConcatFusion):
    def merge(self, c4: Tensor, pyramid: list[Tensor], heatmaps: Tensor | None) -> Tensor:
        return {}["merged"]


class FewHeatmaps(HeatmapLandmarks):
    def heatmaps(self, pyramid: list[Tensor]) -> Tensor:
        return super().heatmaps(pyramid)[:, :5]


class Unannounced(NoLandmarks):
    def points(self, last: Tensor) -> Tensor:
        return last


class FlatPoints(PointLandmarks):
    def points(self, last: Tensor) -> Tensor:
        return super().points(last).flatten(1)


class Unpacks(PatchSelector):
    patches = 5

    def forward(self, error: Tensor) -> Tensor:
        first, _ = [error]
        return first


class OneValueEach(AlphaL1):
    def forward(self, output: Any, batch: Any) -> Tensor:
        return (output.alpha - batch.alpha).abs().mean((1, 2, 3))


class ReadsNothing(LossTerm):
    def forward(self, output: Any, batch: Any) -> Tensor:
        return output.alpha.mean()


def run(**parts: Any) -> None:
    """Run a network with one of its parts replaced."""
    whole = {"backbone": Whole(), "error_map": PredictedError(), "selector": TopK(5), "refiner": PatchRefiner()}
    MattingNetwork(**(whole | parts)).eval()(*torch.rand(2, 1, 3, 64, 64))


def run_heads(**parts: Any) -> None:
    """Run a network of heads with one of its parts replaced."""
    whole = {"backbone": Pausing(), "fusion": ConcatFusion(8), "landmark_branch": NoLandmarks()}
    HeadNetwork(**(whole | parts), sizes=HeadSizes(4, 4)).eval()(torch.rand(1, 3, 64, 64))


def matte_without_foreground(refiner: Refiner) -> None:
    """Run a network as commands do that write the alpha alone."""
    network = MattingNetwork(Whole(), PredictedError(), TopK(5), refiner).eval()
    images = [network.prepare(torch.rand(1, 3, 64, 64)) for _ in range(2)]
    network.matte(*images, foreground=False)


def train(loss: LossTerm) -> None:
    """Compute one loss term."""
    from zoo.matting.parts import MattingBatch

    backbone = {"class_path": "TimmBackbone", "init_args": {"name": "test_efficientnet"}}
    module = zoo.create_model("bgmv2_mobilenetv2", backbone=backbone, losses={"alpha": loss}).eval()
    image = torch.rand(2, 3, 64, 64)
    batch = MattingBatch(image, image, torch.rand(2, 1, 64, 64), image)
    module.loss(module.compute(batch), batch)


@pytest.mark.parametrize(
    ("use", "sentence"),
    [
        (
            lambda: run(backbone=WrongStrides()),
            r"\(1, 8, 16, 16\).*promises features of \(1, 8, 8, 8\)",
        ),
        (lambda: run(backbone=WrongChannels()), r"returned \(1, 8, 8, 8\), .*promises features of \(1, 9, 8, 8\)"),
        (lambda: run(backbone=NoChannels()), r"has channels None and strides \[2, 4, 8, 16\] after build"),
        (lambda: run(backbone=OneFeature()), r"returned \(1, 8, 1, 1\); its slot promises features of"),
        (lambda: run(backbone=NoFeatures()), "returned NoneType; its slot promises features of"),
        (lambda: run(selector=Cropped()), r"returned \(1, 1, 16, 15\); .*the error's shape, \(1, 1, 16, 16\)"),
        (lambda: run(selector=Nothing()), "returned NoneType; its slot promises a score"),
        (lambda: run(error_map=NoChannel()), r"returned \(1, 16, 16\); its slot promises errors \(B, 1, h, w\)"),
        (lambda: run(refiner=AlphaAlone()), r"returned \(1, 1, 64, 64\); its slot promises alpha, foreground and ref"),
        (lambda: matte_without_foreground(AlphaOfEach()), r"promises from alpha: alpha and refined patches"),
        (lambda: run_heads(backbone=PausesLate()), r"\(1, 8, 3, 3\); its slot promises features of \(1, 8, 24, 24\)"),
        (lambda: run_heads(backbone=PausesNever()), r"returned \(1, 8, 6, 6\); its slot promises features of"),
        (
            lambda: run_heads(fusion=Coarse4()),
            r"returned \(1, 8, 4, 4\); its slot promises from pyramid.*\(1, 8, 16, 16\)",
        ),
        (lambda: run_heads(fusion=NoPyramid()), "returned NoneType; its slot promises from pyramid features of"),
        (lambda: run_heads(landmark_branch=FewHeatmaps()), r"\(1, 5, 16, 16\); .* from heatmaps \(1, 68, 16, 16\)"),
        (
            lambda: run_heads(landmark_branch=Unannounced()),
            r"returned \(1, 8, 2, 2\); .* from points None, by its class",
        ),
        (lambda: run_heads(landmark_branch=FlatPoints()), r"returned \(1, 136\); .* from points \(1, 68, 2\)"),
        (lambda: train(OneValueEach()), r"returned \(2,\); its slot promises the value of the term, a scalar"),
        (lambda: train(ReadsNothing()), "has no reads; its slot promises a set of fields"),
    ],
)
def test_it_is_named_with_its_file_and_the_promise(use: Callable[[], None], sentence: str) -> None:
    with pytest.raises(ZooError, match=rf"^[A-Z]\w+ \(.*test_promises\.py\) .*{sentence}"):
        use()


@pytest.mark.parametrize(
    ("use", "sentence"),
    [
        (
            lambda: run_heads(backbone=LostStage()),
            r"TypeError: .*\. It was raised in LostStage \(.*test_promises\.py\)\.",
        ),
        (lambda: run_heads(fusion=Merges()), r"KeyError: 'merged'\. It was raised in Merges \(.*test_promises\.py\)\."),
        (
            lambda: run_heads(fusion=Unbuilt()),
            r"AttributeError: .* raised in Unbuilt \(.*promises\.py\)\.",
        ),
        (
            lambda: run(selector=Unpacks()),
            r"not enough values to unpack .*\. It was raised in Unpacks \(.*promises\.py\)\.",
        ),
    ],
)
def test_what_a_method_of_it_raises_names_it_too(use: Callable[[], None], sentence: str) -> None:
    with pytest.raises(Exception) as raised:  # noqa: PT011
        use()
    assert re.fullmatch(sentence, explain_with_part(raised.value)), explain_with_part(raised.value)


def test_a_part_that_keeps_its_promise_runs() -> None:
    run()
    run_heads()
    matte_without_foreground(PatchRefiner())
