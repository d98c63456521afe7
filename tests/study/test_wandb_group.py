"""Weights & Biases in a study: a group, and no dependence on it."""

import os
import socket
from typing import Any

import pytest

from zoo.study.job import Job
from zoo.study.wandb_group import reachable, wandb_group

LOGGER = {"class_path": "lightning.pytorch.loggers.WandbLogger", "init_args": {}}


@pytest.fixture
def job() -> Job:
    return Job(
        study="small", row="at random", seed=0, pair=0, id="0123", baseline=False, evaluate_only=False, after=None,
        after_id=None, note="", metrics=[], differences=[], parameters=0, multiply_adds={}, data={}, plugins=[],
        threads=None, gpus=0, settings_hash="",
    )  # fmt: skip


@pytest.fixture(autouse=True)
def closed_port(monkeypatch: pytest.MonkeyPatch) -> str:
    """A server that cannot be reached."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = f"http://127.0.0.1:{server.getsockname()[1]}"
    monkeypatch.setenv("WANDB_BASE_URL", address)
    monkeypatch.delenv("WANDB_MODE", raising=False)
    return address


def seen(job: Job, logger: Any) -> dict[str, str]:
    """W&B's variables that the block sets."""
    before = dict(os.environ)
    with wandb_group(job, {"trainer": {"logger": logger}}):
        return {name: value for name, value in os.environ.items() if before.get(name) != value}


def test_a_run_belongs_to_its_study_and_row_and_is_offline_without_a_server(job: Job) -> None:
    assert seen(job, [LOGGER]) == {
        "WANDB_RUN_GROUP": "small",
        "WANDB_JOB_TYPE": "at random",
        "WANDB_RUN_ID": "0123",
        "WANDB_RESUME": "allow",
        "WANDB_MODE": "offline",
    }
    assert "WANDB_RUN_ID" not in os.environ


def test_nothing_is_set_or_asked_where_no_configuration_logs_there(job: Job) -> None:
    assert seen(job, None) == {}
    assert seen(job, {"class_path": "TensorBoardLogger"}) == {}


def test_a_server_that_answers_is_used(job: Job, monkeypatch: pytest.MonkeyPatch, closed_port: str) -> None:
    assert not reachable(closed_port)
    with socket.create_server(("127.0.0.1", 0)) as server:
        monkeypatch.setenv("WANDB_BASE_URL", f"http://127.0.0.1:{server.getsockname()[1]}")
        assert "WANDB_MODE" not in seen(job, LOGGER)
