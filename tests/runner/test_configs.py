"""The folder of shipped configurations, and names for those in it."""

from pathlib import Path

import pytest

from zoo.runner.configs import CONFIGS, shipped


def test_a_shipped_configuration_is_found_by_its_short_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("matting/quickstart", "matting/quickstart.yaml"):
        assert shipped(name) == CONFIGS / "matting" / "quickstart.yaml"


def test_a_file_of_the_user_s_comes_before_a_shipped_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "matting").mkdir()
    (tmp_path / "matting" / "quickstart.yaml").write_text("name: mine\n")
    assert shipped("matting/quickstart.yaml").resolve() == tmp_path / "matting" / "quickstart.yaml"


def test_what_is_no_configuration_is_left_for_the_parser_to_refuse() -> None:
    assert shipped("nothing.yaml") == Path("nothing.yaml")
