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


class TestDesigns:
    STUDY = """
base: matting/quickstart
metrics: {test/synthetic/sad: lower}
components: {a: {x: 0}, b: {y: 0, y.z: 1}, c: {model: {z: 0}}}
design: DESIGN
"""

    @pytest.mark.parametrize(
        ("design", "names"),
        [
            ("leave-one-out", ["all components", "without a", "without b", "without c"]),
            ("add-one-in", ["no components", "only a", "only b", "only c"]),
            ("ladder", ["no components", "only a", "without c", "all components"]),
            (
                "factorial",
                [*("all components", "without a", "without b", "without c"), *("only c", "only b", "only a")]
                + ["no components"],
            ),
        ],
    )
    def test_rows_are_made_and_named(self, study, design: str, names: list[str]) -> None:
        read = study(self.STUDY.replace("DESIGN", design).replace(", y.z: 1", ""))
        assert [row.name for row in read.rows] == names
        assert read.baseline == names[0]
        changes = {"a": {"x": 0}, "b": {"y": 0}, "c": {"model.z": 0}}
        for row in read.rows:
            assert row.changes == {key: value for name in row.out for key, value in changes[name].items()}

    def test_an_explicit_row_keeps_its_name_and_others_stand_beside(self, study) -> None:
        rows = "baseline: mine\nrows: {mine: {}, other: {changes: {w: 1}}, my a: {changes: {x: 0}}}\n"
        read = study(self.STUDY.replace("DESIGN", "leave-one-out") + rows)
        assert [(row.name, row.out) for row in read.rows] == [
            ("mine", ()),
            ("other", None),
            ("my a", ("a",)),
            ("without b", ("b",)),
            ("without c", ("c",)),
        ]

    def test_what_is_excluded_is_left_out(self, study) -> None:
        read = study(self.STUDY.replace("DESIGN", "factorial") + "exclude: [without b, only a]")
        assert len(read.rows) == 6
        assert read.excluded == ("without b", "only a")

    def test_a_fraction_is_balanced_and_has_the_row_with_all(self, study) -> None:
        more = ", ".join(f"{name}: {{{name}: 0}}" for name in "abcdefg")
        text = self.STUDY.replace("a: {x: 0}, b: {y: 0, y.z: 1}, c: {model: {z: 0}}", more)
        read = study(text.replace("DESIGN", "{fraction: 16}"))
        assert len(read.rows) == 16
        assert read.rows[0].name == "all components"
        assert all(sum(name in row.out for row in read.rows) == 8 for name in "abcdefg")
        with pytest.raises(ZooError, match=r"7 components: it does not exist, or it aliases main effects; expected 16"):
            study(text.replace("DESIGN", "{fraction: 8}"))

    @pytest.mark.parametrize(
        ("old", "new", "said"),
        [
            ("b: {y: 0", "b: {x.k: 0", "the components 'a' and 'b', which overlap: both change x.k"),
            ("b: {y: 0, y.z: 1}", "b: {}", "the component 'b' without changes"),
            ("b: {y: 0, y.z: 1}", "b: 3", "component 'b' holds 3; expected {KEY: VALUE}"),
            ("DESIGN", "all", "the design 'all'; expected leave-one-out, add-one-in, ladder, factorial or {fraction"),
            ("DESIGN", "{fraction: 4}", "has a fraction of 3 components; expected 4 to 12"),
            ("design: DESIGN", "", "has no design: components, design and exclude belong together"),
            ("DESIGN", "ladder\nexclude: [only d]", "excludes 'only d', which is no row of its design; did you mean"),
        ],
    )
    def test_what_cannot_be_right_is_one_sentence(self, study, old: str, new: str, said: str) -> None:
        with pytest.raises(ZooError) as caught:
            study(self.STUDY.replace(old, new).replace("DESIGN", "ladder"))
        assert said in str(caught.value)
        assert "\n" not in str(caught.value)


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

    def test_a_key_that_is_null_is_left_out(self, study) -> None:
        stage = "first_stage: {base: matting/base}\nprofiles: {short: {first_stage: null}}\n"
        assert study(SHORT + stage).first_stage is not None
        assert study(SHORT + stage, "short").first_stage is None

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
        (("seeds:", "margins: {test/synthetic/sad: 5}\nseeds:"), "the margin test/synthetic/sad: 5; expected a number"),
        (("seeds:", "margins: {test/synthetic/sad: 0 %}\nseeds:"), "expected a number above 0 with its unit, '5 %'"),
        (
            ("seeds:", "margins: {test/synthetic/sat: 5 %}\nseeds:"),
            "which is no metric; did you mean test/synthetic/sad",
        ),
        (
            (
                "seeds:",
                "expected: {known: {row: at randm, metric: test/synthetic/sad, verdict: worse, why: x}}\nseeds:",
            ),
            "expected 'known' has row: at randm; did you mean at random",
        ),
        (
            ("seeds:", "expected: {known: {row: at random, metric: test/synthetic/sad, verdict: bad, why: x}}\nseeds:"),
            "has verdict: 'bad'; expected better, worse or equivalent, or not and one of these.",
        ),
        (("seeds:", "expected: {known: {row: at random}}\nseeds:"), "expected 'known' has no metric"),
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
