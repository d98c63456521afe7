"""The data module: pairing, curriculum, deterministic evaluation, batches of mixed files."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
import yaml
from lightning.pytorch import Trainer
from torch import Tensor

from zoo.core.spec import build
from zoo.matting.compose import batch_to_float
from zoo.matting.data import (
    EvaluationSamples,
    EvaluationSet,
    MattingData,
    TrainingSamples,
    TrainingStage,
    collate,
    cover,
)
from zoo.matting.parts import Matte, MattingBatch, MattingDataset
from zoo.matting.perturbation import Perturbation
from zoo.runner.configs import shipped
from zoo.training.sampling import SampleKey


class Constant(MattingDataset):
    """Cut-out i is a half-transparent plane of colour i / 100; background j has the colour j / 100."""

    def __init__(self, count: int = 6, backgrounds: int = 50, height: int = 16, width: int = 16) -> None:
        self.count, self.backgrounds, self.height, self.width = count, backgrounds, height, width

    def __len__(self) -> int:
        return self.count

    def matte(self, index: int) -> Matte:
        size = (self.height, self.width)
        return Matte(torch.full((3, *size), index / 100), torch.full((1, *size), 0.5), f"plane{index}")

    @property
    def background_count(self) -> int:
        return self.backgrounds

    def background(self, index: int) -> Tensor:
        return torch.full((3, 16, 16), index / 100)


@pytest.fixture
def recipe() -> dict[str, Any]:
    """The official augmentations."""
    settings = yaml.safe_load(shipped("matting/base").read_text(encoding="utf-8"))
    return {name: build(step) for name, step in settings["data"]["init_args"]["augmentations"].items()}


def module(**settings: Any) -> MattingData:
    return MattingData(
        **({"train": {"a": TrainingStage(Constant(), 16)}, "augmentations": {}, "workers": 0} | settings)
    )


def test_each_epoch_pairs_anew_and_alike_in_every_process() -> None:
    samples = TrainingSamples(Constant(), 16, seed=1)
    first = [float(samples[SampleKey(0, index)].background.mean()) for index in range(6)]
    assert first == [
        float(TrainingSamples(Constant(), 16, seed=1)[SampleKey(0, index)].background.mean()) for index in range(6)
    ]
    assert first != [float(samples[SampleKey(1, index)].background.mean()) for index in range(6)]
    assert first != [
        float(TrainingSamples(Constant(), 16, seed=2)[SampleKey(0, index)].background.mean()) for index in range(6)
    ]


def test_samples_have_seeds_of_their_own() -> None:
    samples = TrainingSamples(Constant(), 16, seed=1)
    seeds = {int(samples[SampleKey(epoch, index)].seed) for epoch in range(3) for index in range(6)}  # type: ignore[arg-type]
    assert len(seeds) == 18


def test_evaluation_is_fixed_composited_and_disturbed() -> None:
    wanted = EvaluationSet(Constant(backgrounds=4), backgrounds_each=2)
    samples = EvaluationSamples(wanted)
    assert len(samples) == 12
    again = EvaluationSamples(EvaluationSet(Constant(backgrounds=4), backgrounds_each=2))
    for index in (0, 5, 11):
        assert torch.equal(samples[index].background, again[index].background)
    sample = samples[5]  # cut-out 2 in background 5 % 4 = 1
    torch.testing.assert_close(sample.source, torch.full((3, 16, 16), 0.5 * 0.02 + 0.5 * 0.01))
    assert not torch.equal(sample.background, torch.full((3, 16, 16), 0.01))
    undisturbed = EvaluationSamples(
        EvaluationSet(Constant(backgrounds=4), backgrounds_each=2, disturbance=Perturbation(severity=0))
    )
    assert torch.equal(undisturbed[5].background, torch.full((3, 16, 16), 0.01))


def test_evaluation_at_the_cut_outs_own_size_covers_it_with_background() -> None:
    sample = EvaluationSamples(EvaluationSet(Constant(height=10, width=30)))[0]
    assert sample.source.shape == sample.background.shape == (3, 10, 30)


def test_curriculum_runs_stages_in_order_for_their_epochs() -> None:
    stages = {
        "a": TrainingStage(Constant(1), epochs=2),
        "b": TrainingStage(Constant(2), epochs=1),
        "c": TrainingStage(Constant(3)),
    }
    data = module(train=stages)
    assert [len(data.stage_at(epoch).dataset) for epoch in range(6)] == [1, 1, 2, 3, 3, 3]
    reordered = module(train=stages | {"c": TrainingStage(Constant(3), epochs=1)}, order=["c", "a"])
    assert [len(reordered.stage_at(epoch).dataset) for epoch in range(4)] == [3, 1, 1, 1]


def test_order_and_epochs_are_checked() -> None:
    stages = {"video": TrainingStage(Constant(), epochs=None), "photo": TrainingStage(Constant())}
    with pytest.raises(ValueError, match="'video' has no epochs"):
        module(train=stages)
    with pytest.raises(ValueError, match="'vide', which is no training stage; did you mean video"):
        module(train=stages, order=["vide"])
    with pytest.raises(ValueError, match="at least one training stage"):
        module(order=[])


def test_training_that_ends_before_a_stage_begins_is_an_error() -> None:
    data = module(train={"a": TrainingStage(Constant(), epochs=3), "b": TrainingStage(Constant())})
    data.trainer = Trainer(max_epochs=3, accelerator="cpu", logger=False, enable_checkpointing=False)
    with pytest.raises(ValueError, match="before stage 'b' begins"):
        data.setup("fit")


def test_a_training_set_smaller_than_a_batch_is_an_error() -> None:
    data = module(batch_size=9)
    data.trainer = Trainer(max_epochs=1, accelerator="cpu", logger=False, enable_checkpointing=False)
    with pytest.raises(ValueError, match=r"has 6 samples.*fewer than one batch of 9"):
        data.train_dataloader()


def test_training_batches_are_augmented_cropped_and_composited(tmp_path: Path) -> None:
    data = module(train={"a": TrainingStage(Constant(), canvas=32, crop=[16, 17])})
    data.trainer = Trainer(max_epochs=1, accelerator="cpu", logger=False, enable_checkpointing=False)
    data.trainer.training = True
    batch = collate([TrainingSamples(Constant(), 32, 0)[SampleKey(0, index)] for index in range(4)])
    result = data.on_after_batch_transfer(batch, 0)
    assert result.source.shape == (4, 3, 16, 16)
    torch.testing.assert_close(result.source, result.foreground * result.alpha + result.background * (1 - result.alpha))


class Patterns(Constant):
    """Pictures in which a step leaves traces."""

    def matte(self, index: int) -> Matte:
        values = torch.rand(4, 24, 16, generator=torch.Generator().manual_seed(index)).mul(255).byte()
        return Matte(values[:3], values[3:], f"pattern{index}")

    def background(self, index: int) -> Tensor:
        return torch.rand(3, 24, 24, generator=torch.Generator().manual_seed(-index)).mul(255).byte()


def test_workers_augment_where_there_is_no_accelerator(recipe: dict[str, Any]) -> None:
    stage = TrainingStage(Patterns(), canvas=32, crop=[16, 29])
    batches = []
    for workers in (0, 2):
        data = module(train={"a": stage}, augmentations=recipe, batch_size=3, workers=workers)
        data.trainer = Trainer(max_epochs=1, accelerator="cpu", logger=False, enable_checkpointing=False)
        data.trainer.training = True
        read = list(data.train_dataloader())
        assert {batch.alpha.dtype for batch in read} == {torch.float32 if workers else torch.uint8}
        assert data.workers_augment == (workers > 0)
        batches.append([data.on_after_batch_transfer(batch, 0) for batch in read])
    assert len(batches[0]) == 2
    for in_main, in_worker in zip(*batches, strict=True):
        assert in_main.name == in_worker.name
        for ours, theirs in zip(in_main[:4], in_worker[:4], strict=True):
            torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-6)


def test_an_accelerator_augments_itself() -> None:
    data = module(workers=2)
    data.trainer = SimpleNamespace(strategy=SimpleNamespace(root_device=torch.device("cuda")))
    assert not data.workers_augment


def test_bytes_and_floats_mix_in_a_batch() -> None:
    def sample(alpha: Tensor) -> MattingBatch:
        return MattingBatch(torch.zeros(3, 1, 1), torch.zeros(3, 1, 1), alpha, torch.zeros(3, 1, 1), name=["x"])

    mixed = collate([sample(torch.full((1, 1, 1), 51, dtype=torch.uint8)), sample(torch.full((1, 1, 1), 0.2))])
    torch.testing.assert_close(batch_to_float(mixed).alpha, torch.full((2, 1, 1, 1), 0.2))
    alike = collate([sample(torch.full((1, 1, 1), 51, dtype=torch.uint8))] * 2)
    assert alike.alpha.dtype == torch.uint8
    assert alike.name == ["x", "x"]


def test_one_tensor_in_two_fields_is_copied_once() -> None:
    batch = collate([TrainingSamples(Constant(), 16, 0)[SampleKey(0, index)] for index in range(2)])
    assert batch.source is batch.background
    floats = batch_to_float(batch)
    assert floats.source is floats.background
    apart = collate([EvaluationSamples(EvaluationSet(Constant()))[index] for index in range(2)])
    assert apart.source is not apart.background


def test_cover_keeps_the_middle() -> None:
    ramp = torch.linspace(0, 1, 64).expand(3, 8, 64)
    covered = cover(ramp, 8, 8)
    assert covered.shape == (3, 8, 8)
    assert abs(float(covered.mean()) - 0.5) < 0.01


def test_a_canvas_of_broken_patches_is_refused() -> None:
    with pytest.raises(ValueError, match="canvas=250: expected a multiple of 4"):
        TrainingStage(Constant(), canvas=250)
    TrainingStage(Constant(), canvas=250, crop=[100, 200])


def test_nothing_to_train_is_only_an_error_when_fitting() -> None:
    data = module(train=None)
    data.trainer = Trainer(max_epochs=1, accelerator="cpu", logger=False, enable_checkpointing=False)
    data.setup("validate")
    with pytest.raises(ValueError, match="at least one training stage"):
        data.setup("fit")
