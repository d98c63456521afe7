"""Models by name: a named model is a spec, and `create_model` builds it with some of its arguments replaced."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from zoo.core.registry import get_slot
from zoo.core.slots import nearest
from zoo.core.spec import Spec, build, copy_plain, is_spec, without_downloads

if TYPE_CHECKING:
    from zoo.training.module import TrainingModule


def create_model(name: str, checkpoint: str | None = None, **replacements: Any) -> "TrainingModule":
    """A model by its name, in training mode.

    Args:
        name: one of `zoo.list_models()`, such as `bgmv2_resnet50`.
        checkpoint: weights to start from: ours, or the official ones of the network, a file or a catalogue name; then
            timm's pretrained weights are not downloaded.
        replacements: arguments of the model's module in place of the named model's. The value of a slot is a name
            ("RandomPatches"), a spec ({"class_path": "TopK", "init_args": {"patches": 20000}}) or a part; it replaces
            the slot as a whole.

    Raises:
        PluginError: unknown model or part.
        ZooError: the weights do not fit.
        ValueError: an argument that the module does not have, or parts that do not go together.
    """
    return build(named_spec(name, checkpoint, replacements))


def named_spec(name: str, checkpoint: str | None, replacements: Mapping[str, Any]) -> Spec:
    """The spec of a named model with some of its arguments replaced; as `create_model`, which builds it."""
    spec = copy_plain(get_slot("models").get(name))
    arguments = spec["init_args"]
    for key, value in replacements.items():
        if key not in arguments:
            raise ValueError(f"{name} has no argument '{key}'{nearest(key, list(arguments))}")
        arguments[key] = (
            {"class_path": value} if isinstance(value, str) and is_spec(arguments[key]) else copy_plain(value)
        )
    arguments["checkpoint"] = checkpoint
    if checkpoint is not None and "backbone" in arguments:
        arguments["backbone"] = without_downloads(arguments["backbone"])
    return spec


def load(source: str | Path) -> "TrainingModule":
    """A model with its weights, in evaluation mode.

    Args:
        source: a checkpoint file, or a name from `zoo pull --list` (`MODEL-WEIGHTS`, or `MODEL` for its default
            weights), which is pulled if need be.

    Raises:
        ZooError: the file is missing, unsafe, of another origin, or does not fit.
        ValueError: the name is unknown or its weights cannot be had, see `zoo.pull`.
    """
    from zoo.hub.pull import catalogue_entry, weights_file
    from zoo.weights.checkpoint import rebuild

    entry = catalogue_entry(str(source))
    if entry is not None and entry.model is not None:
        return build(named_spec(entry.model, str(source), entry.arguments)).eval()
    return rebuild(weights_file(str(source))).eval()
