"""Record of a test: metrics of each image, for intervals over images, and the first samples as images."""

import csv
import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from lightning.pytorch import Callback, LightningModule, Trainer

from zoo.core.files import write_text
from zoo.media.images import read_image, write_image
from zoo.training.module import TrainingModule


class SampleRecord(Callback):
    """Writes one line per test image: set, index in the set, name, and each metric. Keeps the first samples of each set
    as images.

    The metrics are the `samples` that the module's `test_step` returns, one `{"sad": 12.3}` per sample of the batch; a
    module that returns none leaves no file. The images are the module's `test_tiles` of the `output` that it returns.

    Args:
        file: the CSV file to write; images are next to it, in the folder `pictures`.
    """

    def __init__(self, file: str) -> None:
        self.file = Path(file)
        self.pictures = self.file.with_name(PICTURES)
        self.lines: list[dict[str, Any]] = []
        self.counts: dict[str, int] = {}

    def on_test_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        samples = outputs.get("samples") if isinstance(outputs, dict) else None
        if samples is None:
            return
        sets = list(getattr(getattr(trainer, "datamodule", None), "test", {})) or ["data"]
        name_of_set = sets[dataloader_idx]
        first = self.counts.get(name_of_set, 0)
        if first < COUNT and "output" in outputs and isinstance(pl_module, TrainingModule):
            tiles = pl_module.test_tiles(batch, outputs["output"], COUNT - first, SIDE)
            for number, named in enumerate(tiles, start=first):
                write_tiles(self.pictures, Sample(name_of_set, number), named)
        names = getattr(batch, "name", None) or [""] * len(samples)
        for index, (name, values) in enumerate(zip(names, samples, strict=True), start=first):
            self.lines.append({"set": name_of_set, "index": index, "name": name, **values})
        self.counts[name_of_set] = first + len(samples)

    def on_test_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if not self.lines:
            return
        columns = list(dict.fromkeys(column for line in self.lines for column in line))
        text = io.StringIO(newline="")
        writer = csv.DictWriter(text, columns, lineterminator="\n")
        writer.writeheader()
        writer.writerows(self.lines)
        write_text(self.file, text.getvalue())


def read_samples(file: Path) -> list[dict[str, Any]]:
    """Return the lines of a samples file: `set` and `name` as text, `index` as a whole number, metrics as numbers.

    A metric that had nothing to measure in an image is absent from its line.
    """
    with file.open(encoding="utf-8", newline="") as stream:
        return [
            {
                key: value if key in ("set", "name") else int(value) if key == "index" else float(value)
                for key, value in line.items()
                if value != ""
            }
            for line in csv.DictReader(stream)
        ]


PICTURES, COUNT, SIDE = "pictures", 3, 256
"""Sample images of a run, `pictures/SET_NUMBER/INDEX_TILE.png`: samples per test set, and pixels of the longer side."""


class Sample(NamedTuple):
    """Which sample: the name of its test set, and its number there."""

    set: str
    number: int


def write_tiles(folder: Path, sample: Sample, tiles: Mapping[str, np.ndarray]) -> None:
    """Write a sample's tiles, uint8 (h, w, 3) by name, in their order."""
    for place, (name, tile) in enumerate(tiles.items()):
        write_image(folder / f"{sample.set}_{sample.number}" / f"{place}_{name}.png", tile)


def read_tiles(folder: Path) -> dict[Sample, dict[str, np.ndarray]]:
    """Return the tiles of each sample by name, in their order; empty where nothing was kept."""
    found = {}
    for kept in folder.glob("*_*"):
        name, _, number = kept.name.rpartition("_")
        files = sorted(kept.glob("*_*.png"), key=lambda file: int(file.name.partition("_")[0]))
        found[Sample(name, int(number))] = {file.stem.partition("_")[2]: read_image(file) for file in files}
    return dict(sorted(found.items()))
