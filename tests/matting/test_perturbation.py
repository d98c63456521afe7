"""The perturbation of captured backgrounds in validation and test: fixed, bounded, and absent when it is zero."""

import math

import pytest
import torch
from torch import Tensor

from zoo.matting.perturbation import Perturbation, perturb

NONE = Perturbation(shift=0, gamma=(1, 1), noise=0)


def picture(height: int = 24, width: int = 40) -> Tensor:
    return torch.rand(3, height, width, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("perturbation", [NONE, Perturbation(severity=0)])
def test_nothing_is_the_identity_to_the_bit(perturbation: Perturbation) -> None:
    background = picture()
    assert torch.equal(perturb(background, perturbation, 7), background)


def test_the_seed_decides_and_nothing_else() -> None:
    background = picture()
    first = perturb(background, Perturbation(), 7)
    torch.manual_seed(1)
    assert torch.equal(first, perturb(background, Perturbation(), 7))
    assert not torch.equal(first, perturb(background, Perturbation(), 8))
    assert first.shape == background.shape
    assert 0 <= first.min() <= first.max() <= 1
    assert torch.equal(background, picture())


@pytest.mark.parametrize("axis", [1, 2])
def test_the_shift_is_bilinear_within_its_reach_and_leaves_no_empty_border(axis: int) -> None:
    ramp = (torch.arange(40.0) / 100 + 0.2).expand(3, 40, 40)
    ramp = ramp if axis == 2 else ramp.mT
    shifts = []
    for seed in range(100):
        moved = perturb(ramp, Perturbation(shift=0.3, gamma=(1, 1), noise=0), seed)
        inner = (ramp - moved)[:, 1:-1, 1:-1] * 100
        torch.testing.assert_close(inner, inner[0, 0, 0].expand_as(inner), rtol=0, atol=1e-3)
        assert moved.min() >= 0.2 - 1e-6
        shifts.append(float(inner[0, 0, 0]))
    assert -0.301 < min(shifts) < -0.28
    assert 0.28 < max(shifts) < 0.301


def test_the_shifts_along_the_two_axes_are_independent() -> None:
    ramp = (torch.arange(16.0) / 100 + 0.2).expand(3, 16, 16)
    still = Perturbation(shift=0.3, gamma=(1, 1), noise=0)
    right, down = (
        torch.stack([(picture - perturb(picture, still, seed))[0, 8, 8] for seed in range(200)])
        for picture in (ramp, ramp.mT)
    )
    assert torch.corrcoef(torch.stack([right, down]))[0, 1].abs() < 0.2


def test_gamma_stays_within_its_range() -> None:
    grey = torch.full((3, 8, 8), 0.5)
    gammas = [
        math.log(perturb(grey, Perturbation(0, (0.85, 1.15), 0), seed)[0, 0, 0]) / math.log(0.5) for seed in range(100)
    ]
    assert 0.85 <= min(gammas) < 0.87
    assert 1.13 < max(gammas) <= 1.15


def test_noise_has_the_given_deviation() -> None:
    grey = torch.full((3, 64, 64), 0.5)
    noise = perturb(grey, Perturbation(0, (1, 1), 0.02), 5) - grey
    assert float(noise.std()) == pytest.approx(0.02, rel=0.03)
    assert abs(float(noise.mean())) < 0.001


def test_severity_multiplies_the_same_draws() -> None:
    grey = torch.full((3, 32, 32), 0.5)
    noise = [perturb(grey, Perturbation(0, (1, 1), 0.01, severity=s), 5) - grey for s in (1, 3)]
    torch.testing.assert_close(noise[1], noise[0] * 3, rtol=0, atol=1e-6)
    exponents = [
        math.log(perturb(grey, Perturbation(0, (0.85, 1.15), 0, severity=s), 5)[0, 0, 0]) / math.log(0.5)
        for s in (1, 2)
    ]
    assert exponents[1] == pytest.approx(exponents[0] ** 2, rel=1e-4)
    background = picture(64, 64)
    errors = [
        (perturb(background, Perturbation(severity=s), 5) - background).abs().mean() for s in (0.0, 0.5, 1.0, 2.0)
    ]
    assert errors == sorted(errors)


def test_bad_input_is_named() -> None:
    with pytest.raises(ValueError, match=r"shape \(1, 3, 4, 4\)"):
        perturb(torch.ones(1, 3, 4, 4), Perturbation(), 0)
    with pytest.raises(ValueError, match=r"torch.uint8"):
        perturb(torch.ones(3, 4, 4, dtype=torch.uint8), Perturbation(), 0)
    with pytest.raises(ValueError, match=r"Perturbation\(shift=-1\)"):
        Perturbation(shift=-1)
    with pytest.raises(ValueError, match=r"gamma=\[1.15, 0.85\]"):
        Perturbation(gamma=(1.15, 0.85))
