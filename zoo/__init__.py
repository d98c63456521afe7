"""Ablation Zoo: models in which an ablation is a combination of plugins.

    import zoo

    zoo.list_models("bgmv2*")
    model = zoo.create_model("bgmv2_resnet50", selector={"class_path": "TopK", "init_args": {"patches": 20000}})
    model = zoo.load("runs/matting/version_0/checkpoints/last.ckpt")
    path = zoo.pull("bgmv2_resnet50-official")
    zoo.load_plugin("my_part.py")

Importing this package imports neither torch nor any plugin.
"""

from fnmatch import fnmatch
from typing import TYPE_CHECKING, Any

from zoo.core.registry import get_slot

if TYPE_CHECKING:
    from zoo.core.plugin_files import load_plugin, register
    from zoo.hub.pull import pull
    from zoo.training.models import create_model, load

__all__ = ["create_model", "list_models", "list_plugins", "load", "load_plugin", "pull", "register"]
__version__ = "0.2.0"


def list_models(pattern: str = "*") -> list[str]:
    """Return the names of all models that match a shell pattern, sorted.

    Example:
        >>> list_models("bgmv2_resnet*")
        ['bgmv2_resnet101', 'bgmv2_resnet50']
    """
    return [name for name in get_slot("models").names() if fnmatch(name, pattern)]


def list_plugins(slot: str) -> list[str]:
    """Return the names of all plugins in a slot, sorted; PluginError for an unknown slot.

    Example:
        >>> list_plugins("refiners")
        ['NoRefiner', 'PatchRefiner']
    """
    return get_slot(slot).names()


def __getattr__(name: str) -> Any:
    if name in ("create_model", "load"):
        from zoo.training import models

        return getattr(models, name)
    if name == "pull":
        from zoo.hub.pull import pull

        return pull
    if name in ("load_plugin", "register"):
        from zoo.core import plugin_files

        return getattr(plugin_files, name)
    raise AttributeError(f"module 'zoo' has no attribute '{name}'")
