"""`zoo data check` finds what is wrong with a folder; `zoo data synth` writes one in which nothing is."""

import argparse
import subprocess
import sys
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
import yaml
from PIL import Image

from zoo.cli import main
from zoo.commands import data
from zoo.core.spec import build
from zoo.media.images import write_image

HALF = np.repeat(np.array([0, 255], np.uint8), 4)[None].repeat(8, 0)
"""An alpha (8, 8): the left half 0, the right half 255."""


def zoo_data(*arguments: object) -> int:
    parser = argparse.ArgumentParser()
    data.add_arguments(parser)
    return data.run(parser.parse_args([str(argument) for argument in arguments]))


def config(output: str) -> dict[str, Any]:
    """The printed config's `data`."""
    lines = output[output.index("data:\n") :].splitlines()
    return yaml.safe_load("\n".join([lines[0], *(line for line in lines[1:] if line.startswith(" "))]))["data"]


def write_mattes(
    root: Path, names: tuple[str, ...] = ("a", "b"), foregrounds: str = "fgr", alphas: str = "pha"
) -> None:
    for name in names:
        write_image(root / foregrounds / f"{name}.png", np.full((8, 8, 3), 90, np.uint8))
        write_image(root / alphas / f"{name}.png", HALF)


def write_background(folder: Path) -> None:
    write_image(folder / "room.png", np.full((6, 10, 3), 30, np.uint8))


def write_clip(path: Path, frames: int, colour: tuple[int, int, int], right: int = 255) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=25)
        stream.width = stream.height = 32
        stream.pix_fmt = "yuv420p"
        pixels = np.zeros((32, 32, 3), np.uint8)
        pixels[:, :] = colour
        pixels[:, 16:] = right
        for _ in range(frames):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")))
        container.mux(stream.encode())


@pytest.fixture
def people(tmp_path: Path) -> Path:
    write_mattes(tmp_path / "people/train", ("x/a", "x/b", "c"))
    write_mattes(tmp_path / "people/val")
    write_background(tmp_path / "people/backgrounds")
    return tmp_path / "people"


def test_good_folder_with_splits(people: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert zoo_data("check", people) == 0
    output = capsys.readouterr().out
    assert "train: 3 mattes in order (fgr/ and pha/)" in output
    assert "sizes: 8×8" in output
    assert "backgrounds: 1 background in order" in output
    assert "sizes: 10×6" in output
    printed = config(output)
    train = build(printed["train"]["people"]["dataset"])
    assert type(train).__name__ == "MatteFolder"
    assert len(train) == 3
    assert len(build(printed["validation"]["dataset"])) == 2


def test_other_names_of_the_two_folders_are_printed_as_arguments(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_mattes(tmp_path / "set", foregrounds="FG", alphas="alpha")
    write_background(tmp_path / "set/bgr")
    assert zoo_data("check", tmp_path / "set") == 0
    spec = config(capsys.readouterr().out)["train"]["set"]["dataset"]
    assert spec["init_args"]["foregrounds"] == "FG"
    assert len(build(spec)) == 2


def test_missing_backgrounds_leave_a_place_to_fill_in(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_mattes(tmp_path / "set")
    assert zoo_data("check", tmp_path) == 0
    assert "PATH/TO/BACKGROUNDS is a folder of pictures" in capsys.readouterr().out


def test_splits_of_the_backgrounds_go_with_those_of_the_mattes(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for split in ("train", "test"):
        write_mattes(tmp_path / split)
        write_background(tmp_path / "Backgrounds" / split)
    assert zoo_data("check", tmp_path) == 0
    printed = config(capsys.readouterr().out)
    (train,), (test,) = printed["train"].values(), printed["test"].values()
    assert train["dataset"]["init_args"]["backgrounds"] == str(tmp_path / "Backgrounds/train")
    assert test["dataset"]["init_args"]["backgrounds"] == str(tmp_path / "Backgrounds/test")


def test_every_fault_is_said(people: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root = people / "train"
    write_mattes(root, ("small", "empty", "full", "dim", "coloured", "cut", "deep"))
    write_image(root / "fgr/alone.png", np.zeros((8, 8, 3), np.uint8))
    write_image(root / "pha/left.png", HALF)
    write_image(root / "pha/small.png", HALF[:4])
    write_image(root / "pha/empty.png", np.zeros((8, 8), np.uint8))
    write_image(root / "pha/full.png", np.full((8, 8), 255, np.uint8))
    write_image(root / "pha/dim.png", HALF // 255)
    write_image(root / "pha/coloured.png", np.random.default_rng(0).integers(0, 255, (8, 8, 3), np.uint8))
    (root / "fgr/c.png").unlink()
    Image.new("CMYK", (8, 8)).save(root / "fgr/c.jpg")
    (root / "fgr/cut.png").write_bytes((root / "fgr/cut.png").read_bytes()[:60])
    Image.fromarray(HALF.astype(np.uint16) * 257).save(root / "pha/deep.png")
    assert zoo_data("check", people) == 1
    output = capsys.readouterr().out
    assert f"{root}: 3 mattes in order" in output
    for fault in (
        f"{root}/fgr/alone has no alpha; expected {root}/pha/alone with any ending",
        f"{root}/pha/left has no foreground",
        "fgr/small.png is 8×8 but",
        "pha/empty.png is 0 everywhere",
        "pha/full.png is 1 everywhere",
        "pha/dim.png has no value above 1 of 255",
        "pha/coloured.png is a matte with 3 differing channels",
        "fgr/c.jpg holds CMYK pixels",
        "fgr/cut.png is truncated",
    ):
        assert f"problem: {fault}" in output or f"/{fault}" in output, fault
    assert "16 bits a channel, read as they are: 1 (deep)" in output
    assert "9 problems to correct first" in output


def test_both_files_of_a_pair_are_opened(people: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for folder in ("fgr", "pha"):
        (people / "train" / folder / "c.png").write_bytes(b"")
    assert zoo_data("check", people) == 1
    output = capsys.readouterr().out
    assert "fgr/c.png is empty (0 bytes)" in output
    assert "pha/c.png is empty (0 bytes)" in output


def test_many_problems_are_counted_instead_of_listed(people: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for number in range(25):
        write_image(people / f"train/pha/more{number}.png", HALF)
    assert zoo_data("check", people) == 1
    output = capsys.readouterr().out
    assert output.count("has no foreground") == 20
    assert "… and 5 more problems" in output


def test_damaged_background_is_a_problem(people: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (people / "backgrounds/street.jpg").write_bytes(b"no picture")
    assert zoo_data("check", people) == 1
    assert "street.jpg is not an image" in capsys.readouterr().out


def test_cutouts_beside_backgrounds(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    cutout = np.dstack([np.full((8, 8, 3), 90, np.uint8), HALF])
    write_image(tmp_path / "set/people/a.png", cutout)
    write_image(tmp_path / "set/people/more/b.png", cutout)
    write_background(tmp_path / "set/backgrounds")
    assert zoo_data("check", tmp_path / "set") == 0
    output = capsys.readouterr().out
    assert "people: 2 RGBA cut-outs in order" in output
    dataset = build(config(output)["train"]["people"]["dataset"])
    assert (type(dataset).__name__, len(dataset), dataset.background_count) == ("CutoutFolder", 2, 1)


def test_photographs_beside_cutouts_are_their_backgrounds(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_image(tmp_path / "mine/cutouts/a.png", np.dstack([np.full((8, 8, 3), 90, np.uint8), HALF]))
    (tmp_path / "mine/photos").mkdir()
    Image.new("RGB", (8, 8)).save(tmp_path / "mine/photos/b.jpg")
    assert zoo_data("check", tmp_path / "mine") == 0
    out = capsys.readouterr().out
    assert "Next: save these lines as data.yaml, then zoo fit --config matting/synthetic_joint --model." in out
    dataset = build(config(out)["train"]["cutouts"]["dataset"])
    assert (type(dataset).__name__, len(dataset), dataset.background_count) == ("CutoutFolder", 1, 1)


def test_photographs_and_their_alphas_are_a_test_set(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    draw = np.random.default_rng(0)
    for kind in ("original", "mask", "bgr"):
        write_image(tmp_path / "real" / kind / "a.png", draw.integers(0, 255, (48, 64, 3), np.uint8))
    write_image(tmp_path / "real/mask/a.png", draw.integers(0, 255, (48, 64), np.uint8))
    assert zoo_data("check", "real") == 0
    out = capsys.readouterr().out
    assert "real: 1 photograph in order (original/ and mask/)" in out
    assert "zoo test --ckpt_path bgmv2_mobilenetv2-synthetic --config data.yaml" in out
    Path("data.yaml").write_text(yaml.safe_dump({"data": config(out)}))
    for weights in ("bgmv2_mobilenetv2-synthetic", "bgmv2_guided_lite0-synthetic"):
        assert main(["test", "--ckpt_path", weights, "--config", "data.yaml"]) == 0
        out = capsys.readouterr().out
        assert "test/real/mad" in out
        assert "foreground_mse" not in out
        assert "nan" not in out
    Path("data.yaml").write_text(Path("data.yaml").read_text().replace("backgrounds:", "#"))
    assert main(["test", "--ckpt_path", "bgmv2_mobilenetv2-synthetic", "--config", "data.yaml"]) == 1
    assert "data.test.real has photographs without captured backgrounds" in capsys.readouterr().err


@pytest.mark.parametrize("kind", ["cutouts", "pairs"])
def test_premultiplied_colours_are_found_and_read_straight(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], kind: str
) -> None:
    alpha = np.linspace(0, 255, 32).round().astype(np.uint8)[None].repeat(32, 0)
    colour = np.array((200, 120, 40), np.uint8)
    premultiplied = np.rint(colour * (alpha[:, :, None] / 255)).astype(np.uint8)
    for place, pixels in (("wrong", premultiplied), ("right", np.broadcast_to(colour, premultiplied.shape))):
        root = tmp_path / place / "people"
        if kind == "cutouts":
            write_image(root / "a.png", np.dstack([pixels, alpha]))
        else:
            write_image(root / "fgr/a.png", pixels)
            write_image(root / "pha/a.png", alpha)
        write_background(tmp_path / place / "backgrounds")
        assert zoo_data("check", tmp_path / place) == 0
        output = capsys.readouterr().out
        assert ("colours multiplied by alpha (premultiplied) in 1 of 1" in output) == (place == "wrong")
        (stage,) = config(output)["train"].values()
        assert stage["dataset"]["init_args"].get("premultiplied", False) == (place == "wrong")
        matte = build(stage["dataset"]).matte(0)
        opaque = (matte.alpha[0] > 100).expand(3, -1, -1)
        difference = matte.foreground.float() - np.broadcast_to(colour, (32, 32, 3)).transpose(2, 0, 1).copy()
        assert difference[opaque].abs().max() <= 2


def test_files_that_are_not_read_are_counted_and_named(people: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("a.mp4", "b.xcf"):
        (people / "train/fgr" / name).touch()
    Image.new("RGB", (10, 6), 30).save(
        people / "backgrounds/two.gif", save_all=True, append_images=[Image.new("RGB", (10, 6), 99)]
    )
    assert zoo_data("check", people) == 0
    output = capsys.readouterr().out
    assert f"note: {people}/train/fgr holds 2 files that are no image and left out: a.mp4, b.xcf." in output
    assert "two.gif holds 2 images (an animation or pages), of which only the first is read." in output


def test_a_folder_of_heads_is_recognised(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "DAD-3DHeadsDataset"
    sizes = ("--train", "2", "--validation", "1", "--test", "1", "--size", "32", "--head-model", "procedural")
    assert zoo_data("synth", "heads", "--out", out, *sizes) == 0
    for path in (out / "test/annotations").iterdir():
        path.unlink()
    capsys.readouterr()
    for folder in (tmp_path, out):
        assert zoo_data("check", folder) == 0
        output = capsys.readouterr().out
        assert f"{tmp_path}: 2 heads in split train\n" in output
        assert "1 head in split test, without annotations" in output
        stages = config(output)
        assert sorted(stages) == ["train", "validation"]
        assert len(build(stages["validation"]["dataset"])) == 1
    (image,) = (out / "val/images").iterdir()
    write_image(image, np.zeros((2, 2, 3), np.uint8))
    next((out / "train/images").iterdir()).unlink()
    next((out / "train/annotations").iterdir()).write_text("{}")
    assert zoo_data("check", tmp_path) == 1
    output = capsys.readouterr().out
    for fault in ("is missing; expected every listed file", "lies outside the image", "vertices is missing"):
        assert f"{fault}" in output, output
    assert "3 problems to correct first" in output


def test_pictures_without_alpha_are_no_cutouts(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_image(tmp_path / "a.png", np.zeros((8, 8, 3), np.uint8))
    assert zoo_data("check", tmp_path) == 1
    output = capsys.readouterr().out
    assert "0 RGBA cut-outs in order" in output
    assert "a.png has no alpha channel; expected an RGBA cut-out" in output


def test_videos(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_clip(tmp_path / "clips/fgr/a.mp4", 4, (200, 40, 90))
    write_clip(tmp_path / "clips/pha/a.mp4", 4, (0, 0, 0))
    write_background(tmp_path / "clips/bgr")
    assert zoo_data("check", tmp_path / "clips") == 0
    output = capsys.readouterr().out
    assert "1 clip with 4 frames in order" in output
    assert "sizes: 32×32" in output
    dataset = build(config(output)["train"]["clips"]["dataset"])
    assert (type(dataset).__name__, len(dataset)) == ("VideoMattes", 4)


def test_faults_of_videos(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("short", "swapped", "empty"):
        write_clip(tmp_path / f"fgr/{name}.mp4", 4, (200, 40, 90))
    write_clip(tmp_path / "pha/short.mp4", 3, (0, 0, 0))
    write_clip(tmp_path / "pha/swapped.mp4", 4, (200, 40, 90))
    write_clip(tmp_path / "pha/empty.mp4", 4, (0, 0, 0), right=0)
    (tmp_path / "fgr/broken.mp4").write_bytes(b"no video")
    write_clip(tmp_path / "pha/broken.mp4", 4, (0, 0, 0))
    assert zoo_data("check", tmp_path) == 1
    output = capsys.readouterr().out
    assert "fgr/short.mp4 has 4 frames but" in output
    assert "pha/swapped.mp4 is coloured" in output
    assert "pha/empty.mp4 is 0 everywhere" in output
    assert "fgr/broken.mp4 cannot be read as a video" in output
    assert "4 problems to correct first" in output


@pytest.mark.parametrize(
    ("made", "said"),
    [
        ((), "holds no mattes; expected fgr/ and pha/"),
        (("fgr",), "has fgr/ but no folder of alphas (pha)"),
        (("train/pha",), "has pha/ but no folder of foregrounds (fgr)"),
        (("fgr", "pha"), "fgr holds no image"),
    ],
)
def test_folders_without_mattes(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], made: tuple[str, ...], said: str
) -> None:
    for folder in made:
        (tmp_path / folder).mkdir(parents=True)
    assert zoo_data("check", tmp_path) == 1
    assert said in capsys.readouterr().out


def test_one_of_the_two_folders_points_to_the_parent(people: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert zoo_data("check", people / "train/fgr") == 1
    assert f"check {people / 'train'} instead" in capsys.readouterr().out


def test_the_working_directory(
    people: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(people / "train/pha")
    assert zoo_data("check", ".") == 1
    assert f"check {people / 'train'} instead" in capsys.readouterr().out
    monkeypatch.chdir(people)
    assert zoo_data("check", ".") == 0
    assert len(build(config(capsys.readouterr().out)["train"]["people"]["dataset"])) == 3


def test_missing_folder_is_one_sentence(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert zoo_data("check", tmp_path / "nowhere") == 1
    error = capsys.readouterr().err
    assert "nowhere is not a folder; expected one with mattes or heads in it: check the path." in error
    assert error.count("\n") == 1


@pytest.mark.parametrize("task", [[], ["matting"]])
def test_synthetic_mattes_pass_the_check(tmp_path: Path, capsys: pytest.CaptureFixture[str], task: list[str]) -> None:
    counts = ["--train", 2, "--validation", 1, "--test", 0]
    assert zoo_data("synth", *task, "--out", tmp_path / "synthetic", *counts, "--size", 64) == 0
    printed = config(capsys.readouterr().out)
    assert set(printed) == {"train", "validation"}
    assert len(build(printed["train"]["synthetic"]["dataset"])) == 2
    assert zoo_data("check", tmp_path / "synthetic") == 0
    assert config(capsys.readouterr().out) == printed


def test_synthetic_mattes_follow_the_seed(tmp_path: Path) -> None:
    for folder, seed in (("one", 1), ("again", 1), ("two", 2)):
        counts = ["--train", 1, "--validation", 0, "--test", 0]
        zoo_data("synth", "--out", tmp_path / folder, *counts, "--size", 64, "--seed", seed)
    one, again, two = ((tmp_path / folder / "train/pha/0000.png").read_bytes() for folder in ("one", "again", "two"))
    assert one == again != two


ONE = ["--train", 1, "--validation", 0, "--test", 0]


def test_arguments_of_the_dataset_are_passed_on(tmp_path: Path) -> None:
    for folder, people in (("things", 0), ("people", 1), ("again", 1)):
        name = ["SyntheticMattes", f"--dataset.people={people}", "--dataset.detail", 0.3]
        assert zoo_data("synth", *name, "--out", tmp_path / folder, *ONE, "--size", 64) == 0
    things, people, again = (
        (tmp_path / folder / "train/pha/0000.png").read_bytes() for folder in ("things", "people", "again")
    )
    assert things != people == again


def test_any_dataset_of_mattes_is_written(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_mattes(tmp_path / "mine", ("x/a", "b", "c"))
    write_background(tmp_path / "mine/bgr")
    own = [f"--dataset.root={tmp_path / 'mine'}", f"--dataset.backgrounds={tmp_path / 'mine/bgr'}"]
    assert zoo_data("synth", "MatteFolder", *own, "--out", tmp_path / "all") == 0
    assert "3 train" in capsys.readouterr().out
    assert zoo_data("synth", "MatteFolder", *own, "--out", tmp_path / "some", "--test", 2) == 0
    names = sorted(path.relative_to(tmp_path / "some").as_posix() for path in (tmp_path / "some").rglob("*.png"))
    assert names == ["test/bgr/0000.png", *(f"test/{kind}/000{n}.png" for kind in ("fgr", "pha") for n in (0, 1))]
    assert zoo_data("check", tmp_path / "some") == 0


def test_heads_that_were_written_are_written_again_as_they_are(tmp_path: Path) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    counts = ["--train", 1, "--validation", 1, "--test", 0]
    head_model = ["--head-model", "procedural"]
    assert zoo_data("synth", "heads", "--out", one, *counts, "--size", 64, *head_model) == 0
    assert zoo_data("synth", "DADHeads", f"--dataset.root={one}", "--out", two, "--test", 0, *head_model) == 0
    files = [path.relative_to(one) for path in one.rglob("*.*") if path.name != "README.txt"]
    assert len(files) == 6
    for file in files:
        assert (one / file).read_bytes() == (two / file).read_bytes()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["TopK"], "no dataset named 'TopK'"),
        (["SyntheticMattes", "--dataset.peopel=1"], "has no argument 'peopel'; did you mean people?"),
        (["SyntheticMattes", "--dataset.people=3"], "people is 3.0: it is a fraction"),
        (["SyntheticMattes", "--dataset.people=many"], "dataset.people got 'many', expected a number"),
        (["SyntheticMattes", "--size", 8], "size is 8: it must be at least 32"),
        (["MatteFolder", "--size", 64], "MatteFolder has no argument 'size'; leave --size out"),
        (["MatteFolder", "--train", 1, "--test", 1], "MatteFolder has no splits; expected a count for one of"),
        (["MatteFolder", "--dataset.root=mine", "--dataset.backgrounds=mine/bgr", "--train", 4], "has 2 samples, got"),
    ],
)
def test_what_cannot_be_written_is_said_in_a_sentence(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    arguments: list[object],
    message: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    write_mattes(tmp_path / "mine")
    write_background(tmp_path / "mine/bgr")
    assert zoo_data("synth", *arguments, "--out", tmp_path / "out") == 1
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1
    assert not (tmp_path / "out").exists()


def test_nothing_to_write_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert zoo_data("synth", "--out", tmp_path, "--train", 0, "--validation", 0, "--test", 0) == 1
    assert "pass --train N" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        zoo_data("synth", "--out", tmp_path, "--train", "many")
    assert "got 'many'; expected a whole number" in capsys.readouterr().err


def test_declaring_the_command_imports_no_torch() -> None:
    code = "import sys, zoo.commands.data; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
