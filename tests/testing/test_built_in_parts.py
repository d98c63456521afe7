"""The built-in parts keep the contracts of their slots."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from zoo_plugins.augmentations.blur import BoxBlur, Sharpen
from zoo_plugins.augmentations.capture import BackgroundAffine, LightChange, SensorNoise, Shadow
from zoo_plugins.augmentations.colour import BackgroundJitter, ColourJitter
from zoo_plugins.augmentations.geometry import HorizontalFlip, RandomAffine
from zoo_plugins.augmentations.guides import AlphaGuide, GuideBlur, GuideGrowth, GuideHoles, GuideShift
from zoo_plugins.augmentations.heads import HeadAffine, HeadColour, HeadFlip, HeadOcclusion
from zoo_plugins.backbones import TimmBackbone
from zoo_plugins.contexts import ASPP, NoContext
from zoo_plugins.datasets.folders import CutoutFolder, MatteFolder, PhotographFolder
from zoo_plugins.datasets.synthetic import SyntheticMattes
from zoo_plugins.datasets.synthetic_heads import SyntheticHeads
from zoo_plugins.detectors import BlazeFace, FrontalCascade
from zoo_plugins.engines.local import Local
from zoo_plugins.engines.printed import Print
from zoo_plugins.error_maps import (
    AlphaUncertainty,
    BackgroundDifference,
    EdgeError,
    NoError,
    OracleError,
    PredictedError,
)
from zoo_plugins.fusions import (
    AddFusion,
    AttentionFusion,
    ConcatFusion,
    ConvFusion,
    GatedBiFPN,
    InceptionBiFPN,
    NoFusion,
    PyramidFusion,
)
from zoo_plugins.guides import MaskGuide, NoGuide, PersonGuide
from zoo_plugins.head_models import OpenHead, ProceduralHead, SavedHead
from zoo_plugins.landmark_branches import HeatmapLandmarks, NoLandmarks, PointLandmarks
from zoo_plugins.losses.heads import (
    AdaptiveWingHeatmap,
    LandmarkL1,
    ReprojectionLoss,
    RotationGeodesic,
    SoftIoUHeatmap,
    VertexLoss,
)
from zoo_plugins.losses.matting import AlphaL1, AlphaMSE, ErrorMSE, ForegroundL1, GradientL1
from zoo_plugins.mediapipe import FaceMesh
from zoo_plugins.refiners import NoRefiner, PatchRefiner
from zoo_plugins.selectors import AllPatches, GridPatches, NoPatches, RandomPatches, Threshold, TopK

import zoo.testing
from zoo.core.parts import Augmentation
from zoo.core.registry import slots
from zoo.heads import asset as head_asset
from zoo.heads.data import HeadData, HeadEvaluationSet, HeadTrainingSet
from zoo.heads.module import HeadAlignment
from zoo.matting.data import EvaluationSet, MattingData, TrainingStage
from zoo.matting.module import BackgroundMatting
from zoo.testing import (
    BackboneContract,
    CatalogueContract,
    ContextContract,
    DataModuleContract,
    DetectorContract,
    EngineContract,
    ErrorMapContract,
    FusionContract,
    GuideContract,
    HeadAugmentationContract,
    HeadDatasetContract,
    HeadLossContract,
    HeadModelContract,
    LandmarkBranchContract,
    MattingAugmentationContract,
    MattingDatasetContract,
    MattingLossContract,
    ModelContract,
    ModuleContract,
    RefinerContract,
    SelectorContract,
)
from zoo.testing.losses import load_head_model


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
    if metafunc.cls is not None and issubclass(metafunc.cls, Each):
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
    parts = {"TimmBackbone": lambda: TimmBackbone("test_resnet", output_stride=32), "FaceMesh": FaceMesh}


class TestGuides(Each, GuideContract):
    parts = {cls.__name__: cls for cls in (NoGuide, MaskGuide, PersonGuide)}


class TestContexts(Each, ContextContract):
    parts = {"ASPP": lambda: ASPP(width=8), "NoContext": lambda: NoContext(width=8)}


class TestSelectors(Each, SelectorContract):
    parts = {
        "TopK": lambda: TopK(5),
        "fixed count": lambda: TopK(5, fixed_count=True),
        "Threshold": lambda: Threshold(0.5),
        "RandomPatches": lambda: RandomPatches(5),
        "GridPatches": lambda: GridPatches(5),
        "AllPatches": AllPatches,
        "NoPatches": NoPatches,
    }


class TestErrorMaps(Each, ErrorMapContract):
    parts = {
        cls.__name__: cls
        for cls in (PredictedError, AlphaUncertainty, BackgroundDifference, EdgeError, OracleError, NoError)
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
        "PyramidFusion": lambda: PyramidFusion(channels=8),
        "AddFusion": lambda: AddFusion(channels=8),
        "AttentionFusion": lambda: AttentionFusion(channels=8),
        "NoFusion": NoFusion,
    }


class TestDetectors(Each, DetectorContract):
    parts = {"BlazeFace": BlazeFace, "FrontalCascade": FrontalCascade}


class TestLandmarkBranches(Each, LandmarkBranchContract):
    parts = {
        "HeatmapLandmarks": lambda: HeatmapLandmarks(width=16),
        "PointLandmarks": PointLandmarks,
        "NoLandmarks": NoLandmarks,
    }


class TestHeadModels(Each, HeadModelContract):
    parts = {
        "OpenHead": OpenHead,
        "OpenHead with fewer parameters": lambda: OpenHead(shape=20, expression=10),
        "ProceduralHead": ProceduralHead,
    }


class TestSavedHead(HeadModelContract):
    @pytest.fixture(autouse=True)
    def save(self, tmp_path: Path) -> None:
        self.file = tmp_path / "head.safetensors"
        head_asset.save(OpenHead().asset(), self.file)

    def make(self) -> SavedHead:
        return SavedHead(str(self.file))


# Losses


class TestMattingLosses(Each, MattingLossContract):
    parts = {
        "AlphaL1": AlphaL1,
        "AlphaL1 coarse": lambda: AlphaL1("coarse"),
        "AlphaMSE": AlphaMSE,
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
        "LightChange": lambda: LightChange(probability=0.5),
        "BackgroundJitter": BackgroundJitter,
        "BackgroundAffine": lambda: BackgroundAffine(probability=0.5),
        "AlphaGuide": lambda: AlphaGuide(probability=0.5),
        "GuideGrowth": lambda: GuideGrowth(probability=0.5, growth=(-0.2, 0.2)),
        "GuideBlur": lambda: GuideBlur(probability=0.5, radius=0.2),
        "GuideHoles": lambda: GuideHoles("foreground", probability=0.5),
        "GuideHoles of backgrounds": lambda: GuideHoles("background", probability=0.5),
        "GuideShift": lambda: GuideShift(probability=0.5),
    }


class TestHeadAugmentations(Each, HeadAugmentationContract):
    parts = {
        "HeadFlip": HeadFlip,
        "HeadAffine": HeadAffine,
        "HeadColour": HeadColour,
        "HeadOcclusion": lambda: HeadOcclusion(probability=0.5),
    }


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    """A folder of cut-outs and backgrounds, in each of the layouts."""
    draw = np.random.default_rng(0)
    for index in range(3):
        for folder, channels in (("fgr", 3), ("pha", 1), ("cut", 4), ("bgr", 3)):
            (tmp_path / folder).mkdir(exist_ok=True)
            pixels = draw.integers(0, 256, (20 + index, 24, channels), dtype=np.uint8).squeeze()
            Image.fromarray(pixels).save(tmp_path / folder / f"{index}.png")
    return tmp_path


class TestMattingDatasets(Each, MattingDatasetContract):
    @pytest.fixture(autouse=True)
    def choose(self, part: Callable[[Path], Any], pictures: Path) -> None:
        self.made_by = lambda: part(pictures)

    parts = {
        "MatteFolder": lambda folder: MatteFolder(str(folder), str(folder / "bgr")),
        "CutoutFolder": lambda folder: CutoutFolder(str(folder / "cut"), str(folder / "bgr")),
        "PhotographFolder": lambda folder: PhotographFolder(str(folder), "fgr", "pha"),
        "PhotographFolder with backgrounds": lambda folder: PhotographFolder(str(folder), "fgr", "pha", "bgr"),
        "SyntheticMattes": lambda folder: SyntheticMattes(
            count=3, backgrounds=2, size=32, detail=0.1, cache=str(folder / "cache")
        ),
    }


class TestHeadDatasets(Each, HeadDatasetContract):
    parts = {"SyntheticHeads": lambda: SyntheticHeads(count=1, size=32)}


# What is trained, and on what


class TestMattingData(DataModuleContract):
    @pytest.fixture(autouse=True)
    def place(self, pictures: Path) -> None:
        self.folder = pictures

    def make(self) -> MattingData:
        return matting_data(self.folder)


class TestHeadData(DataModuleContract):
    def asked(self) -> dict[str, Any]:
        return {"head_model": load_head_model("ProceduralHead"), "image_size": 32}

    def make(self) -> HeadData:
        return head_data()


class WritesNothing:
    """Every test of the contract in an empty folder, which stays empty."""

    @pytest.fixture(autouse=True)
    def empty_folder(self, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
        folder = tmp_path_factory.mktemp("empty")
        monkeypatch.chdir(folder)
        yield
        assert not list(folder.iterdir())


class TestBackgroundMatting(WritesNothing, ModuleContract):
    @pytest.fixture(autouse=True)
    def place(self, pictures: Path) -> None:
        self.folder = pictures

    inputs: dict[str, Any] = {}

    def data(self) -> MattingData:
        return matting_data(self.folder)

    def make(self) -> BackgroundMatting:
        return BackgroundMatting(
            TimmBackbone("test_efficientnet"),
            PredictedError(),
            TopK(5),
            PatchRefiner(),
            {"alpha": AlphaL1(), "foreground": ForegroundL1(), "error": ErrorMSE()},
            dict.fromkeys(("backbone", "aspp", "decoder", "refiner"), 1e-3),
            base_scale=0.5,
            **self.inputs,
        )


class TestGuidedMatting(TestBackgroundMatting):
    """With a guide in place of the background."""

    inputs = {"guide": MaskGuide(), "captured_background": False}


class TestHeadAlignment(WritesNothing, ModuleContract):
    def data(self) -> HeadData:
        return head_data()

    def make(self) -> HeadAlignment:
        return HeadAlignment(
            TimmBackbone("test_resnet", output_stride=32),
            ConcatFusion(channels=8),
            HeatmapLandmarks(width=16),
            ProceduralHead(),
            {"heatmap": SoftIoUHeatmap(), "vertices": VertexLoss(), "reprojection": ReprojectionLoss(),
             "landmarks": LandmarkL1()},
            dict.fromkeys(("backbone", "fusion", "landmark_branch", "shape_head", "pose_head"), 1e-3),
            image_size=64,
            width=16,
        )  # fmt: skip


def matting_data(folder: Path) -> MattingData:
    """Three cut-outs, a batch of two and of one."""
    squares = MatteFolder(str(folder), str(folder / "bgr"))
    hint: dict[str, Augmentation] = {"guide": AlphaGuide(0.5), "guide_holes": GuideHoles("foreground", 0.5)}
    return MattingData(
        {"one": TrainingStage(squares, canvas=64, batch_size=1)},
        {"flip": HorizontalFlip("foreground"), "noise": SensorNoise(probability=0.5), **hint},
        EvaluationSet(squares, canvas=64, batch_size=2, hint=hint),
        {"sizes as they are": EvaluationSet(squares, backgrounds_each=2, hint=hint)},
        workers=0,
    )


def head_data() -> HeadData:
    """Four heads."""
    heads = SyntheticHeads(count=4, size=32)
    return HeadData(
        HeadTrainingSet(heads),
        {"flip": HeadFlip(), "colour": HeadColour()},
        HeadEvaluationSet(heads, batch_size=2),
        {"crops": HeadEvaluationSet(heads, crops=2)},
        batch_size=2,
        workers=0,
    )


# Models, weights and engines


class TestModels(ModelContract):
    @pytest.fixture(autouse=True, params=zoo.list_models())
    def choose(self, request: pytest.FixtureRequest) -> None:
        self.name = request.param


class TestCatalogue(CatalogueContract):
    name = "ablation_zoo"


class TestLocal(EngineContract):
    def make(self) -> Local:
        return Local()


class TestPrint(EngineContract):
    def make(self) -> Print:
        return Print()


def test_every_slot_has_a_contract() -> None:
    contracts = {cls.slot for cls in vars(zoo.testing).values() if isinstance(cls, type) and hasattr(cls, "slot")}
    others = {"models", "catalogues", "optimizers"}  # data, which is named rather than made, and classes of torch
    assert contracts | others == set(slots())
