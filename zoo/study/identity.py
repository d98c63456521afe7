"""Which run a result belongs to: a hash of everything that the result follows from.

Resolved settings, seed, the files of the data, and the code. Of the code, what it does counts and not how it reads:
only modules that the settings' parts reach by their imports, without comments, docstrings and layout. So correcting a
sentence leaves results as they are, and changing a loss term does not.
"""

import ast
import hashlib
import importlib.util
import json
import sys
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

from zoo.core.nested import class_names
from zoo.core.registry import find_plugin

PLACES = ("name", "runs", "ckpt_path", "weights_only", "seed_everything")
"""Settings that say where a run is or how it is read; the seed is a part of its own."""

OTHER_ROOTS = ("zoo.runner.lightning",)
"""Modules that shape every run although no part imports them."""


def run_id(settings: Mapping[str, Any], seed: int, after: str | None = None) -> str:
    """The id of a run, 16 hexadecimal digits.

    Args:
        settings: resolved.
        seed: of the run.
        after: id of the run whose checkpoint this one only evaluates.
    """
    content = {
        "settings": {key: value for key, value in settings.items() if key not in PLACES},
        "seed": seed,
        "after": after,
        "data": data_files([settings["model"], settings.get("data")]),
        "code": code_version(frozenset(class_names([settings["model"], settings.get("data")]))),
    }
    return digest(json.dumps(content))  # not sorted: the order of stages and augmentations counts


def digest(text: str) -> str:
    """16 hexadecimal digits of SHA-256."""
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def data_files(settings: Any) -> dict[str, str]:
    """Every file or folder that settings name by a path with a slash, with a hash of what lies there.
    A `cache` is left out, since it fills as it is used.
    """
    found: dict[str, str] = {}
    for text in texts(settings):
        path = Path(text)
        if "/" in text and path.exists():
            found[text] = listing(path)
    return found


def texts(settings: Any) -> Iterator[str]:
    """Every text in plain data, but for those called `cache`."""
    if isinstance(settings, Mapping):
        for key, value in settings.items():
            if key != "cache":
                yield from texts(value)
    elif isinstance(settings, list):
        for value in settings:
            yield from texts(value)
    elif isinstance(settings, str):
        yield settings


@cache
def listing(path: Path) -> str:
    """A hash of a file's content, since all weights of one network have one size; of a folder, of the names and sizes
    of all files in it.
    """
    if path.is_file():
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()[:16]
    files = sorted(file for file in path.rglob("*") if file.is_file())
    return digest("\n".join(f"{file.relative_to(path)} {file.stat().st_size}" for file in files))


@cache
def code_version(classes: frozenset[str]) -> str:
    """A hash of the code behind registered classes: their modules, and all that these import from the same packages, or
    from beside a plugin file.
    """
    plugins = [find_plugin(name) for name in sorted(classes)]
    modules = [plugin.target.partition(":")[0] for plugin in plugins]
    packages = {"zoo"} | {module.split(".")[0] for module in modules}
    beside = {Path(plugin.file).parent for plugin in plugins if plugin.file}
    known: dict[str, str] = {}
    seen: set[str] = set()
    waiting = [*modules, *OTHER_ROOTS]
    while waiting:
        module = waiting.pop()
        if module in seen:
            continue
        seen.add(module)
        file = source_file(module)
        if file is None:
            continue
        package = module if file.name == "__init__.py" else module.rpartition(".")[0]
        known[module], imported = understood(file.read_text(encoding="utf-8"), package)
        for name in imported:
            root = name.split(".")[0]
            if root in packages or (beside and is_in(root, beside)):
                waiting.append(name)
    return digest(json.dumps(known, sort_keys=True))


@cache
def understood(source: str, package: str) -> tuple[str, tuple[str, ...]]:
    """Of the source of a module in a package, a hash of what it does, and what it imports.

    It takes seconds for all modules that a row reaches, of which the rows of a study have most in common.
    """
    tree = ast.parse(source)
    imported = tuple(dict.fromkeys(imports(tree, package)))
    return digest(ast.dump(without_docstrings(tree))), imported


def source_file(module: str) -> Path | None:
    """The Python file of a module; None where it is no module, or has no source."""
    if module in sys.modules:
        name = getattr(sys.modules[module], "__file__", None)
    else:
        try:
            found = importlib.util.find_spec(module)
        except (ModuleNotFoundError, ValueError):
            return None
        name = found.origin if found else None
    return Path(name) if name and name.endswith(".py") else None


def is_in(module: str, folders: Iterable[Path]) -> bool:
    """Whether a module's source is in one of the folders, or is a package there."""
    file = source_file(module)
    return file is not None and (file.parent.parent if file.name == "__init__.py" else file.parent) in folders


def imports(tree: ast.AST, package: str) -> Iterator[str]:
    """The modules that are imported anywhere in a module of a package; what may be a module or a name in one is given
    as both.
    """
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            dots = package.split(".")[: len(package.split(".")) - node.level + 1] if node.level else []
            start = ".".join([*dots, *([node.module] if node.module else [])])
            if start:
                yield start
                yield from (f"{start}.{alias.name}" for alias in node.names)


def without_docstrings(tree: ast.Module) -> ast.Module:
    """The tree without texts that stand alone: docstrings of modules, classes, functions and attributes."""
    for node in ast.walk(tree):
        body: Iterable[ast.stmt] = getattr(node, "body", [])
        if isinstance(body, list):
            kept = [step for step in body if not (isinstance(step, ast.Expr) and is_text(step.value))]
            node.body = kept  # type: ignore[attr-defined]
    return tree


def is_text(node: ast.expr) -> bool:
    """Whether an expression is a text and nothing else."""
    return isinstance(node, ast.Constant) and isinstance(node.value, str)
