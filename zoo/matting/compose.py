"""From cut-outs and backgrounds to training batches: the canvas, the crop, and the order of the augmentations.

A training batch is born on a square *canvas*. The canvas steps change foreground and background there, then the whole
batch is cropped to one size. From then on the background exists twice: as the *scene* behind the person, kept in
`source` until the foreground is composited onto it, and as the *captured* background, `background`. Scene steps change
the first; captured steps change what the cameras saw of both.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.utils.data import get_worker_info
from torchvision.transforms import functional as tv

from zoo.core.parts import Augmentation
from zoo.core.seeding import RandomStream
from zoo.matting.parts import MattingBatch, resize

PHASES = ("canvas", "scene", "captured")
PICTURES = ("source", "background", "alpha", "foreground")
CROP_PURPOSE = "crop size"


def composite(foreground: Tensor, alpha: Tensor, background: Tensor) -> Tensor:
    """The compositing equation I = F·α + B·(1 − α), of straight colours, as the official code computes it.

    Args:
        foreground, background: (B, 3, H, W).
        alpha: (B, 1, H, W).
    """
    return (foreground * alpha).addcmul_(background, 1 - alpha)


def fit_canvas(image: Tensor, size: int, how: Literal["inside", "cover"]) -> Tensor:
    """Put a picture of any size in the middle of a square canvas, antialiased when it shrinks.

    Args:
        image: (C, H, W), float or uint8; the result has the same type.
        size: side of the canvas in pixels.
        how: `inside` keeps all of the picture and leaves zeros around it, for foreground and alpha alike; `cover` fills
            the canvas and cuts off what stands out, for backgrounds.

    Raises:
        ValueError: the picture is empty, or `how` is neither of the two.
    """
    height, width = image.shape[-2:]
    if height == 0 or width == 0:
        raise ValueError(f"cannot put a picture of {width}x{height} pixels on a canvas; expected at least one pixel.")
    if how not in ("inside", "cover"):
        raise ValueError(f"how={how!r}: expected 'inside' (for mattes) or 'cover' (for backgrounds).")
    longer_or_shorter = max(height, width) if how == "inside" else min(height, width)
    target = [max(1, round(side * size / longer_or_shorter)) for side in (height, width)]
    if target != [height, width]:
        image = F.interpolate(image[None], target, mode="bilinear", antialias=True)[0]
    return tv.center_crop(image, [size, size])


def random_crop(batch: MattingBatch, sides: Sequence[int], multiple: int = 4) -> MattingBatch:
    """Resize the batch so that it just covers a random size, and cut that size from the middle (official behaviour).

    Height and width are drawn independently, once for the batch, from the stream of its first sample.

    Args:
        batch: of any size; `seed` must be given. A trimap is dropped: it no longer fits.
        sides: lowest and highest side; the highest is excluded.
        multiple: both sides are rounded down to a multiple of this.

    Raises:
        ValueError: the range is empty, or holds a side that would be rounded down to nothing.
    """
    return _cropped(batch, *_draw_crop(_seeds(batch), sides, multiple))


@torch.no_grad()
def apply_augmentations(
    batch: MattingBatch, augmentations: Mapping[str, Augmentation], crop: Sequence[int] | None = None, multiple: int = 4
) -> MattingBatch:
    """Run the named steps, phase by phase and within a phase in the mapping's order, and composite the source.

    Each step draws from the streams (sample's seed, step's name), so adding, removing or changing one step leaves the
    draws of the others as they were. Runs in full precision, whatever the precision of the training. On a CPU one
    sample after the other runs through all steps, while it is still in the cache, which gives the same in a fraction
    of the time.

    Args:
        batch: foreground, alpha, background and seed are read, floats or bytes; `source` is made here and a trimap is
            dropped.
        augmentations: the steps by name.
        crop: lowest and highest side for `random_crop`; None leaves the canvas as it is.
        multiple: see `random_crop`.

    Raises:
        ValueError: the batch has no seeds, a step has an unknown phase, or the crop sides are no range.
    """
    seeds = _seeds(batch)
    device = batch.alpha.device
    for name, step in augmentations.items():
        if step.phase not in PHASES:
            raise ValueError(f"augmentation '{name}' has phase {step.phase!r}; expected one of {', '.join(PHASES)}.")
    size = None if crop is None else _draw_crop(seeds, crop, multiple)
    with torch.autocast(device.type, enabled=False):
        if device.type != "cpu":
            return augment_together(batch, seeds, augmentations, size)
        pictures: dict[str, Any] = {}
        for index, seed in enumerate(seeds):
            sample = augment_together(_only(batch, index), [seed], augmentations, size)
            for name in PICTURES:
                image = getattr(sample, name)
                if index == 0:
                    pictures[name] = empty_batch(image, len(seeds))
                pictures[name][index : index + 1] = image
    return batch._replace(**pictures, trimap=None)


def augment_together(
    batch: MattingBatch, seeds: Sequence[int], augmentations: Mapping[str, Augmentation], size: tuple[int, int] | None
) -> MattingBatch:
    """As `apply_augmentations`, the whole batch at once and with a crop of this height and width."""

    def run(phase: str, batch: MattingBatch) -> MattingBatch:
        for name, step in augmentations.items():
            if step.phase == phase:
                batch = step(batch, RandomStream(seeds, name, batch.alpha.device))
        return batch

    batch = run("canvas", as_float(batch._replace(source=batch.background)))
    batch = batch._replace(source=batch.background, trimap=None)
    if size is not None:
        batch = _cropped(batch, *size)
    batch = run("scene", batch)
    batch = batch._replace(source=composite(batch.foreground, batch.alpha, batch.source))
    return run("captured", batch)


def as_float(batch: MattingBatch) -> MattingBatch:
    """The batch with its images as floats in [0, 1]; workers hand over bytes where they can."""
    background = unit(batch.background)
    return batch._replace(
        source=background if batch.source is batch.background else unit(batch.source),
        background=background,
        alpha=unit(batch.alpha),
        foreground=unit(batch.foreground),
    )


def unit(image: Tensor) -> Tensor:
    """uint8 as float in [0, 1]; a float image as it is."""
    return image.float().div_(255) if image.dtype == torch.uint8 else image


def empty_batch(image: Tensor, count: int) -> Tensor:
    """Room for so many images, like the one given; in a worker process, in memory that it shares with the main one."""
    if get_worker_info() is None:
        return image.new_empty(count, *image.shape[1:])
    # What `default_collate` does too: otherwise the batch would be copied there.
    room = image.untyped_storage()._new_shared(count * image.nbytes, device="cpu")
    return torch.tensor([], dtype=image.dtype).set_(room, 0, (count, *image.shape[1:]))  # type: ignore[call-overload]


def _only(batch: MattingBatch, index: int) -> MattingBatch:
    """A batch of one sample."""
    fields = {name: value[index : index + 1] for name, value in batch._asdict().items() if value is not None}
    return batch._replace(**fields)


def _seeds(batch: MattingBatch) -> list[int]:
    """The samples' seeds as numbers: one transfer for all, where they lie on an accelerator."""
    if batch.seed is None:
        raise ValueError("the batch has no seeds (seed=None); augmentation needs one integer a sample to draw from.")
    return batch.seed.tolist()


def _draw_crop(seeds: Sequence[int], sides: Sequence[int], multiple: int) -> tuple[int, int]:
    """Height and width of the batch's crop, see `random_crop`."""
    if len(sides) != 2 or not multiple <= sides[0] < sides[1]:
        raise ValueError(
            f"crop sides {list(sides)}: expected two whole numbers, low and high, with {multiple} <= low < high."
        )
    draws = RandomStream(seeds[:1], CROP_PURPOSE)
    width, height = (int(draws.integers(sides[0], sides[1])) // multiple * multiple for _ in range(2))
    return height, width


def _cropped(batch: MattingBatch, height: int, width: int) -> MattingBatch:
    """Each picture resized so that it just covers height × width, and that cut out of the middle."""
    background = _cover_and_cut(batch.background, height, width)
    return batch._replace(
        source=background if batch.source is batch.background else _cover_and_cut(batch.source, height, width),
        background=background,
        alpha=_cover_and_cut(batch.alpha, height, width),
        foreground=_cover_and_cut(batch.foreground, height, width),
        trimap=None,
    )


def _cover_and_cut(image: Tensor, height: int, width: int) -> Tensor:
    """Resize (B, C, H, W) so that it just covers height × width, and cut that out of the middle."""
    scale = max(height / image.shape[-2], width / image.shape[-1])
    covering = (max(height, round(image.shape[-2] * scale)), max(width, round(image.shape[-1] * scale)))
    return tv.center_crop(resize(image, covering), [height, width])
