"""The report in W&B: where the study's runs are logged, and never at the report's expense."""

from typing import Any

import pytest
import yaml

LOGGER = {
    "class_path": "lightning.pytorch.loggers.WandbLogger",
    "init_args": {"project": "hair", "entity": "us", "offline": True},
}


def test_a_study_that_logs_elsewhere_is_not_uploaded(small, command, monkeypatch: pytest.MonkeyPatch) -> None:
    import wandb

    monkeypatch.setattr(wandb, "init", None)
    outcome = command("study", "report", *small.options)
    assert outcome.code == 0, outcome.err
    assert "W&B" not in outcome.out


def test_it_belongs_to_the_project_of_the_runs_and_a_failure_is_a_sentence(small, command, monkeypatch) -> None:
    import wandb

    config = small.run("by_error") / "config.yaml"
    settings = yaml.safe_load(config.read_text())
    settings["trainer"]["logger"] = [LOGGER]
    config.write_text(yaml.safe_dump(settings))
    asked: list[dict[str, Any]] = []

    def refuse(**named: Any) -> None:
        asked.append(named)
        raise BrokenPipeError("gone")

    monkeypatch.setattr(wandb, "init", refuse)
    outcome = command("study", "report", *small.options)
    assert outcome.code == 0, outcome.err
    assert outcome.out.splitlines()[-1] == "W&B: the report was not uploaded (BrokenPipeError: gone)."
    assert [(named["project"], named["entity"], named["name"]) for named in asked] == [("hair", "us", "small")]
    assert (small.runs / "small" / "report.html").is_file()
