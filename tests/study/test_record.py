"""Run ids: what changes them, and what does not."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from zoo.core.plugin_files import load_plugin_file
from zoo.study import record as identity
from zoo.study.record import code_version, data_files, run_id

PART = '''
"""A selector."""

from zoo.matting.parts import PatchSelector


class Stripes(PatchSelector):
    """Every other row."""

    def forward(self, error):
        """Score."""
        return error / 2
'''


@pytest.fixture(autouse=True)
def fresh() -> Iterator[None]:
    """No test sees another's hashes."""
    identity.code_version.cache_clear()
    identity.listing.cache_clear()
    yield
    identity.code_version.cache_clear()
    identity.listing.cache_clear()


class TestCode:
    @pytest.fixture
    def version(self, install, tmp_path: Path):
        """The version of the code of `Stripes`, with a text in its module replaced."""
        install("stripes", "1.0", {"zoo.selectors": {"Stripes": "stripes:Stripes"}}, {"stripes": PART})

        def compute(old: str = "", new: str = "") -> str:
            sys.modules.pop("stripes", None)
            (tmp_path / "site-packages" / "stripes.py").write_text(PART.replace(old, new, 1))
            identity.code_version.cache_clear()
            return code_version(frozenset({"Stripes"}))

        return compute

    def test_what_it_does_counts(self, version) -> None:
        assert version("error / 2", "error / 3") != version()

    def test_how_it_reads_does_not(self, version) -> None:
        before = version()
        assert version('"""Every other row."""', '"""Each second row."""') == before
        assert version("        return", "        # a comment\n        return") == before

    def test_what_it_imports_counts(self) -> None:
        selectors, refiners = code_version(frozenset({"TopK"})), code_version(frozenset({"PatchRefiner"}))
        assert selectors != refiners
        assert code_version(frozenset({"TopK", "PatchRefiner"})) not in (selectors, refiners)

    def test_what_a_package_imports_from_itself_counts(self, install, tmp_path: Path) -> None:
        install("striped", "1.0", {"zoo.selectors": {"Stripes": "striped.parts.rows:Stripes"}})
        package = tmp_path / "site-packages" / "striped"
        (package / "parts").mkdir(parents=True)
        for file, text in {
            "__init__": "",
            "shared": "half = 2\n",
            "parts/__init__": "",
            "parts/rows": "from ..shared import half\n" + PART,
        }.items():
            (package / f"{file}.py").write_text(text)
        before = code_version(frozenset({"Stripes"}))
        (package / "shared.py").write_text("half = 3\n")
        identity.code_version.cache_clear()
        assert code_version(frozenset({"Stripes"})) != before

    def test_what_lies_beside_a_plugin_file_counts(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.syspath_prepend(tmp_path)
        (tmp_path / "beside.py").write_text("half = 2\n")
        (tmp_path / "dashes.py").write_text("import beside\n" + PART.replace("Stripes", "Dashes"))
        load_plugin_file(str(tmp_path / "dashes.py"))
        before = code_version(frozenset({"Dashes"}))
        (tmp_path / "beside.py").write_text("half = 3\n")
        identity.code_version.cache_clear()
        assert code_version(frozenset({"Dashes"})) != before


def test_seed_settings_and_the_tested_checkpoint_count_and_places_do_not() -> None:
    settings = {"model": {"class_path": "TopK", "init_args": {"patches": 3}}, "data": {}, "name": "a", "runs": "runs"}
    first = run_id(settings, 0)
    assert run_id(settings | {"name": "b", "runs": "elsewhere", "seed_everything": 9}, 0) == first
    others = [
        run_id(settings, 1),
        run_id(settings | {"trainer": {"max_epochs": 3}}, 0),
        run_id(settings, 0, after="0123"),
    ]
    assert len({first, *others}) == 4


def test_the_weights_that_a_model_starts_from_count(tmp_path: Path) -> None:
    weights = tmp_path / "weights.pth"
    weights.write_bytes(b"1")
    settings = {"model": {"class_path": "TopK", "init_args": {"checkpoint": str(weights)}}, "data": {}}
    before = run_id(settings, 0)
    weights.write_bytes(b"2")
    identity.listing.cache_clear()
    assert run_id(settings, 0) != before


def test_files_that_the_data_names_count_but_not_a_cache(tmp_path: Path) -> None:
    (tmp_path / "pictures").mkdir()
    (tmp_path / "pictures" / "a.png").write_bytes(b"1")
    settings = {"train": {"root": str(tmp_path / "pictures"), "cache": str(tmp_path), "split": "train"}}
    before = data_files(settings)
    assert list(before) == [str(tmp_path / "pictures")]
    (tmp_path / "pictures" / "b.png").write_bytes(b"1")
    identity.listing.cache_clear()
    assert data_files(settings) != before
