"""The NoW benchmark on a user's own copy: all predicted meshes against the scans of their subjects.

The folder is laid out as its evaluation program expects it,

    imagepathsvalidation.txt                      one SUBJECT/CHALLENGE/NAME.jpg a line
    scans/SUBJECT/*.obj                           millimetres
    scans_lmks_onlypp/SUBJECT/*.pp                seven points, as MeshLab saves picked points (or .txt, .npy)

and the predictions beside it, for each picture a mesh and its seven points:

    PREDICTIONS/SUBJECT/CHALLENGE/NAME.obj|.ply   a closed, expressionless face, in any frame and unit
    PREDICTIONS/SUBJECT/CHALLENGE/NAME.npy|.txt   (7, 3), in the order of `points.SEVEN_POINTS`
"""

import re
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import NamedTuple

import numpy as np

from zoo.heads.metrics.now import check_millimetres, crop, now_error

IMAGE_LIST = "imagepathsvalidation.txt"
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
    scans: dict[str, Scan] = {}
    missing: dict[str, str] = {}
    distances: list[np.ndarray] = []
    for picture in track(list_pictures(folder / images, challenge)):
        subject = picture.split("/")[0]
        if subject not in scans:
            scans[subject] = read_scan(folder, subject)
        try:
            distances.append(_measure(scans[subject], predictions / picture))
        except ValueError as error:
            missing[picture] = str(error)
    pooled = np.concatenate(distances) if distances else np.full(1, np.nan)
    return NowResult(float(np.median(pooled)), float(pooled.mean()), float(pooled.std()), len(distances), missing)


def list_pictures(path: Path, challenge: str | None = None) -> list[str]:
    """SUBJECT/CHALLENGE/NAME of each picture in the list.

    Raises:
        ValueError: no such file, a line that is no such path, or no picture of the challenge.
    """
    try:
        lines = [line.strip() for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]
    except (OSError, UnicodeDecodeError):
        raise ValueError(f"{path} cannot be read: expected the list of pictures of the NoW data set.") from None
    found = []
    for line in lines:
        parts = line.split("/")[-3:]
        if len(parts) < 3 or not {"", ".", ".."}.isdisjoint(parts):
            raise ValueError(f"{path} has the line {line!r}: expected SUBJECT/CHALLENGE/NAME.jpg.")
        if challenge in (None, parts[1]):
            found.append("/".join([*parts[:2], Path(parts[2]).stem]))
    if not found:
        raise ValueError(f"{path} lists no picture{f' of the challenge {challenge!r}' if challenge else ''}.")
    return found


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
