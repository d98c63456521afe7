"""`zoo predict`: a folder of images through the trainer, with its devices, precision and strategy.

For one image or a video, and without a trainer, there is `zoo matte`.
"""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import torch
from torch.utils.data import Dataset

from zoo.matting.inference import MARKED, match_images, read_inputs, warn_of_empty
from zoo.matting.matte_files import MatteFiles
from zoo.matting.parts import MattingBatch, MattingOutput
from zoo.media.images import MediaError, to_tensor
from zoo.media.run import attempt, naming, refuse_overwriting


@dataclass
class PredictionSet:
    """Images to matte.

    Args:
        source: a folder of images, with subfolders.
        background: one image for all, or a folder with an image of the same name for each; null for a network without
            captured background.
        output: folder of the results, `OUTPUT/alpha/NAME.png`.
        save: kinds of results: alpha, foreground, rgba, composite, error, refined.
        new_background: background of composites, an image or a colour.
        align: warp each background onto its source first, which also allows another size; `auto` does so where the
            camera moved.
        guide: masks of the foreground for a network with a guide, as the backgrounds; null for none.

    Example:
        >>> PredictionSet("photographs", "empty.png", save=["rgba"]).results().save
        ('rgba',)
    """

    source: str
    background: str | None = None
    output: str = "mattes"
    save: list[str] = field(default_factory=lambda: ["alpha", "composite"])
    new_background: str | None = None
    align: bool | Literal["auto"] = "auto"
    guide: str | None = None

    def results(self) -> MatteFiles:
        """Return what is saved, and where."""
        return MatteFiles(self.output, self.save, self.new_background)


class PredictionSamples(Dataset):
    """Images with their backgrounds, each at its own size; alpha, foreground and an absent background are zeros.

    An image that cannot be used is an error instead of a batch, so that the others get their turn.

    Example:
        >>> PredictionSamples(PredictionSet("me.png", "empty.png"))
        Traceback (most recent call last):
        zoo.media.errors.MediaError: data.predict.source is me.png, which is no folder; for one image or a video use ...
    """

    def __init__(self, images: PredictionSet) -> None:
        if not Path(images.source).is_dir():
            raise MediaError(
                f"data.predict.source is {images.source}, which is no folder; for one image or a video use `zoo matte`."
            )
        results = images.results()
        self.align = images.align
        background, guide = (None if path is None else Path(path) for path in (images.background, images.guide))
        self.matched = match_images(Path(images.source), background, guide, results)
        targets = [path for *_, name in self.matched for path in results.targets(name).values()]
        refuse_overwriting(targets, [path for files in self.matched for path in files[:3] if path])

    def __len__(self) -> int:
        return len(self.matched)

    def __getitem__(self, index: int) -> MattingBatch | ValueError:
        sample = attempt(self._read, *self.matched[index])
        return naming(sample, self.matched[index][0]) if isinstance(sample, ValueError) else sample

    def _read(self, source: Path, background: Path | None, guide: Path | None, name: str) -> MattingBatch:
        images = read_inputs(source, background, guide, self.align)
        image, captured, hint = (None if each is None else to_tensor(each).contiguous().clamp(max=1) for each in images)
        assert image is not None
        zeros = torch.zeros_like(image)
        return MattingBatch(
            source=image,
            background=zeros if captured is None else captured,  # which only a network without it gets
            alpha=zeros[:1],
            foreground=zeros,
            name=[name],
            hint=hint,
        )


def save_prediction(results: MatteFiles, batch: MattingBatch, output: MattingOutput) -> None:
    """Write the results of a batch of one image.

    Example:
        >>> from tempfile import TemporaryDirectory
        >>> image, alpha = torch.zeros(1, 3, 4, 4), torch.ones(1, 1, 4, 4)
        >>> batch, output = MattingBatch(image, image, alpha, image, name=["me"]), MattingOutput(*[alpha] * 6)
        >>> with TemporaryDirectory() as folder:
        ...     save_prediction(MatteFiles(folder, ["alpha"]), batch, output)
        ...     print(*(path.name for path in Path(folder).rglob("*.png")))
        me.png
    """
    assert batch.name is not None
    if output.alpha.max() < MARKED:
        warn_of_empty(batch.name[0], batch.background is not None)
    for kind, path in results.targets(batch.name[0]).items():
        results.write(kind, path, output)
