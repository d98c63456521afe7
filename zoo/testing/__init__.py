"""Contract tests: what each slot promises, to be run against a plugin by its author.

    from zoo.testing import SelectorContract

    class TestStripes(SelectorContract):
        def make(self):
            return Stripes(rows=2)

Every contract is a class of plain test methods, which pytest finds in the subclass; nothing here imports pytest. A
failure says which promise of the slot was broken.
"""

from zoo.testing.augmentations import HeadAugmentationContract, MattingAugmentationContract
from zoo.testing.backbones import BackboneContract
from zoo.testing.catalogues import CatalogueContract
from zoo.testing.data_modules import DataModuleContract
from zoo.testing.datasets import HeadDatasetContract, MattingDatasetContract
from zoo.testing.engines import EngineContract
from zoo.testing.error_maps import ErrorMapContract
from zoo.testing.fusions import FusionContract
from zoo.testing.head_models import HeadModelContract
from zoo.testing.landmark_branches import LandmarkBranchContract
from zoo.testing.losses import HeadLossContract, MattingLossContract
from zoo.testing.models import ModelContract
from zoo.testing.modules import ModuleContract
from zoo.testing.networks import NetworkPartContract
from zoo.testing.parts import PartContract
from zoo.testing.refiners import RefinerContract
from zoo.testing.selectors import SelectorContract

__all__ = [
    "BackboneContract",
    "CatalogueContract",
    "DataModuleContract",
    "EngineContract",
    "ErrorMapContract",
    "FusionContract",
    "HeadAugmentationContract",
    "HeadDatasetContract",
    "HeadLossContract",
    "HeadModelContract",
    "LandmarkBranchContract",
    "MattingAugmentationContract",
    "MattingDatasetContract",
    "MattingLossContract",
    "ModelContract",
    "ModuleContract",
    "NetworkPartContract",
    "PartContract",
    "RefinerContract",
    "SelectorContract",
]
