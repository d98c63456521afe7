"""`zoo diff`: what differs between two runs, and what both measured."""

import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from zoo.commands.diff import lower_is_better
from zoo.study.record import CONFIG, RESULT, read_job
from zoo.testing.engines import write_run

ENVIRONMENT = {
    "command": ["zoo", "fit"],
    "versions": {"torch": "2.6", "python": "3.12"},
    "platform": "Linux",
    "device": "CPU (x86_64)",
    "plugins": ["ablation-zoo 0.1.0"],
    "commit": None,
}
METRICS = "epoch,step,train/loss,validation/sad,test/one/z5,test/one/mystery\r\n0,9,1,5,,\r\n1,19,1,4,0.5,7\r\n"


def settings(**changes: Any) -> dict[str, Any]:
    """Resolved settings of a run, with values replaced."""
    selector = changes.get("selector", {"class_path": "TopK", "init_args": {"patches": 20, "fixed_count": False}})
    one = {"dataset": {"class_path": "Squares", "init_args": {"count": changes.get("count", 2)}}}
    return {
        "seed_everything": changes.get("seed", 0),
        "trainer": {"accelerator": "auto", "max_epochs": 2, "precision": None},
        "model": {"class_path": "BackgroundMatting", "init_args": {"selector": selector, "metrics": "bgmv2"}},
        "data": {"class_path": "MattingData", "init_args": {"test": {"one": one}}},
        "name": changes.get("name", "one"),
        "runs": "runs",
        "ckpt_path": None,
        "weights_only": None,
    }


@pytest.fixture
def written(tmp_path: Path) -> Callable[..., Path]:
    """Writes the folder of a run, `written("a", seed=3)`; `metrics` and `environment` replace what is in these."""

    def write(name: str, metrics: str = METRICS, environment: dict[str, Any] | None = None, **changes: Any) -> Path:
        folder = tmp_path / "runs" / name / "version_0"
        folder.mkdir(parents=True)
        (folder / "config.yaml").write_text(yaml.safe_dump(settings(name=name, **changes), sort_keys=False))
        (folder / "environment.json").write_text(json.dumps(ENVIRONMENT | (environment or {})))
        (folder / "metrics.csv").write_bytes(metrics.encode())
        return folder

    return write


@pytest.fixture
def study_run(tmp_path: Path) -> Callable[..., Path]:
    """Writes the folder of a study's run with its settings, and its result where one is given."""

    def write(row: str, result: dict[str, Any] | None = None, **changes: Any) -> Path:
        folder = write_run(tmp_path / "study" / row / "seed_0").directory
        (folder / CONFIG).write_text(yaml.safe_dump(settings(**changes), sort_keys=False))
        if result is not None:
            (folder / RESULT).write_text(json.dumps(replace(read_job(folder), **result).result_data()))
        return folder

    return write


@pytest.fixture(autouse=True)
def wide(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tables of one line a row."""
    monkeypatch.setenv("COLUMNS", "120")


def rows(out: str) -> dict[str, list[str]]:
    """The cells of the table of metrics by name, without the heading, which other lines surround."""
    lines = ([cell.strip() for cell in line.split("│")[1:-1]] for line in out.splitlines() if line.startswith("│"))
    return {name: cells for name, *cells in lines}


def test_settings_differ_by_keys_as_they_are_typed(written, command) -> None:
    a, b = written("a"), written("b", selector={"class_path": "RandomPatches", "init_args": {"seed": 1}}, seed=4)
    outcome = command("diff", a, b)
    assert outcome.code == 0, outcome.err
    assert outcome.out.startswith(f"A  {a} (run)\nB  {b} (run)\n")
    assert (
        "settings, A → B\n"
        "  seed_everything: 0 → 4\n"
        "  model.selector: TopK → RandomPatches\n"
        "  model.selector.seed: absent → 1\n"
        "  model.selector.patches: 20 → absent\n"
        "  model.selector.fixed_count: False → absent\n"
        "versions: no difference\n"
        "device: no difference\n"
        "data: neither records any\n"
    ) in outcome.out


def test_where_a_run_lies_is_no_difference(written, command) -> None:
    outcome = command("diff", written("a"), written("b"))
    assert outcome.code == 0
    assert "settings: no difference\n" in outcome.out
    assert rows(outcome.out)["validation/sad"] == ["4.000", "4.000", "0", ""]


def test_versions_and_device_are_compared_as_far_as_they_are_recorded(written, command) -> None:
    other = {"versions": {"torch": "2.7", "python": "3.12"}, "device": "H200", "commit": "abc+changes"}
    out = command("diff", written("a"), written("b", environment=other)).out
    assert "versions, A → B\n  torch: 2.6 → 2.7\n  only B records commit\n" in out
    assert "device, A → B\n  device: CPU (x86_64) → H200\n" in out


def test_metrics_stand_side_by_side_and_better_is_said_where_it_is_known(written, command) -> None:
    other = METRICS.replace("1,19,1,4,0.5,7", "1,19,1,6,0.25,8")
    found = rows(command("diff", written("a"), written("b", metrics=other)).out)
    assert found == {
        "validation/sad": ["4.000", "6.000", "+2.00", "worse"],
        "test/one/z5": ["0.5000", "0.2500", "−0.250", "worse"],
        "test/one/mystery": ["7.000", "8.000", "+1.00", ""],
    }


def test_a_missing_metric_is_said_and_no_zero(written, command) -> None:
    a, b = written("a"), written("b", metrics="epoch,step,validation/sad,test/two/sad\r\n0,1,nan,3\r\n")
    found = rows(command("diff", a, b).out)
    assert found["validation/sad"] == ["4.000", "missing", "", ""]
    assert found["test/two/sad"] == ["missing", "3.000", "", ""]


def test_what_was_measured_on_other_data_gets_no_verdict(written, command) -> None:
    other = METRICS.replace("1,19,1,4,0.5,7", "1,19,1,3,0.25,8")
    found = rows(command("diff", written("a"), written("b", metrics=other, count=5)).out)
    assert found["test/one/z5"][-1] == "measured otherwise"
    assert found["validation/sad"][-1] == "better"


def test_json_leaves_out_what_a_run_does_not_have(written, command) -> None:
    a = written("a")
    b = written("b", metrics="epoch,step,validation/sad\r\n0,1,3\r\n", selector={"class_path": "AllPatches"})
    found = json.loads(command("diff", a, b, "--json").out)
    assert found["a"] == {"run": str(a), "kind": "run"}
    assert found["settings"] == [
        {"key": "model.selector", "a": "TopK", "b": "AllPatches"},
        {"key": "model.selector.patches", "a": 20},
        {"key": "model.selector.fixed_count", "a": False},
    ]
    assert found["settings_compared"] == "all"
    assert (found["versions"], found["device"], found["data"]) == ([], [], [])
    assert found["metrics"] == [
        {"name": "validation/sad", "a": 4.0, "b": 3.0, "difference": -1.0, "verdict": "better"},
        {"name": "test/one/z5", "a": 0.5},
        {"name": "test/one/mystery", "a": 7.0},
    ]


def test_runs_of_a_study_are_compared_by_their_results(study_run, command) -> None:
    result = {
        "status": "done",
        "metrics": {"test/one/sad": 2.0},
        "device": "CPU",
        "used_threads": 1,
        "versions": {"a": "1"},
    }
    a = study_run("baseline", result)
    b = study_run("other", result | {"metrics": {"test/one/sad": 1.0}, "used_threads": 2}, seed=1)
    out = command("diff", a, b).out
    assert "(row 'baseline' of contract, seed 0)" in out
    assert "  seed_everything: 0 → 1\n" in out
    assert "device, A → B\n  threads: 1 → 2\n" in out
    assert "data: no difference\n" in out
    assert rows(out)["test/one/sad"] == ["2.000", "1.000", "−1.00", "better"]


def test_a_study_s_run_without_a_result_that_counts_has_no_metrics(study_run, command) -> None:
    a, b = study_run("a"), study_run("b", {"status": "failed", "reason": "no memory."})
    outcome = command("diff", a, b)
    assert outcome.code == 0
    assert "seed 0; not finished)" in outcome.out
    assert "seed 0; failed: no memory.)" in outcome.out
    assert outcome.out.endswith("metrics: neither records any; `zoo test --ckpt_path` measures a checkpoint\n")
    stale = replace(read_job(a), id="f" * 16, status="done", metrics={"test/one/sad": 1.0})
    (a / RESULT).write_text(json.dumps(stale.result_data()))
    assert "missing" not in command("diff", a, b).out, "a result of other settings is not this run's"


def test_a_run_differs_from_its_own_checkpoint_in_nothing(fitted: Path, command) -> None:
    outcome = command("diff", fitted, fitted / "checkpoints" / "last.ckpt")
    assert outcome.code == 0, outcome.err
    assert "settings: no difference\n  (compared was what both record: seed_everything, model, data, " in outcome.out
    assert "trainer.max_epochs" in outcome.out
    assert rows(outcome.out)["validation/sad"][1:] == ["missing", "", ""]


def test_published_files_tell_of_their_data_and_metrics(small, command, tmp_path: Path) -> None:
    metrics = tmp_path / "metrics.json"
    metrics.write_text('{"test/one/sad": 1.5}')
    mine, other = tmp_path / "mine.safetensors", tmp_path / "other.safetensors"
    words = ("--plugin", small.plugin, "--format", "safetensors")
    for file, data in ((mine, "squares"), (other, "circles")):
        said = ("--metrics", metrics, "--training-data", data)
        assert command("export", small.checkpoint, *words, *said, "-o", file).code == 0
    out = command("diff", mine, other).out
    assert f"A  {mine} (published file)\n" in out
    assert "settings: no difference\n" in out
    assert "data, A → B\n  training_data: squares → circles\n" in out
    assert rows(out)["test/one/sad"] == ["1.500", "1.500", "0", ""]


def test_weights_are_compared_by_the_catalogue_alone(catalogue, command, cache: Path) -> None:
    def entry(sad: float, **more: Any) -> dict[str, Any]:
        metrics = [{"data": "AIM", "preset": "bgmv2", "source": "me", "values": {"sad": sad}}]
        return {"source": "https://example.org/a.pth", "model": "bgmv2_mobilenetv2", "metrics": metrics} | more

    catalogue({"mine-a": entry(2), "mine-b": entry(1, arguments={"base_scale": 0.125})})
    outcome = command("diff", "mine-a", "mine-b")
    assert outcome.code == 0, outcome.err
    assert "A  mine-a (weights, lab of lab-weights 1.0)\n" in outcome.out
    assert "settings, A → B\n  model.base_scale: 0.25 → 0.125\n" in outcome.out
    assert rows(outcome.out)["AIM, bgmv2/sad"] == ["2.000", "1.000", "−1.00", "better"]
    assert not cache.exists(), "nothing is pulled"


def cut(file: str, size: int) -> Callable[[Path], None]:
    """Leaves a run's file with its beginning alone; a negative size leaves out the end."""
    return lambda run: (run / file).write_bytes((run / file).read_bytes()[:size])


@pytest.mark.parametrize(
    ("harm", "sentence"),
    [
        (
            lambda run: (run / "config.yaml").unlink(),
            "{run} is no run: it has no config.yaml; expected a folder such as",
        ),
        (lambda run: (run / "environment.json").unlink(), "{run} is half-written: it has a config.yaml but no environ"),
        (cut("config.yaml", 0), "{run}/config.yaml is half-written or damaged: compare a run that wrote all of it, or"),
        (cut("config.yaml", 300), "{run}/config.yaml is half-written or damaged"),
        (cut("environment.json", 60), "{run}/environment.json is half-written or damaged"),
        (lambda run: (run / "environment.json").write_text("[]"), "{run}/environment.json is half-written or damaged"),
        (cut("metrics.csv", -3), "{run}/metrics.csv is half-written or damaged"),
        (lambda run: (run / "metrics.csv").write_text("validation/sad\na\n"), "{run}/metrics.csv is half-written or"),
    ],
)
def test_a_half_written_run_is_refused_in_one_sentence(written, command, harm, sentence: str) -> None:
    whole, run = written("whole"), written("run")
    harm(run)
    outcome = command("diff", whole, run)
    assert outcome.code == 1
    assert outcome.complaint.startswith(f"zoo diff: {sentence.format(run=run)}")
    assert "Traceback" not in outcome.err
    assert outcome.out == ""


def test_what_is_no_run_is_answered_with_what_is(written, command, tmp_path: Path) -> None:
    run = written("a")
    assert f"{run.parent} is no run but holds version_0: name one of them" in command("diff", run, run.parent).complaint
    assert "there is no run at nothing/here, nor are there weights" in command("diff", run, "nothing/here").complaint
    assert "not a readable checkpoint" in command("diff", run, run / "metrics.csv").complaint
    assert command("diff", run).code == 2


@pytest.mark.parametrize(
    ("metric", "lower"),
    [("validation/sad", True), ("test/one/nme", True), ("test/z5", False), ("validation/loss", None), ("new", None)],
)
def test_directions_are_known_of_metrics_and_not_of_losses(metric: str, lower: bool | None) -> None:
    assert lower_is_better(metric) is lower


COMPARING = """
import sys, zoo.cli
code = zoo.cli.main(["diff", *sys.argv[1:]])
assert not {"torch", "lightning", "zoo_plugins"} & set(sys.modules), sorted(sys.modules)
sys.exit(code)
"""


def test_comparing_folders_imports_no_torch(written, study_run) -> None:
    folders = [str(written("a")), str(study_run("b", {"status": "done", "metrics": {"test/one/z5": 0.5}}))]
    done = subprocess.run([sys.executable, "-c", COMPARING, *folders], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "test/one/z5" in done.stdout
