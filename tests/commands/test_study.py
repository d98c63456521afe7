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


PLAN = """
## Ablation Plan
### Selection
- **Ablated Part**: the selection
- **Action**: REPLACE
- **Replacement**:
  - fewer
  - a better one
"""
MAP = """
study:
  base: tiny.yaml
  plugins: [tiny.py]
  baseline: by error
  metrics: {test/one/sad: lower}
  profiles:
    smoke: {seeds: [3]}
rows:
  by error: {changes: {}}
  five: {changes: {model.selector: {class_path: TopK, init_args: {patches: 5}}}}
items:
  - {part: selection, replacement: fewer, rows: five}
"""


@pytest.fixture
def plan(tiny, monkeypatch: pytest.MonkeyPatch) -> Callable[..., list[str]]:
    """Writes a plan and a map, with a text in it replaced; returns the words that import them."""
    monkeypatch.chdir(tiny.folder)

    def write(old: str = "", new: str = "") -> list[str]:
        Path("plan.md").write_text(PLAN)
        Path("own.map.yaml").write_text(MAP.replace(old, new))
        return ["study", "import", "plan.md", "--map", "own.map.yaml", "-o", "written.yaml"]

    return write


def test_import_writes_a_study_that_can_be_planned(plan: Callable, command: Callable) -> None:
    words = plan()
    outcome = command(*words, "--profile", "smoke")
    assert outcome.code == 0, outcome.err
    assert "plan 1, Selection: five; not executable" in outcome.out
    assert "0 of 1 items are executable (0%), and 1 in part." in outcome.out
    assert "plan 1, a better one: own.map.yaml does not know 'the selection'" in outcome.out
    assert "written.yaml has 2 rows." in outcome.out
    planned = command("study", "plan", "written.yaml")
    assert planned.code == 0, planned.err
    assert "asked for by plan 1" in " ".join(planned.out.split())
    again = command(*words)
    assert "written.yaml exists already: pass --force to replace it" in again.complaint
    assert command(*words, "--force").code == 0


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        (
            "class_path: TopK",
            "class_path: TopKay",
            "become with own.map.yaml: row 'five': model.selector: no patch selector named 'TopKay'",
        ),
        ("patches: 5", "patchs: 5", "row 'five': TopK has no argument 'patchs'"),
        ("base: tiny.yaml", "base: tyni.yaml", "tyni.yaml"),
    ],
)
def test_import_writes_nothing_where_the_map_is_wrong(
    plan: Callable, command: Callable, old: str, new: str, expected: str
) -> None:
    outcome = command(*plan(old, new))
    assert outcome.code == 1
    assert expected in outcome.complaint
    assert not Path("written.yaml").exists()


def test_a_directory_without_a_run_is_one_sentence(command: Callable, tmp_path: Path) -> None:
    outcome = command("study", "execute", tmp_path)
    assert outcome.code == 1
    assert "holds no readable job.json" in outcome.complaint
