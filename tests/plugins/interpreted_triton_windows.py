"""The kernel in Triton's interpreter, where it computes with NumPy, beside the path by torch.

`test_triton_windows.py` runs this file in a process of its own: Triton decides at import whether it interprets, and the
interpreter does not leave Triton as it was.
"""

import random
from collections.abc import Iterator

import pytest
import torch
from torch import Tensor
from zoo_plugins.refinement import tiles as tiled
from zoo_plugins.refinement import triton_windows
from zoo_plugins.refinement.cells import Cells
from zoo_plugins.refinement.windows import Pictures, look_with_torch, pictures
from zoo_plugins.refiners import PatchRefiner

from zoo.matting.parts import Coarse

ROUNDING = {torch.float64: 1e-12, torch.float32: 1e-6, torch.bfloat16: 0.008, torch.float16: 0.001}
"""How far results may differ: in half precision by a step or two of numbers near 1."""


@pytest.fixture(autouse=True)
def _without_gradients() -> Iterator[None]:
    with torch.no_grad():
        yield


def made(kernel_size: int, windows: str, dtype: torch.dtype = torch.float32) -> PatchRefiner:
    """A refiner of always the same weights, whose results are about as large as alpha."""
    refiner = PatchRefiner(kernel_size, windows)  # type: ignore[arg-type]
    generator = torch.Generator().manual_seed(0)
    for parameter in refiner.parameters():
        parameter.copy_(torch.rand(parameter.shape, generator=generator) * 2 - 1)
        parameter /= parameter[0].numel() ** 0.5
    return refiner.eval().to(dtype)


def inputs(batch: int, size: tuple[int, int], scale: float, dtype: torch.dtype) -> tuple[Tensor, Tensor, Coarse]:
    generator = torch.Generator().manual_seed(0)
    small = (max(1, int(size[0] * scale)), max(1, int(size[1] * scale)))

    def noise(channels: int, *size: int) -> Tensor:
        return torch.rand(batch, channels, *size, generator=generator, dtype=torch.float64).to(dtype)

    coarse = Coarse(noise(1, *small), noise(3, *small) - 0.5, noise(1, *small), noise(32, *small))
    return noise(3, *size), noise(3, *size), coarse


def corners(batch: int, size: tuple[int, int], side: int) -> Cells:
    """Tiles at all four corners and one between, of the first image and the last."""
    rows, columns = (-(-length // (4 * side)) for length in size)
    cells = {(0, 0, 0), (batch - 1, 0, columns - 1), (0, rows - 1, 0), (batch - 1, rows - 1, columns - 1)}
    return Cells(*torch.tensor(sorted(cells | {(batch - 1, rows // 2, columns // 2)})).T)


def compare(given: Pictures, tiles: Cells, side: int, kernel_size: int) -> None:
    kernels = made(kernel_size, "torch", given.coarse.dtype)._kernels(4)
    features, fours = look_with_torch(given, tiles, side, kernels)
    found, together = triton_windows.look_with_triton(given, tiles, side, kernels)
    assert found.dtype == features.dtype
    assert found.is_contiguous()
    torch.testing.assert_close(found, features, rtol=0, atol=ROUNDING[features.dtype])
    assert torch.equal(torch.cat(together, 3), torch.cat(fours, 3))


@pytest.mark.parametrize("side", [1, 2, 4])
@pytest.mark.parametrize("size", [(4, 4), (12, 20), (20, 28)], ids=str)
def test_windows_are_those_of_torch(size: tuple[int, int], side: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Fewer rows and columns of patches than a tile's and more, odd and even, not alike."""
    draw = random.Random(f"{size} {side}")
    monkeypatch.setattr(triton_windows, "PIXELS", draw.choice([64, 256]))
    batch, scale = draw.choice([1, 2]), draw.choice([0.5, 0.25, 0.3])
    given = pictures(*inputs(batch, size, scale, torch.float64))
    compare(given, corners(batch, size, side), side, draw.choice([1, 3]))


@pytest.mark.parametrize("dtype", ROUNDING, ids=str)
def test_windows_of_any_dtype_are_those_of_torch(dtype: torch.dtype) -> None:
    compare(pictures(*inputs(2, (12, 20), 0.3, dtype)), corners(2, (12, 20), 2), 2, 3)


def test_pictures_of_any_strides_are_looked_at() -> None:
    source, background, coarse = inputs(2, (12, 20), 0.25, torch.float64)
    whole = torch.rand(4, 5, 24, 21, dtype=torch.float64)
    turned = torch.rand(2, 20, 3, 12, dtype=torch.float64).permute(0, 2, 3, 1)
    for first, second in (
        (source.contiguous(memory_format=torch.channels_last), background),
        (whole[::2, 1:4, 2:14, 1:], whole[1::2, 2:, ::2, :20]),
        (turned, background[:1].expand(2, 3, 12, 20)),
    ):
        given = pictures(first, second, coarse)
        compare(given, corners(2, (12, 20), 2), 2, 3)
    by_columns = given.coarse.transpose(1, 2).contiguous().transpose(1, 2)
    compare(given._replace(coarse=by_columns), corners(2, (12, 20), 2), 2, 1)


def test_pictures_and_features_may_differ_in_dtype() -> None:
    """As under autocast."""
    source, background, coarse = inputs(2, (12, 20), 0.25, torch.float32)
    given = pictures(source, background, Coarse(*(each.bfloat16() for each in coarse)))
    compare(given, corners(2, (12, 20), 2), 2, 3)


@pytest.mark.parametrize(
    ("kernel_size", "dtype"),
    [(1, torch.float64), (3, torch.float64), (3, torch.float32), (3, torch.bfloat16), (3, torch.float16)],
    ids=str,
)
def test_refiners_give_the_same_with_both(
    kernel_size: int, dtype: torch.dtype, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(triton_windows, "PIXELS", 256)
    monkeypatch.setitem(tiled.PORTION, "cpu", 1)  # so that no tile is repeated
    looks = []
    original = triton_windows.look_with_triton
    monkeypatch.setattr(triton_windows, "look_with_triton", lambda *given: looks.append(1) or original(*given))
    size = (12, 20)
    given = inputs(2, size, 0.25, dtype)
    score = torch.rand(2, 1, 3, 5, generator=torch.Generator().manual_seed(1)).to(dtype)
    for patches, context in ((4, torch.no_grad()), (None, torch.inference_mode())):
        with context:
            expected = made(kernel_size, "torch", dtype)(*given, score, patches)
            assert not looks
            results = made(kernel_size, "triton", dtype)(*given, score, patches)
            assert looks
            looks.clear()
        for found, value in zip(results, expected, strict=True):
            assert found.dtype == value.dtype
            torch.testing.assert_close(found, value, rtol=0, atol=ROUNDING[dtype])
        assert (results[0] - made(kernel_size, "torch", dtype)(*given, score, 0)[0]).abs().max() > 0.1
