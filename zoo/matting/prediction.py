"""`zoo predict`: a folder of pictures through the trainer, with its devices, precision and strategy.

For one picture or a video, and without a trainer, there is `zoo matte`.
"""

from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch.utils.data import Dataset

from zoo.matting.inference import Results, fitting_background, pair_pictures, refuse_moving
from zoo.matting.parts import MattingBatch, MattingOutput
from zoo.media.images import MediaError, read_image, to_tensor, write_image
from zoo.media.results import refuse_overwriting


@dataclass
class PredictionSet:
    """Pictures to matte.

    Args:
        source: a folder of pictures, with subfolders.
        background: one picture for all, or a folder with a picture of the same name for each.
        output: where results land, as `OUTPUT/alpha/NAME.png`.
        save: which results: alpha, foreground, rgba, composite, error, refined.
        new_background: what stands behind the foreground in composites, a picture or a colour.
        align: lay each background over its source first, which also allows another size.
    """

    source: str
    background: str
    output: str = "mattes"
    save: list[str] = field(default_factory=lambda: ["alpha", "composite"])
    new_background: str | None = None
    align: bool = False

    def results(self) -> Results:
        """Where and what to save."""
        return Results(self.output, self.save, self.new_background)


class PredictionSamples(Dataset):
    """The pictures with their backgrounds, each at its own size; alpha and foreground are empty."""

    def __init__(self, wanted: PredictionSet) -> None:
        if not Path(wanted.source).is_dir():
            raise MediaError(
                f"data.predict.source is {wanted.source}, which is no folder; for one picture or a video use `zoo "
                "matte`."
            )
        results = wanted.results()
        refuse_moving(results)
        self.align = wanted.align
        self.pairs = pair_pictures(Path(wanted.source), Path(wanted.background), results)
        targets = [results.path(kind, f"{name}.png") for _, _, name in self.pairs for kind in results.save]
        refuse_overwriting(targets, [path for pair in self.pairs for path in pair[:2]])

    def __len__(self) -> int:
        return len(self.pairs)

    def __getitem__(self, index: int) -> MattingBatch:
        source, background, name = self.pairs[index]
        picture = read_image(source)
        behind = fitting_background(picture, read_image(background), source, background, self.align)
        pictures = [to_tensor(picture), to_tensor(behind)]
        nothing = torch.zeros_like(pictures[0])
        return MattingBatch(
            source=pictures[0], background=pictures[1], alpha=nothing[:1], foreground=nothing, name=[name]
        )


def save_prediction(results: Results, batch: MattingBatch, output: MattingOutput) -> None:
    """Write the results of a batch of one picture."""
    assert batch.name is not None
    for kind, picture in results.render(output):
        write_image(results.path(kind, f"{batch.name[0]}.png"), picture)
