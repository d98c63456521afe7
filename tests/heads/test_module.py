"""The heads' LightningModule: the mesh once a step, what trains what, checkpoints and a whole fit with its test."""

import copy
import csv
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

import zoo
from zoo.core.spec import build
from zoo.heads.gradient_coverage import outputs_without_gradient
from zoo.heads.mesh import HeadModel, HeadParams
from zoo.heads.module import HeadAlignment
from zoo.heads.parts import HeadBatch
from zoo.testing.data_modules import quiet_trainer


@pytest.fixture
def model_with(heads_config: dict[str, Any]) -> Callable[..., HeadAlignment]:
    """Makes the small model with other arguments; a loss is changed by its weight."""

    def make(**arguments: Any) -> HeadAlignment:
        spec = copy.deepcopy(heads_config["model"])
        for name, value in arguments.items():
            if name in spec["init_args"]["losses"]:
                spec["init_args"]["losses"][name]["init_args"]["weight"] = value
            else:
                spec["init_args"][name] = value
        return build(spec)

    return make


def idle(model: HeadAlignment) -> list[str]:
    """What no loss term of the model trains."""
    return outputs_without_gradient(model.head_model, model.losses, model.network.landmark_branch)


class TestWhatTrainsWhat:
    def test_the_official_losses_train_everything(self, model_with) -> None:
        assert idle(model_with()) == []

    def test_without_reprojection_nothing_trains_the_pose(self, model_with) -> None:
        assert idle(model_with(reprojection=0.0)) == ["rotation", "translation", "scale"]

    def test_a_rotation_loss_keeps_the_rotation_trained(self, model_with) -> None:
        assert idle(model_with(reprojection=0.0, rotation=1.0)) == ["translation", "scale"]

    def test_landmarks_without_their_loss_are_named(self, model_with) -> None:
        assert idle(model_with(landmarks=0.0)) == ["landmarks"]

    def test_a_loss_on_what_the_branch_does_not_give_is_refused(self, model_with) -> None:
        with pytest.raises(
            ValueError, match=r"'heatmap' \(SoftIoUHeatmap\) reads heatmaps, which NoLandmarks does not"
        ):
            model_with(landmark_branch={"class_path": "NoLandmarks"})

    def test_without_a_branch_the_mesh_gives_the_landmarks(self, model_with) -> None:
        model = model_with(landmark_branch={"class_path": "NoLandmarks"}, heatmap=0.0, landmarks=0.0)
        output = model.eval()(torch.rand(1, 3, 64, 64))
        assert output.landmarks is None
        assert model.head_model.landmarks(output.projected).shape == (1, 68, 2)


@pytest.fixture
def meshes(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many heads each mesh was computed for, of any head model."""
    counted: list[int] = []
    skinned = HeadModel._skin

    def count(head_model: HeadModel, params: HeadParams) -> Any:
        counted.append(len(params.jaw))
        return skinned(head_model, params)

    monkeypatch.setattr(HeadModel, "_skin", count)
    return counted


def test_one_mesh_a_step_serves_losses_and_metrics(model_with, meshes: list[int]) -> None:
    model = model_with(rotation=1.0)
    batch = ground_truth(model, 2)
    meshes.clear()
    output = model.compute(batch)
    model.loss(output, batch)
    model.validation_metrics.update(output, batch)
    assert meshes == [2]


def test_a_training_step_computes_one_mesh(heads_config: dict[str, Any], meshes: list[int]) -> None:
    """Of the network's parameters; augmentation moves the meshes that the data has."""
    data, module = build(heads_config["data"]), build(heads_config["model"])
    data.trainer = quiet_trainer(1)
    data.trainer.training = True
    data.trainer.strategy.connect(module)
    data.setup("fit")
    raw = next(iter(data.train_dataloader()))
    module.log = module.log_dict = lambda *_, **__: None
    meshes.clear()
    module.training_step(data.on_after_batch_transfer(raw, 0), 0).backward()
    assert meshes == [2]


def test_a_perfect_prediction_has_no_error(model_with) -> None:
    model = model_with()
    params = torch.zeros(2, model.head_model.sizes.total)
    params[:, -10:] = torch.tensor([1.0, 0, 0, 0, -1, 0, 0, 0, 0, 5])
    output = model.compute_mesh(model.network(torch.rand(2, 3, 64, 64))._replace(params=params))
    batch = ground_truth(model, 2)._replace(
        vertices=output.vertices, projected=output.projected, rotation=output.rotation
    )
    model.validation_metrics.update(output, batch)
    results = model.validation_metrics.compute()
    assert results["validation/nme"] == pytest.approx(0, abs=1e-4)
    assert results["validation/angle"] == pytest.approx(0, abs=0.1)


def test_a_batch_of_one_trains(model_with) -> None:
    model = model_with()
    batch = ground_truth(model, 1)
    model.loss(model.compute(batch), batch)[0].backward()
    assert all(value.grad is not None and value.grad.isfinite().all() for value in model.network.parameters())


def test_a_batch_of_one_too_small_for_batch_norm_is_one_sentence(model_with) -> None:
    model = model_with(image_size=32)
    batch = ground_truth(model, 1)._replace(image=torch.rand(1, 3, 32, 32))
    with pytest.raises(ValueError, match=r"^a batch of one, of images so small .* raise --data\.batch_size, or give"):
        model.training_step(batch, 0)
    with pytest.raises(ValueError, match="square crops"):
        model.training_step(batch._replace(image=torch.rand(1, 3, 32, 48)), 0)


def ground_truth(model: HeadAlignment, count: int) -> HeadBatch:
    """A batch of frontal heads that differ from any prediction."""
    vertices = model.head_model.template.expand(count, -1, -1)
    return HeadBatch(
        image=torch.rand(count, 3, 64, 64),
        vertices=vertices,
        projected=vertices[..., :2] * 100 + 32,
        landmarks=torch.rand(count, 68, 2),
        visible=torch.ones(count, 68),
        rotation=torch.diag(torch.tensor([1.0, -1, -1])).expand(count, 3, 3),
        box=torch.tensor([8.0, 8, 48, 48]).expand(count, 4),
    )


def checkpoint(folder: Path) -> Path:
    return folder / "runs/tiny-heads/version_0/checkpoints/last.ckpt"


def values(file: Path, name: str) -> list[float]:
    """The values of a column of metrics.csv."""
    with file.open() as lines:
        return [float(row[name]) for row in csv.DictReader(lines) if row.get(name)]


class TestFit:
    def test_a_run_leaves_metrics_pictures_and_a_checkpoint(self, trained) -> None:
        run = trained / "runs/tiny-heads/version_0"
        assert len(values(run / "metrics.csv", "validation/nme")) == 2
        assert (run / "pictures/epoch_0001.png").is_file()
        assert checkpoint(trained).is_file()

    def test_the_checkpoint_holds_no_head_but_names_it(self, trained) -> None:
        content = torch.load(checkpoint(trained), weights_only=True)
        assert not [key for key in content["state_dict"] if "head_model" in key]
        model = zoo.load(str(checkpoint(trained)))
        assert content["zoo"]["head"] == {"name": model.head_model.name, "sha256": model.head_model.sha256}

    def test_validate_reproduces_the_checkpoint(self, trained, command, monkeypatch) -> None:
        monkeypatch.chdir(trained)
        before = values(trained / "runs/tiny-heads/version_0/metrics.csv", "validation/nme")[-1]
        outcome = command("validate", "--ckpt_path", checkpoint(trained), "--runs", "again")
        assert outcome.code == 0, outcome.err
        after = values(trained / "again/tiny-heads/version_0/metrics.csv", "validation/nme")[-1]
        assert after == pytest.approx(before, abs=1e-6)

    def test_test_gives_every_metric_and_a_table_by_attribute(self, trained, command, monkeypatch) -> None:
        monkeypatch.chdir(trained)
        outcome = command("test", "--ckpt_path", checkpoint(trained), "--runs", "tested")
        assert outcome.code == 0, outcome.err
        run = trained / "tested/tiny-heads/version_0"
        for name in ("nme", "landmark_nme", "pose", "angle", "angle_folded", "z5", "chamfer", "now_median", "f_q"):
            assert values(run / "metrics.csv", f"test/rendered/{name}"), name
        rows = json.loads((run / "attributes_rendered.json").read_text())
        assert sum(row["heads"] for row in rows if row["attribute"] == "pose") == 8

    def test_a_study_is_told_each_head_and_each_name(self, trained, command, monkeypatch) -> None:
        model = zoo.load(str(checkpoint(trained)))
        monkeypatch.chdir(trained)
        assert command("test", "--ckpt_path", checkpoint(trained), "--runs", "named").code == 0
        header = (trained / "named/tiny-heads/version_0/metrics.csv").read_text().splitlines()[0].split(",")
        data = build(torch.load(checkpoint(trained), weights_only=True)["zoo"]["data"])
        promised = {name for name in model.metric_names(data) if name.startswith("test/")}
        assert promised == {name for name in header if name.startswith("test/")}

    def test_another_head_under_the_same_name_is_refused(self, trained, tmp_path) -> None:
        content = torch.load(checkpoint(trained), weights_only=True)
        content["zoo"]["head"]["sha256"] = "0" * 64
        changed = tmp_path / "changed.ckpt"
        torch.save(content, changed)
        with pytest.raises(ValueError, match=r"was trained with another version of the head model"):
            zoo.load(str(changed))
