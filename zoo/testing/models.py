"""Contract of named models."""

import inspect
import json
from typing import Any

import torch

from zoo.core.nested import walk
from zoo.core.registry import find_class, get_slot
from zoo.core.spec import Part, is_spec, without_downloads
from zoo.training.models import create_model


class ModelContract:
    """Contract tests of a named model: a spec that lists every argument and rebuilds itself.

    Example:
        >>> class TestMobileNet(ModelContract):
        ...     name = "bgmv2_mobilenetv2"
        >>> TestMobileNet().test_lists_every_argument()
    """

    name: str
    """Name of the entry point."""

    def spec(self) -> dict[str, Any]:
        """Return the spec that the entry point names."""
        return get_slot("models").get(self.name)

    def test_is_plain_data(self) -> None:
        spec = self.spec()
        assert json.loads(json.dumps(spec)) == spec, f"{self.name} is plain data; got {spec}."

    def test_lists_every_argument(self) -> None:
        for part in (value for _, value in walk(self.spec()) if is_spec(value)):
            cls = find_class(part["class_path"])
            if not issubclass(cls, Part):
                continue  # an optimizer, whose arguments are torch's
            _, *parameters = inspect.signature(cls.__init__).parameters.values()
            expected = {each.name for each in parameters if each.kind not in (each.VAR_POSITIONAL, each.VAR_KEYWORD)}
            lacking, extra = expected - set(part.get("init_args", {})), set(part.get("init_args", {})) - expected
            assert not (lacking | extra) - {"checkpoint"}, (
                f"{self.name} lists every argument of {part['class_path']}, so that each can be replaced by its key; "
                f"it lacks {sorted(lacking)} and has {sorted(extra)} too many."
            )

    def test_rebuilds_itself(self) -> None:
        before = json.dumps(self.spec())
        with torch.device("meta"):
            module = create_model(self.name)
        assert isinstance(module, Part), f"{self.name} is a part; got {type(module).__name__}."
        rebuilt, expected = without_downloads(module.spec)["init_args"], without_downloads(self.spec())["init_args"]
        assert rebuilt == expected, f"a model made from {self.name} has the same spec; got {rebuilt}."
        assert json.dumps(self.spec()) == before, f"making a model from {self.name} leaves the spec as it was."
