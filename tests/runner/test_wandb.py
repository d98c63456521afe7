"""Weights & Biases: where its files are, and that training does not depend on it."""

import os
from typing import Any

import pytest
from jsonargparse import Namespace
from lightning.pytorch.loggers import WandbLogger

from zoo.runner.wandb import begin_wandb, prepare_wandb


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WANDB_API_KEY", "0" * 40)
    monkeypatch.setenv("WANDB_MODE", "online")


def prepared() -> Namespace:
    settings = Namespace(save_dir=".", name=None, project=None, offline=False)
    prepare_wandb(settings, "mine", "runs/mine/version_0")
    return settings


def test_a_server_that_cannot_be_reached_is_said_and_the_run_is_logged_offline(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("WANDB_BASE_URL", "http://127.0.0.1:9")
    for mode in ("online", None):
        monkeypatch.setenv("WANDB_MODE", mode) if mode else monkeypatch.delenv("WANDB_MODE")
        assert prepared().offline
        assert "W&B: no answer from http://127.0.0.1:9, logging offline; `wandb sync`" in capsys.readouterr().out


def test_without_a_server_checkpoints_are_not_uploaded(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("WANDB_BASE_URL", "http://127.0.0.1:9")
    settings = Namespace(save_dir=".", name=None, project=None, offline=False, log_model="all")
    prepare_wandb(settings, "mine", "runs/mine/version_0")
    assert settings.log_model is False  # Lightning refuses it offline
    assert "checkpoints stay in the run directory" in capsys.readouterr().out


def test_a_server_that_answers_is_used(monkeypatch: pytest.MonkeyPatch, server: Any) -> None:
    monkeypatch.setenv("WANDB_BASE_URL", server.address)
    settings = prepared()
    assert not settings.offline
    assert (settings.save_dir, settings.name) == ("runs/mine/version_0", "mine-version_0")


def test_a_run_that_cannot_begin_begins_offline(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def refused(logger: WandbLogger) -> None:
        raise RuntimeError("invalid API key.\nMore lines.")

    monkeypatch.setattr(WandbLogger, "experiment", property(refused))
    begin_wandb([WandbLogger()])
    assert os.environ["WANDB_MODE"] == "offline"
    assert "W&B failed (RuntimeError: invalid API key): logging offline" in capsys.readouterr().out


def test_what_is_chosen_stays() -> None:
    chosen = {"save_dir": "mine", "name": "first", "project": "own", "offline": True}
    settings = Namespace(**chosen)
    prepare_wandb(settings, "mine", "runs/mine/version_0")
    assert vars(settings) == chosen
