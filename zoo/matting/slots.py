"""Slots of background matting, announced in pyproject.toml under `zoo.slots`."""

from zoo.core.slot import Slot

SLOTS = [
    Slot("contexts", "context", "zoo.matting.parts:Context"),
    Slot("guides", "guide", "zoo.matting.parts:Guide"),
    Slot("selectors", "patch selector", "zoo.matting.parts:PatchSelector"),
    Slot("error_maps", "error map", "zoo.matting.parts:ErrorMap"),
    Slot("refiners", "refiner", "zoo.matting.parts:Refiner"),
]
