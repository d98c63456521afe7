"""Contract of the parts of every slot: name, explicit arguments, spec, copies."""

import copy
import inspect
import json
import os
import pickle
import random
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch

from zoo.core.registry import find_plugin, get_slot
from zoo.core.slot import PluginError
from zoo.core.spec import build


class PartContract(ABC):
    """Contract tests of a part: its name, arguments, spec and copies.

    Example:
        >>> from zoo_plugins.selectors import TopK
        >>> class TestTopK(PartContract):
        ...     slot = "selectors"
        ...     def make(self): return TopK(patches=5)
        >>> TestTopK().test_is_rebuilt_from_its_spec()
    """

    slot: str
    """Name of the part's slot; the contracts of slots set it."""

    @abstractmethod
    def make(self) -> Any:
        """Return the part with arguments of your choice, a new one at every call."""

    def name(self) -> str:
        """Return the name of the part's class."""
        if not hasattr(self, "_name"):
            self._name = type(self.make()).__name__
        return self._name

    def test_is_registered_under_the_name_of_its_class(self) -> None:
        cls = type(self.make())
        try:
            plugin = find_plugin(cls.__name__)
            registered = get_slot(plugin.slot).get(plugin.name)
        except PluginError as error:
            raise AssertionError(
                f"{cls.__name__} is found by its name: add the entry point {cls.__name__} = "
                f"'{cls.__module__}:{cls.__name__}' in the group zoo.{self.slot} and install the distribution ({error})"
            ) from error
        assert plugin.slot == self.slot, f"{cls.__name__} is registered in zoo.{plugin.slot}; expected zoo.{self.slot}."
        assert registered is cls, f"the name {cls.__name__} stands for {registered}; expected {cls}."

    def test_arguments_are_explicit_and_typed(self) -> None:
        cls = type(self.make())
        _, *parameters = inspect.signature(cls.__init__).parameters.values()
        for argument in parameters:
            if argument.kind in (argument.VAR_POSITIONAL, argument.VAR_KEYWORD):
                assert "__init__" not in vars(cls), f"{cls.__name__} names each of its arguments; got {argument}."
                continue
            assert argument.annotation is not argument.empty, (
                f"{cls.__name__} gives each argument a type, so that the command line can read it; "
                f"'{argument.name}' has none."
            )

    def test_is_rebuilt_from_its_spec(self) -> None:
        part = self.make()
        name, spec = type(part).__name__, part.spec
        assert json.loads(json.dumps(spec)) == spec, f"{name}'s arguments are plain data; got {spec}."
        rebuilt = build(spec)
        assert type(rebuilt) is type(part), f"{name}'s spec rebuilds it; got {rebuilt!r}."
        assert rebuilt.spec == spec, f"{name} rebuilt from its spec has the same one; got {rebuilt.spec} from {spec}."

    def test_survives_pickle_and_deepcopy(self) -> None:
        part = self.make()
        for way, copied in (("pickle", pickle.loads(pickle.dumps(part))), ("deepcopy", copy.deepcopy(part))):
            assert copied.spec == part.spec, f"{type(part).__name__} keeps its spec under {way}; got {copied.spec}."


@contextmanager
def run_seed(seed: int) -> Iterator[None]:
    """Seed the block as in a run: parts, torch, NumPy and Python; restore all generators afterwards.

    Example:
        >>> with run_seed(1):
        ...     first = torch.rand(2)
        >>> with run_seed(1):
        ...     assert torch.equal(first, torch.rand(2))
    """
    before = os.environ.get("PL_GLOBAL_SEED")
    os.environ["PL_GLOBAL_SEED"] = str(seed)
    states = random.getstate(), np.random.get_state()
    try:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            np.random.seed(seed)
            random.seed(seed)
            yield
    finally:
        random.setstate(states[0])
        np.random.set_state(states[1])
        del os.environ["PL_GLOBAL_SEED"]
        if before is not None:
            os.environ["PL_GLOBAL_SEED"] = before
