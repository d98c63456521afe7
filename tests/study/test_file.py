"""Study files: what they may say, and what is said about what they may not."""

from collections.abc import Callable
from pathlib import Path

import pytest

from zoo.core.errors import ZooError
from zoo.runner.configs import CONFIGS
from zoo.study.file import Study, read_study

SHORT = """
name: mine
base: matting/quickstart
baseline: by error
seeds: [0, 1, 2]
metrics: {test/synthetic/sad: lower}
rows:
  by error: {}
  at random: {changes: {model.selector: RandomPatches}}
"""


@pytest.fixture
def study(tmp_path: Path) -> Callable[..., Study]:
    """Reads a study file with this text."""

    def read(text: str, profile: str | None = None) -> Study:
        file = tmp_path / "mine.yaml"
        file.write_text(text)
        return read_study(str(file), profile)

    return read


def test_ten_lines_are_a_study(study) -> None:
    read = study(SHORT)
    assert [row.name for row in read.rows] == ["by error", "at random"]
    assert read.row("at random").changes == {"model.selector": "RandomPatches"}
    assert read.seeds == (0, 1, 2)
    assert read.metrics[0].direction == "lower"
    assert read.metrics[0].label == "sad"
    assert read.noise_floor


def test_nested_changes_are_dotted_keys_and_parts_are_values(study) -> None:
    read = study(
        SHORT + "  nested: {changes: {model: {selector: {class_path: TopK}, base_scale: 0.25}, trainer.precision: 32}}"
    )
    assert read.row("nested").changes == {
        "model.selector": {"class_path": "TopK"},
        "model.base_scale": 0.25,
        "trainer.precision": 32,
    }


def test_numbers_may_be_written_as_scientists_do(study) -> None:
    assert study(SHORT + "set: {model.learning_rates.backbone: 1e-4}").set["model.learning_rates.backbone"] == 1e-4


def test_merge_keys_may_be_overridden(study) -> None:
    one = "  one: {changes: &one {model.selector: TopK, model.base_scale: 0.5}}\n"
    two = "  two: {changes: {<<: *one, model.base_scale: 0.25}}"
    assert study(SHORT + one + two).row("two").changes == {"model.selector": "TopK", "model.base_scale": 0.25}


def test_a_grid_becomes_rows_with_readable_names(study) -> None:
    read = study(SHORT + "grid: {model.selector.patches: [0, 10], model.base_scale: [0.25]}")
    assert [row.name for row in read.rows][2:] == ["patches=0, base_scale=0.25", "patches=10, base_scale=0.25"]
    assert read.rows[2].changes == {"model.selector.patches": 0, "model.base_scale": 0.25}


def test_robustness_is_measured_in_every_run(study) -> None:
    read = study(SHORT + "robustness: {shift: {2: test/shifted/sad, 0: test/synthetic/sad}}")
    assert read.robustness[0].metrics == {0: "test/synthetic/sad", 2: "test/shifted/sad"}
    assert list(read.robustness[0].metrics) == [0, 2]
    assert read.measured == ["test/synthetic/sad", "test/shifted/sad"]


def test_a_first_stage_has_a_base_of_its_own(study) -> None:
    read = study(SHORT + "first_stage: {base: mine.yaml, set: {trainer: {max_epochs: 1}}, takes: [model.backbone]}")
    assert read.first_stage is not None
    assert read.first_stage.base == (str(read.file),)
    assert read.first_stage.set == {"trainer.max_epochs": 1}
    assert read.first_stage.takes == ("model.backbone",)


class TestProfiles:
    PROFILES = """
set: {trainer.max_epochs: 8, trainer.precision: 32}
profiles:
  smoke: {set: {trainer: {max_epochs: 1}}, seeds: [5], rows: [by error], noise_floor: false}
  full: {base: [matting/joint, mine.yaml], rows: {at random: {note: other}, more: {changes: {a: 1}}}}
  less: {rows: {at random: null}}
"""

    def test_one_is_laid_over_the_study(self, study) -> None:
        read = study(SHORT + self.PROFILES, "smoke")
        assert read.set == {"trainer.max_epochs": 1, "trainer.precision": 32}
        assert (read.seeds, [row.name for row in read.rows], read.noise_floor) == ((5,), ["by error"], False)

    def test_its_results_are_kept_apart(self, study) -> None:
        assert study(SHORT + self.PROFILES).title == "mine"
        assert study(SHORT + self.PROFILES, "smoke").title == "mine-smoke"

    def test_rows_may_be_replaced(self, study) -> None:
        read = study(SHORT + self.PROFILES, "full")
        assert read.base == ("matting/joint", str(read.file))
        assert read.row("at random").note == "other"
        assert [row.name for row in read.rows] == ["by error", "at random", "more"]
        assert [row.name for row in study(SHORT + self.PROFILES, "less").rows] == ["by error"]

    def test_an_unknown_one_is_refused(self, study) -> None:
        with pytest.raises(ZooError, match=r"no profile 'smok'; did you mean smoke\? Known: smoke, full, less\."):
            study(SHORT + self.PROFILES, "smok")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (
            ("baseline: by error", "baseline: by eror"),
            "the baseline 'by eror', which is no row; did you mean by",
        ),
        (("seeds:", "seed:"), "the study mine.yaml has no key 'seed'; did you mean seeds or set?"),
        (("lower", "down"), "metric 'test/synthetic/sad' has direction: 'down'; expected lower or higher."),
        (("[0, 1, 2]", "[0, 0]"), "has seeds: [0, 0]; expected a list of different whole numbers"),
        (("at random:", "by error:"), "'by error' is given twice"),
        (("at random:", "by/error:"), "whose folders have one name"),
        (("changes: {model", "change: {model"), "row 'at random' has no key 'change'; did you mean changes?"),
        (("by error: {}", "by error: {evaluate_only: true}"), "with evaluate_only; expected a row that is trained"),
        (("metrics: {test/synthetic/sad: lower}", ""), "has no metrics"),
        (("name: mine", "name: a/b"), "has the name 'a/b'"),
        (("rows:", "rows: ["), "is not usable YAML"),
        (("seeds:", "frames_per_second: true\nseeds:"), "has frames_per_second but no sizes of images"),
        (("seeds:", "first_stage: {set: {}}\nseeds:"), "first_stage has no base."),
        (("seeds:", "first_stage: {base: a, take: []}\nseeds:"), "first_stage has no key 'take'; did you mean takes"),
        (
            ("seeds:", "robustness: {shift: {1: test/a/sad}}\nseeds:"),
            "has robustness 'shift': {1: 'test/a/sad'}; expected",
        ),
        (("by error: {}", "by error: {published: {test/a/sad: 3}}"), "has published values but no source"),
        (("by error: {}", "by error: {published: {test/a/sad: good}}"), "test/a/sad: 'good'; expected a number."),
    ],
)
def test_what_cannot_be_right_is_one_sentence(study, change: tuple[str, str], said: str) -> None:
    with pytest.raises(ZooError) as caught:
        study(SHORT.replace(*change, 1))
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_missing_file_is_one_sentence() -> None:
    with pytest.raises(ZooError, match="there is no study nowhere, neither a file nor a shipped one"):
        read_study("nowhere")


@pytest.mark.parametrize("file", sorted((CONFIGS / "studies").glob("*.yaml")), ids=lambda path: path.stem)
def test_shipped_studies_can_be_read_in_every_profile(file: Path) -> None:
    for profile in (None, "smoke", "cpu", "full"):
        assert read_study(f"studies/{file.stem}", profile).rows
