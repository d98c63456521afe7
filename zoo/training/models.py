"""Models by name: a named model is a spec, and `create_model` builds it with some of its arguments replaced."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from zoo.core.registry import get_slot
from zoo.core.slot import nearest
from zoo.core.spec import Spec, build, copy_plain, is_spec, without_downloads

if TYPE_CHECKING:
    from zoo.training.module import TrainingModule


def create_model(name: str, checkpoint: str | None = None, **replacements: Any) -> "TrainingModule":
    """Return a model by its name, in training mode.

    Args:
        name: one of `zoo.list_models()`, such as `bgmv2_resnet50`.
        checkpoint: initial weights: a file, ours or official, or a catalogue name. Pretrained weights of timm are then
            not downloaded.
        replacements: arguments of the module that replace those of the named model. The value of a slot is a name
            ("RandomPatches"), a spec ({"class_path": "TopK", "init_args": {"patches": 20000}}) or a part; it replaces
            the whole slot.

    Raises:
        PluginError: unknown model or part.
        ZooError: the weights do not fit.
        ValueError: an argument that the module does not have, or parts that do not fit together.

    Example:
        >>> backbone = {"class_path": "TimmBackbone", "init_args": {"name": "test_efficientnet"}}
        >>> model = create_model("bgmv2_mobilenetv2", backbone=backbone, selector="RandomPatches")
        >>> type(model.network.selector).__name__
        'RandomPatches'
    """
    return build(named_spec(name, checkpoint, replacements))


def named_spec(name: str, checkpoint: str | None, replacements: Mapping[str, Any]) -> Spec:
    """Return the spec that `create_model` builds, with the same arguments."""
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
    """Return a model with its weights, in evaluation mode.

    Args:
        source: a checkpoint file; a name from `zoo pull --list` (`MODEL-WEIGHTS`, or `MODEL` for its default weights);
            or `hf://OWNER/REPO`, what `zoo push` wrote to the Hugging Face Hub. Files are downloaded once.

    Raises:
        ZooError: the file is missing, unsafe, of another origin, or does not fit.
        ValueError: the name is unknown or its weights cannot be pulled, see `zoo.pull`.

    Example:
        >>> load("runs/last.ckpt")
        Traceback (most recent call last):
        zoo.core.errors.ZooError: there is no checkpoint at runs/last.ckpt.
    """
    from zoo.hub.pull import catalogue_entry, weights_file
    from zoo.weights.reading import rebuild

    entry = catalogue_entry(str(source))
    if entry is not None and entry.model is not None:
        return build(named_spec(entry.model, str(source), entry.arguments)).eval()
    return rebuild(weights_file(str(source))).eval()
