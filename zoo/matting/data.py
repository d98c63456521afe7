"""The data module of background matting: from datasets to `MattingBatch`es.

Training pairs each cut-out with another background in every epoch, puts both on a square canvas, and augments, crops
and composites the batch: on the accelerator, or in the workers where there is none. Several datasets can follow one
another (a *curriculum*), each for its own number of epochs and with its own crop. Validation and test always pair and
perturb alike.
"""

import copy
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from zoo.core.parts import Augmentation
from zoo.core.seeding import RandomStream, derive_seed, run_seed
from zoo.core.slot import nearest
from zoo.matting.cached import CachedMattes
from zoo.matting.compose import apply_augmentations, batch_to_float, composite, fit_canvas, to_float
from zoo.matting.parts import PATCH, MattingBatch, MattingDataset
from zoo.matting.perturbation import Perturbation, perturb
from zoo.matting.prediction import PredictionSamples, PredictionSet
from zoo.media.images import cover
from zoo.training.data import DataModule
from zoo.training.sampling import ResumableLoader, SampleKey


@dataclass
class TrainingStage:
    """One dataset of the curriculum.

    Args:
        dataset: cut-outs and backgrounds.
        canvas: side in pixels of the square that both are put on.
        crop: lowest and highest side of the random crop, the highest excluded; null leaves the whole canvas.
        epochs: for how long; null until the end of training (the last stage always lasts until then).
        batch_size: samples a batch and process; null takes the data module's.
        keep: how many cut-outs, the first ones of the dataset, are cached on disk as they lie on the canvas (under
            `ZOO_CACHE`): 1 MiB each at 512², 16 MiB at 2048², four times that where files hold 16 bits. They are
            decoded again when their files change. For datasets that read files.

    Example:
        >>> TrainingStage(dataset=None, canvas=256, epochs=10).batch_size is None
        True
    """

    dataset: MattingDataset
    canvas: int = 512
    crop: list[int] | None = None
    epochs: int | None = None
    batch_size: int | None = None
    keep: int = 0

    def __post_init__(self) -> None:
        if self.keep < 0:
            raise ValueError(f"a training stage has keep={self.keep}: expected 0 or a number of cut-outs.")
        if getattr(self.dataset, "finished", False):
            raise ValueError(
                f"{type(self.dataset).__name__} holds finished photographs, which cannot be put on other backgrounds: "
                "use it in validation or test, and train with cut-outs."
            )
        if self.canvas % PATCH and self.crop is None:
            # The network would pad to whole patches, and the coarse losses would compare with an unpadded target.
            raise ValueError(f"a training stage has canvas={self.canvas}: expected a multiple of {PATCH}, or a crop.")


@dataclass
class EvaluationSet:
    """One validation or test set: every sample is the same in every run.

    Args:
        dataset: cut-outs and backgrounds.
        canvas: side in pixels of the square that they are put on; null keeps each cut-out's own size, one a batch.
        backgrounds_each: how many backgrounds each cut-out is composited onto (5 in the paper for AIM and
            Distinctions).
        disturbance: the perturbation of the captured background; `severity: 0` captures it perfectly.
        batch_size: samples a batch.
        hint: the steps that make the guide's hint from the true alpha, by name, such as `AlphaGuide`, with random
            numbers of their own; without any there is no hint, and `PersonGuide` finds people itself.

    Example:
        >>> EvaluationSet(dataset=None).disturbance.shift
        0.3
    """

    dataset: MattingDataset
    canvas: int | None = None
    backgrounds_each: int = 1
    disturbance: Perturbation = field(default_factory=Perturbation)
    batch_size: int = 1
    hint: dict[str, Augmentation] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if getattr(self.dataset, "finished", False) and self.backgrounds_each != 1:
            raise ValueError(
                f"backgrounds_each={self.backgrounds_each}: expected 1 with {type(self.dataset).__name__}, whose "
                "photographs have one background each."
            )


class MattingData(DataModule):
    """Training curriculum, validation set and test sets.

    Args:
        train: the stages of the curriculum by name, in order; null where nothing is trained.
        augmentations: the random changes of training batches by name, in order;
            `--data.augmentations.shadow.probability=0` switches one off.
        validation: the set that `fit` and `validate` measure on.
        test: sets that `test` measures on, by name.
        predict: images that `predict` mattes.
        order: names of the stages to run, in this order; null runs all as listed.
        batch_size: samples a batch and process in training.
        workers: processes that read and decode; 0 reads in the main process.

    Raises:
        ValueError: `order` names no stage, or a stage before the last has no `epochs`.

    Example:
        >>> MattingData(train=None, augmentations={}, batch_size=2).spec["init_args"]["batch_size"]
        2
    """

    def __init__(
        self,
        train: dict[str, TrainingStage] | None,
        augmentations: dict[str, Augmentation],
        validation: EvaluationSet | None = None,
        test: dict[str, EvaluationSet] | None = None,
        predict: PredictionSet | None = None,
        order: list[str] | None = None,
        batch_size: int = 4,
        workers: int = 2,
    ) -> None:
        super().__init__()
        self.stages = {} if train is None else in_order(train, order)
        self.augmentations = torch.nn.ModuleDict(augmentations)
        self.validation = validation
        self.test = test or {}
        self.predict = predict
        self.batch_size = batch_size
        self.workers = workers

    def setup(self, stage: str) -> None:
        if stage == "fit":
            if not self.stages:
                raise ValueError("data.train: expected at least one training stage.")
            self._check_epochs()
            # Another stage is another dataset, so that Lightning must ask again; with one stage the workers live on.
            self.trainer.reload_dataloaders_every_n_epochs = int(len(self.stages) > 1)  # type: ignore[attr-defined]

    def stage_at(self, epoch: int) -> TrainingStage:
        """Return the stage of the curriculum that this epoch belongs to."""
        for stage in self.stages.values():
            if stage.epochs is None or epoch < stage.epochs:
                return stage
            epoch -= stage.epochs
        return stage

    def train_dataloader(self) -> ResumableLoader:
        epoch, done = self.place(self._batches)
        stage = self.stage_at(epoch)
        samples = TrainingSamples(stage.dataset, stage.canvas, run_seed(), stage.keep)
        batch_size = stage.batch_size or self.batch_size
        return self.training_loader(samples, batch_size, collate, epoch, done)

    def val_dataloader(self) -> DataLoader | list[Any]:
        return [] if self.validation is None else self._evaluation_loader(self.validation)

    def test_dataloader(self) -> list[DataLoader]:
        if not self.test:
            raise ValueError(
                "there is no test set: add one under data.test, for example --data.test.mine.dataset="
                "'{class_path: MatteFolder, init_args: {root: FOLDER, backgrounds: FOLDER}}'."
            )
        return [self._evaluation_loader(settings) for settings in self.test.values()]

    def predict_dataloader(self) -> DataLoader:
        if self.predict is None:
            raise ValueError(
                "there is nothing to predict: give --data.predict.source=FOLDER and "
                "--data.predict.background=PICTURE_OR_FOLDER."
            )
        return self.evaluation_loader(PredictionSamples(self.predict), 1, collate_prediction)

    def on_after_batch_transfer(self, batch: MattingBatch, dataloader_idx: int) -> MattingBatch:
        if isinstance(batch, ValueError):  # an image that cannot be predicted
            return batch
        if not self.trainer.training:
            return batch_to_float(batch)
        return batch if self.workers_augment else self.augmenter(self.trainer.current_epoch)(batch)

    def augmenter(self, epoch: int) -> Callable[[MattingBatch], MattingBatch]:
        steps: Any = self.augmentations
        return partial(apply_augmentations, augmentations=steps, crop=self.stage_at(epoch).crop)

    def _batches(self, epoch: int) -> int:
        """Return the number of batches that each process has in this epoch."""
        stage = self.stage_at(epoch)
        return len(stage.dataset) // self.trainer.world_size // (stage.batch_size or self.batch_size)

    def _check_epochs(self) -> None:
        """Raise ValueError when training ends before the last stage begins: it would silently never run."""
        last = self.trainer.max_epochs
        begin = 0
        for name, stage in self.stages.items():
            if last is not None and 0 <= last <= begin and begin > 0:
                raise ValueError(
                    f"training ends after {last} epochs (--trainer.max_epochs), before stage '{name}' begins (epoch "
                    f"{begin}): "
                    f"expected at least {begin + 1} epochs, or leave the stage out with --data.order."
                )
            begin += stage.epochs or 0

    def _evaluation_loader(self, settings: EvaluationSet) -> DataLoader:
        batch_size = 1 if settings.canvas is None else settings.batch_size
        return self.evaluation_loader(EvaluationSamples(settings), batch_size, collate)


class TrainingSamples(Dataset):
    """Cut-outs on a canvas, each with another background in every epoch.

    Batches are composited and augmented later; until then `source` is the background.

    Example:
        >>> from zoo.core.registry import find_class
        >>> samples = TrainingSamples(find_class("SyntheticMattes")(count=1, size=32), canvas=16, seed=0)
        >>> samples[SampleKey(epoch=0, sample=0)].alpha.shape
        torch.Size([1, 16, 16])
    """

    def __init__(self, dataset: MattingDataset, canvas: int, seed: int, keep: int = 0) -> None:
        self.dataset = copy.copy(dataset)  # which may serve an evaluation too
        self.dataset.background_side = canvas
        self.mattes = CachedMattes(self.dataset, canvas, keep)
        self.canvas = canvas
        self.seed = seed

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitem__(self, key: SampleKey) -> MattingBatch:
        foreground, alpha, name = self.mattes.matte(key.sample)
        which = derive_seed(self.seed, "background", key.epoch, key.sample) % self.dataset.background_count
        background = fit_canvas(self.dataset.background(which), self.canvas, "cover")
        return MattingBatch(
            source=background,
            background=background,
            alpha=alpha,
            foreground=foreground,
            name=[name],
            seed=torch.tensor(derive_seed(self.seed, "sample", key.epoch, key.sample)),
        )


class EvaluationSamples(Dataset):
    """Cut-outs on fixed backgrounds, captured with a fixed perturbation, or finished photographs as they are; the run's
    seed plays no part.

    Example:
        >>> from zoo.core.registry import find_class
        >>> samples = EvaluationSamples(EvaluationSet(find_class("SyntheticMattes")(count=1, size=32)))
        >>> len(samples), samples[0].source.shape
        (1, torch.Size([3, 32, 32]))
    """

    def __init__(self, settings: EvaluationSet) -> None:
        self.settings = settings

    def __len__(self) -> int:
        return len(self.settings.dataset) * self.settings.backgrounds_each

    def __getitem__(self, index: int) -> MattingBatch:
        dataset, canvas = self.settings.dataset, self.settings.canvas
        matte = dataset.matte(index // self.settings.backgrounds_each)
        foreground, alpha = matte.foreground, matte.alpha
        if dataset.finished and not dataset.background_count:
            background = torch.zeros_like(foreground)
        else:
            background = dataset.background(index % dataset.background_count)
        if canvas is None:
            background = cover(background, alpha.shape[-2], alpha.shape[-1])
        else:
            background = fit_canvas(background, canvas, "cover")
            foreground, alpha = fit_canvas(foreground, canvas, "inside"), fit_canvas(alpha, canvas, "inside")
        foreground, alpha, background = to_float(foreground), to_float(alpha), to_float(background)
        if dataset.finished:
            source, foreground = foreground, torch.full_like(foreground, torch.nan)
        else:
            source = composite(foreground, alpha, background)
            background = perturb(background, self.settings.disturbance, derive_seed("disturbance", index))
        batch = MattingBatch(source, background, alpha, foreground, name=[matte.name])
        return batch._replace(hint=self._hint(batch, index)) if self.settings.hint else batch

    def _hint(self, sample: MattingBatch, index: int) -> Tensor:
        """Return the sample's hint (1, H, W), the same in every run."""
        seed = derive_seed("hint", index)
        source, background, alpha, foreground = (image[None] for image in sample[:4])
        batch = MattingBatch(source, background, alpha, foreground)
        for name, step in self.settings.hint.items():
            batch = step(batch, RandomStream([seed], name))
        if batch.hint is None:
            steps = ", ".join(type(step).__name__ for step in self.settings.hint.values())
            raise ValueError(f"the steps {steps} of an evaluation set make no hint: begin with AlphaGuide.")
        return batch.hint[0]


def in_order(stages: Mapping[str, TrainingStage], order: Sequence[str] | None) -> dict[str, TrainingStage]:
    """Return the chosen stages.

    Raises:
        ValueError: a name is unknown, none is left, or one before the last has no end.
    """
    for name in order or []:
        if name not in stages:
            raise ValueError(f"data.order names '{name}', which is no training stage{nearest(name, list(stages))}")
    chosen = {name: stages[name] for name in (stages if order is None else order)}
    if not chosen:
        raise ValueError("data.train: expected at least one training stage.")
    for name in list(chosen)[:-1]:
        if chosen[name].epochs is None:
            raise ValueError(
                f"training stage '{name}' has no epochs, so the stages after it would never run: give it a number of "
                "epochs."
            )
    return chosen


def collate_prediction(samples: Sequence[MattingBatch | ValueError]) -> MattingBatch | ValueError:
    """Return the batch of one sample, or its error."""
    (sample,) = samples
    return sample if isinstance(sample, ValueError) else collate([sample])


def collate(samples: Sequence[MattingBatch]) -> MattingBatch:
    """Stack samples to a batch and join their names.

    A field stays uint8 if it is uint8 in all samples and becomes float otherwise: a folder may mix 8-bit and 16-bit
    files. Two fields that share one tensor in every sample share one in the batch.

    Example:
        >>> image, alpha = torch.rand(3, 4, 4), torch.rand(1, 4, 4)
        >>> batch = collate([MattingBatch(image, image, alpha, image, name=["a"])] * 2)
        >>> batch.source.shape, batch.name, batch.source is batch.background
        (torch.Size([2, 3, 4, 4]), ['a', 'a'], True)
    """
    stacks: dict[tuple[int, ...], Tensor] = {}

    def stack(tensors: list[Tensor]) -> Tensor:
        key = tuple(map(id, tensors))
        if key not in stacks:
            alike = len({tensor.dtype for tensor in tensors}) == 1
            stacks[key] = torch.stack(tensors if alike else [to_float(tensor) for tensor in tensors])
        return stacks[key]

    stacked = {name: [getattr(sample, name) for sample in samples] for name in MattingBatch._fields if name != "name"}
    tensors = {name: stack(values) for name, values in stacked.items() if isinstance(values[0], Tensor)}
    return MattingBatch(**tensors, name=[name for sample in samples for name in sample.name or []])
