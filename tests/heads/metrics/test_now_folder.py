"""The NoW benchmark on a folder laid out as its evaluation program expects it."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from zoo.heads.metrics import evaluate_now, now_error
from zoo.heads.metrics.now_folder import (
    by_challenge,
    find_image,
    find_image_folder,
    list_images,
    measure,
    pool,
    read_face_box,
    read_points7,
    read_scans,
)

POINTS7 = np.array([[-45, 30, 5], [-15, 30, 9], [15, 30, 9], [45, 30, 5], [0, -15, 20], [-25, -45, 8], [25, -45, 8.0]])


def grid(bulge: float) -> tuple[np.ndarray, np.ndarray]:
    """A bulging sheet of 200 × 200 mm as vertices and triangles."""
    side = 12
    x, y = (axis.ravel() for axis in np.meshgrid(*[np.linspace(-100, 100, side)] * 2))
    corner = np.arange(side * side).reshape(side, side)
    a, b, c, d = (cells.ravel() for cells in (corner[:-1, :-1], corner[:-1, 1:], corner[1:, :-1], corner[1:, 1:]))
    faces = np.concatenate([np.stack([a, b, d], 1), np.stack([a, d, c], 1)])
    return np.stack([x, y, 20 - bulge * (x**2 + y**2) / 1000], axis=1), faces


def write_mesh(path: Path, vertices: np.ndarray, faces: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = [f"v {x} {y} {z}" for x, y, z in vertices] + ["vt 0 0"]
    path.write_text("\n".join(lines + [f"f {a}/1 {b}/1 {c}/1" for a, b, c in faces + 1]) + "\n")


def write_picked_points(path: Path, points: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    tags = [f' <point y="{y}" x="{x}" active="1" z="{z}" name="{i}"/>' for i, (x, y, z) in enumerate(points)]
    path.write_text("<!DOCTYPE PickedPoints>\n<PickedPoints>\n" + "\n".join(tags) + "\n</PickedPoints>\n")


@pytest.fixture
def benchmark(tmp_path: Path) -> Path:
    """Two subjects with three pictures."""
    (tmp_path / "imagepathsvalidation.txt").write_text(
        "a/multiview_neutral/IMG_1.jpg\na/selfie/IMG_2.jpg\niphone/b/multiview_neutral/IMG_3.jpg\n"
    )
    for subject, bulge in (("a", 1.0), ("b", 2.0)):
        write_mesh(tmp_path / "scans" / subject / "scan.obj", *grid(bulge))
        write_picked_points(tmp_path / "scans_lmks_onlypp" / subject / "scan_picked_points.pp", POINTS7)
    return tmp_path


def predict(folder: Path, picture: str, bulge: float) -> None:
    vertices, faces = grid(bulge)
    write_mesh(folder / f"{picture}.obj", vertices / 1000, faces)
    np.save(folder / f"{picture}.npy", POINTS7[None] / 1000)


def test_distances_of_all_scans_are_pooled(benchmark: Path) -> None:
    predictions = benchmark / "mine"
    for picture in ("a/multiview_neutral/IMG_1", "a/selfie/IMG_2", "b/multiview_neutral/IMG_3"):
        predict(predictions, picture, 1.5)
    result = evaluate_now(benchmark, predictions)
    vertices, faces = grid(1.5)
    pooled = np.concatenate([now_error(grid(bulge)[0], vertices, faces, POINTS7, POINTS7) for bulge in (1.0, 1.0, 2.0)])
    assert (result.measured, result.missing) == (3, {})
    numbers = [np.median(pooled), pooled.mean(), pooled.std()]
    assert [result.median, result.mean, result.std] == pytest.approx(numbers, rel=1e-3)
    assert 0 < result.median < 10


def test_missing_and_broken_predictions_are_counted_with_their_reason(benchmark: Path) -> None:
    predictions = benchmark / "mine"
    predict(predictions, "a/multiview_neutral/IMG_1", 1.0)
    predict(predictions, "a/selfie/IMG_2", 1.0)
    np.save(predictions / "a/selfie/IMG_2.npy", np.full((7, 3), np.nan))
    result = evaluate_now(benchmark, predictions)
    assert result.measured == 1
    assert result.median == pytest.approx(0, abs=1e-3)
    assert list(result.missing) == ["a/selfie/IMG_2", "b/multiview_neutral/IMG_3"]
    assert "seven finite points" in result.missing["a/selfie/IMG_2"]
    assert "there is no IMG_3.obj" in result.missing["b/multiview_neutral/IMG_3"]


def test_nothing_measured_is_no_number(benchmark: Path) -> None:
    (benchmark / "mine").mkdir()
    result = evaluate_now(benchmark, benchmark / "mine")
    assert np.isnan([result.median, result.mean, result.std]).all()
    assert (result.measured, len(result.missing)) == (0, 3)


def test_one_challenge_alone(benchmark: Path) -> None:
    predict(benchmark / "mine", "a/selfie/IMG_2", 1.0)
    result = evaluate_now(benchmark, benchmark / "mine", challenge="selfie")
    assert (result.measured, result.missing) == (1, {})
    with pytest.raises(ValueError, match="no image of the challenge 'selfies'"):
        evaluate_now(benchmark, benchmark / "mine", challenge="selfies")


def test_challenges_are_pooled_each_on_its_own(benchmark: Path) -> None:
    predict(benchmark / "mine", "a/multiview_neutral/IMG_1", 1.5)
    predict(benchmark / "mine", "a/selfie/IMG_2", 1.0)
    pictures = list_images(benchmark / "imagepathsvalidation.txt")
    measured = measure(pictures, read_scans(benchmark, ["a", "b"]), benchmark / "mine")
    results = by_challenge(measured)
    assert {name: (result.measured, len(result.missing)) for name, result in results.items()} == {
        "multiview_neutral": (1, 1),
        "selfie": (1, 0),
    }
    assert results["multiview_neutral"].median > 1e-2 > results["selfie"].median
    assert pool(measured) == evaluate_now(benchmark, benchmark / "mine")


def test_a_picture_listed_twice_is_measured_once(benchmark: Path) -> None:
    (benchmark / "twice.txt").write_text("a/selfie/IMG_2.jpg\na/selfie/IMG_2.jpg\n")
    assert list_images(benchmark / "twice.txt") == ["a/selfie/IMG_2"]


@pytest.mark.parametrize("parent", ["", "final_release_version", "NoW_Dataset/final_release_version"])
def test_pictures_are_found_where_archives_put_them(tmp_path: Path, parent: str) -> None:
    picture = tmp_path / parent / "iphone_pictures" / "a" / "selfie" / "IMG_2.JPG"
    picture.parent.mkdir(parents=True)
    picture.write_bytes(b"")
    found = find_image_folder(tmp_path)
    assert find_image(found, "a/selfie/IMG_2") == picture
    with pytest.raises(ValueError, match=r"there is no IMG_3\.jpg"):
        find_image(found, "a/selfie/IMG_3")


def write_box(folder: Path, content: object) -> None:
    path = folder / "detected_face" / "a" / "selfie" / "IMG_2.npy"
    path.parent.mkdir(parents=True)
    np.save(path, np.array(content, dtype=object), allow_pickle=True)


def test_the_benchmark_s_face_boxes_are_read(tmp_path: Path) -> None:
    assert read_face_box(tmp_path, "a/selfie/IMG_2") is None
    write_box(tmp_path, {"left": np.float64(10), "top": 20, "right": np.int32(40), "bottom": 60.5, "score": "0.9"})
    assert read_face_box(tmp_path, "a/selfie/IMG_2") == (10, 20, 30, 40.5)


class Hostile:
    """Would make a folder when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Callable[[Path], None], tuple[Path]]:
        return Path.mkdir, (self.path,)


def test_a_hostile_face_box_is_refused_and_not_run(tmp_path: Path) -> None:
    write_box(tmp_path, {"left": Hostile(tmp_path / "made"), "top": 1, "right": 2, "bottom": 3})
    with pytest.raises(ValueError, match=r"holds no box of a face: .* nothing in it was run"):
        read_face_box(tmp_path, "a/selfie/IMG_2")
    assert not (tmp_path / "made").exists()


@pytest.mark.parametrize("content", [{"left": 1, "top": 2, "right": 3}, {"left": "a"}, 5, [1, 2, 3, 4]])
def test_another_thing_than_a_face_box_is_refused(tmp_path: Path, content: object) -> None:
    write_box(tmp_path, content)
    with pytest.raises(ValueError, match="expected a number each for left, top, right, bottom"):
        read_face_box(tmp_path, "a/selfie/IMG_2")


def in_metres(folder: Path) -> None:
    vertices, faces = grid(1.0)
    write_mesh(folder / "scans" / "a" / "scan.obj", vertices / 1000, faces)
    write_picked_points(folder / "scans_lmks_onlypp" / "a" / "scan_picked_points.pp", POINTS7 / 1000)


def without_scan(folder: Path) -> None:
    (folder / "scans" / "a" / "scan.obj").unlink()


def six_points(folder: Path) -> None:
    write_picked_points(folder / "scans_lmks_onlypp" / "a" / "scan_picked_points.pp", POINTS7[:6])


def unreadable_scan(folder: Path) -> None:
    (folder / "scans" / "a" / "scan.obj").write_text("nothing of a mesh\n")


def outside(folder: Path) -> None:
    (folder / "imagepathsvalidation.txt").write_text("../../etc/x.jpg\n")


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (in_metres, "scan.obj: .* look like metres"),
        (without_scan, "holds 0 files"),
        (six_points, r"shape \(6, 3\): expected seven"),
        (unreadable_scan, "cannot be read as a mesh"),
        (outside, "expected SUBJECT/CHALLENGE/NAME.jpg"),
    ],
)
def test_a_broken_data_set_is_one_sentence(benchmark: Path, spoil: Callable[[Path], None], message: str) -> None:
    (benchmark / "mine").mkdir()
    spoil(benchmark)
    with pytest.raises(ValueError, match=message):
        evaluate_now(benchmark, benchmark / "mine")


def test_absent_folders_are_named(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no such folder of predictions"):
        evaluate_now(tmp_path, tmp_path / "mine")
    with pytest.raises(ValueError, match="expected the list of images"):
        evaluate_now(tmp_path, tmp_path)


def test_seven_points_in_every_format(tmp_path: Path) -> None:
    write_picked_points(tmp_path / "points.pp", POINTS7)
    np.savetxt(tmp_path / "points.txt", POINTS7)
    np.save(tmp_path / "points.npy", POINTS7)
    for ending in ("pp", "txt", "npy"):
        assert read_points7(tmp_path / f"points.{ending}") == pytest.approx(POINTS7)


def test_a_pickle_in_disguise_is_not_opened(tmp_path: Path) -> None:
    np.save(tmp_path / "points.npy", np.array([object()]), allow_pickle=True)
    with pytest.raises(ValueError, match="cannot be read as seven points"):
        read_points7(tmp_path / "points.npy")
