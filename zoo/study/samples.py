"""What a test measured on each picture, for intervals over pictures."""

import csv
import io
from pathlib import Path
from typing import Any

from lightning.pytorch import Callback, LightningModule, Trainer

from zoo.core.run import write_text


class SampleRecord(Callback):
    """Writes one line a test picture: set, index in the set, name, and the picture's value of each metric.

    The values are what the module's `test_step` returns as `samples`, one `{"sad": 12.3}` a sample of the batch; a
    module that does not leaves no file.

    Args:
        file: the CSV file to write.
    """

    def __init__(self, file: str) -> None:
        self.file = Path(file)
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
        wanted = sets[dataloader_idx]
        names = getattr(batch, "name", None) or [""] * len(samples)
        for name, values in zip(names, samples, strict=True):
            index = self.counts.get(wanted, 0)
            self.counts[wanted] = index + 1
            self.lines.append({"set": wanted, "index": index, "name": name, **values})

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
    """The lines of a samples file: `set` and `name` as text, `index` as a whole number, metrics as numbers.

    A metric that had nothing to measure in a picture is absent from its line.
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
