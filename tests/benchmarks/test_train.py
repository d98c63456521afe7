"""What is measured of training: steps equal those they are beside, and each of them trains."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from benchmarks.cases import difference
from benchmarks.train import Step, matting_module
from benchmarks.train_references import official_training
from zoo.matting.parts import MattingBatch

STAND_IN = '''
"""Our network under the official names, which takes what those take and gives what they give."""

from zoo_plugins.backbones import TimmBackbone
from zoo_plugins.error_maps import PredictedError
from zoo_plugins.refiners import NoRefiner, PatchRefiner
from zoo_plugins.selectors import NoPatches, TopK

from zoo.matting.net import MattingNetwork


def backbone(name):
    return {"mobilenetv2": TimmBackbone("mobilenetv2_100", output_stride=16)}[name]


class MattingBase(MattingNetwork):
    def __init__(self, name):
        super().__init__(backbone(name), PredictedError(), NoPatches(), NoRefiner(), base_scale=1.0)

    def forward(self, source, background):
        output = super().forward(source, background)
        return output.alpha, output.foreground, output.error, None


class MattingRefine(MattingNetwork):
    def __init__(self, name, backbone_scale, refine_mode, refine_sample_pixels):
        assert refine_mode == "sampling"
        selector = TopK(refine_sample_pixels // 16)
        super().__init__(backbone(name), PredictedError(), selector, PatchRefiner(), base_scale=backbone_scale)
'''


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    package = tmp_path / "BackgroundMattingV2" / "model"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text(STAND_IN)
    return package.parent


def test_quick_runs_every_step_beside_the_official_network(
    bench: Callable[..., Any], checkout: Path, tmp_path: Path
) -> None:
    path = tmp_path / "train.json"
    done = bench("train", "--quick", "--repeats", 1, "--against", checkout, "--json", path)
    assert done.code == 0, done.err
    record = json.loads(path.read_text(encoding="utf-8"))
    parts = ("augmentation", "forward", "forward and backward", "step", "a sample with its loading")
    names = [case["name"] for case in record["cases"]]
    assert {f"{stage}, {part}" for stage in ("base", "joint", "heads") for part in parts} == {
        name for name in names if name != "heads, losses and one mesh"
    }
    compared = {case["name"] for case in record["cases"] if case["equal"]}
    assert compared == {"base, step", "joint, step", "heads, losses and one mesh"}


@pytest.mark.parametrize("stage", ["base", "joint"])
def test_steps_are_alike_and_another_weight_is_noticed(stage: str, checkout: Path) -> None:
    """In double precision, since BatchNorm over a few pixels makes much of the last digit."""
    module = matting_module(stage, patches=16).double()
    batch = drawn_batch(torch.float64)
    ours, theirs = Step.of(module), Step(module, official_training(checkout, module))
    theirs.trained.network.double()
    assert difference(ours.backward(batch), theirs.backward(batch)) < 1e-5
    with torch.no_grad():
        theirs.trained.network.decoder.conv4.weight[0] += 0.1
    assert difference(ours.backward(batch), theirs.backward(batch)) > 1e-3


def drawn_batch(dtype: torch.dtype = torch.float32) -> MattingBatch:
    """Two samples of noise."""
    generator = torch.Generator().manual_seed(0)
    pictures = (torch.rand(2, channels, 32, 32, generator=generator, dtype=dtype) for channels in (3, 3, 1, 3))
    return MattingBatch(*pictures)


def test_a_step_trains() -> None:
    module = matting_module("joint", patches=16)
    batch = drawn_batch()
    step = Step.of(module)
    losses = [float(step.whole(batch)[0]) for _ in range(8)]
    assert losses[-1] < 0.99 * losses[0]
