"""Data module of 3D heads: from datasets to `HeadBatch`es.

A dataset returns images with a head's box; a sample is the square crop around it. In training, each side of the box is
extended by a fraction that is resampled in every epoch, and the batch is augmented: on the accelerator, or in the
workers if there is none. Validation and test use fixed crops.
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
    """Training set.

    Args:
        dataset: images of heads.
        extension: smallest and largest fraction by which each side of the box moves outwards (official: 0.05 to 0.15).

    Example:
        >>> from zoo.core.spec import build
        >>> heads = build({"class_path": "SyntheticHeads", "init_args": {"split": "train", "count": 4}})
        >>> HeadTrainingSet(heads).extension
        (0.05, 0.15)
    """

    dataset: HeadDataset
    extension: tuple[float, float] = (0.05, 0.15)


@dataclass
class HeadEvaluationSet:
    """Settings of a validation or test set: a dataset, and how its heads are cropped, the same in every run.

    Args:
        dataset: images of heads.
        extension: distance by which each side of the box moves outwards, as a fraction of its width or height.
        crops: crops per image. The first uses `extension`; each other one moves every side by a fixed random fraction
            of 0.05 to 0.15. F_Q (the agreement of two predictions of one head) needs at least two.
        batch_size: samples per batch.

    Example:
        >>> from zoo.core.spec import build
        >>> HeadEvaluationSet(build({"class_path": "SyntheticHeads", "init_args": {"split": "test"}}), crops=2).crops
        2
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

    All images must be of the module's head model; they are cropped to the module's `image_size`.

    Args:
        train: the training set; null without training.
        augmentations: random changes of training batches by name, in order;
            `--data.augmentations.flip.probability=0` switches one off.
        validation: the set that `fit` and `validate` measure on.
        test: sets that `test` measures on, by name.
        batch_size: samples per batch and process in training.
        workers: processes that read, render and crop; 0 uses the main process.

    Example:
        >>> HeadData(train=None, augmentations={}, batch_size=4).batch_size
        4
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
        # A copy on the CPU: datasets render and crop in worker processes without another device.
        self.head_model: HeadModel = copy.deepcopy(module.head_model.complete()).cpu()
        self.image_size: int = module.image_size
        sets: dict[str, list[HeadTrainingSet | HeadEvaluationSet | None]] = {
            "fit": [self.train, self.validation],
            "validate": [self.validation],
            "test": [*self.test.values()],
        }
        for chosen in sets.get(stage, []):
            if chosen is not None:
                chosen.dataset.build(self.head_model)
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
                "there is no test set: add one under data.test, for example --data.test.mine.dataset="
                "'{class_path: DADHeads, init_args: {root: FOLDER, split: test}}'."
            )
        return [self._evaluation_loader(test_set) for test_set in self.test.values()]

    def predict_dataloader(self) -> DataLoader:
        raise ValueError("`zoo predict` does not do heads: give the image, folder or video to `zoo head`.")

    def on_after_batch_transfer(self, batch: HeadBatch, dataloader_idx: int) -> HeadBatch:
        if not self.trainer.training:
            return as_float(batch)
        return batch if self.workers_augment else self.augmenter(self.trainer.current_epoch)(batch)

    def augmenter(self, epoch: int) -> Callable[[HeadBatch], HeadBatch]:
        steps: Any = self.augmentations
        return partial(augment, augmentations=steps)

    def _evaluation_loader(self, chosen: HeadEvaluationSet) -> DataLoader:
        samples = EvaluationCrops(chosen, self.head_model, self.image_size)
        return self.evaluation_loader(samples, chosen.batch_size, collate)


class TrainingCrops(Dataset):
    """Training crops, whose margins are resampled in every epoch."""

    def __init__(self, source: HeadTrainingSet, head_model: HeadModel, size: int, seed: int) -> None:
        self.dataset, self.extension = source.dataset, source.extension
        self.head_model, self.size, self.seed = head_model, size, seed

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitem__(self, key: SampleKey) -> HeadBatch:
        seed = derive_seed(self.seed, "sample", key.epoch, key.sample)
        margins = sample_margins(seed, *self.extension)
        sample = crop_head(self.dataset.picture(key.sample), self.head_model, self.size, margins)
        return sample._replace(seed=torch.tensor(seed))


class EvaluationCrops(Dataset):
    """Fixed crops, one or more per image, independent of the run's seed."""

    def __init__(self, source: HeadEvaluationSet, head_model: HeadModel, size: int) -> None:
        self.source, self.head_model, self.size = source, head_model, size

    def __len__(self) -> int:
        return len(self.source.dataset) * self.source.crops

    def __getitem__(self, index: int) -> HeadBatch:
        which, crop = divmod(index, self.source.crops)
        margins = [self.source.extension] * SIDES if crop == 0 else sample_margins(derive_seed("crop", which, crop))
        return crop_head(self.source.dataset.picture(which), self.head_model, self.size, margins)


def sample_margins(seed: int, low: float = 0.05, high: float = 0.15) -> list[float]:
    """Return how far each side of the box moves outwards (left, top, right, bottom), as fractions of the box."""
    random = RandomStream([seed], "margins")
    return [float(random.uniform(low, high)) for _ in range(SIDES)]


@torch.no_grad()
def augment(batch: HeadBatch, augmentations: Mapping[str, Augmentation]) -> HeadBatch:
    """Apply the named steps in the mapping's order, in full precision.

    Each step has its own random streams, so that adding or changing one leaves the others unchanged.
    """
    assert batch.seed is not None
    seeds = batch.seed.tolist()
    with torch.autocast(batch.image.device.type, enabled=False):
        batch = as_float(batch)
        for name, step in augmentations.items():
            batch = step(batch, RandomStream(seeds, name, batch.image.device))
    return batch


def as_float(batch: HeadBatch) -> HeadBatch:
    """Return the batch with uint8 images as floats in [0, 1]."""
    return batch._replace(image=batch.image.float() / 255) if batch.image.dtype == torch.uint8 else batch


def collate(samples: Sequence[HeadBatch]) -> HeadBatch:
    """Stack samples to a batch and join names and attributes.

    Example:
        >>> sample = HeadBatch(*torch.zeros(7, 3), attributes=[{"pose": "front"}])
        >>> batch = collate([sample, sample])
        >>> batch.image.shape, len(batch.attributes)
        (torch.Size([2, 3]), 2)
    """
    stacked: dict[str, Any] = {}
    for field in HeadBatch._fields:
        values = [getattr(sample, field) for sample in samples]
        if isinstance(values[0], Tensor):
            stacked[field] = torch.stack(values)
        elif values[0] is not None:
            stacked[field] = [item for value in values for item in value]
    return HeadBatch(**stacked)
