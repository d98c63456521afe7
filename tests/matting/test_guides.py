"""Networks with a guide, without a captured background, with both and with neither."""

import pytest
import torch
from torch import Tensor
from zoo_plugins.guides import NoGuide, PersonGuide
from zoo_plugins.refiners import PatchRefiner

import zoo
from zoo.matting.fast import FastMatting
from zoo.matting.parts import Refiner
from zoo.training.module import TrainingModule

BACKBONE = {"class_path": "TimmBackbone", "init_args": {"name": "test_efficientnet"}}
COMBINATIONS = {
    "background": ("NoGuide", True),
    "background and guide": ("MaskGuide", True),
    "guide": ("MaskGuide", False),
    "none": ("NoGuide", False),
}


def made(guide: str, captured_background: bool, **settings: object) -> TrainingModule:
    narrow = {
        "backbone": BACKBONE,
        "context": {"class_path": "ASPP", "init_args": {"width": 32}},
        "selector": {"class_path": "TopK", "init_args": {"patches": 40}},
        "decoder_width": 64,
    }
    inputs = {"guide": guide, "captured_background": captured_background}
    return zoo.create_model("bgmv2_mobilenetv2", **narrow | inputs | settings).eval()


def images(batch: int = 2, height: int = 61, width: int = 83) -> tuple[Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    return tuple(torch.rand(batch, channels, height, width, generator=generator) for channels in (3, 3, 1))


def alpha(model: torch.nn.Module, *inputs: Tensor | None, hint: Tensor | None = None) -> Tensor:
    with torch.no_grad():
        return model(*inputs, hint=hint).alpha


@pytest.mark.parametrize(("guide", "captured"), COMBINATIONS.values(), ids=COMBINATIONS)
def test_the_output_depends_on_the_inputs_that_the_network_takes(guide: str, captured: bool) -> None:
    network = made(guide, captured).network
    source, background, hint = images()
    output = alpha(network, source, background, hint=hint)
    assert output.shape == (2, 1, 61, 83)
    assert torch.equal(output, alpha(network, source, 1 - background, hint=hint)) == (not captured)
    assert torch.equal(output, alpha(network, source, background, hint=1 - hint)) == (guide == "NoGuide")
    assert network.inputs == ("source", *["background"] * captured, *["hint"] * (guide == "MaskGuide"))
    first = network.backbone.model.conv_stem.weight
    assert first.shape[1] == 3 + 3 * captured + (guide == "MaskGuide") == network.decoder.conv4.weight.shape[1] - 12
    assert network.refiner.conv1.weight.shape[1] == 36 + 3 * (1 + captured)


@pytest.mark.parametrize(("guide", "captured"), COMBINATIONS.values(), ids=COMBINATIONS)
def test_the_fast_path_computes_the_same(guide: str, captured: bool) -> None:
    network = made(guide, captured).network.double()
    source, background, hint = (image.double() for image in images())
    behind = background if captured else None
    expected = alpha(network, source, behind, hint=hint)
    torch.testing.assert_close(alpha(FastMatting(network), source, behind, hint=hint), expected)
    half = alpha(FastMatting(network).to(torch.bfloat16), source, behind, hint=hint)
    assert half.dtype == torch.bfloat16


def test_the_official_network_has_the_official_keys_and_builds_from_a_spec_of_before() -> None:
    spec = zoo.create_model("bgmv2_mobilenetv2").spec
    for name in ("guide", "captured_background"):
        assert spec["init_args"].pop(name) is not None
    module = zoo.core.spec.build(spec)
    assert module.network.state_dict().keys() == zoo.create_model("bgmv2_mobilenetv2").network.state_dict().keys()
    assert isinstance(module.network.guide, NoGuide)


def test_guides_share_the_networks_weights() -> None:
    mask, person = made("MaskGuide", False).network, made("PersonGuide", False).network
    person.load_state_dict(mask.state_dict())
    source, _, hint = images(height=64, width=64)
    assert torch.equal(alpha(mask, source, hint=hint), alpha(person, source, hint=hint))
    assert not torch.equal(alpha(person, source, hint=hint), alpha(person, source))


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"error_map": "BackgroundDifference"}, "BackgroundDifference compares with the captured background"),
        ({"refiner": "Borrowing"}, "Borrowing needs the captured background.*choose PatchRefiner or NoRefiner"),
    ],
)
def test_parts_that_need_the_background_are_refused_without_it(settings: dict, words: str) -> None:
    @zoo.register
    class Borrowing(Refiner):
        def forward(self, source, background, coarse, score, patches):  # type: ignore[no-untyped-def]
            return coarse.alpha, source, torch.zeros_like(score)

    with pytest.raises(ValueError, match=words):
        made("NoGuide", False, **settings)


def test_what_is_missing_or_of_another_size_is_named() -> None:
    source, background, hint = images()
    with pytest.raises(ValueError, match="no captured background, which this network needs: give an image"):
        alpha(made("NoGuide", True), source)
    with pytest.raises(ValueError, match=r"no mask for MaskGuide: give one \(zoo matte --guide MASK"):
        alpha(made("MaskGuide", True), source, background)
    for model in (made("MaskGuide", True), FastMatting(made("MaskGuide", True).network)):
        with pytest.raises(ValueError, match=r"mask has shape \(2, 1, 61, 80\); expected \(2, 1, 61, 83\).*resize it"):
            alpha(model, source, background, hint=hint[..., :80])


def test_the_refiner_starts_alike_whatever_it_was_before() -> None:
    one, other = (made("NoGuide", False).network for _ in range(2))
    assert isinstance(one.refiner, PatchRefiner)
    assert all(map(torch.equal, one.refiner.parameters(), other.refiner.parameters()))


def test_a_person_is_found_and_nobody_in_an_empty_image() -> None:
    from skimage import data

    astronaut = torch.from_numpy(data.astronaut()).permute(2, 0, 1)[None].float() / 255
    with torch.no_grad():
        mask = PersonGuide()(astronaut)
        nobody = PersonGuide()(torch.rand(1, 3, 96, 128, generator=torch.Generator().manual_seed(0)))
    assert mask[0, 0, 40:60, 105:125].min() > 0.9  # her face
    assert mask[0, 0, :60, 200:].max() < 0.1  # the shuttle
    assert nobody.mean() < 0.01
