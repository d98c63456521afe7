"""Matting metrics: equal to slow, plain references for every preset, however images are batched and shared out."""

import math
import multiprocessing
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import skimage.metrics
import torch
from scipy import ndimage
from torch import Tensor

from benchmarks.metrics_references import connectivity_by_labels
from zoo.matting.metrics import (
    MAD,
    MSE,
    SAD,
    ConnectivityError,
    DtSSD,
    ForegroundMSE,
    GradientError,
    MattingMetrics,
    base,
    connectivity_error,
    foreground_mean_squared_difference,
    gradient_error,
    matting_metrics,
    mean_squared_difference,
    sum_absolute_difference,
)
from zoo.matting.metrics.gradient import error_by_tiles, error_of_whole_images
from zoo.matting.metrics.pixels import sums_image_by_image, sums_of_whole_images
from zoo.matting.trimap import trimap as make_trimap
from zoo.measure.timing import threads

KEYS = {"sad", "mad", "mse", "grad", "conn", "foreground_mse"}

# What each program does, written down a second time: region, unit of each metric, and type of the Conn arithmetic.
PROGRAMS = {
    "bgmv2": (
        "unknown",
        {"sad": 1e-3, "mad": 1e3, "mse": 1e3, "grad": 1, "conn": 1, "foreground_mse": 1e3},
        np.float32,
    ),
    "rvm": (
        "image",
        {"sad": 1e-3, "mad": 1e3, "mse": 1e3, "grad": 1e-3, "conn": 1e-3, "foreground_mse": 1e3},
        np.float32,
    ),
    "mmagic": (
        "unknown",
        {"sad": 1e-3, "mad": 1, "mse": 1, "grad": 1e-3, "conn": 1e-3, "foreground_mse": 1},
        np.float64,
    ),
}


# ---------------------------------------------------------------------------------------------------- plain references


def to_levels(image: Tensor) -> np.ndarray:
    return np.round(image.float().numpy() * np.float32(255)).astype(np.uint8)


def reference_gradient(levels: np.ndarray) -> np.ndarray:
    sigma, half = 1.4, 4
    image = levels.astype(np.float64)
    if image.max() > image.min():
        image = (image - image.min()) / (image.max() - image.min())
    kernel = np.zeros((9, 9))
    for i in range(9):
        for j in range(9):
            u, v = i - half, j - half
            gauss = math.exp(-(u**2) / (2 * sigma**2)) / (sigma * math.sqrt(2 * math.pi))
            slope = -v * math.exp(-(v**2) / (2 * sigma**2)) / (sigma * math.sqrt(2 * math.pi)) / sigma**2
            kernel[i, j] = gauss * slope
    kernel /= math.sqrt((kernel**2).sum())
    along_x = ndimage.convolve(image, kernel, mode="nearest")
    along_y = ndimage.convolve(image, kernel.T, mode="nearest")
    return np.sqrt(along_x**2 + along_y**2)


def reference_largest_component(mask: np.ndarray) -> np.ndarray:
    seen, largest = np.zeros_like(mask), []
    for start in zip(*np.nonzero(mask), strict=True):
        if seen[start]:
            continue
        component, queue = [], [start]
        seen[start] = True
        while queue:
            y, x = queue.pop()
            component.append((y, x))
            for near in ((y - 1, x), (y + 1, x), (y, x - 1), (y, x + 1)):
                inside = 0 <= near[0] < mask.shape[0] and 0 <= near[1] < mask.shape[1]
                if inside and mask[near] and not seen[near]:
                    seen[near] = True
                    queue.append(near)
        if len(component) > len(largest):
            largest = component
    omega = np.zeros_like(mask)
    for pixel in largest:
        omega[pixel] = True
    return omega


def reference_connectivity(alpha: np.ndarray, target: np.ndarray, mask: np.ndarray, number: type) -> float:
    alpha, target = alpha.astype(number) / number(255), target.astype(number) / number(255)
    steps = np.arange(0, 1.1, 0.1)[:11].astype(number)
    level = np.full(alpha.shape, -1, number)
    for i in range(1, 11):
        omega = reference_largest_component((alpha >= steps[i]) & (target >= steps[i]))
        level[(level == -1) & ~omega] = steps[i - 1]
    level[level == -1] = 1
    alpha_d, target_d = alpha - level, target - level
    alpha_phi = 1 - alpha_d * (alpha_d >= 0.15)
    target_phi = 1 - target_d * (target_d >= 0.15)
    return float(np.abs(alpha_phi - target_phi)[mask].astype(np.float64).sum())


def reference_image(
    alpha: Tensor, target: Tensor, foreground: Tensor, target_foreground: Tensor, trimap: Tensor, preset: str
) -> dict[str, float | None]:
    """All metrics of one image (C, H, W); None where there is nothing to measure."""
    region, units, number = PROGRAMS[preset]
    a, t = to_levels(alpha)[0], to_levels(target)[0]
    mask = np.ones(a.shape, bool) if region == "image" else to_levels(trimap)[0] == 128
    error = np.abs(a.astype(np.float64) - t) / 255
    inside = t > 0
    colours = (to_levels(foreground).astype(np.float64) - to_levels(target_foreground)) / 255
    values = {
        "sad": error[mask].sum(),
        "mad": error[mask].mean() if mask.any() else None,
        "mse": (error[mask] ** 2).mean() if mask.any() else None,
        "grad": ((reference_gradient(a) - reference_gradient(t)) ** 2)[mask].sum(),
        "conn": reference_connectivity(a, t, mask, number),
        "foreground_mse": (colours[:, inside] ** 2).mean() if inside.any() else None,
    }
    return {name: None if value is None else float(value) * units[name] for name, value in values.items()}


def reference(images: list[tuple[Tensor, ...]], preset: str) -> dict[str, float]:
    """The mean over images of what could be measured."""
    each = [reference_image(*image, preset) for image in images]
    measured = {name: [one[name] for one in each if one[name] is not None] for name in KEYS}
    return {name: float(np.mean(values)) for name, values in measured.items() if values}


# ---------------------------------------------------------------------------------------------------------------- cases


def blob(seed: int, size: tuple[int, int]) -> Tensor:
    waves = ndimage.gaussian_filter(np.random.default_rng(seed).normal(size=size), 4)
    return torch.from_numpy(np.clip(waves / (waves.std() + 1e-9) * 0.6 + 0.4, 0, 1).astype(np.float32))


def noise(seed: int, *size: int) -> Tensor:
    return torch.rand(*size, generator=torch.Generator().manual_seed(seed), dtype=torch.float32)


def plateau(size: tuple[int, int], level: int) -> Tensor:
    return torch.full(size, level / 255)


def alpha_pair(case: str, size: tuple[int, int]) -> tuple[Tensor, Tensor]:
    h, w = size
    truth = blob(1, size)
    return {
        "blobs": ((truth + 0.2 * noise(2, h, w) - 0.1).clamp(0, 1), truth),
        "noise": (noise(3, h, w), noise(4, h, w)),
        "other component larger": (truth.roll(h // 2, 0), truth),
        "perfect": (truth, truth),
        "all 0 against blob": (torch.zeros(size), truth),
        "blob against all 0": (truth, torch.zeros(size)),
        "all 1 against blob": (torch.ones(size), truth),
        "all 1 against all 1": (torch.ones(size), torch.ones(size)),
        "no component above one half": (torch.full(size, 0.5), torch.ones(size)),
        "level 153": (plateau(size, 200), plateau(size, 153)),
        "hard edge": ((truth + 0.1).clamp(0, 1).round(), truth.round()),
    }[case]


CASES = [
    "blobs",
    "noise",
    "other component larger",
    "perfect",
    "all 0 against blob",
    "blob against all 0",
    "all 1 against blob",
    "all 1 against all 1",
    "no component above one half",
    "level 153",
    "hard edge",
]


def image(case: str, size: tuple[int, int] = (37, 29), given_trimap: bool = False) -> tuple[Tensor, ...]:
    """alpha, target alpha, foreground, target foreground, trimap of one image."""
    alpha, target = alpha_pair(case, size)
    foreground = noise(5, 3, *size)
    target_foreground = (foreground + 0.3 * noise(6, 3, *size)).clamp(0, 1)
    trimap = (noise(7, 1, *size) * 3).floor().clamp(max=2) / 2 if given_trimap else make_trimap(target[None])
    return alpha[None], target[None], foreground, target_foreground, trimap


def batch_of(images: list[tuple[Tensor, ...]]) -> dict[str, Tensor]:
    names = ("alpha", "target_alpha", "foreground", "target_foreground", "trimap")
    return {name: torch.stack(parts) for name, parts in zip(names, zip(*images, strict=True), strict=True)}


def results_of(metrics: MattingMetrics) -> dict[str, float]:
    return {name: float(value) for name, value in metrics.compute().items()}


# ------------------------------------------------------------------------------------------------- equal to references


@pytest.mark.parametrize("preset", PROGRAMS)
@pytest.mark.parametrize("case", CASES)
def test_equals_the_reference_with_a_given_trimap(preset: str, case: str) -> None:
    one = image(case, given_trimap=True)
    metrics = matting_metrics(preset)
    metrics.update(**batch_of([one]))
    assert results_of(metrics) == pytest.approx(reference([one], preset), rel=1e-5, abs=1e-6)


@pytest.mark.parametrize("preset", PROGRAMS)
@pytest.mark.parametrize("case", CASES)
def test_equals_the_reference_with_the_trimap_made_from_the_target(preset: str, case: str) -> None:
    one = image(case, size=(64, 65))
    batch = batch_of([one])
    del batch["trimap"]
    metrics = matting_metrics(preset)
    metrics.update(**batch)
    assert results_of(metrics) == pytest.approx(reference([one], preset), rel=1e-5, abs=1e-6)


@pytest.mark.parametrize("preset", PROGRAMS)
@pytest.mark.parametrize("size", [(1, 1), (1, 13), (3, 2)])
def test_equals_the_reference_on_images_smaller_than_the_filter(preset: str, size: tuple[int, int]) -> None:
    one = image("noise", size=size)[:4] + (torch.full((1, *size), 0.5),)
    metrics = matting_metrics(preset)
    metrics.update(**batch_of([one]))
    assert results_of(metrics) == pytest.approx(reference([one], preset), rel=1e-5, abs=1e-6)


@pytest.mark.parametrize("preset", PROGRAMS)
def test_a_batch_is_the_mean_of_its_images(preset: str) -> None:
    images = [image(case) for case in CASES]
    together, one_by_one = matting_metrics(preset), matting_metrics(preset)
    together.update(**batch_of(images))
    for each in images:
        one_by_one.update(**batch_of([each]))
    assert results_of(together) == pytest.approx(reference(images, preset), rel=1e-5)
    assert results_of(together) == pytest.approx(results_of(one_by_one), rel=1e-6)


# ----------------------------------------------------------------------------------- compiled functions and plain ones

SIZES = [(1, 1), (1, 40), (40, 1), (2, 3), (9, 14), (31, 129), (33, 128), (70, 260)]  # some larger than a tile


def random_levels(rng: np.random.Generator, size: tuple[int, int]) -> np.ndarray:
    """An alpha (H, W): noise, few levels that lie on thresholds, flat areas, smooth waves, or a constant."""
    smooth = ndimage.gaussian_filter(rng.normal(size=size), rng.choice([2, 5]))
    kinds = (
        rng.integers(0, 256, size),
        rng.choice([0, 25, 26, 102, 152, 153, 254, 255], size),
        rng.choice([0, 255], size, p=[0.45, 0.55]),
        np.clip(smooth / (smooth.std() + 1e-9) * 100 + 128, 0, 255),
        np.full(size, rng.choice([0, 1, 153, 255])),
    )
    return kinds[rng.integers(len(kinds))].astype(np.uint8)


def random_batch(seed: int, channels: int = 1) -> list[Tensor]:
    """Levels, true levels (B, channels, H, W) and a mask (B, 1, H, W), of some images all, half or nothing."""
    rng = np.random.default_rng(seed)
    size, count = SIZES[seed % len(SIZES)], int(rng.integers(1, 4))
    alpha, target = (
        np.stack([[random_levels(rng, size) for _ in range(channels)] for _ in range(count)]) for _ in range(2)
    )
    mask = rng.random((count, 1, *size)) < rng.choice([0, 0.01, 0.5, 1], (count, 1, 1, 1))
    return [torch.from_numpy(part) for part in (alpha, target, mask)]


@pytest.mark.parametrize("first", range(len(SIZES)), ids=[f"{h}x{w}" for h, w in SIZES])
def test_compiled_functions_equal_plain_ones(first: int) -> None:
    for seed in range(first, 12 * len(SIZES), len(SIZES)):
        batch = random_batch(seed)
        plain = [connectivity_by_labels(*(part[0].numpy() for part in each)) for each in zip(*batch, strict=True)]
        torch.testing.assert_close(connectivity_error(*batch), torch.tensor(plain), rtol=1e-6, atol=1e-6)
        torch.testing.assert_close(error_by_tiles(*batch), error_of_whole_images(*batch), rtol=1e-5, atol=1e-6)
        for colours in (batch, random_batch(seed, channels=3)):
            torch.testing.assert_close(sums_image_by_image(*colours), sums_of_whole_images(*colours), rtol=0, atol=0)


def test_parts_of_larger_tensors_are_measured_as_copies_of_them() -> None:
    """As a network gives them that padded its pictures: rows do not lie behind one another, nor channels."""
    parts = [*random_batch(4 * len(SIZES) - 1), *random_batch(4 * len(SIZES) - 1, channels=3)[:2]]
    wider = [torch.nn.functional.pad(part, (3, 2, 1, 4)).to(memory_format=torch.channels_last) for part in parts]
    alpha, target, mask, colours, true_colours = (part[..., 1:-4, 3:-2] for part in wider)
    assert not alpha.is_contiguous()
    for metric in (connectivity_error, gradient_error, sum_absolute_difference, mean_squared_difference):
        assert torch.equal(metric(alpha, target, mask), metric(*parts[:3])), metric.__name__
    found = foreground_mean_squared_difference(colours, true_colours, target)
    torch.testing.assert_close(found, foreground_mean_squared_difference(*parts[3:], parts[1]), equal_nan=True)


def test_threads_change_no_bit() -> None:
    batch = random_batch(3 * len(SIZES) - 1)
    with threads(1):
        alone = [metric(*batch) for metric in (connectivity_error, gradient_error)]
    with threads(3):
        assert [metric(*batch).tolist() for metric in (connectivity_error, gradient_error)] == [
            values.tolist() for values in alone
        ]


def test_a_preset_makes_the_unknown_region_once(monkeypatch: pytest.MonkeyPatch) -> None:
    made = []
    monkeypatch.setattr(base, "make_trimap", lambda alpha: made.append(alpha) or make_trimap(alpha))
    matting_metrics("bgmv2").update(*(batch_of([image("blobs")])[name] for name in ("alpha", "target_alpha")))
    assert len(made) == 1


def test_the_unknown_region_can_be_given() -> None:
    batch = batch_of([image("noise", given_trimap=True)])
    by_trimap, by_region = matting_metrics("bgmv2"), matting_metrics("bgmv2")
    by_trimap.update(**batch)
    by_region.update(**batch | {"trimap": batch["trimap"] == 0.5})
    assert results_of(by_region) == results_of(by_trimap)


# ------------------------------------------------------------------------------------------------------ values by hand


def row(*levels: int) -> Tensor:
    return torch.tensor(levels, dtype=torch.float32).view(1, 1, 1, -1) / 255


ALL_UNKNOWN = {"trimap": torch.full((1, 1, 1, 4), 0.5)}


def test_pixel_differences_by_hand() -> None:
    alpha, target = row(0, 51, 255, 102), row(255, 102, 255, 102)  # differences 1, 0.2, 0, 0
    trimap = torch.tensor([0.5, 0.5, 0.5, 0]).view(1, 1, 1, 4)
    values = {}
    for metric in (SAD(), MAD(), MSE()):
        metric.update(alpha, target, trimap)
        values[type(metric).__name__] = float(metric.compute())
    assert values == pytest.approx({"SAD": 1.2e-3, "MAD": 1.2e3 / 3, "MSE": 1.04e3 / 3})


def test_foreground_counts_only_where_the_true_alpha_is_above_0() -> None:
    metric = ForegroundMSE()
    target = torch.zeros(1, 3, 1, 4)
    foreground = target.clone()
    foreground[0, 0, 0, 0] = 1.0  # one channel of the first pixel
    foreground[0, :, 0, 3] = 1.0  # not counted: alpha is 0
    metric.update(foreground, target, row(1, 255, 0, 0))
    assert float(metric.compute()) == pytest.approx(1e3 / 6)


def test_gradient_error_of_a_step_by_hand() -> None:
    metric = GradientError()
    metric.update(row(0, 0), row(10, 20), torch.full((1, 1, 1, 2), 0.5))
    weights = [math.exp(-(k**2) / (2 * 1.4**2)) for k in range(5)]
    smooth = (weights[0] + 2 * sum(weights[1:])) / math.sqrt(weights[0] ** 2 + 2 * sum(w**2 for w in weights[1:]))
    slopes = [k * w for k, w in enumerate(weights)]
    step = sum(slopes) / math.sqrt(2 * sum(s**2 for s in slopes))
    assert float(metric.compute()) == pytest.approx(2 * (smooth * step) ** 2, rel=1e-5)


def test_connectivity_error_of_a_cut_by_hand() -> None:
    metric = ConnectivityError()
    metric.update(row(255, 0, 255, 255), row(255, 255, 255, 255), **ALL_UNKNOWN)
    assert float(metric.compute()) == pytest.approx(1.0)  # the hole; the cut-off first pixel is as far from 0 in both


def test_without_a_component_pixels_keep_their_last_threshold() -> None:
    metric = ConnectivityError()
    metric.update(row(128, 128, 128, 128), row(255, 255, 255, 255), **ALL_UNKNOWN)
    assert float(metric.compute()) == pytest.approx(4 * 0.5)


@pytest.mark.parametrize(("preset", "pixel"), [("bgmv2", 200 / 255 - 0.6), ("mmagic", (200 / 255 - 0.5) / 1000)])
def test_level_153_reaches_three_fifths_in_single_precision_only(preset: str, pixel: float) -> None:
    metrics = matting_metrics(preset)
    metrics.update(row(200, 200, 200, 200), row(153, 153, 153, 153), **ALL_UNKNOWN)
    assert float(metrics.compute()["conn"]) == pytest.approx(4 * pixel)


# ------------------------------------------------------------------------------------------- what is there to measure?


def test_keys_and_prefix() -> None:
    metrics = matting_metrics("bgmv2", prefix="val/")
    metrics.update(**batch_of([image("blobs")]))
    assert set(metrics.compute()) == {f"val/{key}" for key in KEYS}


def test_similarity_is_scikit_images_of_levels_mean_over_images() -> None:
    alphas, colours = torch.rand(2, 2, 1, 24, 30), torch.rand(2, 2, 3, 24, 30)
    metrics = matting_metrics("rvm", similarity=True)
    for index in (0, 1):
        metrics.update(alphas[0, index, None], alphas[1, index, None], colours[0, index, None], colours[1, index, None])
    levels, levels_of_colours = ((each * 255).round().double().numpy() / 255 for each in (alphas, colours))
    green = np.array([120 / 255, 1, 155 / 255]).reshape(3, 1, 1)
    composites = levels * levels_of_colours + (1 - levels) * green
    margins = ((0, 0), (5, 5), (5, 5))  # torchmetrics also averages over the border
    for prefix, images in (("", levels), ("composite_", composites)):
        pairs = list(zip(images[1], images[0], strict=True))
        expected = {
            "psnr": np.mean([skimage.metrics.peak_signal_noise_ratio(*pair, data_range=1) for pair in pairs]),
            "ssim": np.mean([
                skimage.metrics.structural_similarity(*(np.pad(one, margins, "reflect") for one in pair),
                                                      data_range=1, channel_axis=0, gaussian_weights=True,
                                                      use_sample_covariance=False)
                for pair in pairs
            ]),
        }  # fmt: skip
        for name, value in expected.items():
            assert metrics.compute()[prefix + name].item() == pytest.approx(value, rel=1e-3, abs=1e-4)


def test_similarity_of_a_perfect_image_is_finite_and_of_a_tiny_one_absent() -> None:
    alpha = torch.rand(2, 1, 12, 12)
    metrics = matting_metrics("rvm", similarity=True)
    metrics.update(alpha, alpha)
    results = metrics.compute()
    assert results["psnr"] == 100
    assert results["ssim"] == pytest.approx(1)
    assert not {"composite_psnr", "composite_ssim"} & set(results)
    tiny = matting_metrics("rvm", similarity=True)
    tiny.update(alpha[..., :8, :8], alpha[..., :8, :8])
    assert "ssim" not in tiny.compute()


def test_without_foregrounds_their_metric_is_absent_and_never_0() -> None:
    metrics = matting_metrics("bgmv2")
    alpha, target, *_ = image("blobs")
    metrics.update(alpha[None], target[None])
    assert set(metrics.compute()) == KEYS - {"foreground_mse"}
    assert metrics["foreground_mse"].compute().isnan()


def test_images_without_an_unknown_region_leave_the_means_alone() -> None:
    hit, empty = image("blobs"), image("blob against all 0")
    both, alone = matting_metrics("bgmv2"), matting_metrics("bgmv2")
    both.update(**batch_of([hit, empty]))
    alone.update(**batch_of([hit]))
    assert results_of(both)["mse"] == pytest.approx(results_of(alone)["mse"])
    assert results_of(both)["sad"] == pytest.approx(results_of(alone)["sad"] / 2)
    nothing = matting_metrics("bgmv2")
    nothing.update(**batch_of([empty]))
    assert results_of(nothing) == {"sad": 0, "grad": 0, "conn": 0}


@pytest.mark.filterwarnings("ignore:The ``compute`` method")
def test_compute_before_any_image_is_an_error() -> None:
    with pytest.raises(ValueError, match="no image was measured"):
        matting_metrics("bgmv2").compute()


def test_a_perfect_first_batch_does_not_tie_the_metrics_together() -> None:
    metrics = matting_metrics("rvm")
    images = [image("perfect"), image("noise")]
    for each in images:
        metrics.update(**batch_of([each]))
    assert results_of(metrics) == pytest.approx(reference(images, "rvm"), rel=1e-5)


def test_forward_gives_the_step_and_adds_it_up() -> None:
    metrics = matting_metrics("bgmv2")
    first = metrics(**batch_of([image("blobs")]))
    second = metrics(**batch_of([image("noise")]))
    mean = {name: float(first[name] + second[name]) / 2 for name in KEYS}
    assert results_of(metrics) == pytest.approx(mean, rel=1e-6)


# -------------------------------------------------------------------------------------------------------------- inputs


def test_levels_floats_and_reduced_precision_agree() -> None:
    alpha, target = (torch.from_numpy(to_levels(part))[None] for part in image("blobs")[:2])
    expected = matting_metrics("bgmv2")
    expected.update(alpha, target)
    given = matting_metrics("bgmv2")
    given.update((alpha / 255).half(), target / 255)
    assert results_of(given) == pytest.approx(results_of(expected), rel=1e-6)


@pytest.fixture
def bfloat16_everywhere() -> Iterator[None]:
    """What a step runs under in reduced precision, `bf16-mixed` and `bf16-true` at once."""
    torch.set_default_dtype(torch.bfloat16)
    with torch.autocast("cpu", torch.bfloat16), torch.inference_mode():
        yield
    torch.set_default_dtype(torch.float32)


def test_reduced_precision_training_does_not_round_the_metrics(bfloat16_everywhere: None) -> None:
    images = [image("blobs"), image("noise")]
    metrics, temporal = matting_metrics("bgmv2").to(torch.bfloat16), DtSSD().to(torch.bfloat16)
    for each in images:
        metrics.update(**{name: part.float() for name, part in batch_of([each]).items() if name != "trimap"})
    temporal.update(*clip(0))
    assert results_of(metrics) == pytest.approx(reference(images, "bgmv2"), rel=1e-5)
    assert float(temporal.compute()) == pytest.approx(np.mean(reference_pairs(*clip(0))), rel=1e-5)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"alpha": torch.full((1, 1, 4, 4), math.nan)}, "without NaN"),
        ({"alpha": torch.full((1, 1, 4, 4), 1.2)}, "clamp it first"),
        ({"alpha": torch.zeros(1, 1, 4, 5)}, "expected the same"),
        ({"alpha": torch.zeros(1, 3, 4, 4), "target_alpha": torch.zeros(1, 3, 4, 4)}, r"expected the same \(B, 1"),
        ({"trimap": torch.full((1, 1, 4, 4), 0.7)}, "trimap holds the levels"),
        ({"trimap": torch.zeros(1, 1, 2, 2)}, "trimap has shape"),
        ({"foreground": torch.zeros(1, 3, 4, 4)}, "target_foreground is missing"),
        ({"foreground": torch.zeros(1, 3, 4, 4), "target_foreground": torch.zeros(1, 3, 4, 3)}, "expected the same"),
    ],
)
def test_refuses_what_it_cannot_measure(change: dict[str, Tensor], message: str) -> None:
    batch = {"alpha": torch.zeros(1, 1, 4, 4), "target_alpha": torch.zeros(1, 1, 4, 4)} | change
    with pytest.raises(ValueError, match=message):
        matting_metrics("bgmv2").update(**batch)


def test_refuses_integers_that_are_not_levels() -> None:
    with pytest.raises(TypeError, match="expected float"):
        SAD().update(torch.zeros(1, 1, 4, 4, dtype=torch.int64), torch.zeros(1, 1, 4, 4, dtype=torch.int64))


def test_an_unknown_preset_or_region_names_the_known_ones() -> None:
    with pytest.raises(ValueError, match="bgmv2, rvm, mmagic"):
        matting_metrics("matlab")
    with pytest.raises(ValueError, match="'unknown' or 'image'"):
        SAD(region="edges")


@pytest.mark.parametrize("unknown", [0.5, 128 / 255])
def test_an_8_bit_trimap_is_understood(unknown: float) -> None:
    metric = SAD()
    metric.update(row(0, 0), row(255, 255), torch.tensor([unknown, 1.0]).view(1, 1, 1, 2))
    assert float(metric.compute()) == pytest.approx(1e-3)


# --------------------------------------------------------------------------------------------------------------- dtSSD


def clip(seed: int, frames: int = 5) -> tuple[Tensor, Tensor]:
    return noise(seed, frames, 1, 6, 7), noise(seed + 100, frames, 1, 6, 7)


def reference_pairs(alpha: Tensor, target: Tensor) -> list[float]:
    a, t = to_levels(alpha) / 255, to_levels(target) / 255
    return [100 * math.sqrt((((a[i] - a[i - 1]) - (t[i] - t[i - 1])) ** 2).mean()) for i in range(1, len(a))]


def test_dtssd_equals_the_reference_over_clips_of_different_length() -> None:
    metric = DtSSD()
    clips = [clip(0, 5), clip(1, 2)]
    for each in clips:
        metric.update(*each)
    pairs = [value for each in clips for value in reference_pairs(*each)]
    assert float(metric.compute()) == pytest.approx(np.mean(pairs), rel=1e-5)


def test_dtssd_by_hand() -> None:
    metric = DtSSD()
    metric.update(torch.tensor([0.0, 1.0]).view(2, 1, 1, 1), torch.zeros(2, 1, 1, 1))
    assert float(metric.compute()) == pytest.approx(100)


@pytest.mark.parametrize("sizes", [[1, 1, 1, 1, 1], [2, 3], [1, 4], [5]])
def test_dtssd_in_pieces_equals_the_whole_clip(sizes: list[int]) -> None:
    whole, pieces = DtSSD(), DtSSD()
    for name, seed in (("street", 0), ("park", 1)):
        whole.update(*clip(seed))
        for alpha, target in zip(*(part.split(sizes) for part in clip(seed)), strict=True):
            pieces.update(alpha, target, clip=name)
    assert float(pieces.compute()) == pytest.approx(float(whole.compute()), rel=1e-6)


def test_dtssd_forgets_the_last_frame_when_reset() -> None:
    metric, fresh = DtSSD(), DtSSD()
    metric.update(*clip(0), clip="street")
    metric.reset()
    for each in (metric, fresh):
        each.update(*clip(1), clip="street")
    assert float(metric.compute()) == float(fresh.compute())


def test_dtssd_forward_in_pieces_loses_no_pair() -> None:
    stepped, whole = DtSSD(), DtSSD()
    for alpha, target in zip(*(part.split(2) for part in clip(0, 6)), strict=True):
        assert not stepped(alpha, target, clip="street").isnan()
    whole.update(*clip(0, 6))
    assert float(stepped.compute()) == pytest.approx(float(whole.compute()), rel=1e-6)


def test_dtssd_refuses_an_unnamed_single_frame_and_a_change_of_size() -> None:
    metric = DtSSD()
    with pytest.raises(ValueError, match="name it"):
        metric.update(*clip(0, frames=1))
    metric.update(*clip(0), clip="street")
    with pytest.raises(ValueError, match="the last frame of 'street'"):
        metric.update(torch.zeros(1, 1, 3, 3), torch.zeros(1, 1, 3, 3), clip="street")


# ------------------------------------------------------------------------------------------------------- two processes

Clips = list[tuple[Tensor, Tensor]]


def measured(batches: list[dict[str, Tensor]], clips: Clips) -> dict[str, float]:
    """What these images and clips come to; in a process group, with those of the other processes."""
    metrics, temporal = matting_metrics("bgmv2"), DtSSD()
    for batch in batches:
        metrics.update(**batch)
    for each in clips:
        temporal.update(*each)
    return results_of(metrics) | {"dtssd": float(temporal.compute())}


def one_of_two(rank: int, store: Path, batches: list[dict[str, Tensor]], clips: Clips, results: Any) -> None:
    """One of two processes, which gives its results to the queue."""
    torch.distributed.init_process_group("gloo", init_method=f"file://{store}", rank=rank, world_size=2)
    results.put(measured(batches, clips))
    torch.distributed.destroy_process_group()


def test_two_processes_reduce_to_the_mean_over_all_images(tmp_path: Path) -> None:
    """Three images and one clip against one image without foregrounds and two clips: a mean of means would be wrong."""
    first = [batch_of([image("blobs"), image("noise")]), batch_of([image("hard edge")])]
    second = [
        {name: part for name, part in batch_of([image("all 0 against blob")]).items() if "foreground" not in name}
    ]
    clips = [[clip(0, 5)], [clip(1, 2), clip(2, 3)]]
    forked = multiprocessing.get_context("fork")  # what is imported here need not be imported there
    results = forked.Queue()
    processes = [
        forked.Process(target=one_of_two, args=(rank, tmp_path / "store", batches, clips[rank], results))
        for rank, batches in enumerate((first, second))
    ]
    for process in processes:
        process.start()
    found = [results.get(timeout=120) for _ in processes]
    for process in processes:
        process.join()
    expected = measured(first + second, clips[0] + clips[1])
    assert found == [pytest.approx(expected, rel=1e-6)] * 2


def test_merged_states_are_the_mean_over_all_images() -> None:
    one, other, both = SAD(), SAD(), SAD()
    batches = [batch_of([image("blobs"), image("noise")]), batch_of([image("hard edge")])]
    for metric, batch in zip((one, other), batches, strict=True):
        for target in (metric, both):
            target.update(batch["alpha"], batch["target_alpha"])
    one.merge_state(other)
    assert float(one.compute()) == pytest.approx(float(both.compute()), rel=1e-6)
