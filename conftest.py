"""Surroundings of all tests, and of the examples in docstrings, which run as tests too."""

import gc
import os
import sys
from collections.abc import Iterator
from typing import Any

import lightning.pytorch  # noqa: F401 - its log handler keeps the stream that is there at import
import pytest
from jsonargparse import _typehints

from zoo.core import registry

CLASS_PARSERS: dict[tuple[Any, ...], Any] = getattr(_typehints, "_cached_class_parsers", {})
"""jsonargparse's cache of a parser for each class whose arguments it has parsed."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Run slow tests first, so that no worker is left alone with one at the end."""
    items.sort(key=lambda item: item.get_closest_marker("slow") is None)


@pytest.fixture(autouse=True, scope="session")
def small_scale() -> Iterator[None]:
    """Use one thread, since the images of tests are too small for more; exempt imported modules from collection."""
    import torch

    torch.set_num_threads(1)
    gc.collect()
    gc.freeze()
    yield
    gc.unfreeze()


@pytest.fixture(autouse=True)
def example_surroundings(request: pytest.FixtureRequest) -> None:
    """Run an example in an empty folder and without network."""
    if isinstance(request.node, pytest.DoctestItem):
        monkeypatch = request.getfixturevalue("monkeypatch")
        monkeypatch.setenv("ZOO_OFFLINE", "1")
        monkeypatch.chdir(request.getfixturevalue("tmp_path"))


@pytest.fixture(autouse=True)
def isolation(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Keep seed, arguments and registered classes of each test from the others."""
    environment = {name: os.environ.get(name) for name in ("PL_GLOBAL_SEED", "PL_SEED_WORKERS", "PYTHONSAFEPATH")}
    for name in environment:
        os.environ.pop(name, None)
    monkeypatch.setattr(sys, "argv", ["zoo"])
    modules = set(sys.modules)
    registry.forget_files()  # of fixtures that tests share: each test registers the files that it needs
    before = registry.snapshot()
    yield
    changed = registry.restore(before)
    for name, value in environment.items():
        os.environ.pop(name, None)
        if value is not None:
            os.environ[name] = value
    for name in set(sys.modules) - modules:
        if name.startswith("zoo_plugin_file_"):
            del sys.modules[name]
    if changed:
        for key in [key for key in CLASS_PARSERS if key[0].__module__ not in sys.modules]:
            del CLASS_PARSERS[key]
        gc.collect()  # classes die in cycles, and the parser finds every living subclass
        gc.freeze()  # the next collection need not look at what has survived this one
