"""The NoW benchmark on a user's own copy: its pictures, and all predicted meshes against the scans of their subjects.

The folder is laid out as its evaluation program expects it,

    imagepathsvalidation.txt                      one SUBJECT/CHALLENGE/NAME.jpg a line; or imagepathstest.txt
    scans/SUBJECT/*.obj                           millimetres; those of the test's subjects are not published
    scans_lmks_onlypp/SUBJECT/*.pp                seven points, as MeshLab saves picked points (or .txt, .npy)

holds the pictures, in itself or in `final_release_version` or `NoW_Dataset/final_release_version`, where the archive of
the pictures puts them,

    iphone_pictures/SUBJECT/CHALLENGE/NAME.jpg
    detected_face/SUBJECT/CHALLENGE/NAME.npy      where the face is: pickled left, top, right, bottom, in pixels

and has the predictions beside it, for each picture a mesh and its seven points:

    PREDICTIONS/SUBJECT/CHALLENGE/NAME.obj|.ply   a closed, expressionless face, in any frame and unit
    PREDICTIONS/SUBJECT/CHALLENGE/NAME.npy|.txt   (7, 3), in the order of `points.SEVEN_POINTS`

A picture goes by the *name* SUBJECT/CHALLENGE/NAME.
"""

import re
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np

from zoo.heads.metrics.now import check_millimetres, crop, now_error

IMAGE_LIST = "imagepathsvalidation.txt"
PICTURE_PARENTS = ("", "final_release_version", "NoW_Dataset/final_release_version")
PICTURE_ENDINGS = (".jpg", ".JPG", ".jpeg", ".png")
SIDES = ("left", "top", "right", "bottom")
MESH_ENDINGS = (".obj", ".ply")
POINT_ENDINGS = (".npy", ".txt", ".pp")


class NowResult(NamedTuple):
    """Distances of the points of all scans, pooled. A missing prediction enters no number: say how many there are."""

    median: float
    """Millimetres, NaN where nothing was measured; so the next two."""
    mean: float
    std: float
    measured: int
    """How many predicted meshes were measured."""
    missing: dict[str, str]
    """Why each of the others was not, by SUBJECT/CHALLENGE/NAME."""


class Scan(NamedTuple):
    """The ground truth of one subject."""

    points: np.ndarray
    """(M, 3) millimetres, cropped to the face."""
    points7: np.ndarray
    """(7, 3) millimetres."""


def evaluate_now(
    folder: str | Path,
    predictions: str | Path,
    challenge: str | None = None,
    images: str = IMAGE_LIST,
    track: Callable[[list[str]], Iterable[str]] = iter,
) -> NowResult:
    """Median, mean and standard deviation over the points of all scans, millimetres.

    Args:
        folder: the benchmark's data set.
        predictions: the predicted meshes.
        challenge: only this one, for example `multiview_neutral`; None: all.
        images: the file in `folder` that lists the pictures.
        track: takes the pictures and gives them back one by one, for example while showing progress.

    Raises:
        ValueError: the folder lacks a file, a scan is not in millimetres, or no picture is of the challenge. A
            prediction that is absent or not usable is counted in `missing` instead.
    """
    folder, predictions = Path(folder), Path(predictions)
    if not predictions.is_dir():
        raise ValueError(f"{predictions}: there is no such folder of predictions.")
    pictures = list_pictures(folder / images, challenge)
    return pooled(measure(pictures, read_scans(folder, subjects_of(pictures)), predictions, track))


def measure(
    pictures: list[str],
    scans: Mapping[str, Scan],
    predictions: Path,
    track: Callable[[list[str]], Iterable[str]] = iter,
) -> dict[str, np.ndarray | str]:
    """Of each picture the distances of its scan's points to its mesh, (M,) millimetres, or why there are none.

    Args:
        pictures: their names.
        scans: those of their subjects.
        predictions: the predicted meshes.
        track: as in `evaluate_now`.
    """
    measured: dict[str, np.ndarray | str] = {}
    for picture in track(pictures):
        try:
            measured[picture] = _measure(scans[picture.split("/")[0]], predictions / picture)
        except ValueError as error:
            measured[picture] = str(error)
    return measured


def pooled(measured: Mapping[str, np.ndarray | str]) -> NowResult:
    """The numbers over all that `measure` found."""
    distances = [found for found in measured.values() if not isinstance(found, str)]
    missing = {picture: found for picture, found in measured.items() if isinstance(found, str)}
    values = np.concatenate(distances) if distances else np.full(1, np.nan)
    return NowResult(float(np.median(values)), float(values.mean()), float(values.std()), len(distances), missing)


def by_challenge(measured: Mapping[str, np.ndarray | str]) -> dict[str, NowResult]:
    """The same for each challenge, in alphabetical order."""
    challenges = sorted({picture.split("/")[1] for picture in measured})
    return {
        challenge: pooled({name: found for name, found in measured.items() if name.split("/")[1] == challenge})
        for challenge in challenges
    }


def list_pictures(path: Path, challenge: str | None = None) -> list[str]:
    """The names of the pictures in the list, each once.

    Raises:
        ValueError: no such file, a line that is no such path, or no picture of the challenge.
    """
    try:
        lines = [line.strip() for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]
    except (OSError, UnicodeDecodeError):
        raise ValueError(f"{path} cannot be read: expected the list of pictures of the NoW data set.") from None
    found: dict[str, str] = {}
    for line in lines:
        parts = line.split("/")[-3:]
        if len(parts) < 3 or not {"", ".", ".."}.isdisjoint(parts):
            raise ValueError(f"{path} has the line {line!r}: expected SUBJECT/CHALLENGE/NAME.jpg.")
        found["/".join([*parts[:2], Path(parts[2]).stem])] = parts[1]
    if not found:
        raise ValueError(f"{path} lists no picture: expected SUBJECT/CHALLENGE/NAME.jpg on each line.")
    if challenge is not None and challenge not in found.values():
        known = ", ".join(sorted(set(found.values())))
        raise ValueError(f"{path} lists no picture of the challenge {challenge!r}: expected one of {known}.")
    return [name for name, its_challenge in found.items() if challenge in (None, its_challenge)]


def subjects_of(pictures: Iterable[str]) -> list[str]:
    """The subjects that pictures show, each once."""
    return list(dict.fromkeys(picture.split("/")[0] for picture in pictures))


def find_picture_folder(folder: Path) -> Path:
    """The folder that holds `iphone_pictures`, and `detected_face` where there is one.

    Raises:
        ValueError: there is none.
    """
    for parent in PICTURE_PARENTS:
        if (folder / parent / "iphone_pictures").is_dir():
            return folder / parent
    places = ", ".join(str(Path(parent) / "iphone_pictures") for parent in PICTURE_PARENTS)
    raise ValueError(f"{folder} holds no pictures: expected them in one of {places}.")


def find_picture(pictures: Path, name: str) -> Path:
    """The file of a picture; `pictures` as `find_picture_folder` gives it.

    Raises:
        ValueError: there is none.
    """
    return _beside(pictures / "iphone_pictures" / name, PICTURE_ENDINGS)


def read_face_box(pictures: Path, name: str) -> tuple[float, float, float, float] | None:
    """Where the benchmark says that the face is: x, y, width, height in pixels; None where it says nothing.

    Nothing in the file is executed, pickle though it is.

    Raises:
        ValueError: the file holds something else.
    """
    from zoo.heads.flame import stored_by_name  # loaded here, since it loads libigl
    from zoo.heads.inert_pickle import array

    path = pictures / "detected_face" / f"{name}.npy"
    if not path.is_file():
        return None
    try:
        stored = stored_by_name(path)
        left, top, right, bottom = (float(array(stored[side], path, side).item()) for side in SIDES)
    except (KeyError, ValueError):
        raise ValueError(
            f"{path} holds no box of a face: expected a number each for {', '.join(SIDES)}; nothing in it was run."
        ) from None
    return left, top, right - left, bottom - top


def has_scans(folder: Path, subjects: Iterable[str]) -> bool:
    """Whether there is a scan of any of the subjects."""
    return any((folder / "scans" / subject).is_dir() for subject in subjects)


def read_scans(
    folder: Path, subjects: list[str], track: Callable[[list[str]], Iterable[str]] = iter
) -> dict[str, Scan]:
    """The scan of each subject; otherwise as `read_scan`."""
    return {subject: read_scan(folder, subject) for subject in track(subjects)}


def read_scan(folder: Path, subject: str) -> Scan:
    """The cropped scan of a subject with its seven points.

    Raises:
        ValueError: a file is absent or unreadable, or the scan is not in millimetres.
    """
    mesh = _only(folder / "scans" / subject, MESH_ENDINGS)
    landmarks = _only(folder / "scans_lmks_onlypp" / subject, POINT_ENDINGS)
    points, points7 = read_mesh(mesh)[0], read_points7(landmarks)
    try:
        check_millimetres(points, points7)
        return Scan(crop(points, points7), points7)
    except ValueError as error:
        raise ValueError(f"{mesh}: {error}") from None


def read_mesh(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Vertices (V, 3) and triangles (F, 3) of an OBJ or PLY file; vertices are neither merged nor split.

    Raises:
        ValueError: the file is unreadable.
    """
    import igl  # loaded here, as in `surface`

    try:
        vertices, faces = igl.read_triangle_mesh(str(path))
    except RuntimeError:
        vertices = faces = np.zeros((0, 3))
    if vertices.ndim != 2 or vertices.shape[1:] != (3,) or not len(vertices):
        raise ValueError(f"{path} cannot be read as a mesh: expected OBJ or PLY with vertices and triangles.")
    return vertices, faces


def read_points7(path: Path) -> np.ndarray:
    """Seven points (7, 3) of a .npy, .txt (a point a line) or .pp file (MeshLab's picked points).

    Raises:
        ValueError: the file is unreadable or holds something else.
    """
    try:
        if path.suffix == ".npy":
            points = np.load(path, allow_pickle=False)
        elif path.suffix == ".pp":
            points = _picked_points(path.read_text(encoding="utf-8"))
        else:
            points = np.loadtxt(path, ndmin=2, delimiter="," if "," in path.read_text(encoding="utf-8") else None)
        points = np.asarray(points, dtype=np.float64)
    except (OSError, ValueError, TypeError, EOFError) as error:
        raise ValueError(f"{path} cannot be read as seven points ({str(error).splitlines()[0]}).") from None
    points = points[0] if points.shape == (1, 7, 3) else points
    if points.shape != (7, 3) or not np.isfinite(points).all():
        raise ValueError(f"{path} holds numbers of shape {points.shape}: expected seven finite points, (7, 3).")
    return points


def _picked_points(text: str) -> list[list[float]]:
    """The coordinates of every <point …> of a .pp file, in order."""
    points = re.findall(r"<point\b[^>]*>", text)
    return [[float(_attribute(point, axis)) for axis in "xyz"] for point in points]


def _attribute(tag: str, name: str) -> str:
    found = re.search(rf'\b{name}\s*=\s*["\']([^"\']*)["\']', tag)
    if found is None:
        raise ValueError(f"a point without {name}")
    return found.group(1)


def is_predicted(predictions: Path, name: str) -> bool:
    """Whether there are a mesh and seven points for a picture; neither is read."""
    try:
        return all(_beside(predictions / name, endings) for endings in (MESH_ENDINGS, POINT_ENDINGS))
    except ValueError:
        return False


def _measure(scan: Scan, prediction: Path) -> np.ndarray:
    """Distances of one scan's points to a predicted mesh, (M,) float32; ValueError where there is none to use."""
    mesh, landmarks = (_beside(prediction, endings) for endings in (MESH_ENDINGS, POINT_ENDINGS))
    vertices, faces = read_mesh(mesh)
    distances = now_error(scan.points, vertices, faces, scan.points7, read_points7(landmarks))
    return distances.numpy().astype(np.float32)


def _beside(stem: Path, endings: tuple[str, ...]) -> Path:
    """The file of this name with one of the endings."""
    for ending in endings:
        path = stem.with_name(stem.name + ending)
        if path.is_file():
            return path
    raise ValueError(f"there is no {stem.name}{' or '.join(endings)} in {stem.parent}.")


def _only(folder: Path, endings: tuple[str, ...]) -> Path:
    """The one file of the folder with one of the endings."""
    found = sorted(path for path in folder.glob("*") if path.suffix in endings)
    if len(found) != 1:
        raise ValueError(f"{folder} holds {len(found)} files that end in {', '.join(endings)}: expected one.")
    return found[0]
