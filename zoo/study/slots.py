"""Slots of studies."""

from zoo.core.slots import Slot

SLOTS = [
    Slot("engines", "engine", "zoo.study.parts:Engine"),
]
