"""The contract of named models."""

import inspect
import json
from collections.abc import Iterator
from typing import Any

import torch

from zoo.core.registry import find_class, get_slot
from zoo.core.spec import Part, is_spec
from zoo.training.models import create_model


class ModelContract:
    """What a named model promises: plain data that lists every argument and rebuilds itself."""

    name: str
    """As in the entry point."""

    def spec(self) -> dict[str, Any]:
        """What the entry point names."""
        return get_slot("models").get(self.name)

    def test_is_plain_data(self) -> None:
        spec = self.spec()
        assert json.loads(json.dumps(spec)) == spec, f"{self.name} is plain data; got {spec}."

    def test_lists_every_argument(self) -> None:
        for part in parts(self.spec()):
            wanted = arguments(find_class(part["class_path"])) - {"checkpoint"}
            given = set(part.get("init_args", {})) - {"checkpoint"}
            assert given == wanted, (
                f"{self.name} lists every argument of {part['class_path']}, so that each can be replaced by its key; "
                f"it lacks {sorted(wanted - given)} and has {sorted(given - wanted)} too many."
            )

    def test_rebuilds_itself(self) -> None:
        before = json.dumps(self.spec())
        with torch.device("meta"):
            module = create_model(self.name)
        assert isinstance(module, Part), f"{self.name} is a part; got {type(module).__name__}."
        rebuilt = {key: value for key, value in module.spec["init_args"].items() if key != "checkpoint"}
        expected = {key: value for key, value in self.spec()["init_args"].items() if key != "checkpoint"}
        assert rebuilt == expected, f"a model made from {self.name} has the same spec; got {rebuilt}."
        assert json.dumps(self.spec()) == before, f"making a model from {self.name} leaves the spec as it was."


def parts(value: Any) -> Iterator[dict[str, Any]]:
    """Every spec in plain data, the outer ones first."""
    if is_spec(value):
        yield value
    for inner in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from parts(inner)


def arguments(cls: type) -> set[str]:
    """Names of a constructor's arguments."""
    _, *parameters = inspect.signature(cls.__init__).parameters.values()  # type: ignore[misc]
    return {each.name for each in parameters if each.kind not in (each.VAR_POSITIONAL, each.VAR_KEYWORD)}
