"""`zoo study`: the words it understands, and what it prints."""

from collections.abc import Callable
from pathlib import Path

import pytest

STUDY = """
base: tiny.yaml
plugins: [tiny.py]
baseline: by error
metrics: {test/one/sad: lower}
sizes: {square: [64, 64]}
seeds: [0, 4]
rows:
  by error: {}
  five: {changes: {model.selector.patches: 5}, evaluate_only: true, note: fewer}
"""


@pytest.fixture
def study(tiny) -> Path:
    """A study of two rows."""
    file = tiny.folder / "two.yaml"
    file.write_text(STUDY)
    return file


def test_plan_shows_what_rows_change_and_cost(study: Path, command: Callable, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "140")
    outcome = command("study", "plan", study)
    assert outcome.code == 0, outcome.err
    assert "model.selector.patches: 20 → 5" in outcome.out
    assert "tests the baseline's checkpoint" in outcome.out
    assert "1.38 M" in outcome.out
    assert "GMACs square" in outcome.out
    assert "6 runs with 2 seeds, 4 trainings, 2 the baseline with other seeds." in outcome.out
    assert not Path("studies").exists()


@pytest.mark.slow
def test_plan_estimates_how_long_training_takes(study: Path, command: Callable, tiny) -> None:
    study.write_text(STUDY.replace("seeds:", "set: {trainer.max_epochs: 1000, data.batch_size: 1}\nseeds:"))
    outcome = command("study", "plan", study, "--measure")
    assert outcome.code == 0, outcome.err
    assert "of training, one run at a time." in outcome.out
    assert not Path("runs").exists()


def test_status_lists_every_run_and_names_the_folder(study: Path, command: Callable) -> None:
    outcome = command("study", "status", study)
    assert outcome.code == 0, outcome.err
    assert "0 missing, 4 missing" in outcome.out
    assert "5 missing, 6 missing" in outcome.out
    assert f"In {Path('studies/two').resolve()}." in outcome.out
    assert not Path("studies").exists()


def test_a_study_that_is_not_there_is_one_sentence(command: Callable) -> None:
    outcome = command("study", "plan", "studies/bgmv2_refinemant")
    assert outcome.code == 1
    assert "did you mean studies/bgmv2_refinement" in outcome.complaint


def test_a_directory_without_a_run_is_one_sentence(command: Callable, tmp_path: Path) -> None:
    outcome = command("study", "execute", tmp_path)
    assert outcome.code == 1
    assert "holds no readable job.json" in outcome.complaint
