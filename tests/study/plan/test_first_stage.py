"""A first stage: trained once for all rows that do not differ in it, and what their own training starts from."""

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest
import torch

from zoo.study.file import read_study
from zoo.study.plan.planner import make_plan
from zoo.study.record import read_result

STUDY = """
name: staged
base: tiny.yaml
plugins: [tiny.py]
baseline: by error
seeds: [0]
first_stage:
  base: tiny.yaml
  set: {trainer.max_epochs: 1, model.selector: NoPatches, model.refiner: NoRefiner, model.learning_rates.refiner: 0}
  takes: [model.backbone, model.losses.alpha]
set: {trainer.max_epochs: 1, model.learning_rates: {backbone: 0, aspp: 0, decoder: 0, refiner: 0}}
metrics: {test/one/sad: lower}
rows:
  by error: {}
  at random: {changes: {model.selector: {class_path: RandomPatches, init_args: {patches: 10}}}}
  half the loss: {changes: {model.losses.alpha.weight: 0.5}}
  five: {changes: {model.selector.patches: 5}, evaluate_only: true}
"""


class Staged(NamedTuple):
    """The study's file, and where its results are."""

    file: Path
    folder: Path

    def weights(self, run: str) -> dict[str, torch.Tensor]:
        """What a run ended with."""
        checkpoint = self.folder / run / "fit/version_0/checkpoints/last.ckpt"
        return torch.load(checkpoint, weights_only=True)["state_dict"]


@pytest.fixture
def written(tiny) -> Callable[..., Path]:
    """Writes the study, with texts in it replaced: old, new, old, new, …"""

    def write(*texts: str) -> Path:
        study = STUDY
        for old, new in zip(texts[::2], texts[1::2], strict=True):
            assert old in study
            study = study.replace(old, new)
        file = tiny.folder / "staged.yaml"
        file.write_text(study)
        return file

    return write


@pytest.fixture
def staged(written, tmp_path: Path, command) -> Staged:
    """The study, run to its end."""
    file = written()
    outcome = command("study", "run", file, "--runs", tmp_path / "results")
    assert outcome.code == 0, outcome.err
    return Staged(file, tmp_path / "results" / "staged")


def test_rows_that_differ_in_it_have_their_own_and_the_others_share_one(written) -> None:
    plan = make_plan(read_study(str(written())))
    runs = plan.runs()
    assert [run.folder for run in runs] == [
        "first_stage/by_error/seed_0",
        "first_stage/half_the_loss/seed_0",
        "first_stage/A_A/seed_1",
        "by_error/seed_0",
        "at_random/seed_0",
        "half_the_loss/seed_0",
        "five/seed_0",
        "A_A/seed_1",
    ]
    after = {run.folder: run.needs for run in runs}
    assert after["at_random/seed_0"] == after["by_error/seed_0"] == "first_stage/by_error/seed_0"
    assert after["half_the_loss/seed_0"] == "first_stage/half_the_loss/seed_0"
    assert after["five/seed_0"] == "by_error/seed_0"
    assert after["A_A/seed_1"] == "first_stage/A_A/seed_1"


def test_rows_start_from_its_weights_and_only_they_are_reported(staged, command) -> None:
    stage, run = staged.weights("first_stage/by_error/seed_0"), staged.weights("at_random/seed_0")
    parameters = [name for name in stage if name.startswith("network.decoder") and name.endswith("weight")]
    assert parameters
    for name in parameters:  # learning rates are 0, so that weights stay as they were at the start
        torch.testing.assert_close(run[name], stage[name], rtol=0, atol=0)
    other = staged.weights("half_the_loss/seed_0")
    assert any(not torch.equal(other[name], stage[name]) for name in parameters)
    result = read_result(staged.folder / "first_stage/by_error/seed_0")
    assert result is not None
    assert (result.status, result.first_stage, list(result.seconds)) == ("done", True, ["fit"])
    assert result.checkpoint == "first_stage/by_error/seed_0/fit/version_0/checkpoints/last.ckpt"
    outcome = command("study", "report", staged.file, "--runs", staged.folder.parent)
    assert outcome.code == 0, outcome.err
    report = (staged.folder / "report.md").read_text()
    assert "first_stage" not in report
    assert "| first stage, shared | training |" in report
    said = " ".join(command("study", "status", staged.file, "--runs", staged.folder.parent).out.split())
    assert "half the loss, first stage │ 0 done" in said

    outcome = command("study", "run", staged.file, "--runs", staged.folder.parent)
    assert "8 runs, 8 finished already, 0 to do" in outcome.out


def test_another_first_stage_makes_other_runs_of_all_rows(written) -> None:
    before = make_plan(read_study(str(written()))).runs()
    after = make_plan(
        read_study(str(written("trainer.max_epochs: 1, model.sel", "trainer.max_epochs: 2, model.sel")))
    ).runs()
    assert {run.id for run in after}.isdisjoint(run.id for run in before)


def test_the_plan_shows_it(written, command) -> None:
    outcome = command("study", "plan", written())
    assert outcome.code == 0, outcome.err
    said = " ".join(outcome.out.split())
    assert "8 runs with 1 seeds, 7 trainings, 3 of them first stages, 1 the baseline with other seeds." in said
    assert outcome.out.count("a first stage of its own") == 1


def test_a_row_whose_first_stage_failed_says_so(written, command, monkeypatch: pytest.MonkeyPatch) -> None:
    from zoo.training.module import TrainingModule

    step = TrainingModule.training_step

    def breaks(module, batch, batch_idx):
        if module.losses["alpha"].weight == 0.5:
            raise FloatingPointError("the loss is not finite")
        return step(module, batch, batch_idx)

    monkeypatch.setattr(TrainingModule, "training_step", breaks)
    only = "  five: {changes: {model.selector.patches: 5}, evaluate_only: true}\n"
    random = "  at random: {changes: {model.selector: {class_path: RandomPatches, init_args: {patches: 10}}}}\n"
    study = written("seeds: [0]", "seeds: [0]\nnoise_floor: false", only, "", random, "")
    outcome = command("study", "run", study)
    assert outcome.code == 1
    assert (
        "half the loss, seed 0 failed: it needs the checkpoint of first_stage/half_the_loss/seed_0, which has not been "
        "trained." in outcome.err
    )
    assert "by error, seed 0: done" in outcome.out


def test_a_part_that_only_the_first_stage_has_is_refused(written, command) -> None:
    removed = "half the loss: {changes: {model.losses.alpha.weight: 0.5, model.refiner: NoRefiner}}"
    study = written(
        "model.refiner: NoRefiner, ", "", "half the loss: {changes: {model.losses.alpha.weight: 0.5}}", removed
    )
    outcome = command("study", "plan", study)
    assert outcome.code == 1
    assert "row 'half the loss' cannot start from its first stage: network.refiner." in outcome.complaint
    assert "is absent here" in outcome.complaint


@pytest.mark.parametrize(
    ("old", "new", "complaint"),
    [
        ("takes: [model.backbone", "takes: [model.aspp", "add the key that changes it to first_stage.takes."),
        ("takes: [model.backbone, model.losses.alpha]", "takes: all", "has takes: 'all'; expected a list of keys"),
        ("model.refiner: NoRefiner,", "model.refiner: NoRefinr,", "first_stage: set: "),
    ],
)
def test_what_cannot_be_is_refused(written, command, old: str, new: str, complaint: str) -> None:
    backbone = "half the loss: {changes: {model.backbone.name: mobilenetv2_100, model.losses.alpha.weight: 0.5}}"
    study = written(old, new, "half the loss: {changes: {model.losses.alpha.weight: 0.5}}", backbone)
    outcome = command("study", "plan", study)
    assert outcome.code == 1
    assert complaint in outcome.complaint
