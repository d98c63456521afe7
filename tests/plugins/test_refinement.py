"""Refinement in tiles: every choice of tiles equals the plain path, whatever the size, dtype and density."""

import random
from collections.abc import Iterator

import pytest
import torch
from torch import Tensor, nn
from zoo_plugins.refinement import tiled
from zoo_plugins.refinement.gather import Cells, gather_crops, gather_enlarged, half_size, pixel_unshuffle
from zoo_plugins.refinement.tiled import TILE_SIDES, multiply_adds, tiling
from zoo_plugins.refiners import PatchRefiner

from zoo.matting.parts import Coarse, resize

SIZES = [(4, 4), (20, 28), (36, 16), (68, 76)]
"""Rows and columns of patches are odd and even, fewer than a tile of the largest side has and more, not alike."""
ROUNDING = {torch.float64: 1e-12, torch.float32: 1e-5, torch.bfloat16: 0.06, torch.float16: 0.008}
"""How far results may differ: in half precision by a few of the steps that numbers near 1 have."""
CHOICES = [*((side,) for side in TILE_SIDES), (2, 6), TILE_SIDES]


def made(kernel_size: int = 3, seed: int = 0) -> PatchRefiner:
    """A refiner whose BatchNorms have statistics, and whose results are about as large as alpha."""
    refiner = PatchRefiner(kernel_size)
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        for layer in refiner.children():
            layer.reset_parameters()  # type: ignore[operator]
        for norm in (refiner.bn1, refiner.bn2, refiner.bn3):
            nn.init.normal_(norm.running_mean, 0, 0.1)
            nn.init.uniform_(norm.running_var, 0.5, 1.5)
            nn.init.normal_(norm.bias, 0, 0.1)
    return refiner.eval()


def inputs(batch: int, height: int, width: int, scale: float, dtype: torch.dtype) -> tuple[Tensor, Tensor, Coarse]:
    generator = torch.Generator().manual_seed(0)
    small = (max(1, int(height * scale)), max(1, int(width * scale)))

    def noise(channels: int, *size: int) -> Tensor:
        return torch.rand(batch, channels, *size, generator=generator, dtype=torch.float64).to(dtype)

    coarse = Coarse(noise(1, *small), noise(3, *small) - 0.5, noise(1, *small), noise(32, *small))
    return noise(3, height, width), noise(3, height, width), coarse


def scores(batch: int, height: int, width: int, density: float, dtype: torch.dtype, close: bool) -> Tensor:
    """Scores of which so many are above 0, scattered or close together."""
    noise = torch.rand(batch, 1, height // 4, width // 4, generator=torch.Generator().manual_seed(1))
    if close:
        noise = resize(noise[:, :, ::3, ::3], (height // 4, width // 4))
    return (density - noise.flatten(1).argsort(1).argsort(1).view_as(noise) / noise[0].numel()).to(dtype)


@torch.no_grad()
def gathered(refiner: PatchRefiner, given: tuple[Tensor, Tensor, Coarse], score: Tensor) -> tuple[Tensor, Tensor]:
    source, background, coarse = given
    enlarged = resize(torch.cat([coarse.alpha, coarse.foreground], 1), (source.shape[-2], source.shape[-1]))
    images, halves = refiner._inputs(source, background, coarse)
    return refiner.gathered(images, halves, score, None, enlarged)


@torch.no_grad()
def in_tiles(
    refiner: PatchRefiner, given: tuple[Tensor, Tensor, Coarse], score: Tensor, sides: tuple[int, ...]
) -> tuple[Tensor, Tensor]:
    alpha, foreground, refined = refiner.tiled(*given, score, None, sides)
    assert foreground is not None
    return torch.cat([alpha, foreground], 1), refined


@pytest.mark.parametrize("dtype", ROUNDING, ids=str)
@pytest.mark.parametrize("size", SIZES, ids=str)
def test_every_choice_of_tiles_equals_the_plain_path(size: tuple[int, int], dtype: torch.dtype) -> None:
    draw = random.Random(f"{size} {dtype}")
    for density in (0.0, 0.05, 0.4, 1.0):
        kernel_size, scale = draw.choice([1, 3, 3]), draw.choice([0.5, 0.25, 0.125, 0.3])
        batch, close = draw.choice([1, 2]), draw.choice([True, False])
        refiner, given = made(kernel_size).to(dtype), inputs(batch, *size, scale, dtype)
        score = scores(batch, *size, density, dtype, close)
        expected, cells = gathered(refiner, given, score)
        for sides in CHOICES:
            result, refined = in_tiles(refiner, given, score, sides)
            assert result.dtype == expected.dtype
            assert torch.equal(refined, cells)
            assert (result - expected).abs().max() <= ROUNDING[dtype], (density, sides)


@pytest.mark.parametrize("dtype", ROUNDING, ids=str)
def test_images_of_one_batch_may_differ_in_what_is_selected(dtype: torch.dtype) -> None:
    """Nothing, one patch in a corner, one in the opposite corner, some scattered, some close together, everything."""
    height, width = 52, 76
    score = torch.full((6, 1, height // 4, width // 4), -1.0, dtype=dtype)
    score[1, 0, 0, 0] = score[2, 0, -1, -1] = 1
    score[3:4] = scores(1, height, width, 0.3, dtype, close=False)
    score[4:5] = scores(1, height, width, 0.3, dtype, close=True)
    score[5] = 1
    refiner, given = made().to(dtype), inputs(6, height, width, 0.25, dtype)
    expected, cells = gathered(refiner, given, score)
    assert cells.sum((1, 2, 3)).tolist() == [0, 1, 1, 75, 75, 247]
    for sides in CHOICES:
        result, refined = in_tiles(refiner, given, score, sides)
        assert torch.equal(refined, cells)
        assert (result - expected).abs().max() <= ROUNDING[dtype], sides
        with torch.no_grad():
            alone, colours, refined = refiner.tiled(*given, score, None, sides, foreground=False)
        assert colours is None
        assert torch.equal(refined, cells)
        assert (alone - expected[:, :1]).abs().max() <= ROUNDING[dtype], sides


def test_in_mixed_precision_tiles_equal_the_plain_path() -> None:
    """As in the validation of a training with `bf16-mixed`: full precision before the base network, half behind it."""
    refiner, (source, background, coarse) = made(), inputs(2, 52, 76, 0.25, torch.float32)
    given = source, background, Coarse(*(each.bfloat16() for each in coarse))
    score = scores(2, 52, 76, 0.3, torch.bfloat16, close=True)
    with torch.autocast("cpu", torch.bfloat16):
        expected, cells = gathered(refiner, given, score)
        for sides in CHOICES:
            result, refined = in_tiles(refiner, given, score, sides)
            assert result.dtype == expected.dtype
            assert torch.equal(refined, cells)
            assert (result - expected).abs().max() <= ROUNDING[torch.bfloat16], sides


@pytest.mark.parametrize("scale", [0.25, 1 / 3])
def test_single_precision_is_equal_to_within_a_hundred_thousandth_at_a_larger_size(scale: float) -> None:
    refiner, given = made(), inputs(1, 140, 196, scale, torch.float32)
    score = scores(1, 140, 196, 0.2, torch.float32, close=True)
    expected, _ = gathered(refiner, given, score)
    for sides in CHOICES:
        assert (in_tiles(refiner, given, score, sides)[0] - expected).abs().max() <= 1e-5


def test_portions_of_any_size_equal_each_other(monkeypatch: pytest.MonkeyPatch) -> None:
    refiner, given = made().double(), inputs(2, 52, 68, 0.25, torch.float64)
    score = scores(2, 52, 68, 0.4, torch.float64, close=False)
    expected, _ = in_tiles(refiner, given, score, TILE_SIDES)
    for size in (1, 10**6, tiled.CHUNK_BYTES["cuda"]):
        monkeypatch.setitem(tiled.CHUNK_BYTES, "cpu", size)
        torch.testing.assert_close(in_tiles(refiner, given, score, TILE_SIDES)[0], expected, rtol=0, atol=1e-12)


def test_pictures_with_channels_innermost_give_the_same() -> None:
    refiner, (source, background, coarse) = made().double(), inputs(2, 52, 68, 0.25, torch.float64)
    score = scores(2, 52, 68, 0.4, torch.float64, close=True)
    expected, _ = in_tiles(refiner, (source, background, coarse), score, TILE_SIDES)
    inner = [image.contiguous(memory_format=torch.channels_last) for image in (source, background)]
    features = Coarse(*(each.contiguous(memory_format=torch.channels_last) for each in coarse))
    result, _ = in_tiles(refiner, (inner[0], inner[1], features), score, TILE_SIDES)
    torch.testing.assert_close(result, expected, rtol=0, atol=1e-12)


def test_a_weight_that_changes_counts_at_once() -> None:
    refiner, given = made().double(), inputs(1, 20, 28, 0.25, torch.float64)
    score = scores(1, 20, 28, 0.5, torch.float64, close=False)

    def changes() -> Iterator[None]:
        yield
        refiner.load_state_dict(made(seed=1).state_dict())
        yield
        refiner.conv1.weight.data.mul_(2)  # as moving averages do, of which torch keeps no count
        yield
        refiner.bn2.running_mean.data.add_(0.5)
        yield
        refiner.to(torch.float32).to(torch.float64)
        yield

    before = None
    for _ in changes():
        result = in_tiles(refiner, given, score, TILE_SIDES)[0]
        assert (result - gathered(refiner, given, score)[0]).abs().max() < 1e-12
        assert before is None or (result - before).abs().max() > 1e-9
        before = result


def test_inputs_and_weights_are_left_as_they_were() -> None:
    refiner, given = made(), inputs(2, 36, 16, 0.25, torch.float32)
    tensors = [*given[:2], *given[2], *refiner.state_dict().values()]
    before = [tensor.clone() for tensor in tensors]
    in_tiles(refiner, given, scores(2, 36, 16, 0.5, torch.float32, close=False), TILE_SIDES)
    assert all(torch.equal(old, new) for old, new in zip(before, tensors, strict=True))


# The cheapest tiles


def covered(found: dict[int, Cells], shape: tuple[int, ...]) -> Tensor:
    """How many tiles hold each patch, (B, R, C), with what lies beyond the border cut off."""
    count = torch.zeros(shape[0], shape[1] + 32, shape[2] + 32)
    for side, cells in found.items():
        for image, row, column in zip(*(values.tolist() for values in cells), strict=True):
            count[image, row * side : (row + 1) * side, column * side : (column + 1) * side] += 1
    return count[:, : shape[1], : shape[2]]


@pytest.mark.parametrize("density", [0.0, 0.03, 0.3, 0.9, 1.0])
def test_every_selected_patch_is_in_one_tile_and_no_patch_in_two(density: float) -> None:
    selected = scores(2, 84, 148, density, torch.float32, close=True) > 0
    for costs in ({1: 1.0}, {4: 1.0}, {1: 1.0, 4: 5.0, 16: 40.0}, {1: 1.0, 2: 3.0, 6: 10.0}):
        count = covered(tiling(selected, costs), tuple(selected[:, 0].shape))
        assert (count[selected[:, 0]] == 1).all()
        assert count.max() <= 1


def test_a_tile_is_taken_where_its_patches_alone_would_cost_as_much() -> None:
    selected = torch.zeros(1, 1, 8, 8, dtype=torch.bool)
    selected[0, 0, 0, :3] = selected[0, 0, 5, 4:6] = True
    found = tiling(selected, {1: 1.0, 4: 3.0})
    assert [values.tolist() for values in found[4]] == [[0], [0], [0]]
    assert [values.tolist() for values in found[1]] == [[0, 0], [5, 5], [4, 5]]
    found = tiling(selected, {1: 1.0, 4: 3.0, 8: 4.9})
    assert found[8].number == 1
    assert found[4].number == found[1].number == 0


def test_costs_are_the_multiply_adds() -> None:
    with torch.no_grad():
        kernels, pointwise = (made(kernel_size)._kernels(4) for kernel_size in (3, 1))
    assert multiply_adds(1, kernels) == 36 * 42 * 24 * 9 + 16 * 24 * 16 * 9 + 9 * 40 * 48 * 4 + 4 * 48 * 16 * 4
    assert multiply_adds(4, kernels) == 144 * 42 * 24 * 9 + 100 * 24 * 16 * 9 + 81 * 40 * 48 * 4 + 64 * 48 * 16 * 4
    assert multiply_adds(1, pointwise) == 4 * (42 * 24 + 24 * 16 + 40 * 48 + 48 * 16)


# Kernels at half size


@pytest.mark.parametrize("kernel_size", [1, 3])
@pytest.mark.parametrize("channels", [1, 4])
def test_kernels_at_half_size_do_what_the_refiner_does_at_full_size(kernel_size: int, channels: int) -> None:
    refiner = made(kernel_size).double()
    half, images = torch.rand(2, 16, 5, 5, dtype=torch.float64), torch.rand(2, 6, 10, 10, dtype=torch.float64)
    with torch.no_grad():
        expected = refiner._full(half, images)[:, :channels]
        kernels = refiner._kernels(channels)
        x = nn.functional.conv2d(torch.cat([half, *pixel_unshuffle(images, 5)], 1), *kernels.conv3).relu()
        x = nn.functional.conv2d(x, *kernels.conv4).unflatten(1, (2, 2, channels))
    result = x.permute(0, 3, 4, 1, 5, 2).reshape(expected.shape)
    torch.testing.assert_close(result, expected, rtol=0, atol=1e-12)


def test_pictures_at_half_size_are_what_resize_gives() -> None:
    images = torch.rand(3, 6, 10, 10, dtype=torch.float64)
    torch.testing.assert_close(half_size(images), resize(images, (5, 5)), rtol=0, atol=1e-12)


# Gathering tiles


def test_windows_of_an_enlarged_map_are_cut_out_of_it() -> None:
    for height, width in ((6, 9), (5, 5), (24, 34)):
        x = torch.rand(2, 3, height, width, dtype=torch.float64)
        whole = torch.nn.functional.pad(resize(x, (24, 34)), (3, 3 + 2, 3, 3))
        tiles = Cells(torch.tensor([0, 1, 1]), torch.tensor([0, 2, 5]), torch.tensor([8, 0, 3]))
        windows = gather_enlarged(x.permute(0, 2, 3, 1), (24, 34), tiles, 4, 3)
        for window, image, row, column in zip(windows, *tiles, strict=True):
            expected = whole[image, :, 4 * row : 4 * row + 10, 4 * column : 4 * column + 10]
            torch.testing.assert_close(window.permute(2, 0, 1), expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize("size", [(32, 48), (28, 44), (12, 16), (4, 4)])
@pytest.mark.parametrize("margin", [0, 6])
def test_windows_are_cut_with_zeros_beyond_the_border(margin: int, size: tuple[int, int]) -> None:
    first, second = torch.rand(2, 3, *size), torch.rand(2, 2, *size).to(memory_format=torch.channels_last)
    tiles = Cells(*torch.ones(2, -(-size[0] // 8), -(-size[1] // 8)).nonzero(as_tuple=True))
    windows = gather_crops((first, second), tiles, 8, margin)
    side = 8 + 2 * margin
    whole = torch.nn.functional.pad(torch.cat([first, second], 1), (margin, margin + 8, margin, margin + 8))
    for window, number, row, column in zip(windows, *tiles, strict=True):
        assert torch.equal(window, whole[number, :, 8 * row : 8 * row + side, 8 * column : 8 * column + side])
