"""Models by name: a named model is a spec, and `create_model` builds it with some of its arguments replaced."""

from typing import TYPE_CHECKING, Any

from zoo.core.registry import get_slot, nearest
from zoo.core.spec import build, copy_plain, is_spec, without_downloads

if TYPE_CHECKING:
    from zoo.core.training import TrainingModule


def create_model(name: str, checkpoint: str | None = None, **replacements: Any) -> "TrainingModule":
    """A model by its name, in training mode.

    Args:
        name: one of `zoo.list_models()`, such as `bgmv2_resnet50`.
        checkpoint: weights to start from: ours, or the official ones of the network; then timm's pretrained weights are
            not downloaded.
        replacements: arguments of the model's module in place of the named model's. The value of a slot is a name
            ("RandomPatches"), a spec ({"class_path": "TopK", "init_args": {"patches": 20000}}) or a part; it replaces
            the slot as a whole.

    Raises:
        PluginError: unknown model or part.
        CheckpointError: the weights do not fit.
        ValueError: an argument that the module does not have, or parts that do not go together.
    """
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
    return build(spec)


def load(source: str) -> "TrainingModule":
    """A model from a checkpoint file, in evaluation mode.

    Raises:
        CheckpointError: the file is missing, unsafe, of another origin, or does not fit.
    """
    from zoo.core.checkpoint import rebuild

    return rebuild(source).eval()
