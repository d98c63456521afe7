"""The planner: what it resolves, and what it refuses before anything runs."""

from collections.abc import Callable
from pathlib import Path

import pytest

from zoo.core import spec
from zoo.core.errors import ZooError
from zoo.study.file import read_study
from zoo.study.plan.planner import Plan, make_plan
from zoo.study.plan.resolve import Resolver

UNSAID = '''
"""A part that will not be built without values."""

import torch

from zoo.matting.parts import PatchSelector


class ReadsValues(PatchSelector):
    """Looks at values when it is made."""

    def __init__(self, patches: int = 5) -> None:
        super().__init__()
        self.patches = int(torch.ones(1).item()) * patches

    def forward(self, error):
        return error
'''

WRONG_CHANNELS = '''
"""A refiner with wrong channels."""

from torch import nn

from zoo.matting.parts import Refiner


class Crooked(Refiner):
    """Expects seven channels where there are six."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(7, 4, 1)

    def forward(self, source, background, coarse, score, patches):
        x = self.conv(source)
        return x[:, :1], x[:, 1:], score
'''


@pytest.fixture
def plan(written) -> Callable[..., Plan]:
    """The plan of the small study with texts in it replaced."""
    return lambda *texts: make_plan(read_study(str(written(*texts))))


def test_rows_are_resolved_compared_and_counted(plan) -> None:
    made = plan()
    rows = {row.name: row for row in made.rows}
    assert rows["by error"].differences == ()
    assert [str(difference) for difference in rows["at random"].differences] == [
        "model.selector: TopK → RandomPatches",
        "model.selector.patches: 20 → 10",
        "model.selector.seed: absent → 0",
        "model.selector.fixed_count: False → absent",
    ]
    assert rows["by error"].parameters == sum(
        value.numel() for value in spec.build(rows["by error"].settings["model"]).network.parameters()
    )
    # 10 patches fewer, at 474,336 multiply-adds each.
    fewer = rows["by error"].multiply_adds["square"] - rows["at random"].multiply_adds["square"]
    assert fewer == 10 * 474_336


def test_no_argument_is_carried_over_to_another_class(plan) -> None:
    made = plan("{class_path: RandomPatches, init_args: {patches: 10}}", "RandomPatches")
    selector = made.rows[1].settings["model"]["init_args"]["selector"]
    assert selector == {"class_path": "RandomPatches", "init_args": {"patches": 5000, "seed": 0}}


def test_the_baseline_is_run_once_more_with_other_seeds(plan) -> None:
    runs = plan("seeds: [0]", "seeds: [3, 8]").runs()
    assert [(run.row, run.seed, run.pair) for run in runs] == [
        ("by error", 3, 0),
        ("by error", 8, 1),
        ("at random", 3, 0),
        ("at random", 8, 1),
        ("five", 3, 0),
        ("five", 8, 1),
        ("A/A", 9, 0),
        ("A/A", 10, 1),
    ]
    assert len({run.id for run in runs}) == len(runs)
    assert [run.needs for run in runs if run.needs] == ["by_error/seed_3", "by_error/seed_8"]


CHANGE = "{changes: {model.selector: {class_path: RandomPatches, init_args: {patches: 10}}}, note: a question}"


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("model.selector.patches: 5", "model.selector.patchs: 5", "row 'five': TopK has no argument 'patchs'"),
        ("RandomPatches", "RandomPatch", "no patch selector named 'RandomPatch'; did you mean RandomPatches"),
        (CHANGE, "{changes: {modle.lr: 5}}", "row 'at random': there is no option --modle.lr"),
        (CHANGE, "{}", "the rows 'by error' and 'at random' have equal settings"),
        ("test/one/sad", "test/two/sad", "row 'by error' does not measure 'test/two/sad'; did you mean test/one/sad"),
        ("test/one/sad", "validation/sad", "row 'five' needs no training, so it has no validation/sad"),
        ("base: tiny.yaml", "base: tiny2.yaml", "base tiny2.yaml: there is no configuration tiny2.yaml"),
        (CHANGE, "{changes: {model.error_map: NoError}}", "row 'at random': TopK ranks patches by error"),
        ("model.selector.patches: 5", "model.selector.patches: 20", "row 'five' is evaluate_only and changes nothing"),
        (
            "model.selector.patches: 5",
            "model.losses.alpha.weight: 5",
            "row 'five' is evaluate_only but changes model.losses.alpha.weight, which only training reads",
        ),
        (
            "model.selector.patches: 5",
            "model.backbone.name: mobilenetv2_100",
            "row 'five' cannot test the baseline's checkpoint: network.backbone.",
        ),
        (CHANGE, "{changes: {model.metrics: rvm}}", "changes what is measured, model.metrics: bgmv2 → rvm, so it"),
        (CHANGE, "{changes: {data.test.one.dataset.count: 4}}", "data.test.one.dataset.count: 2 → 4, so it does not"),
        ("{model.selector.patches: 5}", "{data.test.one.canvas: 32}", "or declare `test_data_differs: true`"),
        (CHANGE, "{changes: {trainer.limit_test_batches: 1}}", "trainer.limit_test_batches: None → 1"),
        ("model.selector.patches: 5", "trainer.max_epochs.x: 5", "leads through 'max_epochs', which is 2"),
    ],
)
def test_what_would_fail_or_be_unfair_is_refused_in_one_sentence(plan, old: str, new: str, said: str) -> None:
    with pytest.raises(ZooError) as caught:
        plan(old, new)
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)
    assert not Path("studies").exists()


def test_test_data_may_differ_where_the_study_declares_it(plan) -> None:
    other = "{changes: {data.test.one.dataset.count: 4}}"
    assert len(plan(CHANGE, other, "seeds: [0]", "test_data_differs: true").rows) == 3
    with pytest.raises(ZooError, match=r"row 'at random' changes what is measured, model\.metrics: bgmv2 → rvm"):
        plan(CHANGE, "{changes: {model.metrics: rvm}}", "seeds: [0]", "test_data_differs: true")


def test_a_row_may_change_only_what_it_names(plan, monkeypatch: pytest.MonkeyPatch) -> None:
    resolved = Resolver.settings

    def with_more(resolver: Resolver, settings: dict, start: dict | None = None) -> dict:
        result = resolved(resolver, settings, start)
        if result["model"]["init_args"]["selector"]["class_path"] == "RandomPatches":
            result["trainer"] = result["trainer"] | {"max_epochs": 7}
        return result

    monkeypatch.setattr(Resolver, "settings", with_more)
    with pytest.raises(ZooError, match=r"row 'at random': it changes trainer\.max_epochs from 2 to 7 without naming"):
        plan()


def test_wrong_channels_show_before_anything_runs(plan, tiny) -> None:
    (tiny.folder / "crooked.py").write_text(WRONG_CHANNELS)
    with pytest.raises(ZooError, match="row 'at random': its network does not run: "):
        plan("[tiny.py]", "[tiny.py, crooked.py]", CHANGE, "{changes: {model.refiner: Crooked}}")


def test_a_combination_that_cannot_be_built_is_named_and_may_be_excluded(plan, tiny) -> None:
    (tiny.folder / "crooked.py").write_text(WRONG_CHANNELS)
    components = "components: {refiner: {model.refiner: Crooked}, patches: {model.selector.patches: 7}}"
    design = f"{components}\ndesign: leave-one-out\nseeds: [0]"
    words = ("[tiny.py]", "[tiny.py, crooked.py]", "seeds: [0]")
    with pytest.raises(ZooError) as caught:
        plan(*words, design)
    said = (
        "row 'without refiner' (of the design; to leave it out: `exclude: [\"without refiner\"]`): its network does not"
    )
    assert str(caught.value).startswith(said)
    made = plan(*words, design + "\nexclude: [without refiner]")
    assert [row.name for row in made.rows] == ["by error", "at random", "five", "without patches"]


def test_a_part_that_needs_values_is_tried_on_the_cpu(plan, tiny) -> None:
    with (tiny.folder / "tiny.py").open("a") as file:
        file.write(UNSAID)
    made = plan("{class_path: RandomPatches, init_args: {patches: 10}}", "ReadsValues")
    assert made.rows[1].parameters == made.rows[0].parameters
