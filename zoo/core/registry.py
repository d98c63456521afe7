"""All slots and their plugins, found by entry point.

A distribution announces slots in the entry-point group `zoo.slots`; each entry points to a list of `Slot`. So a task
registers its own slots, and a new task changes nothing here. Finding slots and names imports neither torch nor plugins.
"""

from functools import cache

from zoo.core.distributions import announced
from zoo.core.slot import Plugin, PluginError, Slot, load_target, nearest


@cache
def slots() -> dict[str, Slot]:
    """Return every announced slot by its name, cached after the first call.

    Raises:
        PluginError: an announced list of slots cannot be imported, or two slots have one name.
    """
    by_name: dict[str, Slot] = {}
    for entry in announced().entries:
        if entry.group != "zoo.slots":
            continue
        origin = f"{entry.distribution} {entry.version}"
        try:
            own = load_target(entry.target)
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # the module of a distribution may raise anything at import
            raise PluginError(f"the slots of {origin} cannot be loaded: {type(error).__name__}: {error}") from error
        for slot in own:
            if slot.name in by_name:
                raise PluginError(f"the slot '{slot.name}' is announced twice, the second time by {origin}.")
            by_name[slot.name] = slot
    return by_name


def snapshot() -> dict[str, tuple[dict, dict, dict]]:
    """Return which plugins are imported, registered from files and failed, for `restore`; for tests."""
    return {name: (dict(slot.failures), dict(slot.loaded), dict(slot.from_files)) for name, slot in slots().items()}


def restore(before: dict[str, tuple[dict, dict, dict]]) -> bool:
    """Forget the plugins imported or registered since a `snapshot`; return whether there were any; for tests."""
    changed = any(
        slot.loaded != before[name][1] or slot.from_files != before[name][2] for name, slot in slots().items()
    )
    for name, slot in slots().items():
        slot.failures, slot.loaded, slot.from_files = before[name]
    return changed


def forget_files() -> None:
    """Forget all plugins that are registered from files; for tests."""
    for slot in slots().values():
        slot.from_files.clear()


def get_slot(name: str) -> Slot:
    """Return the slot of this name; PluginError lists the known names.

    Example:
        >>> get_slot("selectors").get("TopK")(patches=3).spec
        {'class_path': 'TopK', 'init_args': {'patches': 3, 'fixed_count': False}}
    """
    if name not in slots():
        raise PluginError(f"no slot named '{name}'{nearest(name, list(slots()))}")
    return slots()[name]


def find_plugin(name: str) -> Plugin:
    """Return the plugin of this name from any slot; PluginError for an unknown name or one of several plugins.

    Example:
        >>> find_plugin("AlphaL1").slot, find_plugin("AlphaL1").distribution
        ('losses', 'ablation-zoo')
    """
    claims = [plugin for slot in slots().values() for plugin in slot.plugins().get(name, [])]
    if not claims:
        known = [known for slot in slots().values() for known in slot.names()]
        raise PluginError(
            f"no plugin named '{name}' is registered here{nearest(name, known, listed=False)} "
            "Install the distribution that provides it, give its file with --plugin, or zoo.register its class."
        )
    if len(claims) > 1:
        owners = " and ".join(f"{claim.origin} (zoo.{claim.slot})" for claim in claims)
        raise PluginError(f"the name '{name}' is provided by {owners}: uninstall one of them, none is preferred.")
    return claims[0]


def find_class(name: str) -> type:
    """Return the class of this registered name from any slot; PluginError for the name of data."""
    slot = get_slot(find_plugin(name).slot)
    if slot.base is None:
        raise PluginError(f"'{name}' is a {slot.word}, which is data; expected the name of a class.")
    return slot.get(name)


def load_plugins() -> None:
    """Import every plugin of every slot; the slots hold the failures."""
    for slot in slots().values():
        slot.load_all()
