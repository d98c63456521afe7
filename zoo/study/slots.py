"""Slots of studies."""

from zoo.core.slot import Slot

SLOTS = [
    Slot("engines", "engine", "zoo.study.parts:Engine"),
]
