"""Cases of matting metrics: each metric and whole presets, on HD and 4K frames."""

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor
from zoo_plugins.synthetic.drawing.photographs import Photographs
from zoo_plugins.synthetic.mattes.matte import MatteOptions, generate_matte

from benchmarks.cases import Case, Values
from benchmarks.metrics_references import (
    connectivity_by_labels,
    foreground_mean_of_squares,
    gradient_by_dense_filters,
    mean_of_differences,
    mean_of_squares,
    preset_metric_by_metric,
    sum_of_differences,
    temporal_difference_of_two,
)
from zoo.core.seeding import derive_seed
from zoo.matting.measures import LOWER_IS_BETTER
from zoo.matting.metrics import (
    PRESETS,
    connectivity_error,
    foreground_mean_squared_difference,
    gradient_error,
    matting_metrics,
    mean_absolute_difference,
    mean_squared_difference,
    sum_absolute_difference,
    temporal_difference,
)
from zoo.matting.metrics.base import quantise
from zoo.matting.metrics.presets import PresetName
from zoo.matting.trimap import trimap

MEASURED: tuple[PresetName, ...] = ("bgmv2", "rvm")
BATCH = 4
"""Frames per call on a GPU."""


class Extent(NamedTuple):
    """The size of a frame in pixels."""

    name: str
    height: int
    width: int


FULL = (Extent("HD", 1080, 1920), Extent("4K", 2160, 3840))
QUICK = (Extent("72 × 128", 72, 128),)


class Frames(NamedTuple):
    """Inputs of the metrics as levels, uint8 (B, 1 or 3, H, W)."""

    alpha: Tensor
    target_alpha: Tensor
    foreground: Tensor
    target_foreground: Tensor
    trimap: Tensor


def cases(quick: bool = False) -> Iterator[Case]:
    """Yield every case; `quick` makes them small and without targets, to see that they run."""
    for extent in QUICK if quick else FULL:
        frames = synthetic_frame(extent)
        yield from each_metric(frames, extent)
        for preset in MEASURED:
            yield whole_preset(preset, frames, f"{extent.name}, one frame", 5 if extent.name == "4K" else None)
            if torch.cuda.is_available():
                setting = f"{extent.name}, {BATCH} frames on the GPU"
                yield whole_preset(preset, several(frames), setting, device="cuda")


def several(frame: Frames) -> Frames:
    """Return a batch: the frame, shifted a little from image to image."""
    return Frames(*(torch.cat([part.roll(32 * number, dims=3) for number in range(BATCH)]) for part in frame))


def each_metric(frames: Frames, extent: Extent) -> Iterator[Case]:
    """Yield every metric, over the whole image."""
    pair = frames.alpha, frames.target_alpha, torch.ones_like(frames.alpha, dtype=torch.bool)
    metrics: list[tuple[str, Callable[..., Tensor], Callable[..., float]]] = [
        ("SAD", sum_absolute_difference, sum_of_differences),
        ("MAD", mean_absolute_difference, mean_of_differences),
        ("MSE", mean_squared_difference, mean_of_squares),
        ("Grad", gradient_error, gradient_by_dense_filters),
        ("Conn", connectivity_error, connectivity_by_labels),
    ]
    for name, fast, plain in metrics:
        yield metric(name, f"{extent.name}, whole image", partial(fast, *pair), partial(plain, *plain_image(*pair)))
    foregrounds = frames.foreground, frames.target_foreground
    foreground, target_foreground = (part[0].numpy() for part in foregrounds)
    yield metric(
        "foreground MSE",
        extent.name,
        partial(foreground_mean_squared_difference, *foregrounds, frames.target_alpha),
        partial(foreground_mean_of_squares, foreground, target_foreground, frames.target_alpha[0, 0].numpy()),
    )
    clip, true_clip = (torch.cat([part, part.roll(1, dims=3)]) for part in (frames.alpha, frames.target_alpha))
    yield metric(
        "dtSSD",
        f"{extent.name}, two frames",
        partial(temporal_difference, clip, true_clip),
        partial(temporal_difference_of_two, clip[:, 0].numpy(), true_clip[:, 0].numpy()),
    )


def metric(name: str, setting: str, fast: Callable[[], Tensor], plain: Callable[[], float]) -> Case:
    """Return the case of a metric of one image."""
    return Case(name, setting, fast, lambda: torch.tensor([plain()]), tolerance=1e-6)


def whole_preset(
    preset: PresetName, frames: Frames, setting: str, faster: float | None = None, device: str = "cpu"
) -> Case:
    """Return the case of a preset with given trimaps, on frames that are already on the device; time for one frame."""
    moved = Frames(*(part.to(device) for part in frames))
    return Case(
        f"preset {preset}",
        setting,
        partial(measured, preset, moved),
        partial(plainly_measured, preset, frames),
        tolerance=1e-5,
        count=len(frames.alpha),
        faster=faster,
    )


def measured(preset: PresetName, frames: Frames) -> Values:
    """Return the results of a preset, by its own metrics."""
    metrics = matting_metrics(preset).to(frames.alpha.device)
    metrics.update(**frames._asdict())
    results = metrics.compute()
    return tuple(results[name].cpu() for name in LOWER_IS_BETTER)


def plainly_measured(preset: PresetName, frames: Frames) -> Values:
    """Return the results of a preset, image by image and metric by metric."""
    everywhere = PRESETS[preset].region == "image"
    results = []
    for alpha, target, foreground, target_foreground, regions in zip(*(part.numpy() for part in frames), strict=True):
        mask = np.ones(alpha[0].shape, bool) if everywhere else regions[0] == 128
        image = alpha[0], target[0], mask, foreground, target_foreground
        results.append(preset_metric_by_metric(PRESETS[preset], *image))
    return tuple(np.mean(results, axis=0))


def plain_image(*parts: Tensor) -> tuple[np.ndarray[Any, Any], ...]:
    """Return tensors (1, 1, H, W) as arrays (H, W)."""
    return tuple(part[0, 0].numpy() for part in parts)


def synthetic_frame(extent: Extent) -> Frames:
    """Return a synthetic person in the middle of a frame, and a prediction of it with errors.

    The prediction is softer than the truth, too light in some regions and too dark in others.
    """
    side = extent.height
    picture = np.zeros((side, extent.width, 4), np.uint8)
    left = (extent.width - side) // 2
    picture[:, left : left + side] = generate_matte(0, Photographs("test"), 0, MatteOptions(side))
    target_foreground, target_alpha = torch.from_numpy(picture).permute(2, 0, 1)[None].split([3, 1], dim=1)
    rng = np.random.default_rng(derive_seed("zoo bench metrics", extent.name))
    coarse = torch.from_numpy(rng.normal(size=(1, 1, max(2, side // 32), max(2, extent.width // 32)))).float()
    waves = F.interpolate(coarse, (side, extent.width), mode="bilinear")
    truth = target_alpha.float() / 255
    alpha = 1.1 * F.avg_pool2d(truth, 3, stride=1, padding=1) - 0.05 + 0.05 * waves
    foreground = target_foreground.float() / 255 + 0.05 * waves
    parts = (alpha, truth, foreground, target_foreground.float() / 255, trimap(truth))
    return Frames(*(quantise(part.clamp(0, 1)).contiguous() for part in parts))
