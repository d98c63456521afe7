"""Cases of loading training data on the CPU: two workers read, decode, batch, augment and composite.

The files are synthetic foregrounds (JPEG), alphas (PNG) and backgrounds (JPEG) of 512² and 1024². Where there is a
checkout, our loader is compared with the official one on the same files. Both are random in different ways, so the
number of batches and their shapes are compared; a case of its own checks that both decode equal pixels. The official
training crops, composites and augments further in its main process, inside a script that cannot be run in parts. This
is not timed: in the case with the official loader's steps our workers also composite, and the official loader does not.
All steps of the recipe together are compared with our own loader whose workers only read and whose main process
augments, with equal images.
"""

import logging
import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple, Self, cast

import numpy as np
import torch
import yaml
from lightning.pytorch import Trainer
from PIL import Image
from torch import Tensor
from zoo_plugins.synthetic.drawing.backgrounds import generate_background
from zoo_plugins.synthetic.drawing.photographs import Photographs
from zoo_plugins.synthetic.mattes.matte import MatteOptions, generate_matte

import zoo
from benchmarks.cases import Case, Values
from benchmarks.data_references import Official, PlainFolder, load_official
from zoo.core.parts import Augmentation
from zoo.core.spec import build
from zoo.heads.data import HeadData, HeadTrainingSet
from zoo.heads.module import HeadAlignment
from zoo.heads.parts import HeadBatch
from zoo.matting.compose import apply_augmentations
from zoo.matting.data import MattingData, TrainingStage, collate
from zoo.matting.parts import MattingBatch
from zoo.measure.timing import threads
from zoo.runner.configs import shipped
from zoo.training.data import unchanged
from zoo.training.sampling import ResumableLoader

RECIPE = "matting/base"
"""Configuration whose augmentations are used."""
WORKERS = 2
TOLERANCE = 1e-5
"""Between an image augmented by a worker and by the main process, in single precision."""


class Extent(NamedTuple):
    """Sizes of all cases.

    Args:
        canvas: side in pixels; half of the files have this size, the other half twice as much.
        different: number of different cut-outs, and of different backgrounds.
        copies: files with the same content, for each of them.
        batch: samples in a batch.
        heads: rendered heads in an epoch.
        crop: side in pixels of the crops around them.
    """

    canvas: int
    different: int
    copies: int
    batch: int
    heads: int
    crop: int

    @property
    def samples(self) -> int:
        """Number of samples in an epoch."""
        return self.different * self.copies


FULL = Extent(canvas=512, different=12, copies=4, batch=8, heads=64, crop=256)
QUICK = Extent(canvas=32, different=2, copies=2, batch=2, heads=2, crop=64)


def cases(quick: bool = False, against: Path | None = None) -> Iterator[Case]:
    """Yield every case; `quick` makes them small and without targets, to see that they run.

    Args:
        against: a checkout of the official repository, whose datasets and augmentations are executed. Without it, the
            cases that need them are left out, and reading is compared with Pillow.
    """
    extent = QUICK if quick else FULL
    official = None if against is None else load_official(against)
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        write_files(root, extent.canvas, extent.different, extent.copies)
        with environment("ZOO_CACHE", str(root / "cache")):
            for case in all_cases(root, extent, official):
                yield replace(case, faster=None) if quick else case


def all_cases(root: Path, extent: Extent, official: Official | None) -> Iterator[Case]:
    """Yield every case of this size, on the files in a folder."""
    yield reading(root, extent, official)
    if official is not None:
        yield from against_official(root, extent, official)
    yield from all_steps(root, extent)
    yield from cached(root, extent)
    yield from rendered_heads(extent)


def reading(root: Path, extent: Extent, official: Official | None) -> Case:
    """Return the case that reads foreground, alpha and background of a sample in this process."""
    dataset = matte_folder(root)
    folders = ((root / "fgr", "RGB"), (root / "pha", "L"), (root / "bgr", "RGB"))
    plain = [PlainFolder(*each) if official is None else official.pictures(*each) for each in folders]

    def ours(index: int) -> Values:
        matte = dataset.matte(index)
        return matte.foreground.permute(1, 2, 0), matte.alpha[0], dataset.background(index).permute(1, 2, 0)

    def theirs(index: int) -> Values:
        return tuple(np.array(folder[index]) for folder in plain)

    def several(read: Callable[[int], Values]) -> Values:
        with threads(1):  # as in a worker
            return tuple(read(index) for index in range(extent.different))

    return Case("reading", "one sample", partial(several, ours), partial(several, theirs), count=extent.different)


def against_official(root: Path, extent: Extent, official: Official) -> Iterator[Case]:
    """Yield our loading with the official loader's steps, and without any, compared with the official loader."""
    steps = {name: step for name, step in recipe().items() if step.phase == "canvas"}
    samples = official.samples(root, root / "bgr", extent.canvas)
    whole = matting_data(root, extent.canvas, extent.batch, steps).train_dataloader()
    for name, loader, faster in (
        ("loading, the official loader's steps", whole, 2),
        ("loading, nothing augmented", reading_only(root, extent), None),
    ):
        with (
            Epoch(loader, unchanged, sizes) as ours,
            Epoch(official.loader(samples, extent.batch, WORKERS), from_official, sizes) as theirs,
        ):
            yield Case(name, setting_name(extent), ours, theirs, count=extent.samples, faster=faster)


def all_steps(root: Path, extent: Extent) -> Iterator[Case]:
    """Yield loading with all steps of the recipe, by the workers or by the main process."""
    loader = matting_data(root, extent.canvas, extent.batch, recipe()).train_dataloader()
    finish = partial(apply_augmentations, augmentations=recipe())
    with Epoch(loader, unchanged, pictures) as ours, Epoch(reading_only(root, extent), finish, pictures) as plain:
        yield Case("loading, all steps", setting_name(extent), ours, plain, TOLERANCE, count=extent.samples)


def cached(root: Path, extent: Extent) -> Iterator[Case]:
    """Yield reading alone, with cut-outs that are cached on disk or decoded each time."""
    with (
        Epoch(reading_only(root, extent, keep=extent.samples), unchanged, pictures) as ours,
        Epoch(reading_only(root, extent), unchanged, pictures) as plain,
    ):
        yield Case("loading, nothing augmented, cut-outs kept", setting_name(extent), ours, plain, count=extent.samples)


def rendered_heads(extent: Extent) -> Iterator[Case]:
    """Yield rendered heads and their crops, read from the cache or rendered each time, and augmented."""
    batch = min(extent.batch, extent.heads)
    module = zoo.create_model("dad3dnet_mobilenet", head_model="OpenHead", image_size=extent.crop)
    stored, rendered = (head_data(cast(HeadAlignment, module), extent.heads, batch, keep) for keep in (True, False))
    with (
        Epoch(stored.train_dataloader(), unchanged, head_pictures) as ours,
        Epoch(rendered.train_dataloader(), unchanged, head_pictures) as plain,
    ):
        setting = f"{extent.crop}², batch {batch}, {WORKERS} workers"
        yield Case("heads, kept", setting, ours, plain, TOLERANCE, count=extent.heads)


class Epoch:
    """A function that loads all batches of an epoch; the loader's workers persist until the block ends.

    Args:
        loader: of the batches.
        finish: is applied to each batch in the main process.
        compared: returns the compared values of the last batch.
    """

    def __init__(
        self, loader: Any, finish: Callable[[Any], Any], compared: Callable[[Any], tuple[Tensor, ...]]
    ) -> None:
        self.loader, self.finish, self.compared = loader, finish, compared

    def __call__(self) -> Values:
        batches = 0
        for batch in self.loader:
            last = self.finish(batch)
            batches += 1
        return (torch.tensor(batches), *self.compared(last))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.loader = None


def from_official(batch: Any) -> MattingBatch:
    """Return a batch of the official loader under our names."""
    (alpha, foreground), background = batch
    return MattingBatch(background, background, alpha, foreground)


def sizes(batch: MattingBatch) -> tuple[Tensor, ...]:
    """Return the shapes of a batch."""
    return tuple(torch.tensor(image.shape) for image in (batch.alpha, batch.foreground, batch.background))


def pictures(batch: MattingBatch) -> tuple[Tensor, ...]:
    """Return the images of a batch."""
    return batch.source, batch.background, batch.alpha, batch.foreground


def head_pictures(batch: HeadBatch) -> tuple[Tensor, ...]:
    """Return the crops of a batch and the positions of vertices and landmarks."""
    return batch.image, batch.projected, batch.landmarks


def setting_name(extent: Extent) -> str:
    """Return the setting of the loading cases."""
    return f"{extent.canvas}², batch {extent.batch}, {WORKERS} workers"


def recipe() -> dict[str, Augmentation]:
    """Return the official augmentations in the recipe's order."""
    settings = yaml.safe_load(shipped(RECIPE).read_text(encoding="utf-8"))
    return {name: build(spec) for name, spec in settings["data"]["init_args"]["augmentations"].items()}


def matte_folder(root: Path) -> Any:
    """Return the synthetic files as a dataset."""
    return build({"class_path": "MatteFolder", "init_args": {"root": str(root), "backgrounds": str(root / "bgr")}})


def reading_only(root: Path, extent: Extent, keep: int = 0) -> ResumableLoader:
    """Return a loader whose workers only read files and place them on the canvas, as where an accelerator augments.

    Args:
        keep: as in `TrainingStage`.
    """
    loader = matting_data(root, extent.canvas, extent.batch, {}, keep).train_dataloader()
    loader.collate_fn = collate
    return loader


def matting_data(
    root: Path, canvas: int, batch_size: int, steps: dict[str, Augmentation], keep: int = 0
) -> MattingData:
    """Return the data module that trains on the synthetic files."""
    stage = TrainingStage(matte_folder(root), canvas, keep=keep)
    data = MattingData({"synthetic": stage}, steps, batch_size=batch_size, workers=WORKERS)
    data.trainer = training_on_cpu()
    return data


def head_data(module: HeadAlignment, count: int, batch_size: int, keep: bool = False) -> HeadData:
    """Return the data module of rendered heads for a module."""
    arguments = {"count": count, "size": module.image_size * 5 // 4, "keep": keep}
    heads = HeadTrainingSet(build({"class_path": "SyntheticHeads", "init_args": arguments}))
    steps: dict[str, Augmentation] = {name: build({"class_path": name}) for name in ("HeadFlip", "HeadColour")}
    data = HeadData(heads, steps, batch_size=batch_size, workers=WORKERS)
    data.trainer = training_on_cpu()
    data.trainer.strategy.connect(module)
    data.setup("fit")
    return data


@contextmanager
def environment(name: str, value: str) -> Iterator[None]:
    """Set an environment variable inside the block."""
    before = os.environ.get(name)
    os.environ[name] = value
    try:
        yield
    finally:
        if before is None:
            del os.environ[name]
        else:
            os.environ[name] = before


def training_on_cpu() -> Trainer:
    """Return a trainer in the state of training, for data modules that read it."""
    log = logging.getLogger("lightning.pytorch.utilities.rank_zero")
    level = log.level
    log.setLevel(logging.WARNING)  # it lists the devices that it does not use
    try:
        trainer = Trainer(
            accelerator="cpu", max_epochs=1, logger=False, enable_checkpointing=False, enable_progress_bar=False
        )
    finally:
        log.setLevel(level)
    trainer.training = True
    return trainer


def write_files(root: Path, side: int, different: int, copies: int) -> None:
    """Write cut-outs and backgrounds in the official layout: `fgr/0000.jpg`, `pha/0000.png`, `bgr/0000.jpg`.

    Args:
        root: an empty folder.
        side: height and width in pixels; every second image is twice as large.
        different: number of different images of each kind.
        copies: files with the same content.
    """
    for folder in ("fgr", "pha", "bgr"):
        (root / folder).mkdir()
    for number in range(different):
        matte = generate_matte(0, Photographs("train"), number, MatteOptions(side, detail=0.3))
        pictures = {
            "fgr": matte[..., :3],
            "pha": matte[..., 3],
            "bgr": generate_background(0, Photographs("train"), number, side),
        }
        for folder, picture in pictures.items():
            image = Image.fromarray(picture)
            if number % 2:
                image = image.resize((2 * side, 2 * side), Image.Resampling.BICUBIC)
            for copy in range(copies):
                name = f"{copy * different + number:04d}"
                image.save(root / folder / (f"{name}.png" if folder == "pha" else f"{name}.jpg"), quality=90)
