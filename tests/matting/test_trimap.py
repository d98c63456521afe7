"""Trimaps: equal to iterated binary morphology, and sensible around edges."""

import numpy as np
import pytest
import torch
from scipy import ndimage

from zoo.matting.trimap import trimap

STRUCTURES = {"square": np.ones((3, 3), bool), "cross": ndimage.generate_binary_structure(2, 1)}


def smooth_alpha(seed: int, size: tuple[int, int]) -> np.ndarray:
    noise = ndimage.gaussian_filter(np.random.default_rng(seed).normal(size=size), 3)
    return np.clip(noise / noise.std() * 0.4 + 0.5, 0, 1).astype(np.float32)


def reference(alpha: np.ndarray, dilations: int, erosions: int, mode: str, kernel: str) -> np.ndarray:
    def dilate(mask: np.ndarray, times: int) -> np.ndarray:
        return ndimage.binary_dilation(mask, STRUCTURES[kernel], iterations=times) if times else mask

    def erode(mask: np.ndarray, times: int) -> np.ndarray:
        return ndimage.binary_erosion(mask, STRUCTURES[kernel], iterations=times, border_value=1) if times else mask

    background, foreground = alpha <= 0.06, alpha >= 0.96
    if mode == "band":
        unknown = ~erode(background, dilations) & ~erode(foreground, erosions)
    else:
        unknown = erode(dilate(~background & ~foreground, dilations), erosions)
    return np.where(unknown, 0.5, foreground.astype(np.float32))


@pytest.mark.parametrize("mode", ["band", "closing"])
@pytest.mark.parametrize("kernel", ["square", "cross"])
@pytest.mark.parametrize(("dilations", "erosions"), [(10, 10), (3, 7), (1, 0), (0, 0)])
@pytest.mark.parametrize("size", [(61, 83), (7, 5)])
def test_equals_iterated_morphology(
    mode: str, kernel: str, dilations: int, erosions: int, size: tuple[int, int]
) -> None:
    alphas = np.stack([smooth_alpha(seed, size) for seed in range(3)])
    result = trimap(torch.from_numpy(alphas)[:, None], dilations=dilations, erosions=erosions, mode=mode, kernel=kernel)
    for alpha, one in zip(alphas, result, strict=True):
        np.testing.assert_array_equal(one[0].numpy(), reference(alpha, dilations, erosions, mode, kernel))


def test_band_surrounds_a_hard_edge_and_closing_does_not() -> None:
    alpha = torch.zeros(1, 1, 4, 64)
    alpha[..., 32:] = 1
    row = trimap(alpha)[0, 0, 0]
    assert row.tolist() == [0.0] * 22 + [0.5] * 20 + [1.0] * 22
    assert trimap(alpha, mode="closing").equal(alpha)


def test_closing_fills_the_gaps_between_fractional_pixels() -> None:
    alpha = torch.zeros(1, 1, 1, 40)
    alpha[..., 10], alpha[..., 20] = 0.5, 0.5
    row = trimap(alpha, dilations=5, erosions=5, mode="closing")[0, 0, 0]
    assert row.tolist() == [0.0] * 10 + [0.5] * 11 + [0.0] * 19


@pytest.mark.parametrize("value", [0.0, 1.0])
@pytest.mark.parametrize("mode", ["band", "closing"])
def test_a_constant_alpha_has_no_unknown_region(value: float, mode: str) -> None:
    alpha = torch.full((1, 1, 9, 9), value)
    assert trimap(alpha, mode=mode).equal(alpha)


def test_a_fractional_pixel_is_unknown_without_any_iteration() -> None:
    alpha = torch.tensor([0.0, 0.06, 0.07, 0.95, 0.96, 1.0]).view(1, 1, 1, 6)
    assert trimap(alpha, dilations=0, erosions=0).flatten().tolist() == [0, 0, 0.5, 0.5, 1, 1]


def test_one_sample_without_batch_dimension_and_reduced_precision() -> None:
    alpha = torch.from_numpy(smooth_alpha(0, (30, 40)) > 0.5)[None]
    single = trimap(alpha.bfloat16())
    assert single.dtype == torch.bfloat16
    assert single.shape == (1, 30, 40)
    assert single.float().equal(trimap(alpha[None].float())[0])


@pytest.mark.parametrize(
    "arguments", [{"mode": "opening"}, {"kernel": "disc"}, {"low": 0.9, "high": 0.1}, {"dilations": -1}]
)
def test_refuses_what_it_does_not_know(arguments: dict) -> None:
    with pytest.raises(ValueError, match="expected"):
        trimap(torch.zeros(1, 1, 4, 4), **arguments)


def test_refuses_integers() -> None:
    with pytest.raises(ValueError, match="expected float"):
        trimap(torch.zeros(1, 1, 4, 4, dtype=torch.uint8))
