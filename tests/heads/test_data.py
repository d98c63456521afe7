"""Crops of heads: random margins in training, the same crops in every evaluation."""

from typing import Any

import pytest
import torch
from lightning.pytorch import Trainer
from zoo_plugins.datasets.synthetic_heads import SyntheticHeads
from zoo_plugins.head_models import OpenHead

from zoo.core.spec import build
from zoo.heads.data import EvaluationCrops, HeadEvaluationSet, HeadTrainingSet, TrainingCrops, collate
from zoo.training.sampling import SampleKey


@pytest.fixture(scope="module")
def dataset() -> SyntheticHeads:
    heads = SyntheticHeads(count=3, size=96)
    heads.build(OpenHead())
    return heads


def test_training_crops_differ_between_epochs_and_repeat_with_the_seed(dataset) -> None:
    first, again = (TrainingCrops(HeadTrainingSet(dataset), dataset.head_model, 64, seed=1) for _ in range(2))
    assert torch.equal(first[SampleKey(0, 1)].image, again[SampleKey(0, 1)].image)
    assert not torch.equal(first[SampleKey(0, 1)].box, first[SampleKey(1, 1)].box)


def test_evaluation_crops_are_always_the_same(dataset) -> None:
    wanted = HeadEvaluationSet(dataset, crops=2)
    first, again = (EvaluationCrops(wanted, dataset.head_model, 64) for _ in range(2))
    assert len(first) == 6
    for index in range(6):
        assert torch.equal(first[index].image, again[index].image)


def test_further_crops_show_the_same_head_with_other_margins(dataset) -> None:
    crops = EvaluationCrops(HeadEvaluationSet(dataset, crops=2), dataset.head_model, 64)
    assert crops[0].name == crops[1].name != crops[2].name
    assert not torch.equal(crops[0].box, crops[1].box)
    assert torch.equal(crops[0].rotation, crops[1].rotation)


def test_the_box_lies_inside_its_margins(dataset) -> None:
    crops = EvaluationCrops(HeadEvaluationSet(dataset, extension=0.1), dataset.head_model, 64)
    left, top, width, height = crops[0].box.tolist()
    assert max(width, height) == pytest.approx(64 / 1.2, rel=0.03)
    assert min(left, top) > 0


def test_landmarks_are_those_of_the_projected_mesh(dataset) -> None:
    batch = collate([EvaluationCrops(HeadEvaluationSet(dataset), dataset.head_model, 64)[index] for index in range(3)])
    assert torch.allclose(batch.landmarks * 64, dataset.head_model.landmarks(batch.projected), atol=1e-3)
    assert batch.name is not None
    assert len(batch.name) == len(batch.attributes or []) == 3


def test_an_evaluation_without_crops_is_refused(dataset) -> None:
    with pytest.raises(ValueError, match="crops=0: expected at least 1"):
        HeadEvaluationSet(dataset, crops=0)


def test_workers_augment_where_there_is_no_accelerator(heads_config: dict[str, Any]) -> None:
    batches = []
    for workers in (0, 2):
        data, model = build(heads_config["data"]), build(heads_config["model"])
        data.workers = workers
        data.trainer = Trainer(max_epochs=1, accelerator="cpu", logger=False, enable_checkpointing=False)
        data.trainer.training = True
        data.trainer.strategy.connect(model)
        data.setup("fit")
        read = next(iter(data.train_dataloader()))
        assert read.image.dtype == (torch.float32 if workers else torch.uint8)
        batches.append(data.on_after_batch_transfer(read, 0))
    for name in ("image", "projected", "landmarks", "rotation"):
        ours, theirs = (getattr(batch, name) for batch in batches)
        torch.testing.assert_close(ours, theirs)
