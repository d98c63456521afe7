"""Slots of 3D heads, announced in pyproject.toml under `zoo.slots`."""

from zoo.core.slot import Slot

SLOTS = [
    Slot("head_models", "head model", "zoo.heads.mesh:HeadModel"),
    Slot("fusions", "fusion", "zoo.heads.parts:Fusion"),
    Slot("landmark_branches", "landmark branch", "zoo.heads.parts:LandmarkBranch"),
    Slot("detectors", "detector", "zoo.heads.parts:Detector"),
]
