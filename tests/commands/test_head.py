"""`zoo head` and `zoo head submit`: arguments reach the right place, and bad ones end in one sentence."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from zoo.commands import head
from zoo.heads import head_files
from zoo.heads.mesh import HeadModel, HeadParams
from zoo.heads.parts import HeadOutput
from zoo.heads.rotation import FRONTAL, matrix_to_6d


class Straight(nn.Module):
    """A stand-in for a trained model: every head looks straight ahead."""

    image_size = 64

    def __init__(self, head_model: HeadModel) -> None:
        super().__init__()
        self.head_model = head_model
        self.offset = nn.Parameter(torch.zeros(1, 3))

    def network(self, image: torch.Tensor) -> HeadOutput:
        sizes = self.head_model.sizes
        params = HeadParams(
            shape=torch.zeros(1, sizes.shape),
            expression=torch.zeros(1, sizes.expression),
            jaw=torch.zeros(1, 3),
            rotation=matrix_to_6d(torch.tensor([FRONTAL])),
            translation=self.offset,
            scale=torch.full((1, 1), 5.0),
        )
        return HeadOutput(None, None, params.to_vector())


@pytest.fixture(scope="module")
def procedural() -> HeadModel:
    return HeadModel.load("procedural")


@pytest.fixture
def loaded(monkeypatch: pytest.MonkeyPatch, procedural: HeadModel) -> list[str]:
    """The names of the models that were loaded."""
    names = []

    def load(name: str) -> nn.Module:
        names.append(name)
        return Straight(procedural).eval() if name != "matting.ckpt" else nn.Linear(1, 1)

    monkeypatch.setattr("zoo.training.models.load", load)
    return names


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    path = tmp_path / "in" / "me.png"
    path.parent.mkdir()
    Image.fromarray(np.full((100, 200, 3), 120, np.uint8)).save(path)
    return path


OPTIONS = ("--model", "last.ckpt", "--device", "cpu", "--box", "50,10,80,80")


def test_results_land_in_the_output_folder(
    command: Callable[..., Any], picture: Path, tmp_path: Path, loaded: list[str]
) -> None:
    outcome = command("head", picture, "-o", tmp_path / "out", *OPTIONS)
    assert (outcome.code, loaded) == (0, ["last.ckpt"])
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == sorted(head.KINDS)
    record = json.loads((tmp_path / "out" / "json" / "me.json").read_text())
    assert (record["model"], record["box"]) == ("last.ckpt", [50, 10, 80, 80])
    assert "me.png: the head was in the box that was given" in outcome.out
    assert "5 results in" in outcome.out


def test_chosen_kinds(command: Callable[..., Any], picture: Path, tmp_path: Path, loaded: list[str]) -> None:
    outcome = command(
        "head", picture, "-o", tmp_path / "out", *OPTIONS, "--save", "obj", "overlay", "--wire", "--posed"
    )
    assert outcome.code == 0
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["obj", "overlay"]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["missing.png"], "SOURCE missing.png does not exist"),
        (["{me}", "--device", "gpu9"], "'gpu9' cannot be used"),
        (["{me}", "--smooth"], "leave out --smooth"),
        (["{me}", "--box", "900,900,10,10"], "lies outside the image"),
        (["{me}", "--box", "1,2,3"], "'1,2,3' is no box; expected four numbers x,y,width,height"),
        (["{me}", "--model", "matting.ckpt"], "matting.ckpt holds a Linear; expected a model of 3D heads"),
        (["{me}", "--save", "mesh"], "invalid choice: 'mesh'"),
        (["{me}", "-o", "head.gltf"], "head.gltf ends in .gltf, which is not written; expected .glb .json .obj .png"),
    ],
)
def test_bad_arguments_are_one_sentence_and_write_nothing(
    command: Callable[..., Any], picture: Path, tmp_path: Path, loaded: list[str], arguments: list[str], words: str
) -> None:
    arguments = [argument.format(me=picture) for argument in arguments]
    outcome = command("head", "-o", tmp_path / "out", *OPTIONS, *arguments)
    assert outcome.code != 0
    assert words in outcome.complaint
    assert not (tmp_path / "out").exists()


def test_json_is_all_that_is_printed(
    command: Callable[..., Any], picture: Path, tmp_path: Path, loaded: list[str]
) -> None:
    outcome = command("head", picture, "-o", tmp_path / "out", *OPTIONS, "--save", "obj", "--json")
    assert json.loads(outcome.out)["written"] == [str(tmp_path / "out" / "obj" / "me.obj")]
    assert "me.png: the head was in the box that was given" in outcome.err


def test_a_picture_without_a_head_fails(
    command: Callable[..., Any], picture: Path, tmp_path: Path, loaded: list[str]
) -> None:
    outcome = command("head", picture, "-o", tmp_path / "out", "--model", "last.ckpt", "--device", "cpu")
    assert outcome.code == 1
    assert "me.png: no face was found" in outcome.complaint
    assert not (tmp_path / "out").exists()


def test_without_a_model_it_takes_the_one_that_comes_with_the_package(
    command: Callable[..., Any], picture: Path, tmp_path: Path, loaded: list[str]
) -> None:
    assert command("head", picture, "-o", tmp_path / "out", "--device", "cpu", "--box", "50,10,80,80").code == 0
    assert loaded == ["dad3dnet_facemesh-synthetic"]


def test_a_submission_says_how_to_give_a_model(command: Callable[..., Any], benchmark: Path, tmp_path: Path) -> None:
    outcome = command("head", "submit", benchmark, "-o", tmp_path / "submission.json")
    assert "expected --model with a checkpoint" in outcome.complaint


def test_the_command_knows_all_kinds() -> None:
    assert head.KINDS == head_files.KINDS


@pytest.fixture
def benchmark(tmp_path: Path) -> Path:
    """A test split of two items; the picture of the second is missing."""
    split = tmp_path / "data" / "test"
    (split / "images").mkdir(parents=True)
    Image.fromarray(np.full((100, 200, 3), 120, np.uint8)).save(split / "images" / "a.png")
    items = [{"item_id": name, "img_path": f"images/{name}.png", "bbox": [50, 10, 80, 80]} for name in "ab"]
    (split / "test.json").write_text(json.dumps(items))
    return split.parent


def test_a_submission_counts_what_is_missing(
    command: Callable[..., Any], benchmark: Path, tmp_path: Path, loaded: list[str]
) -> None:
    out = tmp_path / "submission.json"
    outcome = command("head", "submit", benchmark, "-o", out, "--model", "last.ckpt", "--device", "cpu")
    assert outcome.code == 1
    assert f"{out}: predictions for 1 of 2 items" in outcome.out
    assert "b is left out: there is no file" in outcome.out
    (entry,) = json.loads(out.read_text()).values()
    assert np.shape(entry["N_landmarks_3d"]) == (5023, 3)
    np.testing.assert_allclose(entry["rotation_matrix"], FRONTAL, atol=1e-6)
    assert 50 < np.mean(entry["68_landmarks_2d"], axis=0)[0] < 130


def test_a_whole_submission_is_no_problem(
    command: Callable[..., Any], benchmark: Path, tmp_path: Path, loaded: list[str]
) -> None:
    picture = benchmark / "test" / "images" / "a.png"
    (picture.parent / "b.png").write_bytes(picture.read_bytes())
    outcome = command("head", "submit", benchmark, "-o", tmp_path / "s.json", "--model", "last.ckpt", "--device", "cpu")
    assert outcome.code == 0
    assert "problem" not in outcome.out


def test_a_submission_needs_the_data(command: Callable[..., Any], tmp_path: Path, loaded: list[str]) -> None:
    outcome = command("head", "submit", tmp_path / "nowhere", "-o", tmp_path / "s.json", "--model", "last.ckpt")
    assert outcome.code == 1
    assert "expected the folder of DAD-3DHeads" in outcome.complaint
    assert loaded == []
