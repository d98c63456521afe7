"""The built-in parts keep the contracts of their slots."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from zoo_plugins.augmentations.blur import BoxBlur, Sharpen
from zoo_plugins.augmentations.capture import BackgroundAffine, SensorNoise, Shadow
from zoo_plugins.augmentations.colour import BackgroundJitter, ColourJitter
from zoo_plugins.augmentations.geometry import HorizontalFlip, RandomAffine
from zoo_plugins.augmentations.heads import HeadAffine, HeadColour, HeadFlip, HeadOcclusion
from zoo_plugins.backbones import TimmBackbone
from zoo_plugins.datasets.folders import CutoutFolder, MatteFolder
from zoo_plugins.datasets.synthetic import SyntheticMattes
from zoo_plugins.datasets.synthetic_heads import SyntheticHeads
from zoo_plugins.engines.local import Local
from zoo_plugins.engines.printed import Print
from zoo_plugins.error_maps import AlphaUncertainty, BackgroundDifference, NoError, OracleError, PredictedError
from zoo_plugins.fusions import ConcatFusion, ConvFusion, GatedBiFPN, InceptionBiFPN
from zoo_plugins.head_models import OpenHead, ProceduralHead
from zoo_plugins.landmark_branches import HeatmapLandmarks, NoLandmarks, PointLandmarks
from zoo_plugins.losses.heads import (
    AdaptiveWingHeatmap,
    LandmarkL1,
    ReprojectionLoss,
    RotationGeodesic,
    SoftIoUHeatmap,
    VertexLoss,
)
from zoo_plugins.losses.matting import AlphaL1, ErrorMSE, ForegroundL1, GradientL1
from zoo_plugins.refiners import NoRefiner, PatchRefiner
from zoo_plugins.selectors import AllPatches, NoPatches, RandomPatches, Threshold, TopK

import zoo
from zoo.testing import (
    BackboneContract,
    EngineContract,
    ErrorMapContract,
    FusionContract,
    HeadAugmentationContract,
    HeadDatasetContract,
    HeadLossContract,
    HeadModelContract,
    LandmarkBranchContract,
    MattingAugmentationContract,
    MattingDatasetContract,
    MattingLossContract,
    ModelContract,
    RefinerContract,
    SelectorContract,
)


class Each:
    """Every test of the contract with each of the `parts`."""

    parts: dict[str, Callable[[], Any]]
    slow: tuple[str, ...] = ()

    def make(self) -> Any:
        return self.made_by()

    @pytest.fixture(autouse=True)
    def choose(self, part: Callable[[], Any]) -> None:
        self.made_by = part


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if issubclass(metafunc.cls, Each):
        marks = [pytest.mark.slow] if metafunc.function.__name__ in metafunc.cls.slow else []
        parts = [pytest.param(part, id=name, marks=marks) for name, part in metafunc.cls.parts.items()]
        metafunc.parametrize("part", parts)


# Networks


class TestBackbones(Each, BackboneContract):
    slow = ("test_can_be_exported",)
    parts = {"TimmBackbone": lambda: TimmBackbone("test_efficientnet")}


class TestBackbonesOfHeads(Each, BackboneContract):
    slow = ("test_can_be_exported",)
    in_channels, strides = 3, (4, 8, 16, 32)
    parts = {"TimmBackbone": lambda: TimmBackbone("test_resnet", output_stride=32)}


class TestSelectors(Each, SelectorContract):
    parts = {
        "TopK": lambda: TopK(5),
        "fixed count": lambda: TopK(5, fixed_count=True),
        "Threshold": lambda: Threshold(0.5),
        "RandomPatches": lambda: RandomPatches(5),
        "AllPatches": AllPatches,
        "NoPatches": NoPatches,
    }


class TestErrorMaps(Each, ErrorMapContract):
    parts = {
        cls.__name__: cls for cls in (PredictedError, AlphaUncertainty, BackgroundDifference, OracleError, NoError)
    }


class TestRefiners(Each, RefinerContract):
    slow = ("test_can_be_exported", "test_without_a_limit_it_can_be_exported_too")
    parts = {"PatchRefiner": PatchRefiner, "NoRefiner": NoRefiner}


class TestFusions(Each, FusionContract):
    slow = ("test_can_be_exported",)
    parts = {
        "GatedBiFPN": lambda: GatedBiFPN(channels=8, layers=2),
        "InceptionBiFPN": lambda: InceptionBiFPN(channels=8, layers=1),
        "ConcatFusion": lambda: ConcatFusion(channels=8),
        "ConvFusion": lambda: ConvFusion(channels=8),
    }


class TestLandmarkBranches(Each, LandmarkBranchContract):
    parts = {
        "HeatmapLandmarks": lambda: HeatmapLandmarks(width=16),
        "PointLandmarks": PointLandmarks,
        "NoLandmarks": NoLandmarks,
    }


class TestHeadModels(Each, HeadModelContract):
    parts = {"OpenHead": OpenHead, "ProceduralHead": ProceduralHead}


# Losses


class TestMattingLosses(Each, MattingLossContract):
    parts = {
        "AlphaL1": AlphaL1,
        "AlphaL1 coarse": lambda: AlphaL1("coarse"),
        "GradientL1": GradientL1,
        "ForegroundL1": ForegroundL1,
        "ForegroundL1 coarse": lambda: ForegroundL1("coarse"),
        "ErrorMSE": ErrorMSE,
    }


class TestHeadLosses(Each, HeadLossContract):
    parts = {
        cls.__name__: cls
        for cls in (SoftIoUHeatmap, AdaptiveWingHeatmap, LandmarkL1, VertexLoss, ReprojectionLoss, RotationGeodesic)
    }


# Data


class TestMattingAugmentations(Each, MattingAugmentationContract):
    parts = {
        "RandomAffine": lambda: RandomAffine("foreground"),
        "RandomAffine of backgrounds": lambda: RandomAffine("background"),
        "HorizontalFlip": lambda: HorizontalFlip("foreground"),
        "BoxBlur": lambda: BoxBlur("foreground", probability=0.5),
        "Sharpen": lambda: Sharpen("foreground", probability=0.5),
        "ColourJitter": lambda: ColourJitter("background"),
        "Shadow": lambda: Shadow(probability=0.5),
        "SensorNoise": lambda: SensorNoise(probability=0.5),
        "BackgroundJitter": BackgroundJitter,
        "BackgroundAffine": lambda: BackgroundAffine(probability=0.5),
    }


class TestHeadAugmentations(Each, HeadAugmentationContract):
    parts = {
        "HeadFlip": HeadFlip,
        "HeadAffine": HeadAffine,
        "HeadColour": HeadColour,
        "HeadOcclusion": lambda: HeadOcclusion(probability=0.5),
    }


class InFolder(Each):
    """Data sets of a folder that is written for each test."""

    @pytest.fixture(autouse=True)
    def choose(self, part: Callable[[Path], Any], tmp_path: Path) -> None:
        self.made_by = lambda: part(tmp_path)
        draw = np.random.default_rng(0)
        for index in range(3):
            for folder, channels in (("fgr", 3), ("pha", 1), ("cut", 4), ("bgr", 3)):
                (tmp_path / folder).mkdir(exist_ok=True)
                pixels = draw.integers(0, 256, (20 + index, 24, channels), dtype=np.uint8).squeeze()
                Image.fromarray(pixels).save(tmp_path / folder / f"{index}.png")


class TestMattingDatasets(InFolder, MattingDatasetContract):
    parts = {
        "MatteFolder": lambda folder: MatteFolder(str(folder), str(folder / "bgr")),
        "CutoutFolder": lambda folder: CutoutFolder(str(folder / "cut"), str(folder / "bgr")),
        "SyntheticMattes": lambda folder: SyntheticMattes(
            count=3, backgrounds=2, size=32, detail=0.1, cache=str(folder / "cache")
        ),
    }


class TestHeadDatasets(Each, HeadDatasetContract):
    parts = {"SyntheticHeads": lambda: SyntheticHeads(count=1, size=32)}


# Models and engines


class TestModels(ModelContract):
    @pytest.fixture(autouse=True, params=zoo.list_models())
    def choose(self, request: pytest.FixtureRequest) -> None:
        self.name = request.param


class TestLocal(EngineContract):
    def make(self) -> Local:
        return Local()


class TestPrint(EngineContract):
    def make(self) -> Print:
        return Print()


@pytest.mark.slow
class TestLocalProcesses(EngineContract):
    def make(self) -> Local:
        return Local(slots=2)
