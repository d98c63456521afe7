"""Resuming under other settings: what the command line says is what happens, or it is refused."""

import copy
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

import zoo
from zoo.core.nested import walk
from zoo.core.spec import build

QUIET = (
    "--trainer.enable_progress_bar=false",
    "--trainer.num_sanity_val_steps=0",
    "--trainer.enable_model_summary=false",
)
RATES = {"backbone": 1e-6, "aspp": 1e-4, "decoder": 1e-3, "refiner": 1e-5}


@pytest.fixture
def resume(tiny: Any, fitted: Path, command: Callable[..., Any]) -> Callable[..., dict[str, Any]]:
    """Return a function that resumes the shared fit for one step more, from its content as a `change` leaves it."""

    def run(*words: str, change: Callable[[dict[str, Any]], None] = lambda content: None) -> dict[str, Any]:
        content = torch.load(fitted / "checkpoints/last.ckpt", weights_only=True)
        change(content)
        torch.save(content, "before.ckpt")
        limits = ("--trainer.max_epochs=3", "--trainer.limit_train_batches=1", "--trainer.limit_val_batches=1")
        outcome = command("fit", "--plugin", tiny.plugin, "--ckpt_path", "before.ckpt", *limits, *QUIET, *words)
        assert outcome.code == 0, outcome.err
        (run,) = Path("runs/tiny").iterdir()
        content = torch.load(run / "checkpoints/last.ckpt", weights_only=True)
        content["config"] = yaml.safe_load((run / "config.yaml").read_text())
        shutil.rmtree(run)
        return content

    return run


def groups(content: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {group["name"]: group for group in content["optimizer_states"][0]["param_groups"]}


def rates(content: dict[str, Any]) -> dict[str, float]:
    return {name: group["lr"] for name, group in groups(content).items()}


def reduced(content: dict[str, Any]) -> None:
    """Make the content that of a training whose schedule has halved all learning rates."""
    content["zoo"]["model"]["init_args"]["schedule"] = "plateau"
    for group in content["optimizer_states"][0]["param_groups"]:
        group["lr"] /= 2


def test_learning_rates_of_the_command_line_are_those_of_the_optimizer(resume) -> None:
    content = resume(f"--model.learning_rates={yaml.safe_dump(RATES, default_flow_style=True)}")
    assert rates(content) == RATES
    assert content["config"]["model"]["init_args"]["learning_rates"] == RATES
    assert content["zoo"]["model"]["init_args"]["learning_rates"] == RATES
    assert content["optimizer_states"][0]["state"][0]["step"] == 5, "the averages of gradients are kept"


def test_rates_that_a_plateau_has_reduced_stay_where_they_are_not_changed(resume) -> None:
    before = {"backbone": 1e-4, "aspp": 1e-4, "decoder": 1e-3, "refiner": 1e-3}
    assert rates(resume(change=reduced)) == {name: rate / 2 for name, rate in before.items()}
    content = resume("--model.learning_rates.refiner=1e-5", change=reduced)
    assert rates(content) == {"backbone": 5e-5, "aspp": 5e-5, "decoder": 5e-4, "refiner": 1e-5}


def test_frozen_parts_stay_as_they_are_with_their_statistics_and_the_others_train(resume, fitted: Path) -> None:
    before = torch.load(fitted / "checkpoints/last.ckpt", weights_only=True)["state_dict"]
    content = resume("--model.frozen=[backbone,aspp,decoder]")
    assert list(rates(content)) == ["refiner"]
    changed = {name.split(".")[1] for name, value in content["state_dict"].items() if not value.equal(before[name])}
    assert changed == {"refiner"}
    assert content["zoo"]["model"]["init_args"]["frozen"] == ["backbone", "aspp", "decoder"]


def test_another_schedule_begins_at_the_full_learning_rates(resume) -> None:
    assert rates(resume("--model.schedule=constant", change=reduced))["decoder"] == 1e-3


def test_arguments_of_the_optimizer_are_those_of_the_command_line(resume) -> None:
    content = resume("--model.optimizer=Adam", "--model.optimizer.betas=[0.5,0.9]")
    assert groups(content)["aspp"]["betas"] == (0.5, 0.9)
    content = resume("--model.optimizer=SGD", "--model.optimizer.momentum=0.9")
    assert groups(content)["decoder"] | {"momentum": 0.9, "lr": 1e-3} == groups(content)["decoder"]
    assert "momentum_buffer" in content["optimizer_states"][0]["state"][0]


def test_an_argument_that_needs_other_averages_starts_them_fresh(resume) -> None:
    content = resume("--model.optimizer=Adam", "--model.optimizer.amsgrad=true")
    assert content["optimizer_states"][0]["state"][0]["step"] == 1


def test_other_settings_are_recorded_alike_in_both_places(resume) -> None:
    options = {
        "data.batch_size": 4, "data.train.squares.crop": [32, 64], "model.losses.alpha.weight": 0.25,
        "trainer.gradient_clip_val": 0.5, "trainer.accumulate_grad_batches": 2, "trainer.precision": "64-true",
    }  # fmt: skip
    content = resume(*(f"--{key}={value}" for key, value in options.items()))
    for record in (content["config"], content["zoo"]):
        settings = {key: value for key, value in walk(record) if key in options}
        assert settings == options
    assert content["state_dict"]["network.decoder.conv1.weight"].dtype == torch.float64


def test_arguments_of_callbacks_are_those_of_the_command_line(resume) -> None:
    def stopper(patience: int) -> str:
        arguments = {"monitor": "validation/sad", "patience": patience}
        return f"--trainer.callbacks={[{'class_path': 'EarlyStopping', 'init_args': arguments}]}"

    saved = resume(stopper(3))
    (key,) = [key for key in saved["callbacks"] if key.startswith("EarlyStopping")]
    assert saved["callbacks"][key]["patience"] == 3
    again = resume(stopper(7), change=lambda content: content["callbacks"].update(copy.deepcopy(saved["callbacks"])))
    assert again["callbacks"][key]["patience"] == 7


class TestInsideAnEpoch:
    """The rest of an epoch must consist of the samples that are left of it."""

    @pytest.fixture
    def half(self, tiny: Any, command: Callable[..., Any]) -> str:
        """Write the checkpoint of an epoch that was left after one of two batches."""
        saver = {"class_path": "ModelCheckpoint", "init_args": {"every_n_train_steps": 1, "save_top_k": -1}}
        words = ("--trainer.max_epochs=1", "--trainer.limit_val_batches=0", f"--trainer.callbacks={[saver]}", *QUIET)
        assert command("fit", *tiny.options, *words).code == 0
        (path,) = Path("runs/tiny/version_0/checkpoints").glob("*step=1.ckpt")
        return str(path)

    def test_another_batch_size_or_seed_is_refused(self, tiny: Any, half: str, command: Callable[..., Any]) -> None:
        common = ("fit", "--plugin", tiny.plugin, "--ckpt_path", half, *QUIET)
        outcome = command(*common, "--data.batch_size=1", "--seed_everything=9")
        assert outcome.code == 1
        assert "after batch 1, and data.batch_size and seed_everything would change" in outcome.complaint
        assert command(*common).code == 0


@pytest.mark.parametrize("name", ["SGD", "AdamW"])
def test_a_model_of_another_optimizer_is_rebuilt_with_it(name: str) -> None:
    optimizer = {"class_path": name, "init_args": {"weight_decay": 0.1}}
    backbone = {"class_path": "TimmBackbone", "init_args": {"name": "test_efficientnet"}}
    spec = zoo.create_model("bgmv2_mobilenetv2", backbone=backbone)._arguments
    module = build({"class_path": "BackgroundMatting", "init_args": spec | {"optimizer": optimizer}})
    assert module.spec["init_args"]["optimizer"] == optimizer
    made = module.configure_optimizers()
    assert type(made) is getattr(torch.optim, name)
    expected = {part: (spec["learning_rates"][part], 0.1) for part in ("backbone", "aspp", "decoder", "refiner")}
    assert {group["name"]: (group["lr"], group["weight_decay"]) for group in made.param_groups} == expected
