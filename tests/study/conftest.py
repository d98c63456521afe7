"""A study of the tiny configuration, and what running it once left behind."""

import contextlib
import io
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest

import zoo.cli
from zoo.core import registry

STUDY = """
name: small
base: tiny.yaml
plugins: [tiny.py]
baseline: by error
seeds: [0]
sizes: {square: [64, 64]}
metrics: {test/one/sad: lower, test/one/mse: {direction: lower, label: MSE}}
rows:
  by error: {}
  at random: {changes: {model.selector: {class_path: RandomPatches, init_args: {patches: 10}}}, note: a question}
  five: {changes: {model.selector.patches: 5}, evaluate_only: true}
"""


class Small(NamedTuple):
    """The study's file, and the folder with its results."""

    file: Path
    runs: Path

    def run(self, row: str, seed: int = 0) -> Path:
        """The directory of a run."""
        return self.runs / "small" / row / f"seed_{seed}"

    @property
    def options(self) -> tuple[str, ...]:
        """What `run` and `status` need."""
        return (str(self.file), "--runs", str(self.runs))


@pytest.fixture
def written(tiny) -> Callable[..., Path]:
    """Writes the study beside the tiny configuration, with texts in it replaced: old, new, old, new, …"""

    def write(*texts: str) -> Path:
        study = STUDY
        for old, new in zip(texts[::2], texts[1::2], strict=True):
            assert old in study
            study = study.replace(old, new, 1)
        file = tiny.folder / "small.yaml"
        file.write_text(study)
        return file

    return write


@pytest.fixture(scope="session")
def finished(shared_tiny, tmp_path_factory: pytest.TempPathFactory) -> Small:
    """The study, run to its end. Shared: tests only read it."""
    file = shared_tiny.folder / "small.yaml"
    file.write_text(STUDY)
    small = Small(file, tmp_path_factory.mktemp("studies"))
    output = io.StringIO()
    with contextlib.redirect_stdout(output), contextlib.redirect_stderr(output):
        registry.forget_files()
        code = zoo.cli.main(["study", "run", *small.options])
        registry.forget_files()
    os.environ.pop("PL_GLOBAL_SEED", None)
    assert code == 0, output.getvalue()
    return small


@pytest.fixture
def small(finished: Small, tmp_path: Path) -> Small:
    """The finished study with a copy of its results that a test may change."""
    shutil.copytree(finished.runs, tmp_path / "results")
    return Small(finished.file, tmp_path / "results")
