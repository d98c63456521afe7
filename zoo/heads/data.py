"""The data module of 3D heads: from datasets to `HeadBatch`es.

A dataset gives pictures with a head's box; a sample is the square crop around it. In training each side of the box is
extended by a random share, anew in every epoch, and the batch is augmented: on the accelerator, or in the workers where
there is none. Validation and test crop
always alike.
"""

import copy
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from zoo.core.parts import Augmentation
from zoo.core.seeding import RandomStream, derive_seed, run_seed
from zoo.heads.crop import crop_head
from zoo.heads.mesh import HeadModel
from zoo.heads.parts import HeadAugmentation, HeadBatch, HeadDataset
from zoo.training.data import DataModule
from zoo.training.sampling import ResumableLoader, SampleKey

SIDES = 4


@dataclass
class HeadTrainingSet:
    """What is trained on.

    Args:
        dataset: pictures of heads.
        extension: lowest and highest share by which each side of the box is moved outwards (official: 0.05 to 0.15).
    """

    dataset: HeadDataset
    extension: tuple[float, float] = (0.05, 0.15)


@dataclass
class HeadEvaluationSet:
    """One validation or test set: every sample is the same in every run.

    Args:
        dataset: pictures of heads.
        extension: share by which each side of the box is moved outwards.
        crops: how many crops of each picture; those after the first are extended by shares of 0.05 to 0.15, drawn once
            and for all. More than one lets F_Q compare predictions of one head.
        batch_size: samples a batch.
    """

    dataset: HeadDataset
    extension: float = 0.1
    crops: int = 1
    batch_size: int = 16

    def __post_init__(self) -> None:
        if self.crops < 1:
            raise ValueError(f"an evaluation set has crops={self.crops}: expected at least 1.")


class HeadData(DataModule):
    """Training set, validation set and test sets of heads.

    All pictures must be of the module's head model, and are cropped to the module's `image_size`.

    Args:
        train: what is trained on; null where nothing is trained.
        augmentations: the random changes of training batches by name, in order;
            `--data.augmentations.flip.probability=0` switches one off.
        validation: the set that `fit` and `validate` measure on.
        test: sets that `test` measures on, by name.
        batch_size: samples a batch and process in training.
        workers: processes that read, render and crop; 0 does it in the main process.
    """

    def __init__(
        self,
        train: HeadTrainingSet | None,
        augmentations: dict[str, Augmentation],
        validation: HeadEvaluationSet | None = None,
        test: dict[str, HeadEvaluationSet] | None = None,
        batch_size: int = 32,
        workers: int = 2,
    ) -> None:
        super().__init__()
        self.train = train
        self.augmentations = torch.nn.ModuleDict(augmentations)
        self.validation = validation
        self.test = test or {}
        self.batch_size = batch_size
        self.workers = workers

    def setup(self, stage: str) -> None:
        if stage == "fit" and self.train is None:
            raise ValueError("data.train: expected a training set.")
        module: Any = self.trainer.lightning_module
        # A copy that stays on the CPU: datasets render and crop in worker processes, which have no other device.
        self.head_model: HeadModel = copy.deepcopy(module.head_model).cpu()
        self.image_size: int = module.image_size
        sets: dict[str, list[HeadTrainingSet | HeadEvaluationSet | None]] = {
            "fit": [self.train, self.validation],
            "validate": [self.validation],
            "test": [*self.test.values()],
        }
        for wanted in sets.get(stage, []):
            if wanted is not None:
                wanted.dataset.build(self.head_model)
        for step in self.augmentations.values() if stage == "fit" else []:
            if isinstance(step, HeadAugmentation):
                step.build(self.head_model)

    def train_dataloader(self) -> ResumableLoader:
        assert self.train is not None
        samples = TrainingCrops(self.train, self.head_model, self.image_size, run_seed())
        epoch, done = self.place(lambda _: len(samples) // self.trainer.world_size // self.batch_size)
        return self.training_loader(samples, self.batch_size, collate, epoch, done)

    def val_dataloader(self) -> DataLoader | list[Any]:
        return [] if self.validation is None else self._evaluation_loader(self.validation)

    def test_dataloader(self) -> list[DataLoader]:
        if not self.test:
            raise ValueError(
                "there is no test set: add one under data.test, for example --data.test.mine.dataset=DADHeads."
            )
        return [self._evaluation_loader(wanted) for wanted in self.test.values()]

    def predict_dataloader(self) -> DataLoader:
        raise ValueError("`zoo predict` does not do heads: give the picture, folder or video to `zoo head`.")

    def on_after_batch_transfer(self, batch: HeadBatch, dataloader_idx: int) -> HeadBatch:
        if not self.trainer.training:
            return as_float(batch)
        return batch if self.workers_augment else self.augmenter(self.trainer.current_epoch)(batch)

    def augmenter(self, epoch: int) -> Callable[[HeadBatch], HeadBatch]:
        steps: Any = self.augmentations
        return partial(augmented, augmentations=steps)

    def _evaluation_loader(self, wanted: HeadEvaluationSet) -> DataLoader:
        samples = EvaluationCrops(wanted, self.head_model, self.image_size)
        return self.evaluation_loader(samples, wanted.batch_size, collate)


class TrainingCrops(Dataset):
    """Crops whose margins are drawn anew in every epoch."""

    def __init__(self, wanted: HeadTrainingSet, head_model: HeadModel, size: int, seed: int) -> None:
        self.dataset, self.extension = wanted.dataset, wanted.extension
        self.head_model, self.size, self.seed = head_model, size, seed

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitem__(self, key: SampleKey) -> HeadBatch:
        seed = derive_seed(self.seed, "sample", key.epoch, key.sample)
        margins = draw_margins(seed, *self.extension)
        sample = crop_head(self.dataset.picture(key.sample), self.head_model, self.size, margins)
        return sample._replace(seed=torch.tensor(seed))


class EvaluationCrops(Dataset):
    """Fixed crops, one or more a picture; the run's seed plays no part."""

    def __init__(self, wanted: HeadEvaluationSet, head_model: HeadModel, size: int) -> None:
        self.wanted, self.head_model, self.size = wanted, head_model, size

    def __len__(self) -> int:
        return len(self.wanted.dataset) * self.wanted.crops

    def __getitem__(self, index: int) -> HeadBatch:
        which, crop = divmod(index, self.wanted.crops)
        margins = [self.wanted.extension] * SIDES if crop == 0 else draw_margins(derive_seed("crop", which, crop))
        return crop_head(self.wanted.dataset.picture(which), self.head_model, self.size, margins)


def draw_margins(seed: int, low: float = 0.05, high: float = 0.15) -> list[float]:
    """How far each side of the box moves outwards (left, top, right, bottom), as shares of the box."""
    draws = RandomStream([seed], "margins")
    return [float(draws.uniform(low, high)) for _ in range(SIDES)]


@torch.no_grad()
def augmented(batch: HeadBatch, augmentations: Mapping[str, Augmentation]) -> HeadBatch:
    """The batch after the named steps, in the mapping's order; in full precision, whatever that of the training.

    Each step draws from streams of its own, so that adding or changing one leaves the others as they were.
    """
    assert batch.seed is not None
    seeds = batch.seed.tolist()
    with torch.autocast(batch.image.device.type, enabled=False):
        batch = as_float(batch)
        for name, step in augmentations.items():
            batch = step(batch, RandomStream(seeds, name, batch.image.device))
    return batch


def as_float(batch: HeadBatch) -> HeadBatch:
    """The batch with its pictures as floats in [0, 1]; workers hand over bytes where they can."""
    return batch._replace(image=batch.image.float() / 255) if batch.image.dtype == torch.uint8 else batch


def collate(samples: Sequence[HeadBatch]) -> HeadBatch:
    """Stack samples to a batch; names and attributes are joined."""
    stacked: dict[str, Any] = {}
    for field in HeadBatch._fields:
        values = [getattr(sample, field) for sample in samples]
        if isinstance(values[0], Tensor):
            stacked[field] = torch.stack(values)
        elif values[0] is not None:
            stacked[field] = [item for value in values for item in value]
    return HeadBatch(**stacked)
