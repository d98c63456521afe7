"""`FastMatting` gives what its network gives, looks at a background once, and leaves out what nobody asked for."""

import copy
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from zoo_plugins.error_maps import PredictedError
from zoo_plugins.refiners import NoRefiner, PatchRefiner
from zoo_plugins.selectors import AllPatches, NoPatches, RandomPatches, Threshold, TopK

import zoo
from zoo.core.parts import Backbone
from zoo.matting import fast as fast_module
from zoo.matting.fast import FastMatting, compiled_base
from zoo.matting.net import MattingNetwork
from zoo.matting.parts import Coarse, MattingOutput, PatchSelector, Refiner


class SmallBackbone(Backbone):
    """Four convolutions with BatchNorm, so that tests spend their time elsewhere."""

    def build(self, in_channels: int, strides: Sequence[int]) -> None:
        self.channels, self.strides = [6, 8, 10, 12], list(strides)
        self.stages = nn.ModuleList(
            nn.Sequential(nn.Conv2d(before, after, 3, 2, 1, bias=False), nn.BatchNorm2d(after), nn.ReLU())
            for before, after in zip([in_channels, 6, 8, 10], self.channels, strict=True)
        )

    def forward(self, image: Tensor) -> list[Tensor]:
        features = [image]
        for stage in self.stages:
            features.append(stage(features[-1]))
        return features[1:]


def made(selector: PatchSelector | None = None, refiner: Refiner | None = None, **arguments: Any) -> MattingNetwork:
    """A network in evaluation and double precision, whose errors and BatchNorms are somewhat alive."""
    network = MattingNetwork(
        SmallBackbone(),
        PredictedError(),
        selector or TopK(30),
        refiner or PatchRefiner(),
        **arguments,
    )
    with torch.random.fork_rng():
        torch.manual_seed(0)
        for layer in network.modules():
            if isinstance(layer, nn.BatchNorm2d):
                nn.init.normal_(layer.running_mean, 0, 0.1)
                nn.init.uniform_(layer.running_var, 0.5, 1.5)
        nn.init.normal_(network.decoder.conv4.weight, 0, 0.1)
        nn.init.constant_(network.decoder.conv4.bias, 0.5)
    return network.double().eval()


def pictures(batch: int = 1, height: int = 64, width: int = 96, seed: int = 0) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    source, background = torch.rand(2, batch, 3, height, width, generator=generator, dtype=torch.float64)
    return source, background


@pytest.fixture
def fresh_compiler(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Nothing is compiled yet, nor found compiled on disk; which vectors the compiler knows is not tried out, which
    takes most of the time.
    """
    from torch._inductor import config

    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", str(tmp_path / "compiled"))
    torch.compiler.reset()
    with config.patch({"cpp.vec_isa_ok": False}):
        yield
    torch.compiler.reset()


def run(model: Any, *given: Tensor) -> MattingOutput:
    with torch.no_grad():
        return model(*given)


def assert_equal(one: MattingOutput, other: MattingOutput, tolerance: float = 1e-9) -> None:
    for name, left, right in zip(MattingOutput._fields, one, other, strict=True):
        assert left.shape == right.shape, name
        assert (left - right).abs().max() <= tolerance, name


@pytest.mark.parametrize(
    "selector", [TopK(30), Threshold(0.5), AllPatches(), NoPatches()], ids=lambda selector: type(selector).__name__
)
@pytest.mark.parametrize(("batch", "height", "width"), [(1, 64, 96), (2, 61, 83), (3, 50, 67), (1, 63, 70)])
def test_gives_what_the_network_gives(selector: PatchSelector, batch: int, height: int, width: int) -> None:
    given = pictures(batch, height, width)
    for foreground in ("residual", "direct"):
        network = made(selector, foreground=foreground)
        fast = FastMatting(network)
        assert_equal(run(fast, *given), run(network, *given))
        left = {name for name, part in fast.named_modules() if isinstance(part, nn.BatchNorm2d)}
        assert left == {"network.aspp.convs.4.2"}  # of one pixel


@pytest.mark.parametrize("base_scale", [1, 0.5])
def test_gives_what_the_network_gives_without_a_refiner(base_scale: float) -> None:
    network, given = made(refiner=NoRefiner(), base_scale=base_scale), pictures(2, 61, 83)
    before = [image.clone() for image in given]
    fast = FastMatting(network)
    for _ in range(2):
        assert_equal(run(fast, *given), run(network, *given))
    assert all(map(torch.equal, before, given))


def test_the_network_is_left_as_it_was_and_goes_its_own_way() -> None:
    network, given = made(), pictures()
    before = copy.deepcopy(network.state_dict())
    fast = FastMatting(network)
    expected = run(fast, *given)
    assert all(torch.equal(value, before[key]) for key, value in network.state_dict().items())
    nn.init.zeros_(network.decoder.conv4.weight)
    assert_equal(run(fast, *given), expected, 0)


SELECTIONS = [TopK(30), TopK(1), Threshold(0.5), AllPatches(), NoPatches()]


@pytest.mark.parametrize("selector", SELECTIONS, ids=lambda selector: f"{type(selector).__name__} {selector.patches}")
def test_single_precision_alpha_alone_and_channels_innermost_differ_by_roundings(selector: PatchSelector) -> None:
    """As `zoo matte` computes: floats, made of pictures as files have them, and only what somebody asked for."""
    network, given = made(selector).float(), [image.float() for image in pictures(2, 61, 83)]
    expected = run(network, *given)
    innermost = [image.contiguous(memory_format=torch.channels_last) for image in given]
    for inputs in (given, innermost):
        assert_equal(run(FastMatting(network), *inputs), expected, 1e-5)
        alone = run(FastMatting(network, foreground=False), *inputs)
        assert_equal(alone._replace(foreground=expected.foreground), expected, 1e-5)


def test_alpha_alone_is_the_same_alpha_and_no_foreground_is_made() -> None:
    class Colourless(PatchRefiner):
        def forward(self, *given: Any) -> Any:
            if not torch.is_grad_enabled():
                pytest.fail("made the foreground")
            return super().forward(*given)

    given = pictures(2, 61, 83)
    for refiner in (PatchRefiner(), NoRefiner()):
        network = made(refiner=refiner, base_scale=0.5)
        output, expected = run(FastMatting(network, foreground=False), *given), run(network, *given)
        assert output.foreground is None
        assert_equal(output._replace(foreground=expected.foreground), expected)
    run(FastMatting(made(refiner=Colourless()), foreground=False), *given)


def watched(monkeypatch: pytest.MonkeyPatch) -> list[Tensor]:
    """Every picture that is prepared from now on."""
    prepared: list[Tensor] = []
    original = MattingNetwork.prepare
    monkeypatch.setattr(
        MattingNetwork, "prepare", lambda self, image, *scale: prepared.append(image) or original(self, image, *scale)
    )
    return prepared


def test_a_background_is_looked_at_once_until_it_changes(monkeypatch: pytest.MonkeyPatch) -> None:
    network, (first, background) = made(), pictures()
    second, other = pictures(seed=1)
    fast = FastMatting(network)
    prepared = watched(monkeypatch)

    def check(looked_at: int, *given: Tensor) -> None:
        prepared.clear()
        output = run(fast, *given)
        assert len(prepared) == looked_at
        assert_equal(output, run(network, *given))

    check(2, first, background)
    check(1, second, background)
    check(2, second, background.clone())
    check(2, second, background)
    background.mul_(0.5)
    check(2, second, background)
    check(1, first, background)
    for model in (network, fast.network):
        model.set_base_scale(0.5)
    check(2, first, background)
    check(2, first, other)
    with torch.inference_mode():
        unversioned = other.clone()
    for _ in range(2):
        check(2, first, unversioned)


@pytest.mark.parametrize("foreground", [True, False])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
def test_frames_of_a_video_are_matted_as_if_each_were_the_first(dtype: torch.dtype, foreground: bool) -> None:
    """What is remembered of the background changes nothing, and no frame's result is overwritten by a later one's."""
    network, background = made(RandomPatches(30)), pictures(2, 61, 83)[1]
    frames = [pictures(2, 61, 83, seed)[0] for seed in (1, 2, 1, 3)]
    fast = FastMatting(network, foreground).to(dtype)
    outputs = [run(fast, frame, background) for frame in frames]
    for frame, output in zip(frames, outputs, strict=True):
        first = run(FastMatting(network, foreground).to(dtype), frame, background)
        for name, one, other in zip(MattingOutput._fields, output, first, strict=True):
            assert one is other is None or torch.equal(one, other), name


def test_inputs_are_left_as_they_were() -> None:
    class Borrowing(Refiner):
        """Gives the source itself and the coarse alpha, as `NoRefiner` does at full size."""

        refines = False

        def forward(
            self, source: Tensor, background: Tensor, coarse: Coarse, score: Tensor, patches: int | None
        ) -> tuple[Tensor, Tensor, Tensor]:
            return coarse.alpha, source, torch.zeros_like(score)

    given = pictures()
    before = [image.clone() for image in given]
    for refiner in (PatchRefiner(), NoRefiner(), Borrowing()):
        network = made(refiner=refiner, base_scale=1 if not refiner.refines else 0.25)
        for model in (FastMatting(network), network):
            output = run(model, *given)
            assert all(map(torch.equal, before, given))
    torch.testing.assert_close(output.foreground, (2 * given[0]).clamp(0, 1))


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.bfloat16, 0.1), (torch.float16, 0.02)], ids=str)
@pytest.mark.parametrize(
    "selector", [AllPatches(), RandomPatches(30), NoPatches()], ids=lambda selector: type(selector).__name__
)
def test_half_precision_computes_and_gives_half_precision(
    selector: PatchSelector, dtype: torch.dtype, tolerance: float
) -> None:
    """Of selectors that choose alike whatever the rounding."""
    network, given = made(selector), pictures(2, 61, 83)
    output, expected = run(FastMatting(network).to(dtype), *given), run(network, *given)
    assert {field.dtype for field in output} == {dtype}
    assert_equal(output, expected, tolerance)
    alone = run(FastMatting(network, foreground=False).to(dtype), *given)
    assert_equal(alone._replace(foreground=expected.foreground), expected, tolerance)


class OneConvolution(nn.Module):
    """As much of a base network as a compiler needs a few seconds for."""

    def __init__(self) -> None:
        super().__init__()
        self.convolution = nn.Conv2d(6, 37, 3, padding=1)

    def base(self, source: Tensor, background: Tensor, guide: None = None) -> Coarse:
        x = self.convolution(torch.cat([source, background], 1))
        return Coarse(x[:, :1], x[:, 1:4], x[:, 4:5], x[:, 5:])


@pytest.mark.slow
@pytest.mark.skipif(not any(map(shutil.which, ("g++", "clang++"))), reason="there is no C++ compiler")
def test_compiled_it_gives_the_same_at_every_size(fresh_compiler: None) -> None:
    from torch._dynamo.utils import counters

    counters.clear()
    network = OneConvolution().eval().requires_grad_(False)
    compiled = compiled_base(network)
    for batch, height, width in ((1, 64, 96), (2, 61, 83), (1, 32, 16)):
        given = [image.float() for image in pictures(batch, height, width)]
        with torch.no_grad():
            for ours, plain in zip(compiled(*given), network.base(*given), strict=True):
                torch.testing.assert_close(ours, plain)
    assert counters["stats"]["unique_graphs"] == 2  # the third size is one too many to compile for


def test_only_the_base_is_compiled_and_only_where_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    network, given, called = made(), pictures(), []
    monkeypatch.setattr(
        fast_module, "compiled_base", lambda own: lambda *halves: called.append(halves) or type(own).base(own, *halves)
    )
    expected = run(FastMatting(network), *given)
    assert not called
    assert_equal(run(FastMatting(network, compiled=True), *given), expected, 0)
    assert len(called) == 1


def test_without_a_compiler_compiling_ends_in_a_sentence(fresh_compiler: None) -> None:
    from torch._inductor import config

    with config.patch({"cpp.cxx": (None, "no-such-compiler")}):
        fast = FastMatting(made().float(), compiled=True)
        with pytest.raises(ValueError, match=r"could not compile .*No working C\+\+ compiler.*do without compiling"):
            run(fast, *(image.float() for image in pictures()))


def test_it_goes_where_a_model_goes() -> None:
    network, given = made(), [image.float() for image in pictures()]
    fast = FastMatting(network.float())
    fitted, same = FastMatting(network, trained_side=24), made().float()
    same.set_base_scale(fitted.scale_for(*given[0].shape[-2:]))
    assert_equal(run(fitted, *given), run(same, *given), 1e-5)
    assert fast.network.base_scale == 0.25
    with pytest.raises(ValueError, match="fused weights and cannot be trained"):
        fast.train()


def test_pictures_that_do_not_fit_are_refused() -> None:
    source, background = pictures()
    with pytest.raises(ValueError, match="both must be the same size"):
        run(FastMatting(made()), source, background[..., :-1])


def test_of_a_named_model() -> None:
    network = zoo.create_model("bgmv2_mobilenetv2", selector="AllPatches").eval().network
    given = [image.float() for image in pictures(1, 32, 48)]
    assert_equal(run(FastMatting(network), *given), run(network, *given), 1e-5)
