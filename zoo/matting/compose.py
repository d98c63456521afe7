"""From cut-outs and backgrounds to training batches: the canvas, the crop, and the order of the augmentations.

A training batch starts on a square *canvas*. The canvas steps change foreground and background there, then the whole
batch is cropped to one size. From then on the background exists twice: as the *scene* behind the person, held in
`source` until the foreground is composited onto it, and as the *captured* background, `background`. Scene steps change
the first; captured steps change the camera's images of both.
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
from zoo.training.data import samples_of

PHASES = ("canvas", "scene", "captured")
IMAGES = ("source", "background", "alpha", "foreground")


def composite(foreground: Tensor, alpha: Tensor, background: Tensor) -> Tensor:
    """Composite straight colours: I = F·α + B·(1 − α), as the official code computes it.

    Args:
        foreground, background: (B, 3, H, W).
        alpha: (B, 1, H, W).

    Example:
        >>> composite(torch.ones(1, 3, 1, 1), torch.full((1, 1, 1, 1), 0.25), torch.zeros(1, 3, 1, 1)).flatten()
        tensor([0.2500, 0.2500, 0.2500])
    """
    return (foreground * alpha).addcmul_(background, 1 - alpha)


def fit_canvas(image: Tensor, size: int, how: Literal["inside", "cover"]) -> Tensor:
    """Put an image of any size in the middle of a square canvas, antialiased when it shrinks.

    Args:
        image: (C, H, W), float or uint8; the result has the same type.
        size: side of the canvas in pixels.
        how: `inside` keeps all of the image and leaves zeros around it, for foreground and alpha alike; `cover` fills
            the canvas and cuts off the rest, for backgrounds.

    Raises:
        ValueError: the image is empty, or `how` is neither of the two.

    Example:
        >>> [fit_canvas(torch.ones(1, 2, 4), 4, how).sum().item() for how in ("inside", "cover")]
        [8.0, 16.0]
    """
    height, width = image.shape[-2:]
    if height == 0 or width == 0:
        raise ValueError(f"cannot put an image of {width}x{height} pixels on a canvas; expected at least one pixel.")
    if how not in ("inside", "cover"):
        raise ValueError(f"how={how!r}: expected 'inside' (for mattes) or 'cover' (for backgrounds).")
    longer_or_shorter = max(height, width) if how == "inside" else min(height, width)
    target = [max(1, round(side * size / longer_or_shorter)) for side in (height, width)]
    if target != [height, width]:
        image = F.interpolate(image[None], target, mode="bilinear", antialias=True)[0]
    return tv.center_crop(image, [size, size])


@torch.no_grad()
def apply_augmentations(
    batch: MattingBatch, augmentations: Mapping[str, Augmentation], crop: Sequence[int] | None = None, multiple: int = 4
) -> MattingBatch:
    """Run the named steps, phase by phase and within a phase in the mapping's order, and composite the source.

    The random stream of a step is named by the sample's seed and the step's name. So adding, removing or changing one
    step leaves the random numbers of the others unchanged. Steps run in full precision, whatever the precision of the
    training. On a CPU samples run through all steps one by one, which keeps each in the cache.

    Args:
        batch: foreground, alpha, background and seed are read, floats or bytes; `source` is made here and a trimap is
            dropped.
        augmentations: the steps by name, each with a `phase` as in `MattingAugmentation`.
        crop: lowest and highest side, the highest excluded, of a size that the batch is resized to just cover and cut
            to from the middle (official behaviour); None leaves the canvas as it is. Height and width are sampled
            independently, once for the batch, from the random stream of its first sample.
        multiple: both sides are rounded down to a multiple of this.

    Raises:
        ValueError: the batch has no seeds, a step has an unknown phase, or the crop sides are no range.

    Example:
        >>> image, alpha = torch.rand(1, 3, 8, 8), torch.rand(1, 1, 8, 8)
        >>> batch = MattingBatch(image, torch.zeros_like(image), alpha, image, seed=torch.tensor([7]))
        >>> torch.equal(apply_augmentations(batch, {}).source, image * alpha)
        True
    """
    seeds = _seeds(batch)
    device = batch.alpha.device
    for name, step in augmentations.items():
        if (phase := getattr(step, "phase", None)) not in PHASES:
            raise ValueError(f"augmentation '{name}' has phase {phase!r}; expected one of {', '.join(PHASES)}.")
    size = None if crop is None else _random_size(seeds, crop, multiple)
    with torch.autocast(device.type, enabled=False):
        if device.type != "cpu":
            return augment_together(batch, seeds, augmentations, size)
        images: dict[str, Any] = {}
        for index, seed in enumerate(seeds):
            sample = augment_together(samples_of(batch, slice(index, index + 1)), [seed], augmentations, size)
            for name in (*IMAGES, "hint"):
                image = getattr(sample, name)
                if image is None:
                    continue
                if index == 0:
                    images[name] = _empty_batch(image, len(seeds))
                images[name][index : index + 1] = image
    return batch._replace(**images, trimap=None)


def augment_together(
    batch: MattingBatch, seeds: Sequence[int], augmentations: Mapping[str, Augmentation], size: tuple[int, int] | None
) -> MattingBatch:
    """Run the steps on the whole batch at once, as `apply_augmentations` does on accelerators.

    Args:
        batch, augmentations: as there.
        seeds: of the samples.
        size: height and width of the crop; None leaves the canvas as it is.
    """

    def run(phase: str, batch: MattingBatch) -> MattingBatch:
        for name, step in augmentations.items():
            if step.phase == phase:
                batch = step(batch, RandomStream(seeds, name, batch.alpha.device))
        return batch

    batch = run("canvas", batch_to_float(batch._replace(source=batch.background)))
    batch = batch._replace(source=batch.background, trimap=None)
    if size is not None:
        batch = _cropped(batch, *size)
    batch = run("scene", batch)
    batch = batch._replace(source=composite(batch.foreground, batch.alpha, batch.source))
    return run("captured", batch)


def batch_to_float(batch: MattingBatch) -> MattingBatch:
    """Return the batch with its images as floats in [0, 1]; workers hand over bytes where they can.

    Example:
        >>> image, alpha = torch.full((1, 3, 2, 2), 255, dtype=torch.uint8), torch.ones(1, 1, 2, 2)
        >>> batch_to_float(MattingBatch(image, image, alpha, image)).source.max().item()
        1.0
    """
    background = to_float(batch.background)
    return batch._replace(
        source=background if batch.source is batch.background else to_float(batch.source),
        background=background,
        alpha=to_float(batch.alpha),
        foreground=to_float(batch.foreground),
    )


def to_float(image: Tensor) -> Tensor:
    """Return uint8 as float in [0, 1], and a float image unchanged.

    Example:
        >>> to_float(torch.tensor([0, 51, 255], dtype=torch.uint8))
        tensor([0.0000, 0.2000, 1.0000])
    """
    return image.float().div_(255) if image.dtype == torch.uint8 else image


def _empty_batch(image: Tensor, count: int) -> Tensor:
    """Allocate a batch of `count` images; in a worker process, in memory that it shares with the main one."""
    if get_worker_info() is None:
        return image.new_empty(count, *image.shape[1:])
    # `default_collate` does so too: otherwise the batch would be copied there.
    room = image.untyped_storage()._new_shared(count * image.nbytes, device="cpu")
    return torch.tensor([], dtype=image.dtype).set_(room, 0, (count, *image.shape[1:]))  # type: ignore[call-overload]


def _seeds(batch: MattingBatch) -> list[int]:
    """Return the samples' seeds as numbers, in one transfer from an accelerator."""
    if batch.seed is None:
        raise ValueError("the batch has no seeds (seed=None); augmentation needs one integer a sample.")
    return batch.seed.tolist()


def _random_size(seeds: Sequence[int], sides: Sequence[int], multiple: int) -> tuple[int, int]:
    """Return height and width of the batch's crop, see `apply_augmentations`."""
    if len(sides) != 2 or not multiple <= sides[0] < sides[1]:
        raise ValueError(
            f"crop sides {list(sides)}: expected two whole numbers, low and high, with {multiple} <= low < high."
        )
    random = RandomStream(seeds[:1], "crop size")
    width, height = (int(random.integers(sides[0], sides[1])) // multiple * multiple for _ in range(2))
    return height, width


def _cropped(batch: MattingBatch, height: int, width: int) -> MattingBatch:
    """Resize each image so that it just covers height × width, and cut that out of the middle."""
    background = _cover_and_cut(batch.background, height, width)
    return batch._replace(
        source=background if batch.source is batch.background else _cover_and_cut(batch.source, height, width),
        background=background,
        alpha=_cover_and_cut(batch.alpha, height, width),
        foreground=_cover_and_cut(batch.foreground, height, width),
        hint=None if batch.hint is None else _cover_and_cut(batch.hint, height, width),
        trimap=None,
    )


def _cover_and_cut(image: Tensor, height: int, width: int) -> Tensor:
    """Resize (B, C, H, W) so that it just covers height × width, and cut that out of the middle."""
    scale = max(height / image.shape[-2], width / image.shape[-1])
    covering = (max(height, round(image.shape[-2] * scale)), max(width, round(image.shape[-1] * scale)))
    return tv.center_crop(resize(image, covering), [height, width])
