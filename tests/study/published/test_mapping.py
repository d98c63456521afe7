"""Maps: which rows items become, what is merged and what is refused, and the text of the study."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from zoo.core.errors import ZooError
from zoo.runner.configs import CONFIGS
from zoo.study.file import read_study
from zoo.study.published.mapping import StudyMap, import_plans, read_map, with_rows
from zoo.study.published.plans import Item

MAP = """
# a comment of the map
study:
  # a comment of the study
  name: small
  base: matting/quickstart
  baseline: by error
  metrics:
    test/synthetic/sad: {direction: lower}
    test/synthetic/grad: {direction: lower}
    test/synthetic/mse: {direction: lower}
  margins: {}

  profiles:
    # for two cores
    cpu:
      seeds: [3] # one
      metrics: # measured elsewhere
        test/synthetic/sad: null
        test/other/sad: {direction: lower, label: SAD}

    smoke:
      seeds: [4]
rows:
  by error: {changes: {}}
  at random:
    changes: {model.selector: RandomPatches}
    note: a question
    profiles: {cpu: {changes: {model.selector.patches: 3}}}
  by chance: {changes: {model.selector: RandomPatches}, profiles: {smoke: null}}
  everywhere: {changes: {model.selector: AllPatches}, evaluate_only: true}
  coarser: {profiles: {smoke: {changes: {model.base_scale: 0.25}}}}
items:
  - {part: selection, replacement: random|chance, rows: [at random, by chance]}
  - {part: selection, replacement: 'learned', reason: no such selector}
  - {part: selection, replacement: 'error', rows: by error}
  - {part: selection, action: REMOVE, rows: everywhere}
  - {part: 'scale|size', rows: coarser}
metrics:
  SAD: sad
  quality: [sad, grad]
  fps: frames_per_second
  beauty: {reason: it cannot be measured}
"""


@pytest.fixture
def small(tmp_path: Path) -> Callable[..., StudyMap]:
    """Reads the map, with texts in it replaced: old, new, old, new, …"""

    def read(*texts: str) -> StudyMap:
        text = MAP
        for old, new in zip(texts[::2], texts[1::2], strict=True):
            assert old in text
            text = text.replace(old, new, 1)
        file = tmp_path / "small.map.yaml"
        file.write_text(text)
        return read_map(str(file))

    return read


def item(
    part: str, *replacements: str, plan: str = "one", number: int = 1, metrics: tuple[str, ...] = ("SAD",)
) -> Item:
    """An item of a plan."""
    return Item(plan, number, "Title", part, "REPLACE" if replacements else "REMOVE", replacements, metrics)


SELECTION = [item("the selection", "Random ones"), item("selection", number=2), item("size", plan="two")]


def test_rows_say_who_asked_and_equal_ones_are_merged(small, tmp_path: Path) -> None:
    imported = import_plans(
        [*SELECTION, item("selection", "random", "learned", "by error", plan="two", number=2)], small()
    )
    study = imported.study(tmp_path / "study.yaml", None)
    assert {row.name: row.note for row in study.rows} == {
        "by error": "asked for by two 2",
        "at random": "a question; asked for by one 1, two 2",
        "everywhere": "asked for by one 2",
    }
    assert study.row("everywhere").evaluate_only
    assert (imported.whole, imported.partly, len(imported.items)) == (3, 1, 4)
    assert imported.items[-1] == "two 2, Title: at random; by chance; not executable; by error"
    assert imported.refused == ["two 2, learned: no such selector"]
    assert "#   two 2, learned: no such selector" in imported.text
    assert "# 3 of 4 items are executable (75%), and 1 in part." in imported.text


def test_profiles_have_their_own_rows(small, tmp_path: Path) -> None:
    imported = import_plans(SELECTION, small())
    cpu = imported.study(tmp_path / "study.yaml", "cpu")
    assert {row.name: row.changes for row in cpu.rows} == {
        "by error": {},
        "at random": {"model.selector.patches": 3},
        "by chance": {"model.selector": "RandomPatches"},
        "everywhere": {"model.selector": "AllPatches"},
    }
    smoke = imported.study(tmp_path / "study.yaml", "smoke")
    assert [row.name for row in smoke.rows] == ["by error", "at random", "everywhere", "coarser"]
    assert (cpu.seeds, smoke.seeds) == ((3,), (4,))


def test_the_text_of_the_study_keeps_its_comments(small) -> None:
    text = import_plans(SELECTION, small()).text
    assert text == import_plans(SELECTION, small()).text
    for comment in ("# a comment of the study", "\n  # for two cores", "seeds: [3] # one", "# measured elsewhere"):
        assert comment in text
    assert "# a comment of the map" not in text
    assert text.index("\nrows:") < text.index("\nprofiles:")


@pytest.mark.parametrize(
    ("metrics", "expected"),
    [
        (("SAD",), ["sad"]),
        (("the quality",), ["sad", "grad"]),
        (("FPS",), ["sad", "grad", "mse"]),
        ((), ["sad", "grad", "mse"]),
    ],
)
def test_metrics_that_no_plan_asks_for_are_left_out(small, tmp_path: Path, metrics, expected) -> None:
    imported = import_plans([item("selection", metrics=metrics)], small())
    assert [metric.name for metric in imported.study(tmp_path / "a.yaml", None).metrics] == [
        f"test/synthetic/{name}" for name in expected
    ]


def test_metrics_that_are_not_measured_are_listed(small) -> None:
    imported = import_plans([item("selection", metrics=("Beauty", "truth", "SAD", "truth"))], small())
    assert imported.unmeasured == ["Beauty: it cannot be measured", "truth: small.map.yaml does not know this metric"]


def test_an_unknown_part_is_listed_and_a_plan_of_nothing_else_is_refused(small) -> None:
    imported = import_plans([*SELECTION, item("colour")], small())
    assert imported.refused == ["one 1: small.map.yaml does not know 'colour'"]
    with pytest.raises(ZooError, match="no item can be expressed with the map small"):
        import_plans([item("colour")], small())


def test_a_setting_needs_no_rule(small, tmp_path: Path) -> None:
    part = '{"class_path": "TopK", "init_args": {"patches": 5}}'
    items = [item("model.base_scale", "0.25"), item("model.selector", "AllPatches", part), item("model.context")]
    imported = import_plans(items, small())
    assert {row.name: row.changes for row in imported.study(tmp_path / "study.yaml", None).rows} == {
        "by error": {},
        "base_scale=0.25": {"model.base_scale": 0.25},
        "selector=AllPatches": {"model.selector": "AllPatches"},
        "selector=TopK(patches=5)": {"model.selector": {"class_path": "TopK", "init_args": {"patches": 5}}},
    }
    assert imported.refused == ["one 1: small.map.yaml does not know 'model.context'"]


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("rows: coarser", "rows: coarsr", r"item 5 names the row 'coarsr', which is not there; did you mean coarser"),
        ("replacement: 'error'", "replacement: '('", r"item 3: replacement is '\(', no regular expression"),
        ("  SAD: sad", "  '[': sad", "metric '.' is '.', no regular expression"),
        ("  SAD: sad", "  SAD: sat", "metric 'SAD' is 'sat', which the study does not measure; did you mean sad"),
        ("rows: coarser", "reason: none, rows: coarser", "item 5 holds .* either rows or reason"),
        ("part: selection, action", "prat: selection, action", "item 4 has no key 'prat'; did you mean part"),
        ("action: REMOVE", "action: DROP", "item 4 has action: 'DROP'"),
        ("profiles: {smoke: null}", "profiles: {gpu: null}", "row 'by chance' has the profile 'gpu'"),
        ("evaluate_only: true", "evaluate_only: maybe", "row 'everywhere' has evaluate_only"),
        ("baseline: by error", "baseline: by eror", "has the baseline 'by eror', which is no row"),
        ("margins: {}", "rows: {}", "has rows in its study"),
        ("margins: {}", "margin: {}", "study has no key 'margin'; did you mean margins"),
        ("  smoke:\n      seeds: [4]", "  smoke: [4]", "profile 'smoke' holds .4.; expected names with values"),
        ("rows:\n  by", "row:\n  by", "has no key 'row'; did you mean rows"),
    ],
)
def test_a_map_that_cannot_be_right_is_one_sentence(small, old: str, new: str, expected: str) -> None:
    with pytest.raises(ZooError, match=expected):
        small(old, new)


def test_a_map_that_is_not_there_is_one_sentence() -> None:
    with pytest.raises(ZooError, match=r"there is no map plans/bgmv2\.mp, neither a file nor a shipped one; did you"):
        read_map("plans/bgmv2.mp")


@pytest.mark.parametrize("name", ["bgmv2", "dad3dnet"])
def test_the_shipped_studies_are_those_of_their_maps(name: str) -> None:
    file = CONFIGS / "studies" / f"{name}_plans.yaml"
    asked: dict[str, list[str]] = {}
    studies = [read_study(str(file), profile) for profile in (None, "full", "cpu", "smoke")]
    for row in (row for study in studies for row in study.rows):
        who = row.note.partition("asked for by ")[2]
        plans = who.split(", ") if who else []
        asked[row.name] = min(asked.get(row.name, plans), plans, key=len)  # where it is merged with no other
    measured = {metric.name.rpartition("/")[2] for study in studies for metric in study.metrics}
    text = file.read_text(encoding="utf-8")
    assert text[text.index("\n\n") + 2 :] == with_rows(read_map(f"plans/{name}.map"), asked, measured)
    share = re.search(r"^# (\d+) of (\d+) items are executable", text, re.MULTILINE)
    assert share is not None
    assert int(share[1]) >= int(share[2]) - 2
