"""Networks with a guide, without a captured background, with both and with neither."""

from pathlib import Path

import numpy as np
import pytest
import torch
from skimage import data
from torch import Tensor
from zoo_plugins.guides import MaskGuide, NoGuide, PersonGuide
from zoo_plugins.refiners import PatchRefiner

import zoo
from zoo.cli import main
from zoo.core.errors import ZooError
from zoo.hub.defaults import MATTING_WITHOUT_BACKGROUND
from zoo.matting.fast import FastMatting
from zoo.matting.inference import Matting, MattingWarning, load_matting, matte_files, near_guide
from zoo.matting.matte_files import MatteFiles
from zoo.matting.parts import Guide, MattingOutput, Refiner
from zoo.media.images import MediaError, read_image, write_image
from zoo.training.module import TrainingModule
from zoo.weights.checkpoint import describe

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


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16], ids=str)
def test_people_are_found_in_half_precision(dtype: torch.dtype) -> None:
    image = torch.from_numpy(data.astronaut()).permute(2, 0, 1)[None].float() / 255
    with torch.no_grad():
        expected, mask = PersonGuide()(image), PersonGuide().to(dtype)(image.to(dtype))
    assert (mask - expected).abs().mean() < 0.01


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


def test_a_network_with_a_guide_starts_from_one_without_and_back(tmp_path: Path) -> None:
    before, (source, background, hint) = made("NoGuide", True), images(height=64, width=64)
    torch.save(before.network.state_dict(), tmp_path / "before.pth")
    guided = made("MaskGuide", True, checkpoint=str(tmp_path / "before.pth"))
    expected = alpha(before, source, background)
    torch.testing.assert_close(alpha(guided, source, background, hint=hint), expected)
    torch.save(guided.network.state_dict(), tmp_path / "guided.pth")
    after = made("NoGuide", True, checkpoint=str(tmp_path / "guided.pth"))
    assert torch.equal(alpha(after, source, background), expected)
    alone = made("MaskGuide", False, checkpoint=str(tmp_path / "guided.pth")).network
    for name in ("backbone.model.conv_stem", "decoder.conv4", "refiner.conv1", "refiner.conv3"):
        weight = alone.get_submodule(name).weight
        images_of_it = 4 if "refiner" not in name else 3
        features = weight.shape[1] - images_of_it
        assert torch.equal(weight[:, : features + 3], before.network.get_submodule(name).weight[:, : features + 3])


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


def test_a_guide_that_breaks_its_promise_is_named() -> None:
    @zoo.register
    class Silent(Guide):
        def forward(self, source: Tensor, hint: Tensor | None = None) -> Tensor | None:
            return None

    with pytest.raises(ZooError, match=r"Silent \(.*\) returned None; its slot promises a mask \(B, 1, h, w\)"):
        alpha(made("Silent", False), images()[0])


def test_the_refiner_starts_alike_whatever_it_was_before() -> None:
    one, other = (made("NoGuide", False).network for _ in range(2))
    assert isinstance(one.refiner, PatchRefiner)
    assert all(map(torch.equal, one.refiner.parameters(), other.refiner.parameters()))


def test_a_person_is_found_and_nobody_in_an_empty_image() -> None:
    astronaut = torch.from_numpy(data.astronaut()).permute(2, 0, 1)[None].float() / 255
    with torch.no_grad():
        mask = PersonGuide()(astronaut)
        nobody = PersonGuide()(torch.rand(1, 3, 96, 128, generator=torch.Generator().manual_seed(0)))
    assert mask[0, 0, 40:60, 105:125].min() > 0.9  # her face
    assert mask[0, 0, :60, 200:].max() < 0.1  # the shuttle
    assert nobody.mean() < 0.01


# Files


@pytest.fixture(scope="module")
def guided(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A checkpoint of a network with a guide in place of the background, which nobody trained."""
    model = made("PersonGuide", False)
    path = tmp_path_factory.mktemp("guided") / "guided.ckpt"
    torch.save({"state_dict": model.state_dict(), "zoo": describe(model, None)}, path)
    return str(path)


@pytest.fixture
def scene(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An image, its empty place, and masks: one that fits, an empty one, a small one and a coloured one."""
    monkeypatch.chdir(tmp_path)
    me = np.random.default_rng(0).integers(0, 256, (64, 96, 3), np.uint8)
    mask = np.zeros((64, 96), np.uint8)
    mask[16:48, 32:64] = 255
    images = {"me": me, "place": me[::-1], "mask": mask, "empty": mask // 255, "small": mask[:32], "coloured": me}
    for name, pixels in images.items():
        write_image(f"{name}.png", np.ascontiguousarray(pixels))
    for folder, names in {"people": ("a", "b"), "masks": ("a", "b"), "lacking": ("a",)}.items():
        for name in names:
            write_image(f"{folder}/{name}.png", me if folder == "people" else mask)


def matte(*arguments: str) -> int:
    return main(["matte", *arguments, "--device", "cpu", "-o", "out", "--save", "alpha"])


def test_an_image_is_matted_without_background(guided: str, scene: None) -> None:
    results = []
    for options in ((), ("--guide", "mask.png")):
        assert matte("me.png", "--model", guided, *options) == 0
        results.append(read_image("out/alpha/me.png", "L"))
    assert not np.array_equal(*results)
    assert matte("people", "--guide", "masks", "--model", guided) == 0
    assert np.array_equal(read_image("out/alpha/a.png", "L"), results[1])


def test_what_is_far_from_the_guide_is_no_foreground() -> None:
    hint = torch.zeros(1, 1, 128, 256)
    hint[..., 40:80, 20:60] = 1
    near = near_guide(MaskGuide(), torch.zeros(1, 3, 128, 256), hint)[0, 0]
    assert near[30:90, 10:70].min() == 1
    assert near[:, 100:].max() == 0
    unknown = torch.full_like(hint, 0.5)
    assert near_guide(MaskGuide(), torch.zeros(1, 3, 128, 256), unknown).min() == 1
    model = Matting(made("MaskGuide", False).eval())
    assert model(torch.rand(1, 3, 128, 256), hint=hint).alpha[..., 100:].max() == 0


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("me.png", "--model", "bgmv2_mobilenetv2-synthetic"), "this model needs the captured background: give BACKG"),
        (("me.png", "--guide", "absent.png"), "--guide absent.png does not exist; expected a grey image"),
        (("me.png", "--model", "{}", "--guide", "empty.png"), "marks no foreground: its brightest pixel is 1 of 255"),
        (("me.png", "--model", "{}", "--guide", "small.png"), "small.png is 96×32 pixels, me.png is 96×64; expected o"),
        (("me.png", "--model", "{}", "--guide", "coloured.png"), "3 differing channels; expected one grey channel"),
        (("me.png", "--model", "{}", "--guide", "masks"), "the guide masks is a folder; expected one grey image"),
        (("people", "--model", "{}", "--guide", "lacking"), "lacks the guides of 1 of 2 images (the first: b)"),
    ],
)
def test_bad_input_ends_in_one_sentence(
    guided: str, scene: None, arguments: tuple[str, ...], words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert matte(*(each.format(guided) for each in arguments)) != 0
    message = capsys.readouterr().err.strip().splitlines()[-1]
    assert words in message
    assert not Path("out").exists()


def test_the_weights_of_the_package_find_a_person_without_background(
    scene: None, capsys: pytest.CaptureFixture[str]
) -> None:
    write_image("me.png", data.astronaut()[::2, ::2])
    assert matte("me.png") == 0
    assert f"No background was given, so {MATTING_WITHOUT_BACKGROUND} is used." in capsys.readouterr().out
    alpha = read_image("out/alpha/me.png", "L")
    assert alpha[200, 110] > 200 > 50 > alpha[:20, :20].max()


def test_what_the_model_does_not_take_is_said(guided: str, scene: None, capsys: pytest.CaptureFixture[str]) -> None:
    assert matte("me.png", "place.png", "--model", guided) == 0
    assert "place.png is not used: this model takes no background." in capsys.readouterr().err
    assert matte("me.png", "place.png", "--guide", "mask.png", "--model", "bgmv2_mobilenetv2-synthetic") == 0
    assert "mask.png is not used: this model takes no guide." in capsys.readouterr().err


def test_an_empty_matte_is_never_silent(guided: str, scene: None, monkeypatch: pytest.MonkeyPatch) -> None:
    def empty(source: Tensor, background: Tensor) -> MattingOutput:
        return MattingOutput(*[source[:, :1] * 0.1] * 6)

    with pytest.warns(MattingWarning, match=r"the matte of me\.png is empty, since no foreground was found: check"):
        matte_files(empty, "me.png", "place.png", MatteFiles("out", ["alpha"]), align=False)

    alone = load_matting(guided)
    monkeypatch.setattr(Matting, "__call__", lambda self, source, *_: MattingOutput(*[source[:1, :1] * 0] * 6))
    with pytest.warns(MattingWarning, match=r"is empty, since no foreground was found: mark the subject with --guide"):
        matte_files(alone, "me.png", None, MatteFiles("out", ["alpha"]), guide="mask.png")


def test_a_guide_that_is_not_followed_is_reported(guided: str, scene: None, monkeypatch: pytest.MonkeyPatch) -> None:
    alone, mask = load_matting(guided), read_image("mask.png", "L") > 127
    kept = torch.from_numpy(mask & (np.arange(mask.shape[1]) % 3 == 0)).float()[None, None]
    monkeypatch.setattr(Matting, "__call__", lambda *_: MattingOutput(*[kept] * 6))
    with pytest.warns(MattingWarning, match=r"the matte of me\.png keeps 3\d% of what the guide marks"):
        matte_files(alone, "me.png", None, MatteFiles("out", ["alpha"]), guide="mask.png")


def test_a_video_takes_a_video_of_masks_or_one_mask(guided: str, scene: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PL_GLOBAL_SEED", "0")
    av = pytest.importorskip("av")
    people, mask = read_image("me.png"), read_image("mask.png")
    for name, frames in (("clip", [people] * 3), ("masks", [mask, mask // 2, mask]), ("short", [mask] * 2)):
        with av.open(f"{name}.mp4", "w") as file:
            stream = file.add_stream("libx264", rate=5, options={"crf": "0"})
            stream.width, stream.height, stream.pix_fmt = 96, 64, "yuv420p"
            for frame in frames:
                file.mux(stream.encode(av.VideoFrame.from_ndarray(frame)))
            file.mux(stream.encode())
    assert matte("clip.mp4", "--guide", "mask.png", "--model", guided, "--frames") == 0
    one = [read_image(f"out/alpha/clip/{number:06d}.png", "L") for number in range(3)]
    assert matte("clip.mp4", "--guide", "masks.mp4", "--model", guided, "--frames") == 0
    many = [read_image(f"out/alpha/clip/{number:06d}.png", "L") for number in range(3)]
    differences = [np.abs(left.astype(int) - right).mean() for left, right in zip(one, many, strict=True)]
    assert differences[1] > 2 * max(differences[0], differences[2])
    with pytest.raises(MediaError, match=r"short\.mp4 ends before clip\.mp4 does; expected a frame for each frame"):
        matte_files(load_matting(guided, device="cpu"), "clip.mp4", None, MatteFiles("o"), guide="short.mp4")
