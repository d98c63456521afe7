"""Contract tests: the promises of each slot, which authors of plugins run against their parts.

A contract is a class of plain test methods; pytest runs them in a subclass. Nothing here imports pytest. A failure
names the broken promise.

Example:
    >>> from zoo_plugins.selectors import TopK
    >>> class TestTopK(SelectorContract):
    ...     def make(self): return TopK(patches=5)
"""

from zoo.testing.augmentations import HeadAugmentationContract, MattingAugmentationContract
from zoo.testing.backbones import BackboneContract
from zoo.testing.catalogues import CatalogueContract
from zoo.testing.data_modules import DataModuleContract
from zoo.testing.datasets import HeadDatasetContract, MattingDatasetContract
from zoo.testing.engines import EngineContract
from zoo.testing.head_parts import DetectorContract, FusionContract, HeadModelContract, LandmarkBranchContract
from zoo.testing.losses import HeadLossContract, MattingLossContract
from zoo.testing.matting_parts import (
    ContextContract,
    ErrorMapContract,
    GuideContract,
    RefinerContract,
    SelectorContract,
)
from zoo.testing.models import ModelContract
from zoo.testing.modules import ModuleContract
from zoo.testing.networks import NetworkPartContract
from zoo.testing.parts import PartContract

__all__ = [
    "BackboneContract", "CatalogueContract", "ContextContract", "DataModuleContract", "DetectorContract",
    "EngineContract", "ErrorMapContract", "FusionContract", "GuideContract", "HeadAugmentationContract",
    "HeadDatasetContract", "HeadLossContract", "HeadModelContract", "LandmarkBranchContract",
    "MattingAugmentationContract", "MattingDatasetContract", "MattingLossContract", "ModelContract", "ModuleContract",
    "NetworkPartContract", "PartContract", "RefinerContract", "SelectorContract",
]  # fmt: skip
