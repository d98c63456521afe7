"""Parts that are nearly right are named with their file and what their slot promised, when the network first runs."""

from collections.abc import Callable, Sequence
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from zoo_plugins.error_maps import PredictedError
from zoo_plugins.losses.matting import AlphaL1
from zoo_plugins.refiners import PatchRefiner
from zoo_plugins.selectors import TopK

import zoo
from zoo.core.errors import ZooError
from zoo.core.parts import Backbone, LossTerm
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
        (lambda: train(OneValueEach()), r"returned \(2,\); its slot promises the value of the term, a scalar"),
        (lambda: train(ReadsNothing()), "has no reads; its slot promises a set of fields"),
    ],
)
def test_it_is_named_with_its_file_and_the_promise(use: Callable[[], None], sentence: str) -> None:
    with pytest.raises(ZooError, match=rf"^[A-Z]\w+ \(.*test_promises\.py\) .*{sentence}"):
        use()


def test_a_part_that_keeps_its_promise_runs() -> None:
    run()
