"""Loss terms against values worked out by hand."""

import math
from typing import Any

import pytest
import torch
from torch import Tensor
from zoo_plugins.losses.matting import AlphaL1, AlphaMSE, ErrorMSE, ForegroundL1, GradientL1, sobel_magnitude

from zoo.core.parts import LossTerm
from zoo.matting.parts import MattingBatch, MattingOutput


def image(*rows: list[float], channels: int = 1) -> Tensor:
    return torch.tensor([[list(rows)]]).expand(1, channels, -1, -1).clone()


def output(**fields: Tensor) -> MattingOutput:
    """An output in which every field that is not given would spoil the result."""
    spoilt = {name: torch.full((1, 1, 1, 1), math.nan) for name in MattingOutput._fields}
    return MattingOutput(**(spoilt | fields))


def batch(alpha: Tensor, foreground: Tensor | None = None) -> MattingBatch:
    nothing = torch.full((1, 3, 1, 1), math.nan)
    return MattingBatch(nothing, nothing, alpha, nothing if foreground is None else foreground)


# Values


def test_alpha_l1_is_the_mean_absolute_difference() -> None:
    truth = image([1.0, 0.0], [0.5, 1.0])
    assert AlphaL1()(output(alpha=image([0.5, 0.0], [1.0, 0.75])), batch(truth)).item() == pytest.approx(
        (0.5 + 0 + 0.5 + 0.25) / 4
    )


def test_alpha_mse_is_the_mean_squared_difference() -> None:
    alpha, target = torch.tensor([[[[0.0, 1.0]]]]), torch.tensor([[[[0.5, 1.0]]]])
    assert AlphaMSE()(output(alpha=alpha), batch(target)).item() == 0.125
    assert AlphaMSE("coarse")(output(coarse_alpha=alpha), batch(target)).item() == 0.125


def test_coarse_alpha_is_compared_with_the_target_at_its_size() -> None:
    # At half size, bilinear without antialias, a coarse pixel is the mean of two by two.
    truth = image([1.0, 0.0, 0.0, 0.0], [1.0, 0.0, 0.0, 0.5])  # → 0.5, 0.125
    value = AlphaL1("coarse")(output(coarse_alpha=image([0.25, 0.125])), batch(truth))
    assert value.item() == pytest.approx(0.25 / 2)


def test_coarse_targets_are_resized_without_antialias() -> None:
    # At a quarter of the width a coarse pixel is the mean of the two pixels in the middle of its four.
    truth = image(*([[1.0, 0.5, 0.0, 1.0]] * 4))
    assert AlphaL1("coarse")(output(coarse_alpha=image([0.0])), batch(truth)).item() == pytest.approx(0.25)


def test_sobel_magnitude_of_a_step() -> None:
    # Beside a vertical step of height 1, the kernel (1 + 2 + 1) / 8 gives 1/2; elsewhere only the epsilon is left.
    magnitude = sobel_magnitude(image(*([[0.0, 0.0, 1.0, 1.0]] * 3)))
    flat, edge = math.sqrt(1e-6), math.sqrt(0.25 + 1e-6)
    torch.testing.assert_close(magnitude, image(*([[flat, edge, edge, flat]] * 3)))
    torch.testing.assert_close(sobel_magnitude(image(*([[0.0, 0.0, 1.0, 1.0]] * 3)).mT), magnitude.mT)


def test_sobel_magnitude_joins_both_directions() -> None:
    # At the centre of a corner: gx = gy = 3/8.
    corner = image([0.0, 0.0, 0.0], [0.0, 1.0, 1.0], [0.0, 1.0, 1.0])
    assert sobel_magnitude(corner)[0, 0, 1, 1].item() == pytest.approx(math.sqrt(2 * (3 / 8) ** 2 + 1e-6))


def test_gradient_l1_compares_edges() -> None:
    step, flat = image(*([[0.0, 0.0, 1.0, 1.0]] * 3)), image(*([[0.3, 0.3, 0.3, 0.3]] * 3))
    expected = (math.sqrt(0.25 + 1e-6) - 1e-3) / 2
    assert GradientL1()(output(alpha=flat), batch(step)).item() == pytest.approx(expected)
    assert GradientL1("coarse")(output(coarse_alpha=flat), batch(step)).item() == pytest.approx(expected)
    assert GradientL1()(output(alpha=step), batch(step)).item() == 0


def test_gradient_l1_has_a_gradient_where_alpha_is_flat() -> None:
    flat = image(*([[0.3] * 4] * 3)).requires_grad_()
    GradientL1()(output(alpha=flat), batch(image(*([[0.0, 0.0, 1.0, 1.0]] * 3)))).backward()
    assert flat.grad is not None
    assert flat.grad.isfinite().all()


def test_foreground_l1_looks_only_where_alpha_is_above_zero_but_averages_over_all() -> None:
    truth, alpha = image([0.5, 0.5], [0.5, 0.5], channels=3), image([0.0, 0.01], [1.0, 0.0])
    predicted = image([0.9, 0.6], [0.25, 0.0], channels=3)
    assert ForegroundL1()(output(foreground=predicted), batch(alpha, truth)).item() == pytest.approx((0.1 + 0.25) / 4)


def test_coarse_foreground_is_masked_by_the_resized_alpha() -> None:
    # One pixel of alpha in each two by two makes the coarse alpha positive: the mask is taken after the resize.
    alpha, truth = image([0.0, 0.0, 0.0, 0.0], [0.0, 1.0, 0.0, 0.0]), image([0.5] * 4, [0.5] * 4, channels=3)
    predicted = image([0.9, 0.9], channels=3)
    value = ForegroundL1("coarse")(output(coarse_foreground=predicted), batch(alpha, truth))
    assert value.item() == pytest.approx(0.4 / 2)


def test_error_mse_at_the_size_of_the_target() -> None:
    # Alpha and error are enlarged: 1×1 → 2×2 is constant.
    given = output(error=image([0.5]), coarse_alpha=image([0.75]))
    truth = image([0.75, 0.25], [1.0, 0.75])  # true errors 0, 0.5, 0.25, 0
    expected = (0.5**2 + 0 + 0.25**2 + 0.5**2) / 4
    assert ErrorMSE()(given, batch(truth)).item() == pytest.approx(expected)
    assert ErrorMSE(detach_target=False)(given, batch(truth)).item() == pytest.approx(expected)


# Gradients


def test_error_mse_moves_alpha_only_when_its_target_is_not_detached() -> None:
    for detach in (True, False):
        error, alpha = image([0.5]).requires_grad_(), image([0.75]).requires_grad_()
        ErrorMSE(detach)(output(error=error, coarse_alpha=alpha), batch(image([0.25]))).backward()
        assert error.grad is not None
        assert error.grad.item() == pytest.approx(0.0)
        assert alpha.grad is None if detach else alpha.grad is not None
    error, alpha = image([0.75]).requires_grad_(), image([0.75]).requires_grad_()
    ErrorMSE(False)(output(error=error, coarse_alpha=alpha), batch(image([0.25]))).backward()
    assert error.grad is not None
    assert alpha.grad is not None
    assert error.grad.item() == pytest.approx(2 * 0.25)
    assert alpha.grad.item() == pytest.approx(-2 * 0.25)


# The contract

TERMS = [
    (AlphaL1("full"), {"alpha"}, {"alpha"}),
    (AlphaL1("coarse"), {"coarse_alpha"}, {"alpha"}),
    (GradientL1("full"), {"alpha"}, {"alpha"}),
    (GradientL1("coarse"), {"coarse_alpha"}, {"alpha"}),
    (ForegroundL1("full"), {"foreground"}, {"alpha", "foreground"}),
    (ForegroundL1("coarse"), {"coarse_foreground"}, {"alpha", "foreground"}),
    (ErrorMSE(), {"error", "coarse_alpha"}, {"alpha"}),
]


@pytest.mark.parametrize(("term", "reads", "targets"), TERMS)
def test_a_term_says_what_it_reads(term: LossTerm, reads: set[str], targets: set[str]) -> None:
    assert term.reads == reads
    assert term.targets == targets
    full = {"alpha": image([0.5] * 4, [0.5] * 4), "foreground": image([0.5] * 4, [0.5] * 4, channels=3)}
    small = {
        "coarse_alpha": image([0.5] * 2),
        "coarse_foreground": image([0.5] * 2, channels=3),
        "error": image([0.0] * 2),
    }
    # All other fields are NaN, so that a field read in secret shows.
    given = output(**{name: value for name, value in (full | small).items() if name in reads})
    assert term(given, batch(**full)).item() == 0


@pytest.mark.parametrize("term", [AlphaL1, GradientL1, ForegroundL1])
def test_another_size_is_refused(term: Any) -> None:
    with pytest.raises(ValueError, match=rf"{term.__name__}\(at='half'\): expected 'full' or 'coarse'\."):
        term("half")
