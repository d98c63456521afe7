"""Slots whose base classes all tasks share.

A task lists its own slots in its `slots.py` and announces them by an entry point in the group `zoo.slots`; see
CONTRIBUTING, "Add a slot". Nothing here changes for a new task.
"""

from zoo.core.slot import Slot

SLOTS = [
    Slot("datasets", "dataset", "zoo.core.parts:SampleSource"),
    Slot("augmentations", "augmentation", "zoo.core.parts:Augmentation"),
    Slot("backbones", "backbone", "zoo.core.parts:Backbone"),
    Slot("losses", "loss term", "zoo.core.parts:LossTerm"),
]
