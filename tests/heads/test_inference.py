"""Heads from files: what lands where, with which values; what is refused; what survives."""

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import trimesh
from PIL import Image
from skimage.data import astronaut
from torch import nn

from zoo.heads.dad_format import Item
from zoo.heads.head_files import KINDS, HeadFiles, rounded
from zoo.heads.inference import (
    NoHeadError,
    head_files,
    predict_head,
    predict_heads,
    submission_items,
)
from zoo.heads.mesh import HeadModel, HeadParams
from zoo.heads.mesh_files import for_viewers
from zoo.heads.parts import HeadOutput
from zoo.heads.rotation import matrix_from_euler, matrix_to_6d
from zoo.media.images import MediaError, MediaWarning, read_image
from zoo.media.videos import VideoEndsEarly, read_frames

BOX = (100.0, 60.0, 80.0, 100.0)
"""Where the head is in pictures of 200×300 pixels."""
YAW = 20.0


class Looking(nn.Module):
    """A stand-in for a trained network: the head fills the crop and looks the brighter the crop, the further aside."""

    def __init__(self, head_model: HeadModel) -> None:
        super().__init__()
        self.sizes = head_model.sizes
        self.seen: list[torch.Tensor] = []

    def forward(self, image: torch.Tensor) -> HeadOutput:
        self.seen.append(image)
        params = HeadParams(
            shape=torch.zeros(1, self.sizes.shape),
            expression=torch.zeros(1, self.sizes.expression),
            jaw=torch.zeros(1, 3),
            rotation=matrix_to_6d(matrix_from_euler(torch.tensor([[0.0, 2 * YAW * float(image.mean()), 0.0]]))),
            translation=torch.zeros(1, 3),
            scale=torch.full((1, 1), 5.0),
        )
        return HeadOutput(None, torch.full((1, 68, 2), 0.5), params.to_vector())


class StandIn(nn.Module):
    """What a trained model has."""

    image_size = 64

    def __init__(self, head_model: HeadModel) -> None:
        super().__init__()
        self.head_model = head_model
        self.network = Looking(head_model)


@pytest.fixture(scope="module")
def head() -> HeadModel:
    return HeadModel.load("procedural")


@pytest.fixture
def model(head: HeadModel) -> StandIn:
    return StandIn(head).eval()


def grey(value: int = 128, size: tuple[int, int] = (200, 300)) -> np.ndarray:
    return np.full((*size, 3), value, np.uint8)


def save(path: Path, pixels: np.ndarray) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)
    return path


def files_in(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def read_json(path: Path) -> dict[str, Any]:
    return json.loads(path.read_text())


class TestInMemory:
    def test_the_head_is_placed_in_the_picture(self, model: StandIn) -> None:
        """The middle of the crop is the middle of the box, and the head, 26 cm high, has its size."""
        result = predict_head(model, grey(), BOX)
        np.testing.assert_allclose(result.network_landmarks, np.full((68, 2), [140, 110]), atol=1)
        height = np.ptp(result.vertices[:, 1])
        shown = np.ptp(result.projected[:, 1])
        assert shown == pytest.approx(120 * height * 6 / 2, rel=0.02)  # 120 pixels of the picture fill the crop
        origin = result.projected - result.posed[:, :2] * (float(result.params.scale) + 1) / 2 * result.projection_side
        np.testing.assert_allclose(origin.mean(0), [140, 110], atol=1)

    def test_pose_and_mesh_agree(self, model: StandIn) -> None:
        result = predict_head(model, grey(255), (40.0, 30.0, 140.0, 140.0))
        assert result.euler == pytest.approx((0, 2 * YAW, 0), abs=1e-3)
        np.testing.assert_allclose(result.rotation, matrix_from_euler(torch.tensor([0.0, 2 * YAW, 0.0])), atol=1e-5)
        np.testing.assert_allclose(result.posed, result.vertices @ result.rotation.T)
        assert result.landmarks[30, 0] < result.landmarks[27, 0]  # the nose points to the viewer's left

    def test_the_network_sees_the_extended_box_in_unit_range(self, model: StandIn) -> None:
        picture = grey(0)
        picture[40:180, 80:200] = 255
        predict_head(model, picture, (80.0, 40.0, 120.0, 140.0))
        (seen,) = model.network.seen
        assert seen.shape == (1, 3, 64, 64)
        assert (float(seen.min()), float(seen.max())) == (0, 1)
        assert (seen[0, 0, :3] == 0).all()  # what lies above the box

    def test_a_face_is_found_without_a_box(self, model: StandIn) -> None:
        result = predict_head(model, astronaut())
        assert result.how == "found by BlazeFace"
        x, y, width, height = result.box
        assert x < 222 < x + width
        assert y < 115 < y + height

    @pytest.mark.parametrize(
        ("picture", "box", "words"),
        [
            (grey(), None, "no face was found"),
            (grey(), (400.0, 0.0, 20.0, 20.0), "lies outside the image"),
            (grey(), (0.0, 0.0, 0.0, 20.0), "is empty"),
        ],
    )
    def test_no_head_is_one_sentence(self, model: StandIn, picture: np.ndarray, box: Any, words: str) -> None:
        with pytest.raises(NoHeadError, match=words) as error:
            predict_head(model, picture, box)
        assert "\n" not in str(error.value)

    @pytest.mark.parametrize(
        ("picture", "words"),
        [
            ("me.png", r"got the path 'me\.png'; expected an image in memory"),
            (grey().astype(np.float32), "values up to 128; expected uint8, or floats from 0 to 1: divide by 255"),
            (grey().astype(np.int64), "of type int64; expected an array of uint8"),
            (grey().tolist(), "of type list; expected an array of uint8"),
        ],
    )
    def test_what_is_no_picture_is_one_sentence(self, model: StandIn, picture: Any, words: str) -> None:
        with pytest.raises(ValueError, match=words):
            predict_head(model, picture, BOX)

    def test_a_model_in_training_mode_is_refused(self, model: StandIn) -> None:
        with pytest.raises(ValueError, match=r"call model\.eval\(\)"):
            predict_head(model.train(), grey(), BOX)

    def test_numbers_that_are_not_finite_are_no_head(self, model: StandIn, monkeypatch: pytest.MonkeyPatch) -> None:
        broken = torch.full((1, model.head_model.sizes.total), torch.nan)
        monkeypatch.setattr(model.network, "forward", lambda image: HeadOutput(None, None, broken))
        with pytest.raises(NoHeadError, match="not finite"):
            predict_head(model, grey(), BOX)


class TestPictures:
    def test_one_picture_lands_in_one_folder_a_kind(
        self, model: StandIn, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        source = save(tmp_path / "in" / "me.now.png", grey())
        written = head_files(model, source, HeadFiles(tmp_path / "out"), BOX)
        assert files_in(tmp_path / "out") == [
            "glb/me.now.glb",
            "json/me.now.json",
            "landmarks/me.now.json",
            "obj/me.now.obj",
            "overlay/me.now.png",
        ]
        assert sorted(written) == sorted(path for path in (tmp_path / "out").rglob("*") if path.is_file())
        said = capsys.readouterr().out
        assert said == "me.now.png: the head was in the box that was given (x=100 y=60 width=80 height=100)\n"

    def test_every_kind_holds_what_it_says(self, model: StandIn, tmp_path: Path) -> None:
        source = save(tmp_path / "me.png", grey())
        expected = predict_head(model, grey(), BOX)
        head_files(model, source, HeadFiles(tmp_path, model="last.ckpt"), BOX)
        drawn = (read_image(tmp_path / "overlay" / "me.png") != 128).any(-1)
        x, y = expected.projected.mean(0).astype(int)
        assert drawn[y, x]
        assert not drawn[:, :60].any()
        mesh = trimesh.load_mesh(tmp_path / "obj" / "me.obj", process=False)
        np.testing.assert_allclose(mesh.vertices, expected.vertices, atol=1e-6)
        record = read_json(tmp_path / "landmarks" / "me.json")
        assert (record["picture"], record["size"], record["box"]) == ("me.png", [300, 200], list(BOX))
        np.testing.assert_allclose(record["landmarks"], expected.landmarks, atol=1e-5)
        np.testing.assert_allclose(record["network_landmarks"], expected.network_landmarks, atol=1e-5)

    def test_the_json_is_enough_to_place_the_mesh(self, model: StandIn, tmp_path: Path) -> None:
        """By the formula that it states, from the mesh at rest to pixels."""
        head_files(model, save(tmp_path / "me.png", grey()), HeadFiles(tmp_path, ["json"], model="last.ckpt"), BOX)
        record = read_json(tmp_path / "json" / "me.json")
        expected = predict_head(model, grey(), BOX)
        assert list(record["euler"].values()) == pytest.approx(expected.euler, abs=1e-4)
        assert (len(record["shape"]), len(record["expression"]), len(record["jaw"])) == (300, 100, 3)
        assert (record["model"], record["head_model"]["name"]) == ("last.ckpt", "procedural")
        posed = expected.vertices @ np.array(record["rotation_matrix"]).T
        seen = (posed * (record["scale"][0] + 1) + record["translation"] + 1) / 2 * record["projection_side"]
        np.testing.assert_allclose(seen[:, :2], expected.projected, atol=0.01)

    def test_a_posed_mesh_is_turned_as_in_the_picture(self, model: StandIn, tmp_path: Path) -> None:
        expected = predict_head(model, grey(), BOX)
        source = save(tmp_path / "me.png", grey())
        head_files(model, source, HeadFiles(tmp_path, ["glb"], posed=True), BOX)
        mesh = trimesh.load_mesh(tmp_path / "glb" / "me.glb", process=False)
        np.testing.assert_allclose(mesh.vertices, for_viewers(expected.posed), atol=1e-6)

    def test_a_wire_frame_shows_more_of_the_picture(self, model: StandIn, tmp_path: Path) -> None:
        source = save(tmp_path / "me.png", grey(size=(800, 1200)))
        shown = []
        for wire in (False, True):
            head_files(model, source, HeadFiles(tmp_path / str(wire), ["overlay"], wire), (200.0, 100.0, 600.0, 600.0))
            shown.append((read_image(tmp_path / str(wire) / "overlay" / "me.png") == 128).all(-1).mean())
        assert shown[1] > shown[0]

    @pytest.mark.parametrize(
        ("picture", "box", "words"),
        [
            (grey(), None, r"me\.png: no face was found"),
            (grey(), (500.0, 0.0, 20.0, 20.0), r"me\.png: the head's box .* lies outside the image"),
            (b"not an image", BOX, r"me\.png is not an image"),
        ],
    )
    def test_bad_input_is_one_sentence_and_writes_nothing(
        self, model: StandIn, tmp_path: Path, picture: Any, box: Any, words: str
    ) -> None:
        source = tmp_path / "in" / "me.png"
        source.parent.mkdir()
        if isinstance(picture, bytes):
            source.write_bytes(picture)
        else:
            save(source, picture)
        with pytest.raises(MediaError, match=words) as error:
            head_files(model, source, HeadFiles(tmp_path / "out"), box)
        assert "\n" not in str(error.value)
        assert not (tmp_path / "out").exists()

    def test_a_source_is_never_overwritten(self, model: StandIn, tmp_path: Path) -> None:
        source = save(tmp_path / "overlay" / "me.png", grey())
        with pytest.raises(MediaError, match="would be overwritten"):
            head_files(model, source, HeadFiles(tmp_path), BOX)

    def test_unknown_kinds_are_named(self, tmp_path: Path) -> None:
        with pytest.raises(ValueError, match=r"kind 'mesh' do not exist; expected some of overlay, obj"):
            HeadFiles(tmp_path, ["mesh"])

    def test_smoothing_needs_a_video(self, model: StandIn, tmp_path: Path) -> None:
        source = save(tmp_path / "in" / "me.png", grey())
        for wrong in (source, source.parent):
            with pytest.raises(MediaError, match=r"is a (folder of images|image) .* leave out --smooth"):
                head_files(model, wrong, HeadFiles(tmp_path / "out"), BOX, smooth=True)
        assert not (tmp_path / "out").exists()


class TestFolders:
    def test_names_and_subfolders_are_kept(self, model: StandIn, tmp_path: Path) -> None:
        save(tmp_path / "in" / "me.png", grey())
        save(tmp_path / "in" / "us" / "you.png", grey())
        head_files(model, tmp_path / "in", HeadFiles(tmp_path / "out", ["json"]), BOX, progress=False)
        assert files_in(tmp_path / "out") == ["json/me.json", "json/us/you.json"]

    def test_pictures_without_a_head_are_left_out_and_named(self, model: StandIn, tmp_path: Path) -> None:
        save(tmp_path / "in" / "a.png", astronaut())
        save(tmp_path / "in" / "b.png", grey())
        (tmp_path / "in" / "c.png").write_bytes(b"")
        with pytest.raises(MediaError, match=r"2 of 3 images were left out.*b\.png: no face"):
            head_files(model, tmp_path / "in", HeadFiles(tmp_path / "out", ["json"]), progress=False)
        assert files_in(tmp_path / "out") == ["json/a.json"]

    def test_doubtful_heads_are_marked(
        self, model: StandIn, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        save(tmp_path / "in/blank.png", grey(128, (120, 100)))
        save(tmp_path / "in/me.png", astronaut())
        with pytest.warns(MediaWarning, match=r"in 1 of 2 images is doubtful, .*: blank\.png\. Look at the"):
            head_files(model, tmp_path / "in", HeadFiles(tmp_path / "out", ["json", "overlay"]), progress=False)
        assert "score 0: doubtful)" in capsys.readouterr().out
        for name, doubtful in (("blank", True), ("me", False)):
            record = read_json(tmp_path / f"out/json/{name}.json")
            assert (record["score"] == 0, record["doubtful"]) == (doubtful, doubtful)
            frame = read_image(tmp_path / f"out/overlay/{name}.png")[0]
            assert (frame == (255, 0, 0)).all() == doubtful

    def test_all_heads_of_an_image_are_found_or_the_largest_one(self, model: StandIn, tmp_path: Path) -> None:
        pair = np.full((300, 600, 3), 120, np.uint8)
        pair[:, :300], pair[50:250, 350:550] = resized(300), resized(200)
        save(tmp_path / "pair.png", pair)
        for heads, folder in (("all", "both"), ("one", "first")):
            results = HeadFiles(tmp_path / folder, ["json", "obj"])
            head_files(model, tmp_path / "pair.png", results, progress=False, heads=heads)
        assert files_in(tmp_path / "both") == ["json/pair.json", "obj/pair.obj", "obj/pair_2.obj"]
        assert files_in(tmp_path / "first") == ["json/pair.json", "obj/pair.obj"]
        both, first = (read_json(tmp_path / folder / "json/pair.json") for folder in ("both", "first"))
        (other,) = both.pop("others")
        assert both == first
        assert both["box"][0] < 300 < other["box"][0]
        assert both["box"][2] > other["box"][2]
        assert len(predict_heads(model, pair)) == 2

    def test_results_of_an_earlier_run_are_no_pictures(self, model: StandIn, tmp_path: Path) -> None:
        save(tmp_path / "me.png", grey())
        for _ in range(2):
            head_files(model, tmp_path, HeadFiles(tmp_path, ["overlay"]), BOX, progress=False)
        assert files_in(tmp_path) == ["me.png", "overlay/me.png"]


def resized(side: int) -> np.ndarray:
    """The astronaut's upper left, which is mostly her head."""
    return np.asarray(Image.fromarray(astronaut()[:350, 50:400]).resize((side, side), Image.Resampling.LANCZOS))


def write_video(path: Path, frames: list[np.ndarray]) -> Path:
    av = pytest.importorskip("av")
    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w", container_options={"movflags": "+faststart"}) as container:
        stream = container.add_stream("libx264", rate=25, options={"crf": "1"})
        stream.height, stream.width, stream.pix_fmt = *frames[0].shape[:2], "yuv420p"
        for pixels in frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, "rgb24")))
        container.mux(stream.encode(None))
    return path


def lines_of(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


class TestVideos:
    def test_a_video_gives_a_video_and_a_line_a_frame(self, model: StandIn, tmp_path: Path) -> None:
        source = write_video(tmp_path / "in" / "walk.mp4", [grey(100), grey(150), grey(200)])
        head_files(model, source, HeadFiles(tmp_path / "out"), BOX, progress=False)
        assert files_in(tmp_path / "out") == ["json/walk.jsonl", "landmarks/walk.jsonl", "overlay/walk.mp4"]
        lines = lines_of(tmp_path / "out" / "json" / "walk.jsonl")
        assert [(line["frame"], line["seconds"]) for line in lines] == [(0, 0), (1, 0.04), (2, 0.08)]
        assert [line["euler"]["yaw"] for line in lines] == sorted(line["euler"]["yaw"] for line in lines)
        frames = list(read_frames(tmp_path / "out" / "overlay" / "walk.mp4"))
        assert [frame.pixels.shape for frame in frames] == [(200, 300, 3)] * 3
        assert abs(int(frames[2].pixels[110, 140].mean()) - 200) > 10

    def test_meshes_of_a_video_are_a_file_a_frame(self, model: StandIn, tmp_path: Path) -> None:
        source = write_video(tmp_path / "walk.mp4", [grey()] * 2)
        head_files(model, source, HeadFiles(tmp_path / "out", ["obj"]), BOX, progress=False)
        assert files_in(tmp_path / "out") == ["obj/walk/000000.obj", "obj/walk/000001.obj"]

    def test_smoothing_calms_the_head(self, model: StandIn, tmp_path: Path) -> None:
        source = write_video(tmp_path / "walk.mp4", [grey(120 + 16 * (number % 2)) for number in range(20)])
        steps = []
        for smooth in (False, True):
            out = tmp_path / str(smooth)
            head_files(model, source, HeadFiles(out, ["json"]), BOX, smooth, progress=False)
            yaw = np.array([line["euler"]["yaw"] for line in lines_of(out / "json" / "walk.jsonl")])
            steps.append(np.abs(np.diff(yaw)).mean())
        assert steps[1] < 0.6 * steps[0]

    def test_frames_without_a_face_take_the_box_before(
        self, model: StandIn, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        face, nothing = astronaut()[:240, 60:380], grey(128, (240, 320))
        source = write_video(tmp_path / "walk.mp4", [nothing, face, nothing])
        head_files(model, source, HeadFiles(tmp_path / "out", ["json", "overlay"]), progress=False)
        first, second, third = lines_of(tmp_path / "out" / "json" / "walk.jsonl")
        assert first == {"frame": 0, "seconds": 0.0, "box": None}
        assert second["box"] == third["box"]
        assert "frame before" in third["box_from"]
        assert len(list(read_frames(tmp_path / "out" / "overlay" / "walk.mp4"))) == 3
        assert third["doubtful"]
        assert not second["doubtful"]
        out = capsys.readouterr().out
        assert "not found yet (1 frames)" in out
        assert "doubtful in 1 frames" in out

    @pytest.mark.parametrize(
        ("box", "words"), [(None, "no face was found in any frame"), ((900.0, 0.0, 9.0, 9.0), "lies outside")]
    )
    def test_a_video_without_a_head_writes_nothing(self, model: StandIn, tmp_path: Path, box: Any, words: str) -> None:
        source = write_video(tmp_path / "walk.mp4", [grey()] * 2)
        with pytest.raises(NoHeadError, match=words):
            head_files(model, source, HeadFiles(tmp_path / "out"), box, progress=False)
        assert not (tmp_path / "out").exists()

    def test_a_video_that_ends_early_gives_what_there_is(self, model: StandIn, tmp_path: Path) -> None:
        noisy = list(np.random.default_rng(0).integers(0, 256, (30, 64, 96, 3), dtype=np.uint8))
        source = write_video(tmp_path / "walk.mp4", noisy)
        os.truncate(source, source.stat().st_size // 2)
        with pytest.raises(VideoEndsEarly, match="ends early"):
            head_files(model, source, HeadFiles(tmp_path / "out"), (20.0, 10.0, 40.0, 40.0), progress=False)
        frames = list(read_frames(tmp_path / "out" / "overlay" / "walk.mp4"))
        assert 3 < len(frames) == len(lines_of(tmp_path / "out" / "json" / "walk.jsonl")) < 27

    def test_an_interrupted_run_keeps_the_overlay_so_far(
        self, model: StandIn, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        source = write_video(tmp_path / "walk.mp4", [grey()] * 4)
        forward = model.network.forward

        def interrupted(image: torch.Tensor) -> HeadOutput:
            if len(model.network.seen) == 3:
                raise KeyboardInterrupt
            return forward(image)

        monkeypatch.setattr(model.network, "forward", interrupted)
        with pytest.raises(KeyboardInterrupt):
            head_files(model, source, HeadFiles(tmp_path / "out"), BOX, progress=False)
        assert files_in(tmp_path / "out") == ["overlay/walk.partial.mp4"]

    def test_without_pyav_it_says_what_to_install(
        self, model: StandIn, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setitem(__import__("sys").modules, "av", None)
        (tmp_path / "walk.mp4").write_bytes(b"")
        with pytest.raises(MediaError, match="pip install 'av>="):
            head_files(model, tmp_path / "walk.mp4", HeadFiles(tmp_path / "out"))


def test_benchmark_items_are_predicted_in_the_whole_picture(
    model: StandIn, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    picture = save(tmp_path / "a.png", grey())
    items = [
        Item("a", picture, tmp_path / "a.json", BOX, {}),
        Item("b", tmp_path / "b.png", tmp_path / "b.json", BOX, {}),
    ]
    (predicted,) = submission_items(model, items, progress=False)
    expected = predict_head(model, grey(), BOX)
    np.testing.assert_allclose(predicted.landmarks, expected.landmarks)
    np.testing.assert_allclose(predicted.vertices, expected.posed, atol=1e-6)
    assert "b is left out: there is no file" in capsys.readouterr().out


def test_numbers_are_rounded_for_json() -> None:
    assert rounded(np.array([0.1234567, 1], np.float32)) == [0.123457, 1]
    assert set(KINDS) == {"overlay", "obj", "glb", "json", "landmarks"}
