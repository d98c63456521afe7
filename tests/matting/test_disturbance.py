"""The disturbance of captured backgrounds in validation and test: fixed, bounded, and absent when it is zero."""

import math

import pytest
import torch
from torch import Tensor

from zoo.matting.disturbance import Disturbance, disturb

NONE = Disturbance(shift=0, gamma=(1, 1), noise=0)


def picture(height: int = 24, width: int = 40) -> Tensor:
    return torch.rand(3, height, width, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("disturbance", [NONE, Disturbance(severity=0)])
def test_nothing_is_the_identity_to_the_bit(disturbance: Disturbance) -> None:
    background = picture()
    assert torch.equal(disturb(background, disturbance, 7), background)


def test_the_seed_decides_and_nothing_else() -> None:
    background = picture()
    first = disturb(background, Disturbance(), 7)
    torch.manual_seed(1)
    assert torch.equal(first, disturb(background, Disturbance(), 7))
    assert not torch.equal(first, disturb(background, Disturbance(), 8))
    assert first.shape == background.shape
    assert 0 <= first.min() <= first.max() <= 1
    assert torch.equal(background, picture())


@pytest.mark.parametrize("axis", [1, 2])
def test_the_shift_is_bilinear_within_its_reach_and_leaves_no_empty_border(axis: int) -> None:
    ramp = (torch.arange(40.0) / 100 + 0.2).expand(3, 40, 40)
    ramp = ramp if axis == 2 else ramp.mT
    shifts = []
    for seed in range(100):
        moved = disturb(ramp, Disturbance(shift=0.3, gamma=(1, 1), noise=0), seed)
        inner = (ramp - moved)[:, 1:-1, 1:-1] * 100
        torch.testing.assert_close(inner, inner[0, 0, 0].expand_as(inner), rtol=0, atol=1e-3)
        assert moved.min() >= 0.2 - 1e-6
        shifts.append(float(inner[0, 0, 0]))
    assert -0.301 < min(shifts) < -0.28
    assert 0.28 < max(shifts) < 0.301


def test_the_shifts_along_the_two_axes_are_independent() -> None:
    ramp = (torch.arange(16.0) / 100 + 0.2).expand(3, 16, 16)
    still = Disturbance(shift=0.3, gamma=(1, 1), noise=0)
    right, down = (
        torch.stack([(picture - disturb(picture, still, seed))[0, 8, 8] for seed in range(200)])
        for picture in (ramp, ramp.mT)
    )
    assert torch.corrcoef(torch.stack([right, down]))[0, 1].abs() < 0.2


def test_gamma_stays_within_its_range() -> None:
    grey = torch.full((3, 8, 8), 0.5)
    gammas = [
        math.log(disturb(grey, Disturbance(0, (0.85, 1.15), 0), seed)[0, 0, 0]) / math.log(0.5) for seed in range(100)
    ]
    assert 0.85 <= min(gammas) < 0.87
    assert 1.13 < max(gammas) <= 1.15


def test_noise_has_the_given_deviation() -> None:
    grey = torch.full((3, 64, 64), 0.5)
    noise = disturb(grey, Disturbance(0, (1, 1), 0.02), 5) - grey
    assert float(noise.std()) == pytest.approx(0.02, rel=0.03)
    assert abs(float(noise.mean())) < 0.001


def test_severity_multiplies_the_same_draws() -> None:
    grey = torch.full((3, 32, 32), 0.5)
    noise = [disturb(grey, Disturbance(0, (1, 1), 0.01, severity=s), 5) - grey for s in (1, 3)]
    torch.testing.assert_close(noise[1], noise[0] * 3, rtol=0, atol=1e-6)
    exponents = [
        math.log(disturb(grey, Disturbance(0, (0.85, 1.15), 0, severity=s), 5)[0, 0, 0]) / math.log(0.5) for s in (1, 2)
    ]
    assert exponents[1] == pytest.approx(exponents[0] ** 2, rel=1e-4)
    background = picture(64, 64)
    errors = [(disturb(background, Disturbance(severity=s), 5) - background).abs().mean() for s in (0.0, 0.5, 1.0, 2.0)]
    assert errors == sorted(errors)


def test_bad_input_is_named() -> None:
    with pytest.raises(ValueError, match=r"shape \(1, 3, 4, 4\)"):
        disturb(torch.ones(1, 3, 4, 4), Disturbance(), 0)
    with pytest.raises(ValueError, match=r"torch.uint8"):
        disturb(torch.ones(3, 4, 4, dtype=torch.uint8), Disturbance(), 0)
    with pytest.raises(ValueError, match=r"Disturbance\(shift=-1\)"):
        Disturbance(shift=-1)
    with pytest.raises(ValueError, match=r"gamma=\[1.15, 0.85\]"):
        Disturbance(gamma=(1.15, 0.85))
