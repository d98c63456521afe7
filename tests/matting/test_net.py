"""The matting network: identities between its paths, any size, one graph, and sentences for what cannot work."""

import random
import warnings
from collections.abc import Sequence
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from zoo_plugins.backbones import TimmBackbone
from zoo_plugins.contexts import ASPP, NoContext
from zoo_plugins.error_maps import AlphaUncertainty, NoError, OracleError, PredictedError
from zoo_plugins.refiners import NoRefiner, PatchRefiner
from zoo_plugins.selectors import AllPatches, NoPatches, RandomPatches, Threshold, TopK

from zoo.core.parts import Backbone
from zoo.matting.fast import FastMatting
from zoo.matting.net import MattingNetwork
from zoo.matting.parts import MattingOutput, PatchSelector, Refiner


class SmallBackbone(Backbone):
    """Four convolutions, so that tests spend their time elsewhere."""

    def build(self, in_channels: int, strides: Sequence[int]) -> None:
        self.channels, self.strides = [6, 8, 10, 12], list(strides)
        self.stages = nn.ModuleList(
            nn.Conv2d(before, after, 3, 2, 1)
            for before, after in zip([in_channels, 6, 8, 10], self.channels, strict=True)
        )

    def forward(self, image: Tensor) -> list[Tensor]:
        features = [image]
        for stage in self.stages:
            features.append(F.relu(stage(features[-1])))
        return features[1:]


def made(
    selector: PatchSelector | None = None, refiner: Refiner | None = None, seed: int = 0, **arguments: Any
) -> MattingNetwork:
    """A network in evaluation whose alpha and error are well inside 0 and 1, and whose refiner makes a difference."""
    network = MattingNetwork(
        arguments.pop("backbone", SmallBackbone()),
        arguments.pop("error_map", PredictedError()),
        selector or TopK(20),
        refiner or PatchRefiner(),
        **arguments,
    )
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        for layer in network.modules():
            if isinstance(layer, nn.Conv2d | nn.BatchNorm2d):
                layer.reset_parameters()
            if isinstance(layer, nn.BatchNorm2d):
                nn.init.normal_(layer.running_mean, 0, 0.1)
                nn.init.uniform_(layer.running_var, 0.5, 1.5)
        nn.init.normal_(network.decoder.conv4.weight, 0, 0.1)
        nn.init.constant_(network.decoder.conv4.bias, 0.5)
    return network.eval()


def pictures(batch: int = 1, height: int = 64, width: int = 80, seed: int = 0) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    source, background = torch.rand(2, batch, 3, height, width, generator=generator)
    return source, background


def run(network: MattingNetwork, *given: Tensor, **named: Tensor) -> MattingOutput:
    with torch.no_grad():
        return network(*given, **named)


def assert_equal(one: MattingOutput, other: MattingOutput, tolerance: float = 1e-5) -> None:
    for name, left, right in zip(MattingOutput._fields, one, other, strict=True):
        assert left.shape == right.shape, name
        assert (left - right).abs().max() <= tolerance, name


# Identities


@pytest.mark.parametrize("kernel_size", [1, 3])
@pytest.mark.parametrize("base_scale", [0.5, 0.25, 0.125])
def test_selecting_every_patch_is_refining_everywhere(kernel_size: int, base_scale: float) -> None:
    network = made(AllPatches(), PatchRefiner(kernel_size), base_scale=base_scale)
    given = pictures(2, 61, 83)
    everywhere = run(network, *given)
    assert everywhere.refined.all()
    for selector in (RandomPatches(16 * 21), TopK(16 * 21, fixed_count=True), Threshold(-1.0)):
        network.selector = selector.eval()
        assert_equal(run(network, *given), everywhere)
        images, halves, enlarged, score = refiner_inputs(network, given)
        gathered, _ = network.refiner.gathered(images, halves, score, None, enlarged)
        dense, _ = network.refiner.dense(images, halves, score, None, enlarged)
        torch.testing.assert_close(gathered, dense, rtol=0, atol=1e-5)


def refiner_inputs(network: MattingNetwork, given: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """What the refiner's paths get, caught on its way."""
    caught: list[Any] = []
    handle = network.refiner.register_forward_pre_hook(lambda _, inputs: caught.extend(inputs))
    run(network, *given)
    handle.remove()
    source, background, coarse, score, _ = caught
    with torch.no_grad():
        images, halves = network.refiner._inputs(source, background, coarse)
        enlarged = F.interpolate(torch.cat([coarse.alpha, coarse.foreground], 1), images.shape[-2:], mode="bilinear")
    return images, halves, enlarged, score


def test_every_path_is_equal_in_random_configurations() -> None:
    draw = random.Random(0)
    for trial in range(12):
        height, width = draw.randint(16, 90), draw.randint(16, 90)
        cells = -(-height // 4) * -(-width // 4)
        selector = draw.choice([TopK(draw.randint(1, cells)), RandomPatches(draw.randint(1, cells)), Threshold(0.5)])
        refiner = PatchRefiner(draw.choice([1, 3]))
        network = made(selector, refiner, trial, base_scale=draw.choice([0.5, 0.25, 0.125]))
        given = pictures(draw.randint(1, 3), height, width, trial)
        images, halves, enlarged, score = refiner_inputs(network, given)
        with torch.no_grad():
            results = [
                path(images, halves, score, selector.patches, enlarged)
                for path in (refiner.gathered, refiner.static, refiner.dense)
            ]
        for result, refined in results[1:]:
            assert torch.equal(refined, results[0][1]), trial
            torch.testing.assert_close(result, results[0][0], rtol=0, atol=1e-5)


@pytest.mark.parametrize(
    "selector", [TopK(0), NoPatches(), TopK(10), Threshold(0.5)], ids=["k=0", "none", "topk", "threshold"]
)
def test_without_error_or_patches_the_coarse_result_is_enlarged(selector: PatchSelector) -> None:
    network = made(selector)
    nn.init.constant_(network.decoder.conv4.bias[4:5].detach(), -100)  # the error channel: clamped to 0
    source, background = pictures(2, 62, 81)
    output = run(network, source, background)
    assert not output.refined.any()
    assert not output.error.any()
    enlarged = F.interpolate(output.coarse_alpha, (64, 84), mode="bilinear")[..., :62, :81]
    torch.testing.assert_close(output.alpha, enlarged)


def test_images_of_a_batch_do_not_see_each_other() -> None:
    network = made()
    source, background = pictures(3, 50, 70)
    together = run(network, source, background)
    for index in range(3):
        alone = run(network, source[index : index + 1], background[index : index + 1])
        assert_equal(MattingOutput(*(field[index : index + 1] for field in together)), alone)


# Sizes


@pytest.mark.parametrize(("height", "width"), [(16, 16), (17, 31), (33, 18), (61, 83), (64, 81)])
@pytest.mark.parametrize("base_scale", [0.5, 0.25, 0.125])
def test_any_size_comes_out_as_it_went_in(height: int, width: int, base_scale: float) -> None:
    network, (source, background) = made(TopK(10), base_scale=base_scale), pictures(2, height, width)
    output = run(network, source, background)
    assert output.alpha.shape == (2, 1, height, width)
    assert output.foreground.shape == (2, 3, height, width)
    assert output.refined.shape == (2, 1, -(-height // 4), -(-width // 4))
    assert output.refined.sum((1, 2, 3)).tolist() == [10, 10]
    padded = [F.pad(image, (0, -width % 4, 0, -height % 4), mode="replicate") for image in (source, background)]
    whole = run(network, *padded)
    assert torch.equal(output.alpha, whole.alpha[..., :height, :width])
    assert torch.equal(output.foreground, whole.foreground[..., :height, :width])
    assert torch.equal(output.coarse_alpha, whole.coarse_alpha)
    assert torch.equal(output.refined, whole.refined)


@pytest.mark.parametrize("base_scale", [1, 0.25])
def test_without_a_refiner_nothing_is_padded(base_scale: float) -> None:
    network, (source, background) = made(refiner=NoRefiner(), base_scale=base_scale), pictures(2, 61, 83)
    output = run(network, source, background)
    size = (int(61 * base_scale), int(83 * base_scale))
    assert output.alpha.shape == (2, 1, 61, 83)
    assert output.coarse_alpha.shape[-2:] == output.error.shape[-2:] == output.coarse_foreground.shape[-2:] == size
    assert output.refined.shape == (2, 1, 16, 21)
    assert not output.refined.any()
    torch.testing.assert_close(output.alpha, F.interpolate(output.coarse_alpha, (61, 83), mode="bilinear").clamp(0, 1))


def test_a_picture_of_which_nothing_is_left_is_refused() -> None:
    with pytest.raises(ValueError, match=r"4×4 pixels, too small for base_scale=0\.125: .* at least 8 pixels a side"):
        run(made(base_scale=0.125), *pictures(1, 4, 4))


@pytest.mark.parametrize(
    ("source", "background", "sentence"),
    [
        ((3, 32, 32), (3, 32, 32), r"source has shape \(3, 32, 32\); expected \(B, 3, H, W\)"),
        ((1, 4, 32, 32), (1, 4, 32, 32), r"source has shape \(1, 4, 32, 32\); expected \(B, 3, H, W\)"),
        ((1, 3, 32, 32), (1, 3, 32, 40), r"source has shape .* but background \(1, 3, 32, 40\); .*resize or align"),
        ((2, 3, 32, 32), (1, 3, 32, 32), r"source has shape .* but background \(1, 3, 32, 32\)"),
    ],
)
def test_pictures_of_another_shape_are_refused(
    source: tuple[int, ...], background: tuple[int, ...], sentence: str
) -> None:
    with pytest.raises(ValueError, match=sentence):
        made()(torch.rand(source), torch.rand(background))


def test_eight_bit_pictures_and_a_target_of_another_size_are_refused() -> None:
    source, background = pictures()
    with pytest.raises(ValueError, match=r"background has dtype torch\.uint8; expected floats in \[0, 1\]: divide"):
        made()(source, (background * 255).byte())
    with pytest.raises(
        ValueError, match=r"target has shape \(1, 1, 64, 64\); expected the true alpha as \(1, 1, 64, 80\)"
    ):
        made()(source, background, torch.rand(1, 1, 64, 64))


# Which patches, and which foreground


def test_more_patches_than_there_are_is_clamped_with_one_warning() -> None:
    network, given = made(RandomPatches(5000)), pictures(1, 30, 40)
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        first, second = run(network, *given), run(network, *given)
        run(network, *pictures(1, 40, 40))
    expected = "RandomPatches(patches=5000): this image has only 80 patches (10×8), so all may be refined."
    assert [str(warning.message) for warning in told] == [expected]
    assert first.refined.all()
    assert_equal(first, second, 0)


def test_as_many_patches_as_there_are_is_no_reason_to_warn() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        run(made(RandomPatches(80)), *pictures(1, 32, 40))
        run(made(TopK(5000), NoRefiner()), *pictures(1, 32, 40))


def test_the_patches_of_largest_error_are_refined() -> None:
    network = made(TopK(30))
    output = run(network, *pictures(2))
    error = F.interpolate(output.error, (16, 20), mode="bilinear")
    for image, refined in zip(error, output.refined.bool(), strict=True):
        assert refined.sum() == 30
        assert image[refined].min() >= image[~refined].max()
    coarse = F.interpolate(output.coarse_alpha, (64, 80), mode="bilinear")
    changed = F.max_pool2d((output.alpha - coarse).abs(), 4) > 1e-6
    assert not changed[~output.refined.bool()].any()
    assert changed[output.refined.bool()].float().mean() > 0.9


def test_residual_foreground_is_added_to_the_source_and_direct_is_not() -> None:
    source, background = pictures(2)
    for refiner in (PatchRefiner(), NoRefiner()):
        residual, direct = made(refiner=refiner), made(refiner=refiner, foreground="direct")
        for network in (residual, direct):
            nn.init.constant_(network.decoder.conv4.weight[1:4].detach(), 0)
            nn.init.constant_(network.decoder.conv4.bias[1:4].detach(), 0.25)
            network.selector = NoPatches()
        one, other = run(residual, source, background), run(direct, source, background)
        torch.testing.assert_close(one.foreground, (source + 0.25).clamp(0, 1))
        torch.testing.assert_close(other.foreground, torch.full_like(source, 0.25))
        small = F.interpolate(source, (16, 20), mode="bilinear")
        torch.testing.assert_close(one.coarse_foreground, (small + 0.25).clamp(0, 1))
        torch.testing.assert_close(other.coarse_foreground, torch.full_like(small, 0.25))
        assert torch.equal(one.alpha, other.alpha)


def test_the_error_given_out_is_the_decoders_whatever_drives_the_selection() -> None:
    source, background = pictures(2, 62, 81)
    expected = run(made(), source, background).error
    target = torch.rand(2, 1, 62, 81)
    for error_map in (AlphaUncertainty(), OracleError()):
        output = run(made(error_map=error_map), source, background, target=target)
        assert torch.equal(output.error, expected)
    assert torch.equal(run(made(RandomPatches(5), error_map=NoError()), source, background).error, expected)


def test_the_oracle_selects_the_patches_where_alpha_is_wrong() -> None:
    network, (source, background) = made(TopK(4), error_map=OracleError()), pictures(1)
    target = F.interpolate(
        run(network, source, background, target=torch.zeros(1, 1, 64, 80)).coarse_alpha, (64, 80), mode="bilinear"
    )
    target[..., 20:28, 40:48] = 0
    output = run(network, source, background, target=target)
    assert output.refined.nonzero()[:, 2:].tolist() == [[5, 10], [5, 11], [6, 10], [6, 11]]
    with pytest.raises(ValueError, match="needs the true alpha"):
        run(network, source, background)


# Combinations


@pytest.mark.parametrize("selector", [TopK(), Threshold()])
def test_ranking_by_an_error_that_is_not_there_is_refused(selector: PatchSelector) -> None:
    expected = rf"{type(selector).__name__} ranks patches by error, .*NoError has none: choose RandomPatches or"
    with pytest.raises(ValueError, match=expected):
        made(selector, error_map=NoError())


@pytest.mark.parametrize("selector", [RandomPatches(), AllPatches(), NoPatches()])
def test_selectors_that_do_not_rank_take_no_error(selector: PatchSelector) -> None:
    run(made(selector, error_map=NoError()), *pictures(1, 288, 288))
    run(made(TopK(), NoRefiner(), error_map=NoError()), *pictures(1, 32, 32))  # nothing is selected without a refiner


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (
            {"base_scale": 1},
            r"base_scale=1 with PatchRefiner: .*at most 0\.5; choose 0\.5, 0\.25 or 0\.125, or NoRefiner",
        ),
        ({"base_scale": 0.6}, r"base_scale=0\.6 with PatchRefiner"),
        ({"base_scale": 0}, r"base_scale=0: expected a number in \(0, 1\]"),
        ({"base_scale": 4, "refiner": NoRefiner()}, r"base_scale=4: expected a number in \(0, 1\]"),
        ({"foreground": "residaul"}, r"foreground='residaul': expected 'residual' or 'direct'"),
    ],
)
def test_combinations_that_cannot_work_are_refused(arguments: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        made(**arguments)


# Training


@pytest.mark.parametrize(
    ("selector", "refiner", "base_scale"),
    [
        (TopK(20), PatchRefiner(), 0.25),
        (AllPatches(), PatchRefiner(1), 0.5),
        (RandomPatches(20), PatchRefiner(), 0.25),
        (TopK(), NoRefiner(), 1),
    ],
)
def test_a_batch_of_one_trains_every_parameter(selector: PatchSelector, refiner: Refiner, base_scale: float) -> None:
    network = made(selector, refiner, base_scale=base_scale, backbone=TimmBackbone("mobilenetv2_050")).train()
    output = network(*pictures(1, 96, 128))
    sum(field.square().mean() for field in output).backward()
    for name, parameter in network.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.isfinite().all(), name


def test_a_narrow_network_without_context_computes_the_same_fast() -> None:
    network = made(context=NoContext(width=16), decoder_width=16, base_scale=0.5)
    assert [network.decoder.get_submodule(f"conv{each}").out_channels for each in (1, 2, 3, 4)] == [8, 4, 3, 37]
    expected, given = run(network, *pictures()), pictures()
    assert not any(isinstance(each, nn.BatchNorm2d) for each in FastMatting(network).network.aspp.modules())
    torch.testing.assert_close(run(FastMatting(network), *given).alpha, expected.alpha, rtol=0, atol=1e-5)


def test_a_network_without_a_context_named_has_the_official_one() -> None:
    torch.manual_seed(0)
    plain, named = (MattingNetwork(SmallBackbone(), PredictedError(), TopK(20), PatchRefiner(), context=each)
                    for each in (None, ASPP(width=256)))  # fmt: skip
    for key, value in plain.state_dict().items():
        if key.startswith("aspp."):
            assert torch.equal(value, named.state_dict()[key])
    assert sum(key.startswith("aspp.") for key in plain.state_dict()) == 36


def test_a_decoder_that_cannot_be_divided_is_refused() -> None:
    with pytest.raises(ValueError, match="decoder_width=40: expected a multiple of 16"):
        made(decoder_width=40)


class Watching(AllPatches):
    """Selects every patch, and remembers the error map that it was given."""

    def forward(self, error: Tensor) -> Tensor:
        self.error = error
        return super().forward(error)


def test_a_selector_gets_an_error_map_without_gradient_at_the_size_of_the_patches() -> None:
    selector = Watching()
    made(selector).train()(*pictures(2, 62, 81))
    assert selector.error.shape == (2, 1, 16, 21)
    assert not selector.error.requires_grad


def test_no_gradient_flows_through_the_selection() -> None:
    network = made(TopK(20)).train()
    output = network(*pictures(2))
    (output.alpha.sum() + output.foreground.sum()).backward()
    assert not network.decoder.conv4.bias.grad[4].any()  # the error channel
    assert network.decoder.conv4.bias.grad[0].any()


def test_the_oracle_refuses_training() -> None:
    source, background = pictures()
    with pytest.raises(ValueError, match="OracleError reads the true alpha and cannot train"):
        made(error_map=OracleError()).train()(source, background, torch.rand(1, 1, 64, 80))


@pytest.mark.parametrize("training", [True, False])
def test_bfloat16_autocast_works_both_ways(training: bool) -> None:
    network, given = made().train(training), pictures(2, 61, 83)
    with torch.autocast("cpu", torch.bfloat16):
        output = network(*given)
    assert output.alpha.shape == (2, 1, 61, 83)
    sum(field.float().mean() for field in output).backward()
    assert all(parameter.grad is not None and parameter.grad.isfinite().all() for parameter in network.parameters())
    if not training:
        assert (output.coarse_alpha.float() - run(network, *given).coarse_alpha).abs().max() < 0.05


# Compilers and exporters

GRAPHS = [TopK(30), TopK(30, fixed_count=True), RandomPatches(30), AllPatches(), Threshold(0.5), NoPatches()]


@pytest.mark.parametrize("selector", GRAPHS, ids=lambda selector: type(selector).__name__)
def test_the_whole_network_is_one_graph_in_evaluation(selector: PatchSelector) -> None:
    network, given = made(selector), pictures(2, 61, 83)
    torch._dynamo.reset()
    compiled = torch.compile(network, fullgraph=True, backend="eager")
    assert_equal(run(compiled, *given), run(network, *given))


def test_more_patches_than_there_are_do_not_break_the_graph() -> None:
    network, given = made(RandomPatches(5000)), pictures(1, 32, 40)
    torch._dynamo.reset()
    assert run(torch.compile(network, fullgraph=True, backend="eager"), *given).refined.all()


@pytest.mark.parametrize("selector", GRAPHS, ids=lambda selector: type(selector).__name__)
def test_the_whole_network_can_be_exported(selector: PatchSelector) -> None:
    network, given = made(selector), pictures(2, 61, 83)
    exported = torch.export.export(network, given).module()
    other = pictures(2, 61, 83, seed=1)
    assert_equal(run(exported, *other), run(network, *other))


@pytest.mark.parametrize("name", ["mobilenetv2_050", "resnet18"])
def test_timm_backbones_are_part_of_the_graph(name: str) -> None:
    network, given = made(backbone=TimmBackbone(name)), pictures(1, 61, 83)
    torch._dynamo.reset()
    compiled = torch.compile(network, fullgraph=True, backend="eager")
    assert_equal(run(compiled, *given), run(network, *given))
