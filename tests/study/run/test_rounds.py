"""Studies that run until their rows are decided: when they stop, what they keep, and what they refuse."""

import itertools
import json
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from zoo.core import registry
from zoo.core.errors import ZooError
from zoo.study.file import read_study
from zoo.study.parts import Engine
from zoo.study.plan.planner import Plan, make_plan
from zoo.study.report.report import make_report
from zoo.study.run import rounds
from zoo.study.run.rounds import run_until_decided, seconds_of, with_rounds

SHIFT = {"at random": 1.0, "five": 0.4}


class Makes(Engine):
    """Makes results up at once: `at random` is clearly worse, `five` varies with the seed; ends after some rounds."""

    def __init__(self, rounds: int = 100) -> None:
        self.rounds, self.sizes = rounds, []

    def execute(self, runs) -> None:
        self.sizes.append(len(runs))
        if len(self.sizes) > self.rounds:
            raise KeyboardInterrupt
        for run in runs:
            draw = np.random.default_rng([run.seed, len(run.row)])
            image = 5 + np.random.default_rng(run.seed).normal(0, 0.05, 8) + draw.normal(0, 0.02, 8)
            image += SHIFT.get(run.row, 0.0) * (1 if run.row == "at random" else draw.normal())
            result = replace(run, status="done", metrics=dict.fromkeys(run.metric_names, float(image.mean())))
            result = replace(result, seconds={"fit": 1.0}, device="made up", used_threads=1, versions={"torch": "2.6"})
            (run.directory / "result.json").write_text(json.dumps(result.result_data()))
            lines = [f"one,{index},image{index},{value},{value}" for index, value in enumerate(image)]
            (run.directory / "samples.csv").write_text("\n".join(["set,index,name,sad,mse", *lines]))


@pytest.fixture
def plan(written, monkeypatch: pytest.MonkeyPatch) -> Plan:
    monkeypatch.setattr(rounds, "training_seconds", lambda plan: {"one": 10.0})
    file = written("sizes: {square: [64, 64]}", "margins: {test/one/sad: 2 %}\nnoise_floor: false")
    registry.forget_files()
    return make_plan(read_study(str(file)))


def test_it_stops_by_itself_spends_seeds_where_rows_are_undecided_and_resumes(
    plan: Plan, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    engine = Makes()
    assert run_until_decided(plan, tmp_path / "whole", engine, 1000.0, 6).complete
    content = json.loads((tmp_path / "whole" / "small" / "rounds.json").read_text())
    assert content["seeds"]["at random"] < content["seeds"]["five"] == content["seeds"]["by error"] == 6
    assert engine.sizes[0] == 3
    assert engine.sizes[-1] == 2  # the undecided row and the baseline
    headline = "Compared with by error, 1 of 2 rows are decided on sad (1 worse)."
    assert headline in capsys.readouterr().out
    with pytest.raises(KeyboardInterrupt):
        run_until_decided(plan, tmp_path / "cut", Makes(rounds=3), 1000.0, 6)
    assert run_until_decided(plan, tmp_path / "cut", Makes(), 1000.0, 6).complete
    assert json.loads((tmp_path / "cut" / "small" / "rounds.json").read_text()) == content
    study = with_rounds(plan.study, tmp_path / "cut" / "small")
    assert make_report(study, tmp_path / "cut").headline == headline
    again = Makes()
    run_until_decided(plan, tmp_path / "cut", again, 1000.0, 6)
    assert again.sizes == [0]
    with pytest.raises(ZooError, match="got --max-seeds 7, but the study was begun with 6"):
        run_until_decided(plan, tmp_path / "cut", Makes(), 1000.0, 7)

    with pytest.raises(ZooError, match="got a budget of 5 s, less than one run, about 10 s"):
        run_until_decided(plan, tmp_path / "none", Makes(), 5.0, 6)
    assert not (tmp_path / "none").exists()
    with pytest.raises(ZooError, match="got --max-seeds 2; expected at least 3"):
        run_until_decided(plan, tmp_path / "none", Makes(), 50.0, 2)


def test_the_baseline_with_other_seeds_gets_more_of_them_too(
    written, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setitem(SHIFT, "A/A", 0.4)  # noisy, as training for too short a time is
    monkeypatch.setattr(rounds, "training_seconds", lambda plan: {"one": 10.0})
    plan = make_plan(read_study(str(written("sizes: {square: [64, 64]}", "margins: {test/one/sad: 2 %}"))))
    run_until_decided(plan, tmp_path, Makes(), 1000.0, 6)
    study = with_rounds(plan.study, tmp_path / "small")
    assert study.counts["A/A"] == study.counts["by error"] == 6
    others = {seed for row in study.rows for seed in study.seeds_of(row.name)}
    assert len(set(study.seeds_of("A/A")) - others) == 6
    file = tmp_path / "small" / "rounds.json"
    content = json.loads(file.read_text())
    del content["seeds"]["A/A"]  # as version 0.2.0 wrote it
    file.write_text(json.dumps(content))
    assert with_rounds(plan.study, tmp_path / "small").counts["A/A"] == len(plan.study.seeds)

    monkeypatch.setitem(SHIFT, "A/A", 0.0)
    run_until_decided(plan, tmp_path / "calm", Makes(), 1000.0, 6)
    study = with_rounds(plan.study, tmp_path / "calm" / "small")
    report = make_report(study, tmp_path / "calm")
    assert report.rows[-1].cells["test/one/sad"].verdict == "equivalent"
    assert study.counts["A/A"] < study.counts["by error"]


def test_a_budget_ends_it_between_two_rounds(
    plan: Plan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    clock = itertools.count(0, 20)
    monkeypatch.setattr(rounds, "time", SimpleNamespace(monotonic=lambda: next(clock)))
    run_until_decided(plan, tmp_path, engine := Makes(), 75.0, 6)
    assert engine.sizes == [3, 3, 3]
    assert "The next round needs about 2 s, and 0 s are left." in capsys.readouterr().out


def test_a_budget_has_a_unit() -> None:
    assert [seconds_of(text) for text in ("90s", "45 min", "2h")] == [90, 2700, 7200]
    with pytest.raises(ZooError, match="got --budget 2; expected a duration with its unit"):
        seconds_of("2")
