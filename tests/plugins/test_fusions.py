"""Fusions: pyramids and merged features of the right shape, and a gradient for all that trains."""

from collections.abc import Iterator
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor
from zoo_plugins.fusions import (
    AddFusion,
    AttentionFusion,
    BiFPNLayer,
    ConcatFusion,
    ConvFusion,
    GatedBiFPN,
    InceptionBiFPN,
    PyramidFusion,
    normalised,
)

from zoo.core.seeding import random_stream
from zoo.heads.parts import Fusion

FUSIONS = [GatedBiFPN, InceptionBiFPN, ConcatFusion, ConvFusion]
CHANNELS = (6, 10, 18)


@pytest.fixture(autouse=True)
def same_draws() -> Iterator[None]:
    """Weights and features are the same in every run."""
    with random_stream(0, "test"):
        yield


def built(fusion: Fusion, heatmaps: int = 68) -> Fusion:
    fusion.build(CHANNELS, heatmaps)
    return fusion


def features(batch: int = 2, side: int = 24) -> list[Tensor]:
    return [torch.rand(batch, count, side // 2**level, side // 2**level) for level, count in enumerate(CHANNELS)]


@pytest.mark.parametrize("cls", [GatedBiFPN, InceptionBiFPN])
def test_only_what_reaches_nothing_is_frozen(cls: Any) -> None:
    fusion = built(cls(channels=8, layers=3))
    frozen = {name.rpartition(".")[0] for name, value in fusion.named_parameters() if not value.requires_grad}
    assert {name.rpartition(".")[0] for name in frozen} == {
        "bifpn.layers.2.bottom_up.2",
        "bifpn.layers.2.bottom_up.3",
    }
    c2, c3, c4 = features(2, 64)
    before = fusion.eval().pyramid(c2, c3, c4)
    for block in fusion.bifpn.layers[2].bottom_up[2:]:
        torch.nn.init.zeros_(block.bn.weight)
    assert all(torch.equal(one, other) for one, other in zip(before, fusion.pyramid(c2, c3, c4), strict=True))


@pytest.mark.parametrize("cls", FUSIONS)
def test_heatmaps_change_what_goes_on(cls: Any) -> None:
    fusion = built(cls(channels=8)).eval()
    c2, c3, c4 = features()
    pyramid = fusion.pyramid(c2, c3, c4)
    low, high = (fusion.merge(c4, pyramid, torch.full((2, 68, 24, 24), value)) for value in (-9.0, 9.0))
    assert not torch.allclose(low, high)


def test_a_gate_lets_nothing_through_where_c4_is_zero() -> None:
    fusion = built(GatedBiFPN(channels=8)).eval()
    c2, c3, c4 = features()
    c4[:, :, :, :3] = 0
    merged = fusion.merge(c4, fusion.pyramid(c2, c3, c4), torch.randn(2, 68, 24, 24))
    assert not merged[:, :, :, :3].any()
    assert merged[:, :, :, 3:].all()


@pytest.mark.parametrize("c4_channels", [4, 5, 18, 64])
def test_inception_s_branches_fill_any_number_of_channels(c4_channels: int) -> None:
    fusion = InceptionBiFPN(8)
    fusion.build((6, 10, c4_channels), 68)
    c4 = torch.rand(2, c4_channels, 4, 4)
    pyramid = fusion.pyramid(torch.rand(2, 6, 16, 16), torch.rand(2, 10, 8, 8), c4)
    assert fusion.merge(c4, pyramid, torch.randn(2, 68, 16, 16)).shape == c4.shape


def test_inception_needs_a_channel_for_each_branch() -> None:
    with pytest.raises(ValueError, match=r"InceptionBiFPN: c4 has 3 channels, expected at least 4"):
        InceptionBiFPN(8).build((6, 10, 3), 68)


def test_a_level_of_concat_fusion_knows_its_own_feature_alone() -> None:
    fusion = built(ConcatFusion(channels=8))
    c2, c3, c4 = features()
    before, after = fusion.pyramid(c2, c3, c4), fusion.pyramid(c2, c3 + 1, c4)
    assert [torch.equal(one, other) for one, other in zip(before, after, strict=True)] == [True, False, True]


def test_a_feature_pyramid_tells_finer_levels_of_coarser_ones() -> None:
    fusion = built(PyramidFusion(channels=8))
    c2, c3, c4 = features()
    before, after = fusion.pyramid(c2, c3, c4), fusion.pyramid(c2, c3 + 1, c4)
    assert [torch.equal(one, other) for one, other in zip(before, after, strict=True)] == [False, False, True]


def test_add_fusion_adds_what_concatenation_would_keep_apart() -> None:
    fusion = built(AddFusion(channels=8), heatmaps=0)
    c2, c3, c4 = features()
    pyramid = fusion.pyramid(c2, c3, c4)
    pooled = [F.adaptive_avg_pool2d(level, c4.shape[-2:]) for level in pyramid]
    torch.testing.assert_close(fusion.merge(c4, pyramid, None), c4 + fusion.merging(sum(pooled)))


def test_attention_takes_the_source_that_its_query_asks_for() -> None:
    fusion = built(AttentionFusion(channels=2), heatmaps=0)
    with torch.no_grad():
        fusion.query.weight.zero_()
        fusion.query.bias.copy_(torch.tensor([100.0, 0.0]))
        for layer in (fusion.key, fusion.value):
            layer.weight.copy_(torch.eye(2)[:, :, None, None])
        fusion.value.bias.zero_()
    sources = torch.tensor([[0.0, 5.0], [1.0, 7.0], [0.5, 9.0]])[None, :, :, None, None]
    assert fusion.combine(features(1)[2][..., :1, :1], sources).flatten().tolist() == pytest.approx([1.0, 7.0])


@pytest.mark.parametrize("level", [0, 2])
def test_a_bifpn_tells_every_level_of_every_other(level: int) -> None:
    fusion = built(GatedBiFPN(channels=8)).eval()
    changed = features()
    before = fusion.pyramid(*changed)
    changed[level] = changed[level] + 1
    assert not any(torch.allclose(one, other) for one, other in zip(before, fusion.pyramid(*changed), strict=True))


@pytest.mark.parametrize(("cls", "reach"), [(ConcatFusion, 1), (ConvFusion, 9)])
def test_a_change_of_one_cell_reaches_its_neighbours_by_convolution_alone(cls: Any, reach: int) -> None:
    fusion = built(cls(channels=8), heatmaps=0).eval()
    c2, c3, c4 = features(1)
    pyramid, changed = fusion.pyramid(c2, c3, c4), c4.clone()
    changed[:, :, 3, 3] += 1
    differ = (fusion.merge(c4, pyramid, None) - fusion.merge(changed, pyramid, None)).abs().amax(1) > 1e-5
    assert differ.sum() == reach


def test_shares_are_relative_and_stay_finite() -> None:
    given = normalised(torch.tensor([[1.0, 3.0, -1.0], [1.0, 1.0, -2.0]]))
    torch.testing.assert_close(given, torch.tensor([[0.5, 0.75, 0.0], [0.5, 0.25, 0.0]]) + 1e-4)


def test_an_input_without_a_share_is_left_out() -> None:
    layer = BiFPNLayer(4, 0.1).eval()
    levels = [torch.rand(1, 4, 32 // 2**level, 32 // 2**level) for level in range(5)]
    with torch.no_grad():
        layer.top_down_weights[1] = 0  # on the way down: what comes from the coarser levels
        finest = layer(levels)[0]
        others_changed = layer([levels[0], *(1 + level for level in levels[1:])])[0]
        assert (finest - others_changed).abs().max() < 1e-3
        assert (finest - layer([1 + levels[0], *levels[1:]])[0]).abs().max() > 1e-3


@pytest.mark.parametrize("cls", [GatedBiFPN, InceptionBiFPN])
def test_the_momentum_reaches_every_batch_norm(cls: Any) -> None:
    fusion = built(cls(channels=8, batch_norm_momentum=0.25))
    momenta = [layer.momentum for layer in fusion.modules() if isinstance(layer, torch.nn.BatchNorm2d)]
    assert momenta
    assert set(momenta) == {0.25}


@pytest.mark.parametrize(
    ("cls", "arguments"),
    [
        (GatedBiFPN, {"channels": 0}),
        (GatedBiFPN, {"layers": 0}),
        (InceptionBiFPN, {"batch_norm_momentum": 0.0}),
        (InceptionBiFPN, {"batch_norm_momentum": 1.5}),
        (ConcatFusion, {"channels": 0}),
        (ConvFusion, {"channels": -3}),
    ],
)
def test_an_argument_out_of_range_is_an_error(cls: Any, arguments: dict[str, Any]) -> None:
    name, value = next(iter(arguments.items()))
    with pytest.raises(ValueError, match=rf"{cls.__name__}\(.*{name}={value}.*expected at least one channel"):
        cls(**arguments)
