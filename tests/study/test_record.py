"""Run ids: what changes them, and what does not."""

import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

import zoo.cli
from zoo.core.plugin_files import load_plugin
from zoo.study import record
from zoo.study.parts import WORKER, for_children
from zoo.study.record import Run, data_files, run_id

PART = '''
"""A selector."""

from zoo.matting.parts import PatchSelector


class Dashes(PatchSelector):
    """Every other row."""

    def forward(self, error):
        """Score."""
        return error / 2
'''


@pytest.fixture(autouse=True)
def fresh() -> Iterator[None]:
    """No test sees another's hashes."""
    record.content_hash.cache_clear()
    yield
    record.content_hash.cache_clear()


def test_the_content_of_a_plugin_file_counts(tmp_path: Path) -> None:
    file = tmp_path / "dashes.py"
    file.write_text(PART)
    load_plugin(str(file))
    settings = {"model": {"class_path": "Dashes", "init_args": {}}, "data": {}}
    before = run_id(settings, 0)
    file.write_text(PART.replace("error / 2", "error / 3"))
    record.content_hash.cache_clear()
    assert run_id(settings, 0) != before


def test_the_version_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = {"model": {"class_path": "TopK", "init_args": {}}, "data": {}}
    before = run_id(settings, 0)
    monkeypatch.setattr(record, "version", lambda name: "99.0")
    assert run_id(settings, 0) != before


def test_the_version_of_a_distribution_with_a_part_counts(install, monkeypatch: pytest.MonkeyPatch) -> None:
    install("stripes", "1.0", {"zoo.selectors": {"Stripes": "stripes:Stripes"}}, {"stripes": ""})
    settings = {"model": {"class_path": "Stripes", "init_args": {}}, "data": {}}
    before = run_id(settings, 0)
    plugin = replace(record.find_plugin("Stripes"), version="1.1")
    monkeypatch.setattr(record, "find_plugin", lambda name: plugin)
    assert run_id(settings, 0) != before


def test_seed_settings_and_the_tested_checkpoint_count_and_places_do_not() -> None:
    settings = {"model": {"class_path": "TopK", "init_args": {"patches": 3}}, "data": {}, "name": "a", "runs": "runs"}
    first = run_id(settings, 0)
    assert run_id(settings | {"name": "b", "runs": "elsewhere", "seed_everything": 9}, 0) == first
    others = [
        run_id(settings, 1),
        run_id(settings | {"trainer": {"max_epochs": 3}}, 0),
        run_id(settings, 0, needs="0123"),
    ]
    assert len({first, *others}) == 4


def test_the_weights_that_a_model_starts_from_count(tmp_path: Path) -> None:
    weights = tmp_path / "weights.pth"
    weights.write_bytes(b"1")
    settings = {"model": {"class_path": "TopK", "init_args": {"checkpoint": str(weights)}}, "data": {}}
    before = run_id(settings, 0)
    weights.write_bytes(b"2")
    record.content_hash.cache_clear()
    assert run_id(settings, 0) != before


def test_files_that_the_data_names_count_but_not_a_cache(tmp_path: Path) -> None:
    (tmp_path / "pictures").mkdir()
    (tmp_path / "pictures" / "a.png").write_bytes(b"1")
    settings = {"train": {"root": str(tmp_path / "pictures"), "cache": str(tmp_path), "split": "train"}}
    before = data_files(settings)
    assert list(before) == [str(tmp_path / "pictures")]
    (tmp_path / "pictures" / "b.png").write_bytes(b"1")
    record.content_hash.cache_clear()
    assert data_files(settings) != before


@pytest.mark.parametrize(
    "words", [WORKER, Run("small", "row", 0, directory=Path("row")).command], ids=["worker", "run"]
)
def test_no_process_imports_from_the_working_directory(words: list[str], tmp_path: Path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("argparse.py").write_text("open('imported', 'w')\nraise SystemExit(3)")
    words = [*words[: words.index("study")], "--version"]
    assert subprocess.run(words, env=for_children(os.environ), stdout=subprocess.DEVNULL).returncode == 0
    script = [sys.executable, zoo.cli.__file__, "--version"]  # as Lightning starts the other processes of a run
    assert subprocess.run(script, env=for_children(os.environ), stdout=subprocess.DEVNULL).returncode == 0
    assert not Path("imported").exists()
