"""Training heads: resuming to the same weights, two processes, and what is refused."""

import socket
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from torch import Tensor

from zoo.study.record import logged_lines


def write(config: dict[str, Any], folder: Path, name: str = "heads.yaml") -> Path:
    """Write settings to a file."""
    (folder / name).write_text(yaml.safe_dump(config, sort_keys=False))
    return folder / name


def weights(folder: Path) -> dict[str, Tensor]:
    """The weights at the end of the folder's first run."""
    return torch.load(folder / "tiny-heads/version_0/checkpoints/last.ckpt", weights_only=True)["state_dict"]


@pytest.mark.slow
@pytest.mark.parametrize("cut", [1, 2, 3], ids=["first epoch", "end of first epoch", "second epoch"])
def test_a_run_that_was_cut_resumes_to_the_same_weights(
    cut: int, heads_config: dict[str, Any], command: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    every_step = {"dirpath": "steps", "filename": "{step}", "every_n_train_steps": 1, "save_top_k": -1}
    every_step["auto_insert_metric_name"] = False
    callback = {"class_path": "lightning.pytorch.callbacks.ModelCheckpoint", "init_args": every_step}
    heads_config["trainer"]["callbacks"] = [callback]
    config = write(heads_config, tmp_path)
    assert command("fit", "--config", config, "--runs", "whole").code == 0
    goes_on = ("--trainer.callbacks=null", "--ckpt_path", f"steps/{cut}.ckpt", "--runs", "cut")
    assert command("fit", "--config", config, *goes_on).code == 0
    resumed, at_once = weights(tmp_path / "cut"), weights(tmp_path / "whole")
    assert all(torch.equal(resumed[key], at_once[key]) for key in at_once)


def test_two_processes_measure_what_one_does(
    heads_config: dict[str, Any],
    command: Callable[..., Any],
    begun: Callable[..., subprocess.Popen[bytes]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    heads_config["data"]["init_args"]["validation"] |= {"batch_size": 1}
    heads_config["data"]["init_args"]["validation"]["dataset"] = {
        "class_path": "SyntheticHeads",
        "init_args": {"count": 5, "size": 96},
    }
    config = write(heads_config, tmp_path)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        place = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free.getsockname()[1]), "WORLD_SIZE": "2"}
    several = ("--trainer.strategy=ddp", "--trainer.devices=2", "--trainer.max_epochs=1")
    # As a launcher of clusters begins them; in matting's test Lightning does.
    ranks = [
        begun("fit", "--config", config, *several, environment=place | {"NODE_RANK": "0", "LOCAL_RANK": rank})
        for rank in "01"
    ]
    assert [process.wait(timeout=300) for process in ranks] == [0, 0]
    run = tmp_path / "runs/tiny-heads/version_0"
    assert command("validate", "--ckpt_path", run / "checkpoints/last.ckpt", "--runs", "alone").code == 0
    together, alone = (last_value(path, "validation/nme") for path in (run, tmp_path / "alone/tiny-heads/version_0"))
    assert alone == pytest.approx(together, abs=1e-5)


def last_value(run: Path, name: str) -> float:
    """The last value that a run logged."""
    return [line[name] for line in logged_lines(run) if name in line][-1]


def test_a_dataset_of_another_head_model_is_refused(
    heads_config: dict[str, Any], command: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    heads_config["data"]["init_args"]["train"]["dataset"] = {
        "class_path": "DADHeads",
        "init_args": {"root": str(tmp_path / "nothing")},
    }
    outcome = command("fit", "--config", write(heads_config, tmp_path))
    assert outcome.code == 1
    assert "nothing" in outcome.complaint


def test_predict_points_to_zoo_head(trained: Path, command: Callable[..., Any], tmp_path: Path) -> None:
    last = trained / "runs/tiny-heads/version_0/checkpoints/last.ckpt"
    outcome = command("predict", "--ckpt_path", last, "--runs", tmp_path)
    assert outcome.code == 1
    assert "`zoo head`" in outcome.complaint


def test_the_plateau_schedule_follows_validation(
    heads_config: dict[str, Any], command: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    heads_config["model"]["init_args"]["schedule"] = "plateau"
    outcome = command("fit", "--config", write(heads_config, tmp_path), "--trainer.max_epochs=1")
    assert outcome.code == 0, outcome.err
    content = torch.load(tmp_path / "runs/tiny-heads/version_0/checkpoints/last.ckpt", weights_only=True)
    assert content["lr_schedulers"][0]["patience"] == 8
