"""Every shipped configuration is run: as it stands but for its length, its data and its backbone, which are small.

With its own backbone each is run once without training.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import pytest
import torch
import yaml

import zoo
from zoo.core.spec import build
from zoo.runner.configs import CONFIGS
from zoo.training.module import TrainingModule

MATTING = sorted((CONFIGS / "matting").glob("*.yaml"))
HEADS = sorted((CONFIGS / "heads").glob("*.yaml"))
INPUTS = sorted(path.stem for path in (CONFIGS / "inputs").glob("*.yaml"))

SMALL_MATTES = {"class_path": "SyntheticMattes", "init_args": {"count": 4, "backgrounds": 2, "size": 64}}
SMALL_BACKBONE = {"name": "test_resnet", "pretrained": False}
SMALL_HEADS = {"class_path": "SyntheticHeads", "init_args": {"count": 4, "size": 96}}


def shrunk(value: Any, dataset: dict[str, Any]) -> Any:
    """The settings with every dataset replaced by a small one, and canvases to match."""
    if isinstance(value, dict):
        small = {"canvas": 64, "crop": [32, 64], "epochs": 1, "dataset": dataset}
        return {
            key: small[key] if key in small and item is not None else shrunk(item, dataset)
            for key, item in value.items()
        }
    return value


@pytest.mark.slow
@pytest.mark.parametrize("config", MATTING, ids=lambda path: path.stem)
def test_matting_configuration_runs(
    config: Path, command: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("ZOO_CACHE", str(tmp_path / "cache"))
    settings = yaml.safe_load(config.read_text())
    data = settings["data"]["init_args"]
    stages = len(data["train"])
    settings["data"]["init_args"] = shrunk(data, SMALL_MATTES) | {"workers": 0, "batch_size": 2}
    settings["trainer"] |= {
        "max_epochs": stages,
        "limit_train_batches": 1,
        "precision": "bf16-mixed",
        "accelerator": "cpu",
    }
    settings["model"]["init_args"]["backbone"]["init_args"] |= SMALL_BACKBONE
    changed = tmp_path / config.name
    changed.write_text(yaml.safe_dump(settings, sort_keys=False))  # the order of stages and augmentations counts
    outcome = command("fit", "--config", changed)
    assert outcome.code == 0, outcome.err
    run = tmp_path / "runs" / settings["name"] / "version_0"
    assert (run / "checkpoints" / "last.ckpt").is_file()
    assert (run / "pictures" / f"epoch_{stages - 1:04d}.png").is_file()


@pytest.mark.parametrize("inputs", INPUTS)
def test_a_guide_may_stand_in_for_the_background(
    inputs: str, command: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    few = {"canvas": 64, "dataset": SMALL_MATTES}
    data = {"workers": 0, "batch_size": 2, "train": {"synthetic": few}, "validation": few}
    trainer = {"max_epochs": 1, "limit_train_batches": 1, "accelerator": "cpu"}
    model = {"backbone": {"name": SMALL_BACKBONE["name"]}}
    Path("small.yaml").write_text(yaml.safe_dump({"data": data, "trainer": trainer, "model": model}))
    names = ("matting/quickstart", f"inputs/{inputs}", "small.yaml")
    outcome = command("fit", *(word for name in names for word in ("--config", name)))
    assert outcome.code == 0, outcome.err
    network = zoo.load("runs/matting-quickstart/version_0/checkpoints/last.ckpt").network
    assert (network.captured_background, type(network.guide).__name__) == (False, "PersonGuide")


@pytest.mark.slow
@pytest.mark.parametrize("config", HEADS, ids=lambda path: path.stem)
def test_heads_configuration_runs(
    config: Path, command: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    settings = yaml.safe_load(config.read_text())
    settings["data"]["init_args"] = shrunk(settings["data"]["init_args"], SMALL_HEADS) | {"workers": 0, "batch_size": 2}
    settings["trainer"] |= {"max_epochs": 1, "limit_train_batches": 1, "accelerator": "cpu"}
    settings["model"]["init_args"] |= {"image_size": 64, "head_model": {"class_path": "OpenHead"}}
    backbone = settings["model"]["init_args"]["backbone"]
    if backbone["class_path"] == "TimmBackbone":
        backbone["init_args"] |= SMALL_BACKBONE
    changed = tmp_path / config.name
    changed.write_text(yaml.safe_dump(settings, sort_keys=False))
    outcome = command("fit", "--config", changed)
    assert outcome.code == 0, outcome.err
    run = tmp_path / "runs" / settings["name"] / "version_0"
    assert (run / "checkpoints" / "last.ckpt").is_file()
    assert (run / "pictures" / "epoch_0000.png").is_file()


@pytest.mark.parametrize("config", MATTING + HEADS, ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_its_own_backbone_suits_the_network(config: Path) -> None:
    model = yaml.safe_load(config.read_text())["model"]
    backbone = model["init_args"]["backbone"]
    if backbone["class_path"] == "TimmBackbone":
        backbone["init_args"]["pretrained"] = False  # the one thing that needs a network
    if config in HEADS:
        model["init_args"]["head_model"] = {"class_path": "OpenHead"}
    module = cast(TrainingModule, build(model)).eval()
    with torch.no_grad():
        output = module(*module.example(64, 64))
    assert all(value.isfinite().all() for value in output if isinstance(value, torch.Tensor))


@pytest.mark.parametrize("config", MATTING + HEADS, ids=lambda path: path.stem)
def test_configuration_names_its_run_and_seed(config: Path) -> None:
    settings = yaml.safe_load(config.read_text())
    assert settings["name"].startswith(("matting-", "heads-"))
    assert isinstance(settings["seed_everything"], int)


def test_every_loss_term_is_listed() -> None:
    expected = {"alpha", "gradient", "foreground", "coarse_alpha", "coarse_gradient", "coarse_foreground", "error"}
    for config in MATTING:
        assert set(yaml.safe_load(config.read_text())["model"]["init_args"]["losses"]) == expected
