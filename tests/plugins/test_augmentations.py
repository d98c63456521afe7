"""The augmentation steps: what they do to pictures, and that each sample's fate is its own."""

import itertools
import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from PIL import Image, ImageFilter
from torch import Tensor
from torchvision.transforms import functional as tv
from zoo_plugins.augmentations.blur import BoxBlur, Sharpen, box_blur
from zoo_plugins.augmentations.capture import BackgroundAffine, LightChange, SensorNoise, Shadow
from zoo_plugins.augmentations.colour import (
    BackgroundJitter,
    ColourJitter,
    adjust_brightness,
    adjust_contrast,
    adjust_hue,
    adjust_saturation,
    jitter,
    jitter_together,
    random_jitter,
)
from zoo_plugins.augmentations.geometry import HorizontalFlip, RandomAffine, random_theta, sample, sampling_grid

from zoo.core.parts import Augmentation
from zoo.core.seeding import RandomStream
from zoo.matting.parts import MattingBatch

SIZE = (40, 56)
PICTURES = ("source", "background", "alpha", "foreground")

STEPS = {
    "affine_foreground": lambda **p: RandomAffine("foreground", **p),
    "affine_background": lambda **p: RandomAffine("background", **p),
    "flip_foreground": lambda **p: HorizontalFlip("foreground", **p),
    "flip_background": lambda **p: HorizontalFlip("background", **p),
    "blur_foreground": lambda **p: BoxBlur("foreground", **p),
    "blur_background": lambda **p: BoxBlur("background", **p),
    "sharpen_foreground": lambda **p: Sharpen("foreground", **p),
    "sharpen_background": lambda **p: Sharpen("background", **p),
    "colour_foreground": lambda **p: ColourJitter("foreground", **p),
    "colour_background": lambda **p: ColourJitter("background", **p),
    "shadow": lambda **p: Shadow(**p),
    "noise": lambda **p: SensorNoise(**p),
    "light": lambda **p: LightChange(**p),
    "noise_paper": lambda **p: SensorNoise(sigma=0.1732, uniform_in="variance", **p),
    "background_jitter": lambda **p: BackgroundJitter(**p),
    "background_affine": lambda **p: BackgroundAffine(**p),
}
CHANGES = {
    "foreground": {"foreground", "alpha"},
    "background": {"background"},
    "colour_foreground": {"foreground"},
    "shadow": {"source"},
    "noise": {"source", "background"},
    "light": {"background"},
    "noise_paper": {"source", "background"},
    "background_jitter": {"background"},
    "background_affine": {"background"},
}


def make_batch(seeds: list[int], size: tuple[int, int] = SIZE) -> MattingBatch:
    """A batch of pictures made from their seeds, so that a sample is the same in whatever batch it is."""

    def pictures(channels: int, salt: int) -> Tensor:
        noise = [torch.rand(channels, *size, generator=torch.Generator().manual_seed(seed + salt)) for seed in seeds]
        return torch.stack(noise)

    background = pictures(3, 1000)
    return MattingBatch(background, background, pictures(1, 2000), pictures(3, 3000), seed=torch.tensor(seeds))


def apply(step: Augmentation, batch: MattingBatch, name: str = "step") -> MattingBatch:
    return step(batch, RandomStream(batch.seed, name))


@pytest.mark.parametrize("name", STEPS)
def test_probability_zero_changes_nothing(name: str) -> None:
    batch = make_batch([1, 2, 3])
    result = apply(STEPS[name](probability=0), batch)
    for picture in PICTURES:
        assert getattr(result, picture) is getattr(batch, picture)


@pytest.mark.parametrize("name", STEPS)
def test_changes_only_its_own_pictures_and_nothing_in_place(name: str) -> None:
    batch = make_batch(list(range(8)))
    before = {picture: getattr(batch, picture).clone() for picture in PICTURES}
    result = apply(STEPS[name](probability=1), batch)
    expected = CHANGES.get(name) or CHANGES[name.split("_")[1]]
    assert {picture for picture in PICTURES if not torch.equal(getattr(result, picture), before[picture])} == expected
    for picture in PICTURES:
        assert torch.equal(getattr(batch, picture), before[picture])
        assert 0 <= getattr(result, picture).min() <= getattr(result, picture).max() <= 1 + 1e-6


@pytest.mark.parametrize("name", STEPS)
def test_the_seed_and_the_name_decide_and_nothing_else(name: str) -> None:
    batch, step = make_batch(list(range(8))), STEPS[name](probability=0.5)
    first = apply(step, batch)
    torch.manual_seed(99)
    second = apply(step, batch)
    other = apply(step, batch, name="another step")
    assert all(torch.equal(getattr(first, picture), getattr(second, picture)) for picture in PICTURES)
    assert not all(torch.equal(getattr(first, picture), getattr(other, picture)) for picture in PICTURES)


@pytest.mark.parametrize("name", [name for name in STEPS if not name.startswith("blur")])
def test_probability_is_the_share_of_changed_samples(name: str) -> None:  # blur: radius 0, one in six, changes nothing
    batch = make_batch(list(range(400)), size=(4, 4))
    result = apply(STEPS[name](probability=0.4), batch)
    changed = torch.zeros(400, dtype=torch.bool)
    for picture in PICTURES:
        changed |= (getattr(result, picture) != getattr(batch, picture)).flatten(1).any(1)
    assert 0.33 < changed.float().mean() < 0.47


# Geometry


def test_affine_map_agrees_with_torchvision() -> None:
    picture = tv.gaussian_blur(make_batch([5]).background, [9, 9])
    height, width = SIZE
    where_from = random_theta(RandomStream([3], "x"), SIZE, 20, 0.2, (0.7, 1.4), 15)
    draws = RandomStream([3], "x")
    angle, right, down, scale, shear = (
        float(draws.uniform(low, high)) for low, high in ((-20, 20), (-0.2, 0.2), (-0.2, 0.2), (0.7, 1.4), (-15, 15))
    )
    ours = sample(picture, sampling_grid(where_from, picture), "zeros")
    theirs = tv.affine(
        picture, angle, [right * width, down * height], scale, [shear, 0.0], tv.InterpolationMode.BILINEAR
    )
    inner = (slice(None), slice(None), slice(4, -4), slice(4, -4))
    assert abs(angle) > 1
    assert abs(shear) > 1
    torch.testing.assert_close(ours[inner], theirs[inner], rtol=0, atol=1e-3)


def test_the_grid_is_that_of_torch() -> None:
    where_from = torch.randn(3, 2, 3, generator=torch.Generator().manual_seed(0))
    grid = sampling_grid(where_from, torch.zeros(1, 1, 7, 10))
    torch.testing.assert_close(grid, F.affine_grid(where_from, [3, 1, 7, 10], align_corners=False), atol=1e-6, rtol=0)


def test_affine_draws_stay_within_the_official_ranges_and_fill_them() -> None:
    maps = random_theta(RandomStream(range(500), "x"), (100, 100), 5, 0.1, (0.3, 1.0), 5).double()
    forward = torch.linalg.inv(maps[:, :, :2])
    scale = torch.linalg.det(forward).sqrt()
    angle = torch.atan2(forward[:, 1, 0], forward[:, 0, 0]) * 180 / math.pi
    along, across = forward[:, :, 0], forward[:, :, 1]
    shear = torch.atan((along * across).sum(1) / torch.linalg.det(forward)) * 180 / math.pi
    moved = -(forward @ maps[:, :, 2:]).squeeze(2) / 2
    for values, low, high in ((scale, 0.3, 1.0), (angle, -5, 5), (shear, -5, 5), (moved[:, 0], -0.1, 0.1)):
        margin = (high - low) * 0.02
        assert low - 1e-4 <= values.min() < low + margin
        assert high - margin < values.max() <= high + 1e-4


def test_foreground_and_alpha_move_together() -> None:
    square = torch.zeros(4, 1, 64, 64)
    square[:, :, 20:40, 25:45] = 1
    batch = make_batch([1, 2, 3, 4], size=(64, 64))._replace(alpha=square, foreground=square.repeat(1, 3, 1, 1))
    result = apply(RandomAffine("foreground", degrees=30, scale=(0.5, 1.5)), batch)
    assert not torch.equal(result.alpha, batch.alpha)
    torch.testing.assert_close(result.foreground, result.alpha.expand(-1, 3, -1, -1), rtol=0, atol=1e-6)
    assert result.alpha.flatten(1).sum(1).min() > 50
    assert all(result.alpha[..., edge, :].max() == 0 for edge in (0, -1))


def test_a_smaller_foreground_leaves_nothing_around_it() -> None:
    batch = make_batch([1], size=(64, 64))._replace(alpha=torch.ones(1, 1, 64, 64))
    result = apply(RandomAffine("foreground", degrees=0, translate=0, shear=0, scale=(0.5, 0.5)), batch)
    expected = torch.zeros(1, 1, 64, 64)
    expected[:, :, 16:48, 16:48] = 1
    torch.testing.assert_close(result.alpha, expected, rtol=0, atol=1e-5)


def test_a_moved_background_shows_no_empty_border() -> None:
    batch = make_batch(list(range(16)), size=(32, 32))
    batch = batch._replace(background=torch.ones_like(batch.background))
    for step in (
        RandomAffine("background", degrees=45, translate=0.5, scale=(0.5, 1)),
        BackgroundAffine(1, degrees=10, translate=0.2),
    ):
        torch.testing.assert_close(apply(step, batch).background, batch.background, rtol=0, atol=1e-5)


def test_flip_mirrors_foreground_with_its_alpha() -> None:
    batch = make_batch([1, 2])
    result = apply(HorizontalFlip("foreground", probability=1), batch)
    assert torch.equal(result.foreground, batch.foreground[..., range(SIZE[1] - 1, -1, -1)])
    assert torch.equal(result.alpha, batch.alpha[..., range(SIZE[1] - 1, -1, -1)])


# Blur


def as_pillow(picture: Tensor) -> Image.Image:
    return Image.fromarray((picture.permute(1, 2, 0).numpy() * 255).round().astype(np.uint8))


def from_pillow(picture: Image.Image) -> Tensor:
    return torch.from_numpy(np.asarray(picture).astype(np.float32) / 255).permute(2, 0, 1)


@pytest.mark.parametrize("width", [1, 2, 3, 8, 11, 24, 39])
def test_box_blur_is_the_mean_over_the_square(width: int) -> None:
    picture = make_batch([1], size=(9, 12)).background
    result = box_blur(picture, torch.tensor([width]))
    for y, x in ((0, 0), (4, 5), (8, 11)):
        rows = [min(max(y + d, 0), 8) for d in range(-((width - 1) // 2), width // 2 + 1)]
        columns = [min(max(x + d, 0), 11) for d in range(-((width - 1) // 2), width // 2 + 1)]
        expected = torch.stack([picture[0, :, row, column] for row in rows for column in columns]).mean(0)
        torch.testing.assert_close(result[0, :, y, x], expected, rtol=0, atol=1e-6)


@pytest.mark.parametrize("radius", [0, 1, 5])
def test_box_blur_has_the_radius_of_pillow(radius: int) -> None:
    picture = from_pillow(as_pillow(make_batch([1]).background[0]))
    expected = from_pillow(as_pillow(picture).filter(ImageFilter.BoxBlur(radius)))
    result = box_blur(picture[None], torch.tensor([2 * radius + 1]))[0]
    assert (result - expected).abs().max() < 2.5 / 255


def test_blur_radii_are_equally_likely_from_zero_to_the_largest() -> None:
    impulse = torch.zeros(300, 1, 15, 15)
    impulse[:, :, 7, 7] = 1
    batch = make_batch(list(range(300)), size=(15, 15))._replace(alpha=impulse)
    peaks = apply(BoxBlur("foreground", probability=1), batch).alpha[:, 0, 7, 7]
    radii = ((1 / peaks).sqrt() - 1) / 2
    counts = torch.bincount(radii.round().int(), minlength=6)
    assert len(counts) == 6
    assert counts.min() > 30


def test_sharpen_is_that_of_pillow() -> None:
    picture = from_pillow(as_pillow(tv.gaussian_blur(make_batch([1]).background[0], [5, 5])))
    batch = make_batch([1])._replace(background=picture[None])
    expected = from_pillow(as_pillow(picture).filter(ImageFilter.SHARPEN))
    result = apply(Sharpen("background", probability=1), batch).background[0]
    assert (result - expected)[:, 1:-1, 1:-1].abs().max() < 1.01 / 255


# Colour


def test_colour_draws_stay_within_the_official_ranges_and_orders_vary() -> None:
    amounts, order = random_jitter(RandomStream(range(500), "x"), (0.15, 0.15, 0.15, 0.05))
    for values, middle, reach in zip(amounts.T, (1, 1, 1, 0), (0.15, 0.15, 0.15, 0.05), strict=True):
        assert reach * 0.97 < (values - middle).abs().max() <= reach + 1e-6
    assert len({tuple(row) for row in order.tolist()}) == 24


def test_colour_adjustments_are_applied_in_the_drawn_order() -> None:
    picture = make_batch([1]).background
    amounts = torch.tensor([[1.1, 0.9, 1.15, 0.05]])
    expected = tv.adjust_brightness(tv.adjust_contrast(tv.adjust_hue(picture, 0.05), 0.9), 1.1)
    expected = tv.adjust_saturation(expected, 1.15)
    torch.testing.assert_close(jitter(picture, amounts, torch.tensor([[3, 1, 0, 2]])), expected)


@pytest.mark.parametrize(
    ("ours", "theirs", "amounts"),
    [
        (adjust_brightness, tv.adjust_brightness, (0, 0.7, 1, 1.6)),
        (adjust_contrast, tv.adjust_contrast, (0, 0.7, 1, 1.6)),
        (adjust_saturation, tv.adjust_saturation, (0, 0.7, 1, 1.6)),
        (adjust_hue, tv.adjust_hue, (-0.5, -0.03, 0, 0.2)),
    ],
)
def test_colour_adjustments_are_those_of_torchvision(ours, theirs, amounts: tuple[float, ...]) -> None:
    pictures = make_batch([1, 2, 3, 4]).background
    levels = torch.tensor([0.0, 0.5, 1.0])
    pictures[:, :, 0, :27] = torch.cartesian_prod(
        levels, levels, levels
    ).T  # greys, and colours with two channels alike
    expected = torch.stack([theirs(picture, amount) for picture, amount in zip(pictures, amounts, strict=True)])
    adjusted = ours(pictures, torch.tensor(amounts).view(-1, 1, 1, 1))
    torch.testing.assert_close(adjusted, expected, rtol=0, atol=2e-6)


def test_colour_jitter_of_a_batch_is_that_of_each_picture() -> None:
    pictures = make_batch(list(range(6))).background
    amounts, order = random_jitter(RandomStream([1, 2, 3, 4, 5, 6], "x"), (0.3, 0.3, 0.3, 0.2))
    order[3:] = order[0]
    alone = [jitter(pictures[[n]], amounts[[n]], order[[n]]) for n in range(6)]
    assert torch.equal(jitter(pictures, amounts, order), torch.cat(alone))


@pytest.mark.parametrize("size", [(1, 1), (7, 9), (32, 64), (50, 60), (43, 97)])  # up to more pixels than a block has
def test_compiled_colour_jitter_is_the_one_of_all_pictures_at_once(size: tuple[int, int]) -> None:
    orders = torch.tensor(list(itertools.permutations(range(4))))
    pictures = make_batch(list(range(24)), size).background
    pictures[:, :, :4] = pictures[:, :1, :4]
    amounts, _ = random_jitter(RandomStream(range(24), "x"), (0.5, 0.5, 0.5, 0.4))
    amounts[::5, 0], amounts[1::5, 1], amounts[2::5, 2], amounts[3::5, 3] = 1, 1, 1, 0
    expected = jitter_together(pictures, amounts, orders)
    for given in (pictures, pictures.contiguous(memory_format=torch.channels_last)):
        torch.testing.assert_close(jitter(given, amounts, orders), expected, rtol=0, atol=3e-6)


@pytest.mark.parametrize(
    ("dtype", "tolerance"), [(torch.float64, 3e-6), (torch.bfloat16, 0.05), (torch.float16, 0.006)], ids=str
)
def test_colour_jitter_keeps_the_precision_of_the_pictures(dtype: torch.dtype, tolerance: float) -> None:
    pictures = make_batch(list(range(6)), (7, 9)).background
    given = random_jitter(RandomStream(range(6), "x"), (0.3, 0.3, 0.3, 0.05))
    expected = jitter(pictures, *given)
    result = jitter(pictures.to(dtype), *given)
    assert result.dtype == dtype
    torch.testing.assert_close(result.float(), expected, rtol=0, atol=tolerance)
    torch.set_default_dtype(dtype)
    try:
        assert torch.equal(jitter(pictures, *given), expected)
    finally:
        torch.set_default_dtype(torch.float32)


def test_colour_jitter_without_strength_is_the_identity() -> None:
    batch = make_batch([1, 2])
    result = apply(ColourJitter("background", brightness=0, contrast=0, saturation=0, hue=0), batch)
    assert torch.equal(result.background, batch.background)


# Capture


def test_shadow_darkens_the_scene_only_and_at_most_by_its_strength() -> None:
    batch = make_batch(list(range(20)), size=(64, 64))
    batch = batch._replace(alpha=torch.ones_like(batch.alpha))
    result = apply(Shadow(probability=1), batch)
    darkening = batch.source - result.source
    assert torch.equal(result.background, batch.background)
    assert darkening.min() >= 0
    assert darkening.flatten(1).max(1).values.min() > 0
    assert 0.2 < darkening.max() <= 0.3 + 1e-6


@pytest.mark.parametrize(("size", "width"), [(2048, 32), (1024, 16), (64, 1)])
def test_shadow_blur_is_in_proportion_to_the_picture(size: int, width: int) -> None:
    dot = torch.zeros(1, 1, 64, size)
    dot[:, :, 30:34, size // 2 - 100 : size // 2 + 100] = 1
    batch = MattingBatch(torch.ones(1, 3, 64, size), torch.ones(1, 3, 64, size), dot, torch.ones(1, 3, 64, size))
    still = Shadow(1, degrees=0, translate=0, scale=(1, 1), shear=0, blur=(32, 32))
    darkened = 1 - still(batch, RandomStream([4], "x")).source[0, 0, :, size // 2]
    assert int((darkened > 1e-6).sum()) == 4 + width - 1


def test_noise_is_independent_on_source_and_background() -> None:
    batch = make_batch(list(range(60)))
    batch = batch._replace(source=torch.full_like(batch.source, 0.5), background=torch.full_like(batch.source, 0.5))
    result = apply(SensorNoise(probability=1), batch)
    noises = torch.stack([result.source - 0.5, result.background - 0.5]).flatten(2)
    sigmas = noises.std(2)
    assert 0.028 < sigmas.max() < 0.0305
    assert 0.012 < sigmas.mean() < 0.018
    assert torch.corrcoef(sigmas)[0, 1].abs() < 0.4
    correlation = (noises[0] * noises[1]).mean(1) / (sigmas[0] * sigmas[1])
    assert correlation.abs().max() < 0.08


def test_noise_of_the_paper_draws_the_variance_uniformly() -> None:
    batch = make_batch(list(range(200)), size=(24, 24))
    batch = batch._replace(source=torch.full_like(batch.source, 0.5))
    result = apply(SensorNoise(probability=1, sigma=0.1, uniform_in="variance"), batch)
    variance = (result.source - 0.5).flatten(1).var(1)
    assert 0.0044 < variance.mean() < 0.0056
    assert 0.009 < variance.max() < 0.0115


def test_background_affine_moves_about_one_percent() -> None:
    ramp = torch.linspace(0, 1, 200).expand(64, 3, 200, 200)
    batch = MattingBatch(ramp, ramp, ramp[:, :1], ramp, seed=torch.arange(64))
    moved = apply(BackgroundAffine(1, degrees=0), batch).background - ramp
    shift = moved[:, 0, 100, 100].abs() * 199
    assert 1.8 < shift.max() <= 2 + 1e-3


# Arguments


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: HorizontalFlip("alpha"), r"HorizontalFlip\(side='alpha'\): expected 'foreground' or 'background'"),
        (lambda: HorizontalFlip("foreground", probability=50), r"probability=50\): expected a number from 0 to 1"),
        (lambda: RandomAffine("foreground", scale=(1, 0.3)), r"scale=\[1, 0.3\]\): expected low and high"),
        (lambda: RandomAffine("foreground", scale=(0, 1)), "0.01 <= low <= high"),
        (lambda: BackgroundJitter(hue=0.6), r"hue=0.6\): expected a number from 0 to 0.5"),
        (lambda: SensorNoise(uniform_in="sigma"), "expected 'deviation' or 'variance'"),
        (lambda: Shadow(blur=(0, 3)), r"blur=\[0, 3\]"),
    ],
)
def test_an_impossible_argument_is_named(make, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make()
