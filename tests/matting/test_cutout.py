"""Colours of cut-outs: they give the source back over its background, and hold no light of a screen."""

import sys

import pytest
import torch

from zoo.core.errors import ZooError
from zoo.matting import cutout
from zoo.matting.compose import composite
from zoo.matting.cutout import CutOut, despill, estimate_foreground, screen_colour, unmix
from zoo.matting.parts import MattingOutput
from zoo.media.exr import to_linear, to_srgb


def images(seed=0, size=16):
    """Return true foreground, soft alpha, background, and colours as a network that bleeds predicts them."""
    generator = torch.Generator().manual_seed(seed)
    foreground, background = torch.rand(2, 1, 3, size, size, generator=generator)
    alpha = torch.rand(1, 1, size, size, generator=generator).clamp(0.3, 0.9)
    return foreground, alpha, background, composite(foreground, alpha, background)


@pytest.mark.parametrize("linear", [False, True], ids=["sRGB", "linear light"])
def test_colours_that_bleed_are_replaced_by_those_of_the_foreground(linear):
    foreground, alpha, background, source = images()
    if linear:
        source = to_srgb(composite(to_linear(foreground), alpha, to_linear(background)))
    found = unmix(source, alpha, source, background, linear)
    bleeding, error = ((each - foreground).abs().mean() for each in (source, found))
    assert error < 0.7 * bleeding
    found, source, background = (to_linear(each) if linear else each for each in (found, source, background))
    bleeding, error = ((composite(each, alpha, background) - source).abs().mean() for each in (source, found))
    assert error < 0.5 * bleeding


def test_opaque_pixels_are_those_of_the_source_and_transparent_ones_of_the_network():
    foreground, _, background, source = images()
    ones, zeros = torch.ones(1, 1, 16, 16), torch.zeros(1, 1, 16, 16)
    torch.testing.assert_close(unmix(foreground, ones, source * 3, background), source * 3)  # highlights included
    assert torch.equal(unmix(foreground, zeros, source, background), foreground)


def test_colours_stay_colours():
    foreground, _, background, source = images()
    for level in (0.01, 0.1, 0.5, 0.99):
        found = unmix(foreground, torch.full((1, 1, 16, 16), level), 1 - source, background)
        assert found.min() >= 0
        assert found.max() <= 1


@pytest.mark.parametrize(
    ("screen", "before", "after"),
    [
        ("green", (0.3, 0.8, 0.4), (0.3, 0.4, 0.4)),
        ("blue", (0.3, 0.4, 0.8), (0.3, 0.4, 0.4)),
        ("red", (0.8, 0.3, 0.4), (0.4, 0.3, 0.4)),
        ("#00b140", (0.5, 0.5, 0.5), (0.5, 0.5, 0.5)),
        ("#00ffff", (0.2, 0.6, 0.6), (0.2 + 0.4 / 3, 0.6 - 0.8 / 3, 0.6 - 0.8 / 3)),
    ],
)
def test_the_primary_of_the_screen_is_limited_by_the_others(screen, before, after):
    found = despill(torch.tensor(before).view(1, 3, 1, 1), screen_colour(screen))
    torch.testing.assert_close(found.flatten(), torch.tensor(after))


@pytest.mark.parametrize("screen", ["green", "blue", "#00b140", "#1030c0", "#c08010"])
def test_nothing_changes_where_nothing_spills(screen):
    colour = torch.tensor(screen_colour(screen))
    opposite = 1 - torch.rand(1, 1, 8, 8, generator=torch.Generator().manual_seed(0)) * colour.view(1, 3, 1, 1)
    for image in (opposite, torch.rand(1, 1, 8, 8).expand(1, 3, 8, 8)):
        assert torch.equal(despill(image, screen_colour(screen)), image)
    twice = despill(despill(torch.rand(1, 3, 8, 8), screen_colour("green")), screen_colour("green"))
    assert (twice[:, 1] <= twice[:, [0, 2]].amax(1)).all()


def test_an_output_without_colours_stays_without():
    ones = torch.ones(1, 1, 2, 2)
    output = MattingOutput(ones, None, ones, None, ones, ones)
    assert CutOut()(output, torch.ones(1, 3, 2, 2), torch.ones(1, 3, 2, 2)) is output


def test_the_estimate_takes_the_place_of_the_network_s_colours(monkeypatch):
    foreground, alpha, background, source = images()
    output = MattingOutput(alpha, 1 - foreground, alpha, foreground, alpha, alpha)
    seen = []

    def estimate(image, matte):
        seen.append((image, matte))
        return foreground[0].permute(1, 2, 0).numpy()

    monkeypatch.setattr(cutout, "import_estimator", lambda: estimate)
    assert torch.equal(CutOut(estimate=True)(output, source * 2, None).foreground, foreground)
    image, matte = seen[0]
    assert image.shape == (16, 16, 3)
    assert matte.shape == (16, 16)
    assert image.max() == 1  # highlights are clipped
    found = CutOut(estimate=True)(output, source, background).foreground
    torch.testing.assert_close(found, foreground)  # which gives the source already


def test_pymatting_finds_the_colour_behind_a_soft_edge():
    pytest.importorskip("pymatting")
    alpha = torch.linspace(0, 1, 32).expand(1, 1, 32, 32)
    red, green = (torch.tensor(colour).view(1, 3, 1, 1) for colour in ((0.8, 0.1, 0.1), (0.1, 0.7, 0.2)))
    found = estimate_foreground(composite(red, alpha, green), alpha)
    assert found.dtype == torch.float32
    assert (found - red)[..., 8:].abs().max() < 0.1


def test_without_pymatting_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "pymatting.foreground.estimate_foreground_ml", None)
    monkeypatch.setitem(sys.modules, "pymatting", None)
    with pytest.raises(ZooError, match="--estimate-foreground needs pymatting, which is not installed: pip install"):
        CutOut(estimate=True)


def test_half_precision_is_solved_in_full():
    foreground, alpha, background, source = images()
    half = MattingOutput(*(each.bfloat16() for each in (alpha, foreground, alpha, foreground, alpha, alpha)))
    found = CutOut(screen_colour("green"))(half, source, background).foreground
    assert found.dtype == torch.float32


@pytest.mark.parametrize(("screen", "words"), [("greenish", "is no colour; expected green, blue"), ("#808080", "grey")])
def test_a_screen_needs_a_hue(screen, words):
    with pytest.raises(ZooError, match=words):
        screen_colour(screen)
