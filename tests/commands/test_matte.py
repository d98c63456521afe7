"""`zoo matte`: its arguments reach the right place, and bad ones end in one sentence before a model is loaded."""

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from zoo.commands import matte
from zoo.core.plugin_files import load_plugin
from zoo.matting import fast, inference, matte_files
from zoo.matting.parts import MattingOutput
from zoo.media.images import read_image
from zoo.runner.help import Parser


class Difference(nn.Module):
    """A stand-in for a trained model."""

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(()))

    def forward(self, source, background):
        alpha = ((source - background).abs().amax(dim=1, keepdim=True) * self.weight > 0.1).float()
        refined = torch.ones(1, 1, -(-source.shape[2] // 4), -(-source.shape[3] // 4))
        return MattingOutput(alpha, source, alpha, source, alpha, refined)


@pytest.fixture
def pair(tmp_path):
    place = np.random.default_rng(0).integers(0, 256, (48, 64, 3), dtype=np.uint8)
    person = place.copy()
    person[10:30, 20:40] = 255 - person[10:30, 20:40]
    for name, pixels in (("me", person), ("empty", place)):
        Image.fromarray(pixels).save(tmp_path / f"{name}.png")
    return str(tmp_path / "me.png"), str(tmp_path / "empty.png")


@pytest.fixture
def loaded(monkeypatch):
    """The names of the models that were loaded."""
    names = []

    def load(name):
        names.append(name)
        return Difference().eval()

    monkeypatch.setattr(inference, "load", load)
    return names


def run(*arguments):
    parser = Parser()
    matte.add_arguments(parser)
    return matte.run(parser.parse_args([str(argument) for argument in arguments]))


def test_mattes_land_in_the_output_folder(pair, tmp_path, loaded, capsys):
    assert run(*pair, "-o", tmp_path / "out", "--model", "last.ckpt", "--device", "cpu") == 0
    assert loaded == ["last.ckpt"]
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["alpha", "composite"]
    assert read_image(tmp_path / "out" / "alpha" / "me.png", "L")[20, 30] == 255
    assert "2 results" in capsys.readouterr().out


def test_kinds_and_new_background(pair, tmp_path, loaded):
    out = tmp_path / "out"
    run(*pair, "-o", out, "--model", "m", "--save", "rgba", "refined", "--new-background", "#00ff00", "--device", "cpu")
    assert sorted(path.name for path in out.iterdir()) == ["composite", "refined", "rgba"]
    assert read_image(out / "composite" / "me.png")[0, 0].tolist() == [0, 255, 0]


def test_a_warning_is_one_line(pair, tmp_path, loaded, capsys):
    Image.fromarray(255 - read_image(pair[1])[::-1]).save(tmp_path / "elsewhere.png")
    assert run(pair[0], tmp_path / "elsewhere.png", "-o", tmp_path / "out", "--model", "m", "--device", "cpu") == 0
    lines = [line for line in capsys.readouterr().err.splitlines() if "same place" in line]
    assert len(lines) == 1
    assert lines[0].startswith("warning: me.png and elsewhere.png")


def test_without_a_model_it_takes_the_one_that_comes_with_the_package(pair, tmp_path, loaded):
    assert run(*pair, "-o", tmp_path / "out", "--device", "cpu") == 0
    assert loaded == ["bgmv2_mobilenetv2-synthetic"]


def test_a_file_of_weights_is_not_for_the_default_model(pair, tmp_path, loaded):
    assert run(*pair, "-o", tmp_path / "out", "--checkpoint", "mine.ckpt", "--device", "cpu") == 0
    assert loaded == ["mine.ckpt"]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["missing.png", "{empty}"], "SOURCE missing.png does not exist"),
        (["{me}", "missing.png"], "BACKGROUND missing.png does not exist"),
        (["{me}", "{empty}", "--new-background", "bluish"], "neither a file nor a colour"),
        (["{me}", "{empty}", "--device", "gpu9"], "'gpu9' cannot be used"),
        (["{me}", "{empty}", "--base-scale", "0.01"], r"base_scale=0\.01: expected a number from 0\.03125"),
        (["{me}", "{empty}", "-o", "{me}/out"], r"me\.png is a file; expected a folder for the results"),
        (["{me}", "{empty}", "--despill", "greenish"], "the screen 'greenish' is no colour; expected green, blue"),
        (
            ["{me}", "{empty}", "-o", "new.png", "--format", "exr"],
            r"ends in \.png, which is not written; expected \.exr",
        ),
        (
            ["{me}", "{empty}", "-o", "new.jpg"],
            r"not written; expected \.png of an image, \.mov \.mp4 of",
        ),
    ],
)
def test_bad_arguments_are_named_before_the_model_is_loaded(pair, tmp_path, loaded, arguments, words):
    arguments = [argument.format(me=pair[0], empty=pair[1]) for argument in arguments]
    with pytest.raises(ValueError, match=words) as error:
        run("-o", tmp_path / "out", "--model", "m", *arguments)
    assert "\n" not in str(error.value)
    assert loaded == []
    assert not (tmp_path / "out").exists()


def test_one_image_is_written_to_the_file_that_is_named(pair, tmp_path, loaded, capsys):
    for name, options in (("cut.png", ()), ("alpha.png", ("--save", "alpha")), ("on.png", ("--new-background", "red"))):
        assert run(*pair, "-o", tmp_path / "new" / name, "--model", "m", "--device", "cpu", *options) == 0
    assert "1 result in" in capsys.readouterr().out
    assert read_image(tmp_path / "new/cut.png", "RGBA")[20, 30, 3] == 255
    assert read_image(tmp_path / "new/alpha.png", "L")[20, 30] == 255
    assert read_image(tmp_path / "new/on.png")[0, 0].tolist() == [255, 0, 0]
    with pytest.raises(ValueError, match=r"cannot hold alpha composite of an image; expected a folder"):
        run(*pair, "-o", tmp_path / "two.png", "--model", "m", "--device", "cpu", "--save", "alpha", "composite")
    with pytest.raises(ValueError, match=r"two\.png is one file; expected a folder for the results of a folder"):
        run(tmp_path, pair[1], "-o", tmp_path / "two.png", "--model", "m", "--device", "cpu")


def test_formats_of_16_bits(pair, tmp_path, loaded, capsys):
    openexr = pytest.importorskip("OpenEXR")
    options = ("--model", "m", "--device", "cpu")
    assert run(*pair, "-o", tmp_path / "out", *options, "--format", "png16", "--save", "rgba", "alpha") == 0
    assert (read_image(tmp_path / "out/rgba/me.png", "RGBA") * 65535 % 257).max() < 1  # bytes in 16 bits
    assert read_image(tmp_path / "out/alpha/me.png", "L").dtype == np.float32
    assert run(*pair, "-o", tmp_path / "out", *options, "--format", "exr", "--save", "rgba", "alpha", "composite") == 0
    assert run(*pair, "-o", tmp_path / "cut.exr", *options) == 0
    assert (tmp_path / "cut.exr").read_bytes() == (tmp_path / "out/rgba/me.exr").read_bytes()
    source = read_image(pair[0])
    person = read_image(tmp_path / "out/alpha/me.exr", "L") == 1
    for kind, file in (("rgba", "RGBA"), ("composite", "RGB")):
        colours = read_image(tmp_path / f"out/{kind}/me.exr", file)[:, :, :3]
        assert np.abs(colours[person] * 255 - source[person]).max() < 0.2
    with openexr.File(str(tmp_path / "cut.exr")) as file:
        assert not file.channels()["RGBA"].pixels[~person].any()
    assert run(tmp_path / "out/composite", pair[1], "-o", tmp_path / "again", *options, "--format", "exr") == 0
    assert (tmp_path / "again/alpha/me.exr").is_file()


def test_an_exr_keeps_its_highlights(pair, tmp_path, loaded):
    openexr = pytest.importorskip("OpenEXR")
    pixels = np.full((48, 64, 3), 0.2, np.float32)
    for name, light in (("empty", 0.2), ("me", 5.0)):
        pixels[10:30, 20:40] = light
        with openexr.File({"type": openexr.scanlineimage}, {"RGB": pixels}) as file:
            file.write(str(tmp_path / f"{name}.exr"))
    files = (tmp_path / "me.exr", tmp_path / "empty.exr")
    assert run(*files, "-o", tmp_path / "cut.exr", "--model", "m", "--device", "cpu") == 0
    with openexr.File(str(tmp_path / "cut.exr")) as file:
        cut = file.channels()["RGBA"].pixels.astype(float)
    assert cut[20, 30] == pytest.approx((5, 5, 5, 1), rel=1e-3)
    assert (cut[:10] == 0).all()


def test_despill_takes_the_screen_out_of_the_person(tmp_path, loaded):
    screen = np.full((48, 64, 3), (20, 200, 60), np.uint8)
    person = screen.copy()
    person[10:30, 20:40] = (100, 160, 90)
    files = [tmp_path / "me.png", tmp_path / "empty.png"]
    for path, pixels in zip(files, (person, screen), strict=True):
        Image.fromarray(pixels).save(path)
    for options, expected in (((), (100, 160, 90)), (("--despill", "green"), (100, 100, 90))):
        assert run(*files, "-o", tmp_path / "cut.png", "--model", "m", "--device", "cpu", *options) == 0
        assert read_image(tmp_path / "cut.png", "RGBA")[20, 30].tolist() == [*expected, 255]


def test_a_model_of_heads_is_refused(pair, tmp_path):
    with pytest.raises(
        ValueError, match="dad3dnet_facemesh-synthetic holds a HeadAlignment; expected a background matting"
    ):
        run(*pair, "-o", tmp_path / "out", "--model", "dad3dnet_facemesh-synthetic", "--device", "cpu")


def test_the_image_itself_is_no_background(pair, tmp_path, loaded):
    with pytest.raises(ValueError, match=r"me\.png have the same pixels, so that nobody is in front of it"):
        run(pair[0], pair[0], "-o", tmp_path / "out", "--model", "m", "--device", "cpu")


def test_the_background_among_the_images_is_left_out(pair, tmp_path, loaded, capsys):
    assert run(tmp_path, pair[1], "-o", tmp_path / "out", "--model", "m", "--device", "cpu") == 0
    assert [path.name for path in (tmp_path / "out/alpha").iterdir()] == ["me.png"]
    assert "warning: " + pair[1] + " is the background and left out of the images" in capsys.readouterr().err


def test_an_unknown_kind_lists_the_known_ones(pair, tmp_path, capsys):
    with pytest.raises(SystemExit):
        run(*pair, "-o", tmp_path / "out", "--model", "m", "--save", "matte")
    assert "alpha" in capsys.readouterr().err


def test_the_command_knows_all_kinds():
    assert matte.KINDS == matte_files.KINDS
    assert matte.FORMATS == matte_files.FORMATS


def test_a_real_checkpoint_with_its_plugin_at_another_base_scale(pair, tmp_path, fitted, shared_tiny):
    load_plugin(str(shared_tiny.plugin))
    options = ("--model", fitted / "checkpoints/last.ckpt", "--device", "cpu")
    alphas = []
    for scale in ("0.5", "0.25"):
        assert run(*pair, "-o", tmp_path / scale, *options, "--base-scale", scale) == 0
        alphas.append(read_image(tmp_path / scale / "alpha" / "me.png", "L"))
    assert alphas[0].shape == (48, 64)
    assert not np.array_equal(*alphas)
    with pytest.raises(ValueError, match=r"base_scale=1 with PatchRefiner"):
        run(*pair, "-o", tmp_path / "out", *options, "--base-scale", "1")


def test_alpha_alone_and_half_precision_give_the_same_but_for_rounding(pair, tmp_path, fitted, shared_tiny):
    load_plugin(str(shared_tiny.plugin))
    options = ("--model", fitted / "checkpoints/last.ckpt", "--device", "cpu", "--base-scale", "0.5")
    ways = {"both": (), "alone": ("--save", "alpha"), "half": ("--save", "alpha", "--precision", "bf16")}
    for name, way in ways.items():
        assert run(*pair, "-o", tmp_path / name, *options, *way) == 0
    both, alone, half = (read_image(tmp_path / name / "alpha" / "me.png", "L").astype(int) for name in ways)
    assert np.abs(both - alone).max() <= 1
    assert 0 < np.abs(both - half).mean() < 2  # larger where other patches were refined


def test_compile_compiles_and_gives_the_same(pair, tmp_path, fitted, shared_tiny, monkeypatch):
    load_plugin(str(shared_tiny.plugin))
    compiled = []
    monkeypatch.setattr(fast, "compiled_base", lambda network: compiled.append(network) or network.base)
    options = ("--model", fitted / "checkpoints/last.ckpt", "--device", "cpu", "--base-scale", "0.5")
    for name, way in (("plain", ()), ("compiled", ("--compile",))):
        assert run(*pair, "-o", tmp_path / name, *options, *way) == 0
        assert len(compiled) == len(way)
    plain, ours = (read_image(tmp_path / name / "alpha" / "me.png", "L") for name in ("plain", "compiled"))
    assert np.array_equal(plain, ours)


@pytest.mark.parametrize("option", [("--precision", "bf16"), ("--compile",), ("--base-scale", "0.5")], ids=" ".join)
def test_what_a_model_of_another_kind_cannot_do_is_refused(pair, tmp_path, loaded, option):
    with pytest.raises(ValueError, match="m holds a Difference; expected a background matting model"):
        run(*pair, "-o", tmp_path / "out", "--model", "m", *option, "--device", "cpu")
