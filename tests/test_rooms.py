"""Rooms of the package: imports point one way, without a circle.

The graph comes from the source of every file, including imports inside functions and for type checking.
"""

import ast
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGES = {"zoo": ROOT / "zoo", "zoo_plugins": ROOT / "plugins" / "zoo_plugins"}
ORDER = [
    "core", "media", "measure", "hub", "weights", "training", "matting", "heads", "runner", "study", "testing", "demo",
    "commands", "cli",
]  # fmt: skip
"""Rooms from the ground up: a module imports only rooms before its own."""

TASKS = {"matting", "heads"}


def modules() -> dict[str, Path]:
    """Return every module of both packages with its file."""
    found = {}
    for package, folder in PACKAGES.items():
        for path in folder.rglob("*.py"):
            words = [package, *path.relative_to(folder).with_suffix("").parts]
            found[".".join(words).removesuffix(".__init__")] = path
    return found


MODULES = modules()


def imports(module: str) -> set[str]:
    """Return the modules of both packages that a module imports anywhere in its file."""
    found = set()
    for node in ast.walk(ast.parse(MODULES[module].read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {owner(alias.name) for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module is not None:
            assert node.level == 0, f"{module} imports relatively"
            found |= {owner(f"{node.module}.{alias.name}") for alias in node.names}
    return found - {"", module}


def owner(name: str) -> str:
    """Return the module that contains a dotted name; empty for other packages."""
    while name and name not in MODULES:
        name = name.rpartition(".")[0]
    return name


GRAPH = {module: imports(module) for module in MODULES}


def room(module: str) -> str:
    """Return the room of a module of `zoo`."""
    return module.split(".")[1]


def is_later(one: str, other: str) -> bool:
    """Return whether a room comes after another in the order."""
    return ORDER.index(one) > ORDER.index(other)


def against_the_order() -> Iterator[str]:
    """Yield every import of a later room, of another task, or of `zoo_plugins` by `zoo`."""
    for module in MODULES:
        if module.startswith("zoo."):
            for other in GRAPH[module]:
                inside = other.startswith("zoo.")
                if not inside or is_later(room(other), room(module)) or {room(other), room(module)} == TASKS:
                    yield f"{module} imports {other}"


def test_every_room_is_known() -> None:
    assert {room(module) for module in MODULES if module.startswith("zoo.")} == set(ORDER)


def test_imports_point_one_way() -> None:
    assert list(against_the_order()) == []


def test_nothing_imports_in_a_circle() -> None:
    try:
        list(TopologicalSorter(GRAPH).static_order())
    except CycleError as error:
        pytest.fail(" -> ".join(error.args[1]))


def test_the_ground_stays_small() -> None:
    lines = {path: len(path.read_text(encoding="utf-8").splitlines()) for path in (ROOT / "zoo" / "core").glob("*.py")}
    assert sum(lines.values()) <= 1400, lines


def test_the_ground_knows_no_task_and_no_training() -> None:
    for module in MODULES:
        if module.startswith("zoo.core"):
            text = MODULES[module].read_text(encoding="utf-8")
            assert "import lightning" not in text, module
            assert "from lightning" not in text, module
