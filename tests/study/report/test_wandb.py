"""The report in W&B: where the study's runs are logged, and never at the report's expense."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from zoo.study.report.wandb import table

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


def test_the_table_has_numbers_where_a_column_has_nothing_else(tmp_path: Path) -> None:
    file = tmp_path / "report.csv"
    file.write_text("row,mean,seeds,note\nby error,1.5,3,\nfive,,2,7\nsix,1e-3,3,seven\n")
    columns, lines = table(file)
    assert columns == ["row", "mean", "seeds", "note"]
    assert lines == [["by error", 1.5, 3, None], ["five", None, 2, "7"], ["six", 0.001, 3, "seven"]]
