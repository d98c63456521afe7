"""What is measured of background matting: whole networks with and without the official code beside them, the refiner
by the share of patches that are selected, and memory.
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
    answer_to_contours,
    draw_weights,
    official_matting,
    plain_copy,
    with_gradients,
)
from zoo.core.seeding import derive_seed
from zoo.matting.fast import FastMatting
from zoo.matting.net import MattingNetwork
from zoo.matting.parts import PATCH, Coarse, resize

TOLERANCE = 1e-4
"""Between whole networks that add up in another order, in single precision."""

DENSITIES = (0.01, 0.04, 0.15, 0.5, 1.0)
"""Shares of patches, from a person in the distance to every patch."""


class Setting(NamedTuple):
    """A network on pictures of a size."""

    backbone: str
    picture: str
    """What its size is called."""
    size: tuple[int, int]
    """Height and width."""
    reduction: int
    """c, how many times smaller the base network sees it."""
    patches: int
    faster: float
    """Target, against the official code."""

    def __str__(self) -> str:
        return f"{self.picture}, c={self.reduction}, k={self.patches:,}"


HD, UHD = (1080, 1920), (2160, 3840)
SETTINGS = (
    Setting("mobilenetv2", "HD", HD, 4, 5_000, 2.5),
    Setting("resnet50", "HD", HD, 4, 5_000, 1.7),
    Setting("mobilenetv2", "HD", HD, 4, 20_000, 3),
    Setting("mobilenetv2", "4K", UHD, 8, 20_000, 3.5),
)
SHRUNK = 10
"""How many times smaller pictures are, and fewer patches, to see that everything runs."""


def cases(quick: bool = False, against: Path | None = None) -> Iterator[Case]:
    """Every case in turn; `quick` makes them small, to see that they run, and without targets.

    Args:
        against: a checkout of the official repository, whose code is run; its model is then what ours are beside,
            otherwise our own network as it computes where gradients may flow.
    """
    settings = [smaller(setting) for setting in SETTINGS] if quick else SETTINGS
    for case in all_cases(settings, against, compiled=not quick):  # compiling takes half a minute
        yield replace(case, faster=None) if quick or against is None else case


def smaller(setting: Setting) -> Setting:
    """The same on a small picture."""
    height, width = (side // SHRUNK // PATCH * PATCH for side in setting.size)
    return setting._replace(size=(height, width), patches=setting.patches // SHRUNK**2)


def all_cases(settings: Sequence[Setting], against: Path | None, compiled: bool) -> Iterator[Case]:
    """Every case of these settings, networks also `compiled` where that is wanted."""
    for setting in settings:
        yield from network_cases(setting, against, compiled)
    yield from lesser_cases(settings[0])
    yield from refiner_cases(settings[0])


def network_cases(wanted: Setting, against: Path | None, compiled: bool) -> Iterator[Case]:
    """A whole network, alpha and foreground; at 4K also what it takes of memory."""
    source, background = pictures(wanted.size)
    network, setting = matting_network(wanted)
    name = network_name(wanted)
    plain: Callable[..., Any] = partial(with_gradients, plain_copy(network))
    if against is not None:
        plain = official_matting(against, wanted.backbone, network, setting.reduction, setting.patches)

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


def lesser_cases(wanted: Setting) -> Iterator[Case]:
    """A whole network with less to do: no foreground, or half as many digits."""
    given = pictures(wanted.size)
    network, setting = matting_network(wanted)
    name = network_name(wanted)
    whole, alone = FastMatting(network), FastMatting(network, foreground=False)
    pair = (lambda: alone(*given).alpha, lambda: whole(*given).alpha)
    yield Case(f"{name}, alpha alone", str(setting), *pair, tolerance=1e-5)
    half = FastMatting(network).to(torch.bfloat16)
    yield Case(f"{name}, bfloat16", str(setting), lambda: half(*given)[:2])


def refiner_cases(setting: Setting) -> Iterator[Case]:
    """The refiner alone, by how many patches are selected, close together or scattered."""
    source, background = pictures(setting.size)
    refiner: Any = matting_network(setting)[0].refiner
    coarse = drawn_coarse(setting)
    for density in DENSITIES:
        for close in (True, False) if density < 0.5 else (True,):
            score = drawn_score(setting.size, density, close)
            given = (source, background, coarse, score, None)

            def chosen(given: tuple[Any, ...] = given) -> tuple[Tensor, ...]:
                with torch.no_grad():
                    return refiner(*given)

            where = f"{setting.picture}, {density:.0%} {'close' if close else 'scattered'}"
            plain = partial(with_gradients, refiner, *given)
            yield Case("refiner", where, chosen, plain, tolerance=1e-5)


@cache
def pictures(size: tuple[int, int]) -> tuple[Tensor, Tensor]:
    """A drawn person before a room, and the room as a camera captured it; (1, 3, H, W) each."""
    source, background, _ = zoo.create_model("bgmv2_mobilenetv2").drawn_example(*size)
    return source.contiguous(), background.contiguous()


def matting_network(wanted: Setting) -> tuple[MattingNetwork, Setting]:
    """A network with drawn weights whose errors answer to contours, as those of trained ones do, so that the patches
    lie as they do in practice; and the setting with about as many patches, so that rounding does not change which ones
    are refined: after the last one, the errors have a gap.
    """
    source, background = pictures(wanted.size)
    module = zoo.create_model(f"bgmv2_{wanted.backbone}", base_scale=1 / wanted.reduction).eval()
    network = cast(MattingNetwork, module.network).requires_grad_(False)
    draw_weights(network, draws(wanted.backbone, "weights"))
    answer_to_contours(network)
    with torch.no_grad():
        coarse = network.base(network.prepare(source).reduced, network.prepare(background).reduced)
        grid = (wanted.size[0] // PATCH, wanted.size[1] // PATCH)
        errors = resize(coarse.error, grid).flatten().sort(descending=True).values
    few, many = math.floor(0.99 * wanted.patches), math.ceil(1.01 * wanted.patches)
    gaps = errors[few:many] - errors[few + 1 : many + 1]
    setting = wanted._replace(patches=few + 1 + int(gaps.argmax()))
    network.selector.patches = setting.patches
    return network, setting


def network_name(setting: Setting) -> str:
    """As it is written."""
    return {"mobilenetv2": "MobileNetV2", "resnet50": "ResNet-50"}[setting.backbone]


def drawn_coarse(setting: Setting) -> Coarse:
    """What a base network might give, channels innermost as it comes from there."""
    height, width = (side // setting.reduction for side in setting.size)
    values = torch.rand(1, 37, height, width, generator=draws("coarse")).to(memory_format=torch.channels_last)
    return Coarse(values[:, :1], values[:, 1:4] - 0.5, values[:, 4:5], values[:, 5:])


def drawn_score(size: tuple[int, int], density: float, close: bool) -> Tensor:
    """Scores of which a share is above 0: along contours where `close`, otherwise anywhere."""
    rows, columns = size[0] // PATCH, size[1] // PATCH
    generator = draws("score")
    score = torch.rand(1, 1, rows, columns, generator=generator)
    if close:
        hills = torch.randn(1, 1, max(2, rows // 40), max(2, columns // 40), generator=generator)
        score = -resize(hills, (rows, columns)).abs()  # largest along the lines between hills and valleys
    return score - score.flatten().sort(descending=True).values[round(density * score.numel()) - 1] + 1e-6


def draws(*purpose: str) -> torch.Generator:
    """The same numbers whenever they are drawn for one purpose."""
    return torch.Generator().manual_seed(derive_seed("zoo bench matting", *purpose))
