"""Files that version 0.1.0 wrote still load, resume, measure, export and report to the numbers that it gave.

`written_by_0.1.0.tar.xz` holds a fitted run of each task, its published file, a study with results, the plugin file and
configurations that made them, and what 0.1.0 computed from them: `numbers.json` and `outputs.npz`. Weights of large
tensors repeat a short pattern, so that the archive stays small.
"""

import csv
import json
import shutil
import tarfile
from pathlib import Path

import numpy as np
import pytest
import torch

import zoo
from zoo.core.plugin_files import load_plugin_files

RUNS = {"matting": "tiny", "heads": "tiny-heads"}
TASKS = pytest.mark.parametrize("task", RUNS)


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The unpacked archive. Shared: tests only read it."""
    folder = tmp_path_factory.mktemp("before")
    with tarfile.open(Path(__file__).with_name("written_by_0.1.0.tar.xz")) as packed:
        packed.extractall(folder, filter="data")
    return folder


@pytest.fixture
def before(archive: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The unpacked archive, as the working directory."""
    monkeypatch.chdir(archive)
    return archive


def checkpoint(task: str) -> str:
    """The path of the task's fitted checkpoint in the archive."""
    return f"runs/{RUNS[task]}/version_0/checkpoints/last.ckpt"


def metrics(runs: Path) -> dict[str, float]:
    """The last value of every column in the one metrics.csv under a folder."""
    (file,) = runs.rglob("metrics.csv")
    with file.open() as opened:
        rows = list(csv.DictReader(opened))
    return {key: float(value) for row in rows for key, value in row.items() if value}


def expected(before: Path, key: str, tolerance: float) -> object:
    """What 0.1.0 computed, with a relative tolerance."""
    return pytest.approx(json.loads((before / "numbers.json").read_text())[key], rel=tolerance)


@TASKS
@pytest.mark.parametrize("source", ["checkpoint", "published file"])
def test_load_gives_the_same_outputs(before: Path, task: str, source: str) -> None:
    load_plugin_files(["parts.py"])
    model = zoo.load(checkpoint(task) if source == "checkpoint" else f"published/{task}.safetensors")
    generator = torch.Generator().manual_seed(7)
    images = [torch.rand(1, 3, 64, 64, generator=generator) for _ in range(2 if task == "matting" else 1)]
    with torch.no_grad():
        output = model(*images)
    reference = np.load("outputs.npz")
    found = {
        "matting_alpha": lambda: output.alpha[..., ::2, ::2],
        "matting_foreground": lambda: output.foreground[..., ::3, ::3],
        "heads_params": lambda: output.params,
        "heads_landmarks": lambda: output.landmarks,
        "heads_projected": lambda: output.projected[:, ::100],
    }
    for key in [key for key in found if key.startswith(task)]:
        np.testing.assert_allclose(found[key]().numpy(), reference[key], rtol=1e-5, atol=1e-6)


@TASKS
@pytest.mark.parametrize("subcommand", ["validate", "test"])
def test_metrics_are_the_same(before: Path, tmp_path: Path, command, task: str, subcommand: str) -> None:
    outcome = command(subcommand, "--plugin", "parts.py", "--ckpt_path", checkpoint(task), "--runs", tmp_path)
    assert outcome.code == 0, outcome.err
    recorded = json.loads((before / "numbers.json").read_text())[f"{task}/{subcommand}"]
    numbers = {key: value for key, value in metrics(tmp_path).items() if key in recorded}  # more is measured today
    assert numbers == expected(before, f"{task}/{subcommand}", 1e-6)


@TASKS
def test_training_resumes_to_the_same_weights(before: Path, tmp_path: Path, command, task: str) -> None:
    resumed = ("--ckpt_path", checkpoint(task), "--runs", tmp_path, "--trainer.max_epochs=3")
    outcome = command("fit", "--plugin", "parts.py", *resumed)
    assert outcome.code == 0, outcome.err
    recorded = json.loads((before / "numbers.json").read_text())[f"{task}/resume"]
    numbers = {key: value for key, value in metrics(tmp_path).items() if key in recorded}  # more is logged today
    assert numbers == expected(before, f"{task}/resume", 1e-5)
    (file,) = tmp_path.rglob("last.ckpt")
    state = torch.load(file, map_location="cpu", weights_only=True)["state_dict"]
    children = sorted({key.split(".")[1] for key in state})
    sums = {
        child: sum(float(value.double().abs().sum()) for key, value in state.items() if key.split(".")[1] == child)
        for child in children
    }
    assert sums == expected(before, f"{task}/weights", 1e-6)


@TASKS
def test_a_checkpoint_exports(before: Path, tmp_path: Path, command, task: str) -> None:
    file = tmp_path / "again.safetensors"
    outcome = command("export", checkpoint(task), "--plugin", "parts.py", "--format", "safetensors", "--output", file)
    assert outcome.code == 0, outcome.err
    assert zoo.load(file).state_dict().keys() == zoo.load(f"published/{task}.safetensors").state_dict().keys()


def test_a_study_reports_the_same_numbers(before: Path, tmp_path: Path, command) -> None:
    shutil.copytree("studies", tmp_path / "studies")
    report = tmp_path / "studies" / "small" / "report.csv"
    old = list(csv.DictReader(report.open()))
    report.unlink()
    outcome = command("study", "report", "study.yaml", "--runs", tmp_path / "studies")
    assert outcome.code == 0, outcome.err
    again = [{key: row[key] for key in before} for row, before in zip(csv.DictReader(report.open()), old, strict=True)]
    assert again == old


def test_a_run_directory_compares_with_itself(before: Path, command) -> None:
    outcome = command("diff", "runs/tiny/version_0", "runs/tiny/version_0")
    assert outcome.code == 0, outcome.err
