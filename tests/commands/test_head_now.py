"""`zoo head now`: predictions of the neutral shape, measured on a tiny folder laid out as NoW's."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from zoo.heads.inference import neutral_head
from zoo.heads.mesh import HeadModel, HeadParams
from zoo.heads.mesh_files import write_obj
from zoo.heads.metrics import seven_points
from zoo.heads.metrics.now_folder import read_mesh, read_points7
from zoo.heads.parts import HeadOutput
from zoo.heads.rotation import matrix_from_euler, matrix_to_6d

PICTURES = ("a/multiview_neutral/IMG_1", "a/selfie/IMG_2", "b/multiview_neutral/IMG_3")
PLACE = "NoW_Dataset/final_release_version"
FACE = {"left": 80, "top": 60, "right": 120, "bottom": 100}


class Grimace(nn.Module):
    """A stand-in for a trained model: it always sees one shape, turned aside, with an expression and an open mouth."""

    image_size = 64

    def __init__(self, head_model: HeadModel, shape: torch.Tensor) -> None:
        super().__init__()
        self.head_model = head_model
        self.shape = nn.Parameter(shape)
        self.seen: list[torch.Tensor] = []
        self.interrupted_at: int | None = None

    def network(self, image: torch.Tensor) -> HeadOutput:
        if len(self.seen) == self.interrupted_at:
            raise KeyboardInterrupt
        self.seen.append(image)
        params = HeadParams(
            shape=self.shape,
            expression=torch.full((1, self.head_model.sizes.expression), 1.5),
            jaw=torch.tensor([[0.3, 0.0, 0.0]]),
            rotation=matrix_to_6d(matrix_from_euler(torch.tensor([[0.0, 40.0, 10.0]]))),
            translation=torch.zeros(1, 3),
            scale=torch.full((1, 1), 5.0),
        )
        return HeadOutput(None, None, params.to_vector())


@pytest.fixture(scope="module")
def procedural() -> HeadModel:
    return HeadModel.load("procedural")


@pytest.fixture(scope="module")
def shape(procedural: HeadModel) -> torch.Tensor:
    return torch.linspace(-1, 1, procedural.sizes.shape)[None]


@pytest.fixture
def model(monkeypatch: pytest.MonkeyPatch, procedural: HeadModel, shape: torch.Tensor) -> Grimace:
    """The model that is loaded, whatever it is asked for, unless it is `matting.ckpt`."""
    stand_in = Grimace(procedural, shape).eval()
    monkeypatch.setattr(
        "zoo.training.models.load", lambda name: nn.Linear(1, 1) if name == "matting.ckpt" else stand_in
    )
    return stand_in


def write_scan(folder: Path, subject: str, head_model: HeadModel, shape: torch.Tensor, unit: float = 1000) -> None:
    """The neutral face of this shape as the scan of a subject; `unit` of them are a metre."""
    params = torch.zeros(1, head_model.sizes.total)
    params[:, : shape.shape[1]] = shape
    vertices = head_model.vertices(params, rotated=False) * unit
    write_obj(folder / "scans" / subject / "scan.obj", vertices[0].numpy(), head_model.faces.numpy())
    points = folder / "scans_lmks_onlypp" / subject / "points.txt"
    points.parent.mkdir(parents=True, exist_ok=True)
    np.savetxt(points, seven_points(head_model.landmarks(vertices))[0].numpy())


@pytest.fixture
def data(tmp_path: Path, procedural: HeadModel, shape: torch.Tensor) -> Path:
    """Three pictures of two subjects, whose scans are exactly what the stand-in sees; and one of the test."""
    folder = tmp_path / "now"
    for subject in "ab":
        write_scan(folder, subject, procedural, shape)
    (folder / "imagepathsvalidation.txt").write_text("".join(f"{name}.jpg\n" for name in PICTURES))
    (folder / "imagepathstest.txt").write_text("c/selfie/IMG_4.jpg\n")
    for name in (*PICTURES, "c/selfie/IMG_4"):
        picture = folder / PLACE / "iphone_pictures" / f"{name}.jpg"
        picture.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.full((160, 200, 3), 120, np.uint8)).save(picture)
        face = folder / PLACE / "detected_face" / f"{name}.npy"
        face.parent.mkdir(parents=True, exist_ok=True)
        np.save(face, np.array(FACE, dtype=object), allow_pickle=True)
    return folder


@pytest.fixture
def now(command: Callable[..., Any], data: Path) -> Callable[..., Any]:
    """Runs the command on the folder."""
    return lambda *words: command("head", "now", data, *words)


OPTIONS = ("--model", "last.ckpt", "--device", "cpu")


def files_in(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


def test_the_predicted_shape_alone_is_measured(now: Callable[..., Any], tmp_path: Path, model: Grimace) -> None:
    """Expression and jaw would each put the mesh millimetres off the scan."""
    outcome = now("-o", tmp_path / "out", *OPTIONS)
    assert outcome.code == 0, outcome.err
    record = json.loads((tmp_path / "out" / "now.json").read_text())
    assert list(record["results"]) == ["multiview_neutral", "selfie", "all"]
    assert [result["measured"] for result in record["results"].values()] == [2, 1, 3]
    assert 0 <= record["results"]["all"]["mean"] < 1e-3
    assert (record["unit"], record["missing"], record["made_by"]["model"]) == ("mm", {}, "last.ckpt")
    assert record["made_by"]["head_model"]["name"] == model.head_model.name
    assert record["made_by"]["device"] == "cpu"
    assert {"torch", "ablation-zoo"} <= record["measured_with"]["versions"].keys()
    assert "the head was placed around the benchmark's face box: 3" in outcome.out
    assert "multiview_neutral" in outcome.out


def test_a_prediction_is_a_mesh_not_turned_and_its_seven_points(
    now: Callable[..., Any], data: Path, tmp_path: Path, model: Grimace
) -> None:
    now("-o", tmp_path / "out", *OPTIONS, "--challenge", "selfie")
    assert files_in(tmp_path / "out") == [
        "a/selfie/IMG_2.npy",
        "a/selfie/IMG_2.obj",
        "now-selfie.json",
        "predictions.json",
    ]
    vertices, faces = read_mesh(tmp_path / "out" / "a/selfie/IMG_2.obj")
    assert (faces == model.head_model.faces.numpy()).all()
    np.testing.assert_allclose(vertices, read_mesh(data / "scans/a/scan.obj")[0] / 1000, atol=1e-6)
    found = seven_points(model.head_model.landmarks(torch.from_numpy(vertices).float()[None]))[0]
    np.testing.assert_allclose(read_points7(tmp_path / "out" / "a/selfie/IMG_2.npy"), found, atol=1e-6)


def test_the_network_sees_the_head_around_the_benchmark_s_face(model: Grimace, tmp_path: Path) -> None:
    pixels = np.zeros((300, 300, 3), np.uint8)
    pixels[50:225, 70:230] = 255  # a face of 100×100 at (100, 100), with the margins of a head
    Image.fromarray(pixels).save(tmp_path / "a.png")
    neutral_head(model, tmp_path / "a.png", (100.0, 100.0, 100.0, 100.0))
    (crop,) = model.seen
    rows, columns = (crop[0, 0] > 0.5).nonzero().T
    assert (len(rows.unique()) / 64, len(columns.unique()) / 64) == pytest.approx((1 / 1.2, 160 / 210), abs=0.03)


def test_an_interrupted_command_goes_on_where_it_was(now: Callable[..., Any], tmp_path: Path, model: Grimace) -> None:
    model.interrupted_at = 2
    assert now("-o", tmp_path / "out", *OPTIONS).code == 130
    model.interrupted_at = None
    outcome = now("-o", tmp_path / "out", *OPTIONS)
    assert outcome.code == 0
    assert "2 of 3 predictions are in" in outcome.out
    assert len(model.seen) == 3


def test_predictions_of_another_model_are_not_taken_for_its_own(
    now: Callable[..., Any], tmp_path: Path, model: Grimace
) -> None:
    now("-o", tmp_path / "out", *OPTIONS)
    with torch.no_grad():
        model.shape[0, 0] += 1
    outcome = now("-o", tmp_path / "out", *OPTIONS)
    assert outcome.code == 1
    assert "holds predictions of last.ckpt, made with other weights" in outcome.complaint
    (tmp_path / "out" / "predictions.json").write_text("{")
    assert "predictions.json is damaged" in now("-o", tmp_path / "out", *OPTIONS).complaint
    (tmp_path / "out" / "predictions.json").unlink()
    assert "IMG_1.obj was not made by this command" in now("-o", tmp_path / "out", *OPTIONS).complaint


def test_pictures_without_prediction_are_counted_and_named(
    now: Callable[..., Any], data: Path, tmp_path: Path, model: Grimace
) -> None:
    pictures = data / PLACE / "iphone_pictures"
    (pictures / f"{PICTURES[0]}.jpg").write_bytes(b"\xff\xd8\xff")
    (pictures / f"{PICTURES[1]}.jpg").unlink()
    outcome = now("-o", tmp_path / "out", *OPTIONS)
    assert outcome.code == 1
    assert "predictions for 1 of 3 images" in outcome.out
    assert "2 of 3 images have no usable prediction and are in no number" in outcome.out
    assert f"missing: {PICTURES[0]}: {pictures / PICTURES[0]}.jpg is" in outcome.out
    record = json.loads((tmp_path / "out" / "now.json").read_text())
    assert list(record["missing"]) == list(PICTURES[:2])
    assert record["results"]["selfie"] == {"median": None, "mean": None, "std": None, "measured": 0, "missing": 1}
    assert record["results"]["all"]["mean"] < 1e-3


def test_a_picture_without_face_box_is_searched(
    now: Callable[..., Any], data: Path, tmp_path: Path, model: Grimace
) -> None:
    """All grey, and not of a portrait's shape: the search finds nothing, and says so."""
    Image.fromarray(np.full((100, 200, 3), 120, np.uint8)).save(data / PLACE / f"iphone_pictures/{PICTURES[0]}.jpg")
    (data / PLACE / "detected_face" / f"{PICTURES[0]}.npy").unlink()
    outcome = now("-o", tmp_path / "out", *OPTIONS)
    assert outcome.code == 1
    assert "no face was found" in outcome.out


def test_meshes_of_any_method_are_measured_without_a_model(
    now: Callable[..., Any], data: Path, tmp_path: Path, procedural: HeadModel, shape: torch.Tensor
) -> None:
    for name in PICTURES[:2]:
        stem = tmp_path / "theirs" / name
        scan, faces = read_mesh(data / "scans/a/scan.obj")
        write_obj(stem.with_suffix(".obj"), scan * [1, 1, 1.2] / 10, faces)
        np.savetxt(stem.with_suffix(".txt"), read_points7(data / "scans_lmks_onlypp/a/points.txt") * [1, 1, 1.2] / 10)
    outcome = now("--predictions", tmp_path / "theirs")
    assert outcome.code == 1
    record = json.loads((tmp_path / "theirs" / "now.json").read_text())
    assert 0.1 < record["results"]["all"]["median"] < 10
    assert record["made_by"] is None
    assert "there is no IMG_3.obj or .ply" in record["missing"][PICTURES[2]]


def test_the_test_s_pictures_are_only_predicted(
    now: Callable[..., Any], data: Path, tmp_path: Path, model: Grimace
) -> None:
    outcome = now("-o", tmp_path / "out", *OPTIONS, "--split", "test")
    assert outcome.code == 0
    assert "nothing was measured" in outcome.out
    assert files_in(tmp_path / "out") == ["c/selfie/IMG_4.npy", "c/selfie/IMG_4.obj", "predictions.json"]
    (data / PLACE / "iphone_pictures/c/selfie/IMG_4.jpg").write_bytes(b"")
    outcome = now("-o", tmp_path / "again", *OPTIONS, "--split", "test")
    assert outcome.code == 1
    assert "1 of 1 images have no usable prediction" in outcome.out
    outcome = now("--predictions", tmp_path / "out", "--split", "test")
    assert "so there is nothing to measure" in outcome.complaint


def test_a_scan_in_metres_ends_it_before_anything_is_predicted(
    now: Callable[..., Any], data: Path, tmp_path: Path, model: Grimace, shape: torch.Tensor
) -> None:
    write_scan(data, "b", model.head_model, shape, unit=1)
    outcome = now("-o", tmp_path / "out", *OPTIONS)
    assert outcome.code == 1
    assert "scans/b/scan.obj: " in outcome.complaint
    assert "look like metres" in outcome.complaint
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (["{now}/nowhere", "-o", "{out}", *OPTIONS], "there is no folder"),
        (["{now}/scans", "-o", "{out}", *OPTIONS], "expected the list of images of the NoW data set"),
        (["{now}", *OPTIONS], "expected -o DIR, or --predictions DIR"),
        (["{now}", "-o", "{out}"], "expected --model with a checkpoint"),
        (["{now}", "-o", "{out}", "--model", "matting.ckpt"], "holds a Linear; expected a model of 3D heads"),
        (["{now}", "-o", "{out}", *OPTIONS, "--challenge", "selfies"], "expected one of multiview_neutral, selfie"),
        (["{now}", "-o", "{now}/imagepathstest.txt", *OPTIONS], "is a file; expected a folder"),
        (["{now}", "-o", f"{{now}}/{PLACE}/detected_face", *OPTIONS], "IMG_1.npy was not made by this command"),
        (["{now}", "--predictions", "{out}", *OPTIONS], "both --model and --predictions were given"),
        (["{now}", "--predictions", "{out}"], "there is no such folder of predictions"),
    ],
)
def test_bad_input_is_one_sentence_and_writes_nothing(
    command: Callable[..., Any], data: Path, tmp_path: Path, model: Grimace, words: list[str], complaint: str
) -> None:
    before = files_in(tmp_path)
    outcome = command("head", "now", *(word.format(now=data, out=tmp_path / "out") for word in words))
    assert outcome.code == 1
    assert complaint in outcome.complaint
    assert files_in(tmp_path) == before


def test_a_folder_without_pictures_is_said_at_once(
    now: Callable[..., Any], data: Path, tmp_path: Path, model: Grimace
) -> None:
    (data / PLACE).rename(data / "elsewhere")
    outcome = now("-o", tmp_path / "out", *OPTIONS)
    assert "holds no images: expected them in one of iphone_pictures" in outcome.complaint
    assert not (tmp_path / "out").exists()
