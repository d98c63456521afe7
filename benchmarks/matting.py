"""Cases of background matting: whole networks, compared with the official code or with our own plain path, the refiner
by the fraction of selected patches, and memory.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import cache, partial
from pathlib import Path
from typing import Any, NamedTuple, cast

import torch
from torch import Tensor

import zoo
from benchmarks.cases import Case
from benchmarks.matting_references import (
    make_errors_follow_contours,
    official_matting,
    plain_copy,
    randomise_weights,
    with_gradients,
)
from zoo.core.seeding import derive_seed
from zoo.matting.fast import FastMatting
from zoo.matting.net import MattingNetwork
from zoo.matting.parts import PATCH, Coarse, resize

TOLERANCE = 1e-4
"""For whole networks in single precision that sum in different orders."""

DENSITIES = (0.01, 0.04, 0.15, 0.5, 1.0)
"""Fractions of selected patches, from a person in the distance to every patch."""


class Setting(NamedTuple):
    """A network and the size of its images.

    Args:
        backbone: as in the names of models.
        picture: name of the size.
        size: height and width.
        reduction: c, the factor by which the input of the base network is smaller.
        patches: k.
        faster: target ratio, compared with the official code.
    """

    backbone: str
    picture: str
    size: tuple[int, int]
    reduction: int
    patches: int
    faster: float

    def __str__(self) -> str:
        return f"{self.picture}, c={self.reduction}, k={self.patches:,}"


HD, UHD = (1080, 1920), (2160, 3840)
SETTINGS = (
    Setting("mobilenetv2", "HD", HD, 4, 5_000, 2.5),
    Setting("resnet50", "HD", HD, 4, 5_000, 1.7),
    Setting("mobilenetv2", "HD", HD, 4, 20_000, 3),
    Setting("mobilenetv2", "4K", UHD, 8, 20_000, 3.5),
)
QUICK_REDUCTION = 10
"""Factor by which `--quick` reduces the sides of images."""


def cases(quick: bool = False, against: Path | None = None) -> Iterator[Case]:
    """Yield every case; `quick` makes them small and without targets, to see that they run.

    Args:
        against: a checkout of the official repository. Its code is executed as the plain code; without it, the plain
            code is our own network with gradients enabled.
    """
    settings = [smaller(setting) for setting in SETTINGS] if quick else SETTINGS
    for case in all_cases(settings, against, compiled=not quick):  # compiling takes half a minute
        yield replace(case, faster=None) if quick or against is None else case


def smaller(setting: Setting) -> Setting:
    """Return the setting with a small image."""
    height, width = (side // QUICK_REDUCTION // PATCH * PATCH for side in setting.size)
    return setting._replace(size=(height, width), patches=setting.patches // QUICK_REDUCTION**2)


def all_cases(settings: Sequence[Setting], against: Path | None, compiled: bool) -> Iterator[Case]:
    """Yield every case of these settings; `compiled` adds compiled networks."""
    for setting in settings:
        yield from network_cases(setting, against, compiled)
    yield from reduced_cases(settings[0])
    yield from refiner_cases(settings[0])


def network_cases(approximate: Setting, against: Path | None, compiled: bool) -> Iterator[Case]:
    """Yield cases of a whole network, alpha and foreground; at 4K also of its memory."""
    source, background = pictures(approximate.size)
    network, setting = matting_network(approximate)
    name = network_name(approximate)
    plain: Callable[..., Any] = partial(with_gradients, plain_copy(network))
    if against is not None:
        plain = official_matting(against, approximate.backbone, network, setting.reduction, setting.patches)

    def both(model: Callable[..., Any]) -> tuple[Tensor, ...]:
        with torch.no_grad():
            output = model(source, background)
        return output[0], output[1]

    pair = partial(both, FastMatting(network)), partial(both, plain)
    yield Case(name, str(setting), *pair, tolerance=TOLERANCE, faster=setting.faster)
    if compiled:
        fast = partial(both, FastMatting(network, compiled=True))
        yield Case(f"{name}, compiled", str(setting), fast, pair[1], tolerance=TOLERANCE, faster=setting.faster)
    if setting.picture == "4K":
        yield Case(f"{name}, memory", str(setting), *pair, tolerance=TOLERANCE, faster=2, memory=True)


def reduced_cases(approximate: Setting) -> Iterator[Case]:
    """Yield cases of a whole network without foreground, and in bfloat16."""
    inputs = pictures(approximate.size)
    network, setting = matting_network(approximate)
    name = network_name(approximate)
    whole, alone = FastMatting(network), FastMatting(network, foreground=False)
    pair = (lambda: alone(*inputs).alpha, lambda: whole(*inputs).alpha)
    yield Case(f"{name}, alpha alone", str(setting), *pair, tolerance=1e-5)
    half = FastMatting(network).to(torch.bfloat16)
    yield Case(f"{name}, bfloat16", str(setting), lambda: half(*inputs)[:2])


def refiner_cases(setting: Setting) -> Iterator[Case]:
    """Yield cases of the refiner alone, by the fraction of selected patches, close together or scattered."""
    source, background = pictures(setting.size)
    refiner: Any = matting_network(setting)[0].refiner
    coarse = random_coarse(setting)
    for density in DENSITIES:
        for close in (True, False) if density < 0.5 else (True,):
            score = random_score(setting.size, density, close)
            inputs = (source, background, coarse, score, None)

            def fast(inputs: tuple[Any, ...] = inputs) -> tuple[Tensor, ...]:
                with torch.no_grad():
                    return refiner(*inputs)

            where = f"{setting.picture}, {density:.0%} {'close' if close else 'scattered'}"
            plain = partial(with_gradients, refiner, *inputs)
            yield Case("refiner", where, fast, plain, tolerance=1e-5)


@cache
def pictures(size: tuple[int, int]) -> tuple[Tensor, Tensor]:
    """Return a synthetic image of a person in a room, and the captured background; (1, 3, H, W) each."""
    source, background, _ = zoo.create_model("bgmv2_mobilenetv2").drawn_example(*size)
    return source.contiguous(), background.contiguous()


def matting_network(approximate: Setting) -> tuple[MattingNetwork, Setting]:
    """Return a network with random weights, and the setting with its exact number of patches.

    The network's errors lie at contours, as those of trained networks do, so that the patches lie as in practice. The
    number of patches is chosen near the given one such that the sorted errors have a gap after the last patch: rounding
    then selects no other patches.
    """
    source, background = pictures(approximate.size)
    module = zoo.create_model(f"bgmv2_{approximate.backbone}", base_scale=1 / approximate.reduction).eval()
    network = cast(MattingNetwork, module.network).requires_grad_(False)
    randomise_weights(network, generator(approximate.backbone, "weights"))
    make_errors_follow_contours(network)
    with torch.no_grad():
        coarse = network.base(network.prepare(source).reduced, network.prepare(background).reduced)
        grid = (approximate.size[0] // PATCH, approximate.size[1] // PATCH)
        errors = resize(coarse.error, grid).flatten().sort(descending=True).values
    few, many = math.floor(0.99 * approximate.patches), math.ceil(1.01 * approximate.patches)
    gaps = errors[few:many] - errors[few + 1 : many + 1]
    setting = approximate._replace(patches=few + 1 + int(gaps.argmax()))
    network.selector.patches = setting.patches
    return network, setting


def network_name(setting: Setting) -> str:
    """Return the name of the backbone for a table."""
    return {"mobilenetv2": "MobileNetV2", "resnet50": "ResNet-50"}[setting.backbone]


def random_coarse(setting: Setting) -> Coarse:
    """Return a random output of a base network, channels last as that network returns it."""
    height, width = (side // setting.reduction for side in setting.size)
    values = torch.rand(1, 37, height, width, generator=generator("coarse")).to(memory_format=torch.channels_last)
    return Coarse(values[:, :1], values[:, 1:4] - 0.5, values[:, 4:5], values[:, 5:])


def random_score(size: tuple[int, int], density: float, close: bool) -> Tensor:
    """Return scores of which a fraction is above 0, along contours where `close`, otherwise anywhere."""
    rows, columns = size[0] // PATCH, size[1] // PATCH
    numbers = generator("score")
    score = torch.rand(1, 1, rows, columns, generator=numbers)
    if close:
        hills = torch.randn(1, 1, max(2, rows // 40), max(2, columns // 40), generator=numbers)
        score = -resize(hills, (rows, columns)).abs()  # largest along the lines between hills and valleys
    return score - score.flatten().sort(descending=True).values[round(density * score.numel()) - 1] + 1e-6


def generator(*purpose: str) -> torch.Generator:
    """Return a generator with a seed of its own for each purpose."""
    return torch.Generator().manual_seed(derive_seed("zoo bench matting", *purpose))
