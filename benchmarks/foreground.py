"""Measure how much background the foreground's colours hold near the outline, on a photograph with a known foreground.

    pip install pymatting
    python -m benchmarks.foreground FOLDER

The folder holds `NAME_fgr.png`, `NAME_ref.png` and `NAME_back.png`, as for `python -m benchmarks real`. Each foreground
is composited over its own background and over five others.
"""

import argparse
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rich import box
from rich.console import Console
from rich.table import Table
from skimage import data
from skimage.transform import resize

from benchmarks.real import band, read_alpha
from zoo.hub import defaults
from zoo.matting.cutout import estimate_foreground, unmix
from zoo.matting.inference import load_matting
from zoo.media.images import read_image, to_tensor, to_uint8

FLAT = ((20, 180, 60), (20, 60, 190), (153, 153, 153))


def main() -> None:
    """Measure and print the table."""
    parser = argparse.ArgumentParser("python -m benchmarks.foreground", description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--model", default=defaults.MATTING)
    arguments = parser.parse_args()
    matting = load_matting(arguments.model, device="cpu", cutout=None)
    errors: dict[str, list[list[float]]] = {}
    for foreground, true_alpha, background in read_cases(arguments.folder):
        mixed = foreground * true_alpha[..., None] + background * (1 - true_alpha[..., None])
        output = matting(to_uint8(mixed), to_uint8(background))
        predicted = output.alpha[0, 0].numpy()
        for number, alpha in enumerate((true_alpha, predicted)):
            weight = band(true_alpha) * true_alpha * alpha
            for name, found in estimates(mixed, alpha, background, output.foreground).items():
                difference = np.abs(found.clip(0, 1) - foreground).mean(axis=2)
                errors.setdefault(name, [[], []])[number].append(float((difference * weight).sum() / weight.sum()))
    table = Table("foreground", "true alpha", "predicted alpha", box=box.SIMPLE)
    for name, (true, predictions) in errors.items():
        table.add_row(name, f"{1000 * np.mean(true):.1f}", f"{1000 * np.mean(predictions):.1f}")
    Console().print(f"{arguments.model}: error ×1000 near the outline, weighted by alpha", table)


def read_cases(folder: Path) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Yield foreground, alpha and background, float in [0, 1]."""
    for path in sorted(folder.glob("*_fgr.png")):
        name = path.name.removesuffix("_fgr.png")
        foreground = to_uint8(read_image(path)) / np.float32(255)
        own = to_uint8(read_image(folder / f"{name}_back.png")) / 255
        flat = [np.full(own.shape, colour) / 255 for colour in FLAT]
        photographs = [resize(image, own.shape) for image in (data.coffee(), data.rocket())]
        for background in (own, *flat, *photographs):
            yield foreground, read_alpha(folder / f"{name}_ref.png"), background.astype(np.float32)


def estimates(mixed: np.ndarray, alpha: np.ndarray, background: np.ndarray, network: Any) -> dict[str, np.ndarray]:
    """Return the foregrounds (H, W, 3) that are compared, by name."""
    source, behind, matte = (to_tensor(image)[None] for image in (mixed, background, alpha))
    found = {"source": mixed, "network": as_array(network)}
    estimate = estimate_foreground(source, matte)
    starts = {"zoo matte": network, "zoo matte --estimate-foreground": estimate}
    found["pymatting"] = as_array(estimate)
    return found | {name: as_array(unmix(start, matte, source, behind)) for name, start in starts.items()}


def as_array(image: torch.Tensor) -> np.ndarray:
    """Return (H, W, 3) of a batch of one image."""
    return image[0].permute(1, 2, 0).numpy()


if __name__ == "__main__":
    main()
