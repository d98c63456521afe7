"""The engine that a command line asks for."""

from zoo.core.registry import get_slot
from zoo.study.parts import Engine
from zoo.study.resolve import make_from_options


def make_engine(name: str, options: list[str]) -> Engine:
    """An engine by its name, in any case, with its options (`--engine.slots=2`).

    Raises:
        PluginError: no such engine, or it cannot be loaded.
        ZooError: an option that it does not have.
        ValueError: what the engine needs is not installed.
    """
    slot = get_slot("engines")
    known = {known.lower(): known for known in slot.names()}
    return make_from_options(slot.get(known.get(name.lower(), name)), "engine", options)
