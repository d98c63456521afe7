"""Weights & Biases in a study: a group, and no dependence on it."""

import json
import os
import socket
import subprocess
from pathlib import Path
from typing import Any

import pytest

from zoo.study.record import Run, read_result
from zoo.study.run.wandb import Nothing, StudyWandbLogger, attempt, study_loggers, wandb_group
from zoo.training.module import TrainingModule

LOGGER = {"class_path": "lightning.pytorch.loggers.WandbLogger", "init_args": {}}


@pytest.fixture
def job() -> Run:
    return Run(study="small", row="at random", seed=0, id="0123")


@pytest.fixture(autouse=True)
def closed_port(monkeypatch: pytest.MonkeyPatch) -> str:
    """A server that cannot be reached."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = f"http://127.0.0.1:{server.getsockname()[1]}"
    monkeypatch.setenv("WANDB_BASE_URL", address)
    for name in ("WANDB_MODE", "WANDB_FINISH_TIMEOUT"):
        monkeypatch.delenv(name, raising=False)
    return address


def seen(job: Run, logger: Any) -> dict[str, str]:
    """W&B's variables that the block sets."""
    before = dict(os.environ)
    with wandb_group(job, {"trainer": {"logger": logger}}):
        return {name: value for name, value in os.environ.items() if before.get(name) != value}


def test_a_run_belongs_to_its_study_and_row_and_is_offline_without_a_server(job: Run) -> None:
    assert seen(job, [LOGGER]) == {
        "WANDB_RUN_GROUP": "small",
        "WANDB_JOB_TYPE": "at random",
        "WANDB_RUN_ID": "0123",
        "WANDB_RESUME": "allow",
        "WANDB_MODE": "offline",
        "WANDB_FINISH_TIMEOUT": "120",
    }
    assert "WANDB_RUN_ID" not in os.environ
    assert "WANDB_MODE" not in os.environ


def test_how_long_to_wait_at_the_end_is_the_user_s_choice(job: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WANDB_FINISH_TIMEOUT", "7")
    assert "WANDB_FINISH_TIMEOUT" not in seen(job, LOGGER)


def test_nothing_is_set_or_asked_where_no_configuration_logs_there(job: Run) -> None:
    assert seen(job, None) == {}
    assert seen(job, {"class_path": "TensorBoardLogger"}) == {}


def test_a_server_that_answers_is_used(job: Run, monkeypatch: pytest.MonkeyPatch, server: Any) -> None:
    monkeypatch.setenv("WANDB_BASE_URL", server.address)  # every address of which is an error 404
    assert "WANDB_MODE" not in seen(job, LOGGER)


LOGGED = "seeds: [0]\nnoise_floor: false\nset: {trainer.logger: WandbLogger, trainer.max_epochs: 1}"
RANDOM = "  at random: {changes: {model.selector: {class_path: RandomPatches, init_args: {patches: 10}}}, "
RANDOM += "note: a question}\n"
FIVE = "  five: {changes: {model.selector.patches: 5}, evaluate_only: true}\n"


@pytest.mark.slow
def test_its_service_may_die_and_the_next_run_has_another(written, command, monkeypatch) -> None:
    """In one process, as the local engine does it."""
    step = TrainingModule.training_step
    services: list[subprocess.Popen] = []

    class Noted(subprocess.Popen):
        def __init__(self, words: Any, *args: Any, **named: Any) -> None:
            super().__init__(words, *args, **named)
            if "wandb-core" in str(words):
                services.append(self)

    def cut(module: Any, batch: Any, batch_idx: int) -> Any:
        if batch_idx == 1:
            services[-1].kill()
            services[-1].wait()
        return step(module, batch, batch_idx)

    monkeypatch.setattr(subprocess, "Popen", Noted)
    monkeypatch.setattr(TrainingModule, "training_step", cut)
    outcome = command("study", "run", written("seeds: [0]", LOGGED, RANDOM, ""))
    assert outcome.code == 0, outcome.err
    (lost,) = [line for line in outcome.out.splitlines() if "W&B failed" in line]
    assert lost.startswith("by error, seed 0: W&B failed (")
    assert lost.endswith("); the run continues without it.")
    for row in ("by_error", "five"):
        directory = Path("studies/small", row, "seed_0")
        result = read_result(directory)
        assert result is not None
        (file,) = directory.rglob("run-*.wandb")
        assert file.name == f"run-{result.id}.wandb", "each run is one of its own there"

    assert "W&B: the report was logged offline; `wandb sync " in outcome.out
    (logged,) = Path("studies/small/wandb").glob("offline-run-*")
    (table,) = logged.rglob("table_*.table.json")
    content = json.loads(table.read_text())
    assert [line[content["columns"].index("row")] for line in content["data"]] == [
        "by error",
        "by error",
        "five",
        "five",
    ]
    assert {"page", "plots"} <= {path.name.partition("_")[0] for path in logged.rglob("html/*")}


def test_it_may_refuse_to_begin(written, command, monkeypatch) -> None:
    import wandb

    def refuse(**_: Any) -> None:
        raise wandb.errors.CommError("the server is on fire\nand more")

    monkeypatch.setattr(wandb, "init", refuse)
    outcome = command("study", "run", written("seeds: [0]", LOGGED, RANDOM, "", FIVE, ""))
    assert outcome.code == 0, outcome.err
    assert (
        "by error, seed 0: W&B failed (CommError: the server is on fire); the run continues without it." in outcome.out
    )
    assert "W&B: the report was not uploaded (CommError: the server is on fire)." in outcome.out


def test_what_is_lost_takes_every_call(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(StudyWandbLogger, "failure", None)

    def fail() -> None:
        raise BrokenPipeError("gone")

    attempt(fail).config.update({"a": 1})
    assert StudyWandbLogger.failure == "W&B failed (BrokenPipeError: gone); the run continues without it."
    assert isinstance(attempt(lambda: 1), Nothing), "it is left alone after the first error"


def test_runs_get_the_logger_that_cannot_break_them() -> None:
    settings = {"trainer": {"logger": [LOGGER, {"class_path": "CSVLogger"}]}}
    names = [logger["class_path"] for logger in study_loggers(settings)]
    assert names == ["zoo.study.run.wandb.StudyWandbLogger", "CSVLogger"]
    assert settings["trainer"]["logger"][0] is LOGGER
