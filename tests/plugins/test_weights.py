"""The weights that come with the package: what the catalogue says of them is true, and they are worth having."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors import safe_open
from zoo_plugins.datasets.synthetic import SyntheticMattes
from zoo_plugins.datasets.synthetic_heads import SyntheticHeads

import zoo
from zoo.heads.inference import predict_head
from zoo.hub.catalogue import Entry, all_entries
from zoo.matting.data import EvaluationSamples, EvaluationSet
from zoo.media.images import read_image, write_image
from zoo.weights.published import CARD_KEYS

LARGEST = 12_000_000
"""Bytes."""
BUNDLED: dict[str, Entry] = {
    name: entries[0]
    for name, entries in all_entries().items()
    if entries[0].name == name and entries[0].source.scheme == "package"
}


@pytest.fixture(autouse=True)
def offline(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ZOO_OFFLINE", "1")


def test_there_is_one_for_each_task() -> None:
    assert {entry.task for entry in BUNDLED.values()} == {"matting", "heads"}


@pytest.mark.parametrize("name", BUNDLED)
def test_they_are_what_the_catalogue_says(name: str) -> None:
    entry, path = BUNDLED[name], zoo.pull(name)
    assert path.stat().st_size == entry.size
    assert path.stat().st_size <= LARGEST
    with safe_open(path, framework="pt") as file:
        card = json.loads(file.metadata()["zoo"])["card"]
    assert set(card) == set(CARD_KEYS)
    assert card["licence"] == entry.licence.name
    assert card["text"] == path.with_suffix(".md").read_text(encoding="utf-8")


def test_persons_are_cut_out_without_naming_a_model(command: Callable[..., Any], tmp_path: Path) -> None:
    dataset = SyntheticMattes(split="test", count=4, backgrounds=4, size=256, people=1, cache=str(tmp_path / "cache"))
    samples = [EvaluationSamples(EvaluationSet(dataset))[index] for index in range(4)]
    true, differences = [], []
    for number, sample in enumerate(samples):
        pictures = [np.rint(255 * image.permute(1, 2, 0).numpy()) for image in (sample.source, sample.background)]
        for folder, picture in zip(("with", "without"), pictures, strict=True):
            write_image(tmp_path / folder / f"{number}.png", picture.astype(np.uint8))
        true.append(sample.alpha[0].numpy())
        differences.append(np.abs(pictures[0] - pictures[1]).max(2) / 255)
    words = [tmp_path / "with", tmp_path / "without", "-o", tmp_path / "out", "--save", "alpha", "--device", "cpu"]
    assert command("matte", *words).code == 0
    found = [read_image(tmp_path / "out" / "alpha" / f"{number}.png", "L") / 255 for number in range(4)]
    by_threshold = min(np.abs((np.array(differences) > step / 100) - true).mean() for step in range(1, 60))
    assert np.abs(np.array(found) - true).mean() < 0.9 * by_threshold


def test_a_head_is_found_where_it_is() -> None:
    model = zoo.load("dad3dnet_facemesh-synthetic")
    heads = SyntheticHeads(split="test", count=8)
    heads.build(model.head_model)
    errors = []
    for index in range(len(heads)):
        picture = heads.picture(index)
        result = predict_head(model, picture.image.permute(1, 2, 0).numpy(), tuple(picture.box.tolist()))
        far = np.linalg.norm(result.projected - picture.projected.numpy(), axis=1).mean()
        errors.append(far / float(picture.box[2:].prod()) ** 0.5)
    assert np.mean(errors) < 0.1


@pytest.mark.parametrize("name", BUNDLED)
def test_the_card_is_shown(name: str, command: Callable[..., Any]) -> None:
    text = zoo.pull(name).with_suffix(".md").read_text(encoding="utf-8")
    shown = command("show", name).out
    assert text.strip() in shown
    assert "Provisional" in shown


def test_training_goes_on_from_them(
    command: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    few = {"count": 2, "backgrounds": 2, "size": 64, "cache": str(tmp_path)}
    dataset = json.dumps({"class_path": "SyntheticMattes", "init_args": few})
    where = ("train.synthetic", "validation")
    data = [f"--data.{place}.{key}={value}" for place in where for key, value in (("dataset", dataset), ("canvas", 64))]
    data += ["--data.batch_size=2", "--data.workers=0", "--data.train.synthetic.crop=null"]
    trainer = ["--trainer.max_epochs=1", "--trainer.accelerator=cpu"]
    begin = "--model.checkpoint=bgmv2_mobilenetv2-synthetic"
    assert command("fit", "--config", "matting/synthetic_joint", begin, *data, *trainer).code == 0
    trained = zoo.load("runs/matting-synthetic_joint/version_0/checkpoints/last.ckpt").state_dict()
    begun = zoo.load("bgmv2_mobilenetv2-synthetic").state_dict()
    key = "network.decoder.conv4.weight"
    assert 0 < (trained[key] - begun[key]).abs().max() < 0.01
