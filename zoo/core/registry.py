"""Every slot and every plugin in it, found by entry point.

A distribution announces slots in the entry-point group `zoo.slots`: each entry leads to a list of `Slot`. So a task
registers its own slots, and a new task changes nothing here. Finding slots and names imports neither torch nor plugins.
"""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

from zoo.core.distributions import announced
from zoo.core.slots import Plugin, PluginError, Slot, load_target, nearest


@cache
def slots() -> dict[str, Slot]:
    """Return every announced slot by its name; the same objects each time.

    Raises:
        PluginError: an announced list of slots cannot be imported, or two slots have one name.
    """
    found: dict[str, Slot] = {}
    for entry in announced().entries:
        if entry.group != "zoo.slots":
            continue
        origin = f"{entry.distribution} {entry.version}"
        try:
            own = load_target(entry.target)
        except Exception as error:  # the module of a distribution may raise anything at import
            raise PluginError(f"the slots of {origin} cannot be loaded: {type(error).__name__}: {error}") from error
        for slot in own:
            if slot.name in found:
                raise PluginError(f"the slot '{slot.name}' is announced twice, the second time by {origin}.")
            found[slot.name] = slot
    return found


def loaded_names() -> dict[str, list[str]]:
    """Return, for each slot, the names whose class is imported or was registered from a file."""
    return {name: sorted([*slot.loaded, *slot.from_files]) for name, slot in slots().items()}


@contextmanager
def isolated() -> Iterator[None]:
    """Forget, after the block, every plugin that the block loaded or registered; for tests."""
    before = [(slot, dict(slot.failures), dict(slot.loaded), dict(slot.from_files)) for slot in slots().values()]
    try:
        yield
    finally:
        for slot, failures, loaded, from_files in before:
            slot.failures, slot.loaded, slot.from_files = failures, loaded, from_files


def get_slot(name: str) -> Slot:
    """The slot of this name (`selectors`); PluginError names the known ones."""
    if name not in slots():
        raise PluginError(f"no slot named '{name}'{nearest(name, list(slots()))}")
    return slots()[name]


def find_plugin(name: str) -> Plugin:
    """The plugin of this name in whichever slot has it; PluginError when no slot has it, or more than one plugin."""
    claims = [plugin for slot in slots().values() for plugin in slot.plugins().get(name, [])]
    if not claims:
        known = [known for slot in slots().values() for known in slot.names()]
        raise PluginError(
            f"no plugin named '{name}' is registered here{nearest(name, known, listed=False)} "
            "Install the distribution that provides it, or give its file with --plugin."
        )
    if len(claims) > 1:
        owners = " and ".join(f"{claim.origin} (zoo.{claim.slot})" for claim in claims)
        raise PluginError(f"the name '{name}' is provided by {owners}: uninstall one of them, none is preferred.")
    return claims[0]


def find_class(name: str) -> type:
    """The class of this registered name, whichever slot has it; PluginError where it names data."""
    slot = get_slot(find_plugin(name).slot)
    if slot.base is None:
        raise PluginError(f"'{name}' is a {slot.word}, which is data; expected the name of a class.")
    return slot.get(name)


def load_plugins() -> None:
    """Import every plugin of every slot, so that all class names are known; failures are kept in the slots."""
    for slot in slots().values():
        slot.load_all()


def all_failures() -> Iterator[tuple[Plugin | None, str, BaseException]]:
    """What failed to load so far: the plugin (None when ambiguous), its name and the error."""
    for slot in slots().values():
        claims = slot.plugins()
        for name, error in slot.failures.items():
            yield (claims[name][0] if len(claims.get(name, [])) == 1 else None), name, error


def imported(path: str) -> Any:
    """The class at an import path (`package.module.Class`) if it is imported already, otherwise None."""
    module, _, name = path.rpartition(".")
    return getattr(sys.modules.get(module), name, None)
