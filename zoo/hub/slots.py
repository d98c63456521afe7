"""Slots of the hub."""

from zoo.core.slot import Slot

SLOTS = [
    Slot("catalogues", "catalogue", None, reader="zoo.hub.catalogue:read_catalogue"),
]
