"""What is measured of loading training data on the CPU: files are read, decoded, put on a canvas and batched by two
workers, which also augment and composite the batches.

The files are drawn for the purpose: foregrounds (JPEG), alphas (PNG) and backgrounds (JPEG) of 512² and 1024². Beside
our loading is the official one, on the same files, where there is a checkout. Both are random, each in its own way, so
that what is compared there is how many batches an epoch has, and their shapes; that both decode the same pixels is a
case of its own. What the official training does to a batch in its main process (crop, shadow, composition, noise,
colours and movement of the captured background) is inside a script that cannot be run in parts, and is not timed: in
the case with the official loader's steps, ours also composite and the official loader does not. All steps of the recipe
are beside themselves, with workers that only read and a main process that augments, which gives equal pictures.
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
"""The configuration whose augmentations are run."""
WORKERS = 2
TOLERANCE = 1e-5
"""Between a picture augmented by a worker and by the main process, in single precision."""


class Extent(NamedTuple):
    """How large everything is."""

    canvas: int
    """Side in pixels; half of the files are of this size, half twice as large."""
    drawn: int
    """Different cut-outs, and as many backgrounds."""
    copies: int
    """Of each, under other names."""
    batch: int
    heads: int
    """Rendered pictures in an epoch."""
    crop: int
    """Side of the crops around them."""

    @property
    def samples(self) -> int:
        """In an epoch."""
        return self.drawn * self.copies


FULL = Extent(canvas=512, drawn=12, copies=4, batch=8, heads=64, crop=256)
QUICK = Extent(canvas=32, drawn=2, copies=2, batch=2, heads=2, crop=64)


def cases(quick: bool = False, against: Path | None = None) -> Iterator[Case]:
    """Every case in turn; `quick` makes them small, to see that they run, and without targets.

    Args:
        against: a checkout of the official repository, whose datasets and augmentations are run; without it, the rows
            beside them are left out, and pictures are read beside Pillow.
    """
    extent = QUICK if quick else FULL
    official = None if against is None else load_official(against)
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        draw_files(root, extent.canvas, extent.drawn, extent.copies)
        with environment("ZOO_CACHE", str(root / "cache")):
            for case in all_cases(root, extent, official):
                yield replace(case, faster=None) if quick else case


def all_cases(root: Path, extent: Extent, official: Official | None) -> Iterator[Case]:
    """Every case of that size, on the files in a folder."""
    yield reading(root, extent, official)
    if official is not None:
        yield from beside_official(root, extent, official)
    yield from all_steps(root, extent)
    yield from kept(root, extent)
    yield from rendered_heads(extent)


def reading(root: Path, extent: Extent, official: Official | None) -> Case:
    """Foreground, alpha and background of a sample, in this process."""
    dataset = matte_folder(root)
    folders = ((root / "fgr", "RGB"), (root / "pha", "L"), (root / "bgr", "RGB"))
    plain = [PlainFolder(*each) if official is None else official.pictures(*each) for each in folders]

    def ours(index: int) -> Values:
        matte = dataset.matte(index)
        return matte.foreground.permute(1, 2, 0), matte.alpha[0], dataset.background(index).permute(1, 2, 0)

    def theirs(index: int) -> Values:
        return tuple(np.array(folder[index]) for folder in plain)

    def some(read: Callable[[int], Values]) -> Values:
        with threads(1):  # as in a worker
            return tuple(read(index) for index in range(extent.drawn))

    return Case("reading", "one sample", partial(some, ours), partial(some, theirs), count=extent.drawn)


def beside_official(root: Path, extent: Extent, official: Official) -> Iterator[Case]:
    """Our loading with the steps that the official loader has, and without any, beside the official loader."""
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
            yield Case(name, said(extent), ours, theirs, count=extent.samples, faster=faster)


def all_steps(root: Path, extent: Extent) -> Iterator[Case]:
    """Loading with all steps of the recipe, by the workers or by the main process."""
    loader = matting_data(root, extent.canvas, extent.batch, recipe()).train_dataloader()
    finish = partial(apply_augmentations, augmentations=recipe())
    with Epoch(loader, unchanged, pictures) as ours, Epoch(reading_only(root, extent), finish, pictures) as plain:
        yield Case("loading, all steps", said(extent), ours, plain, TOLERANCE, count=extent.samples)


def kept(root: Path, extent: Extent) -> Iterator[Case]:
    """Reading alone, with cut-outs that were decoded in an epoch before or are decoded each time."""
    with (
        Epoch(reading_only(root, extent, keep=extent.samples), unchanged, pictures) as ours,
        Epoch(reading_only(root, extent), unchanged, pictures) as plain,
    ):
        yield Case("loading, nothing augmented, cut-outs kept", said(extent), ours, plain, count=extent.samples)


def rendered_heads(extent: Extent) -> Iterator[Case]:
    """Rendered heads and their crops, read where they were kept or drawn anew, and augmented."""
    batch = min(extent.batch, extent.heads)
    module = zoo.create_model("dad3dnet_mobilenet", head_model="OpenHead", image_size=extent.crop)
    read, drawn = (head_data(cast(HeadAlignment, module), extent.heads, batch, keep) for keep in (True, False))
    with (
        Epoch(read.train_dataloader(), unchanged, head_pictures) as ours,
        Epoch(drawn.train_dataloader(), unchanged, head_pictures) as plain,
    ):
        setting = f"{extent.crop}², batch {batch}, {WORKERS} workers"
        yield Case("heads, kept", setting, ours, plain, TOLERANCE, count=extent.heads)


class Epoch:
    """All batches of an epoch. The loader's workers stay for the next one and end with the block.

    Args:
        loader: gives the batches.
        finish: what the main process does with each.
        shown: what is compared of the last one.
    """

    def __init__(self, loader: Any, finish: Callable[[Any], Any], shown: Callable[[Any], tuple[Tensor, ...]]) -> None:
        self.loader, self.finish, self.shown = loader, finish, shown

    def __call__(self) -> Values:
        batches = 0
        for batch in self.loader:
            last = self.finish(batch)
            batches += 1
        return (torch.tensor(batches), *self.shown(last))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.loader = None


def from_official(batch: Any) -> MattingBatch:
    """The official loader's batch, by our names."""
    (alpha, foreground), background = batch
    return MattingBatch(background, background, alpha, foreground)


def sizes(batch: MattingBatch) -> tuple[Tensor, ...]:
    """The shapes of a batch."""
    return tuple(torch.tensor(image.shape) for image in (batch.alpha, batch.foreground, batch.background))


def pictures(batch: MattingBatch) -> tuple[Tensor, ...]:
    """The pictures of a batch."""
    return batch.source, batch.background, batch.alpha, batch.foreground


def head_pictures(batch: HeadBatch) -> tuple[Tensor, ...]:
    """The crops of a batch and where the heads are in them."""
    return batch.image, batch.projected, batch.landmarks


def said(extent: Extent) -> str:
    """The setting of loading, in a row."""
    return f"{extent.canvas}², batch {extent.batch}, {WORKERS} workers"


def recipe() -> dict[str, Augmentation]:
    """The official augmentations, as the recipe lists them."""
    settings = yaml.safe_load(shipped(RECIPE).read_text(encoding="utf-8"))
    return {name: build(spec) for name, spec in settings["data"]["init_args"]["augmentations"].items()}


def matte_folder(root: Path) -> Any:
    """The drawn files as a dataset."""
    return build({"class_path": "MatteFolder", "init_args": {"root": str(root), "backgrounds": str(root / "bgr")}})


def reading_only(root: Path, extent: Extent, keep: int = 0) -> ResumableLoader:
    """The drawn files, read and put on the canvas, and no more: what workers do where an accelerator augments.

    Args:
        keep: as of `TrainingStage`.
    """
    loader = matting_data(root, extent.canvas, extent.batch, {}, keep).train_dataloader()
    loader.collate_fn = collate
    return loader


def matting_data(
    root: Path, canvas: int, batch_size: int, steps: dict[str, Augmentation], keep: int = 0
) -> MattingData:
    """The drawn files, as they are trained on."""
    stage = TrainingStage(matte_folder(root), canvas, keep=keep)
    data = MattingData({"drawn": stage}, steps, batch_size=batch_size, workers=WORKERS)
    data.trainer = training_on_cpu()
    return data


def head_data(module: HeadAlignment, count: int, batch_size: int, keep: bool = False) -> HeadData:
    """Rendered heads, as the module trains on them."""
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
    """The variable has this value inside the block."""
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
    """A trainer in the middle of training, for data modules that ask theirs."""
    log = logging.getLogger("lightning.pytorch.utilities.rank_zero")
    level = log.level
    log.setLevel(logging.WARNING)  # which devices it does not use interests nobody here
    try:
        trainer = Trainer(
            accelerator="cpu", max_epochs=1, logger=False, enable_checkpointing=False, enable_progress_bar=False
        )
    finally:
        log.setLevel(level)
    trainer.training = True
    return trainer


def draw_files(root: Path, side: int, drawn: int, copies: int) -> None:
    """Write cut-outs and backgrounds in the official layout: `fgr/0000.jpg`, `pha/0000.png`, `bgr/0000.jpg`.

    Args:
        root: an empty folder.
        side: height and width in pixels; every second picture is twice as large.
        drawn: how many different ones.
        copies: how many files each of them fills.
    """
    for folder in ("fgr", "pha", "bgr"):
        (root / folder).mkdir()
    for number in range(drawn):
        matte = generate_matte(0, "train", number, MatteOptions(side, detail=0.3))
        pictures = {"fgr": matte[..., :3], "pha": matte[..., 3], "bgr": generate_background(0, "train", number, side)}
        for folder, picture in pictures.items():
            image = Image.fromarray(picture)
            if number % 2:
                image = image.resize((2 * side, 2 * side), Image.Resampling.BICUBIC)
            for copy in range(copies):
                name = f"{copy * drawn + number:04d}"
                image.save(root / folder / (f"{name}.png" if folder == "pha" else f"{name}.jpg"), quality=90)
