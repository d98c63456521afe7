"""The NoW benchmark on a user's own copy: its images, and predicted meshes against the scans of their subjects.

The folder has the layout that its evaluation program expects,

    imagepathsvalidation.txt                      one SUBJECT/CHALLENGE/NAME.jpg a line; or imagepathstest.txt
    scans/SUBJECT/*.obj                           millimetres; those of the test's subjects are not published
    scans_lmks_onlypp/SUBJECT/*.pp                seven points, as MeshLab saves picked points (or .txt, .npy)

and the images, directly or in `final_release_version` or `NoW_Dataset/final_release_version`, as in their archive,

    iphone_pictures/SUBJECT/CHALLENGE/NAME.jpg
    detected_face/SUBJECT/CHALLENGE/NAME.npy      the face's box: pickled left, top, right, bottom, in pixels

The predictions, in a folder of their own, are a mesh and its seven points for each image:

    PREDICTIONS/SUBJECT/CHALLENGE/NAME.obj|.ply   a closed, expressionless face, in any frame and unit
    PREDICTIONS/SUBJECT/CHALLENGE/NAME.npy|.txt   (7, 3), in the order of `points.SEVEN_POINTS`

The *name* of an image is SUBJECT/CHALLENGE/NAME.
"""

import re
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np

from zoo.heads.flame import stored_by_name
from zoo.heads.inert_pickle import array
from zoo.heads.metrics.now import check_millimetres, crop, now_error

IMAGE_LIST = "imagepathsvalidation.txt"
IMAGE_PARENTS = ("", "final_release_version", "NoW_Dataset/final_release_version")
IMAGE_ENDINGS = (".jpg", ".JPG", ".jpeg", ".png")
SIDES = ("left", "top", "right", "bottom")
MESH_ENDINGS = (".obj", ".ply")
POINT_ENDINGS = (".npy", ".txt", ".pp")


class NowResult(NamedTuple):
    """Distances of the points of all scans, pooled, without missing predictions: report their number too."""

    median: float
    """Millimetres, as the next two; NaN if nothing was measured."""
    mean: float
    std: float
    measured: int
    """Number of measured meshes."""
    missing: dict[str, str]
    """Why each of the others was not measured, by name."""


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
    """Return median, mean and standard deviation over the points of all scans, millimetres.

    Args:
        folder: the benchmark's data set.
        predictions: the predicted meshes.
        challenge: only this one, for example `multiview_neutral`; None: all.
        images: the file in `folder` that lists the images.
        track: wraps the list of images, for example with a progress bar.

    Raises:
        ValueError: the folder lacks a file, a scan is not in millimetres, or no image is of the challenge. A
            prediction that is absent or not usable is counted in `missing` instead.
    """
    folder, predictions = Path(folder), Path(predictions)
    if not predictions.is_dir():
        raise ValueError(f"{predictions}: there is no such folder of predictions.")
    names = list_images(folder / images, challenge)
    return pool(measure(names, read_scans(folder, subjects_of(names)), predictions, track))


def measure(
    names: list[str], scans: Mapping[str, Scan], predictions: Path, track: Callable[[list[str]], Iterable[str]] = iter
) -> dict[str, np.ndarray | str]:
    """Return for each image the distances of its scan's points to its mesh, (M,) millimetres, or why there are none.

    Args:
        names: of the images.
        scans: those of their subjects.
        predictions: folder of the predicted meshes.
        track: as in `evaluate_now`.
    """
    measured: dict[str, np.ndarray | str] = {}
    for name in track(names):
        try:
            measured[name] = _measure(scans[name.split("/")[0]], predictions / name)
        except ValueError as error:
            measured[name] = str(error)
    return measured


def pool(measured: Mapping[str, np.ndarray | str]) -> NowResult:
    """Pool the output of `measure`.

    Example:
        >>> result = pool({"ada/selfie/1": np.array([1.0, 2.0, 6.0]), "ada/selfie/2": "there is no mesh."})
        >>> result.median, result.mean, result.missing
        (2.0, 3.0, {'ada/selfie/2': 'there is no mesh.'})
    """
    distances = [values for values in measured.values() if not isinstance(values, str)]
    missing = {name: reason for name, reason in measured.items() if isinstance(reason, str)}
    values = np.concatenate(distances) if distances else np.full(1, np.nan)
    return NowResult(float(np.median(values)), float(values.mean()), float(values.std()), len(distances), missing)


def by_challenge(measured: Mapping[str, np.ndarray | str]) -> dict[str, NowResult]:
    """Pool the output of `measure` for each challenge, in alphabetical order."""
    groups: dict[str, dict[str, np.ndarray | str]] = {}
    for name, values in measured.items():
        groups.setdefault(name.split("/")[1], {})[name] = values
    return {challenge: pool(groups[challenge]) for challenge in sorted(groups)}


def list_images(path: Path, challenge: str | None = None) -> list[str]:
    """Return the names of the images in the list, without duplicates.

    Raises:
        ValueError: no such file, a line that is no such path, or no image of the challenge.

    Example:
        >>> import tempfile
        >>> path = Path(tempfile.mkdtemp(), "imagepathsvalidation.txt")
        >>> _ = path.write_text("ada/selfie/IMG_1.jpg")
        >>> list_images(path)
        ['ada/selfie/IMG_1']
    """
    try:
        lines = [line.strip() for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]
    except (OSError, UnicodeDecodeError):
        raise ValueError(f"{path} cannot be read: expected the list of images of the NoW data set.") from None
    challenges: dict[str, str] = {}
    for line in lines:
        parts = line.split("/")[-3:]
        if len(parts) < 3 or not {"", ".", ".."}.isdisjoint(parts):
            raise ValueError(f"{path} has the line {line!r}: expected SUBJECT/CHALLENGE/NAME.jpg.")
        challenges["/".join([*parts[:2], Path(parts[2]).stem])] = parts[1]
    if not challenges:
        raise ValueError(f"{path} lists no image: expected SUBJECT/CHALLENGE/NAME.jpg on each line.")
    if challenge is not None and challenge not in challenges.values():
        known = ", ".join(sorted(set(challenges.values())))
        raise ValueError(f"{path} lists no image of the challenge {challenge!r}: expected one of {known}.")
    return [name for name, own in challenges.items() if challenge in (None, own)]


def subjects_of(names: Iterable[str]) -> list[str]:
    """Return the subjects of images by name, without duplicates.

    Example:
        >>> subjects_of(["ada/selfie/1", "ada/selfie/2", "bob/selfie/1"])
        ['ada', 'bob']
    """
    return list(dict.fromkeys(name.split("/")[0] for name in names))


def find_image_folder(folder: Path) -> Path:
    """Return the folder with `iphone_pictures`, and perhaps `detected_face`; raise ValueError if there is none."""
    for parent in IMAGE_PARENTS:
        if (folder / parent / "iphone_pictures").is_dir():
            return folder / parent
    expected = ", ".join(str(Path(parent) / "iphone_pictures") for parent in IMAGE_PARENTS)
    raise ValueError(f"{folder} holds no images: expected them in one of {expected}.")


def find_image(folder: Path, name: str) -> Path:
    """Return the file of an image; `folder` is that of `find_image_folder`. Raise ValueError if there is none."""
    return _with_ending(folder / "iphone_pictures" / name, IMAGE_ENDINGS)


def read_face_box(folder: Path, name: str) -> tuple[float, float, float, float] | None:
    """Return the benchmark's face box, x, y, width, height in pixels, or None if it has none.

    The file is a pickle, and nothing in it is executed.

    Raises:
        ValueError: the file holds something else.
    """
    path = folder / "detected_face" / f"{name}.npy"
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
    """Return whether there is a scan of any of the subjects."""
    return any((folder / "scans" / subject).is_dir() for subject in subjects)


def read_scans(
    folder: Path, subjects: list[str], track: Callable[[list[str]], Iterable[str]] = iter
) -> dict[str, Scan]:
    """Read the scan of each subject, see `read_scan`."""
    return {subject: read_scan(folder, subject) for subject in track(subjects)}


def read_scan(folder: Path, subject: str) -> Scan:
    """Read the cropped scan of a subject and its seven points.

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
    """Read vertices (V, 3) and triangles (F, 3) of an OBJ or PLY file; vertices are neither merged nor split.

    Raises:
        ValueError: the file is unreadable.

    Example:
        >>> import tempfile
        >>> path = Path(tempfile.mkdtemp(), "triangle.obj")
        >>> _ = path.write_text("v 0 0 0\\nv 1 0 0\\nv 0 1 0\\nf 1 2 3")
        >>> read_mesh(path)[1].tolist()
        [[0, 1, 2]]
    """
    import igl  # imported here, as in `now`

    try:
        vertices, faces = igl.read_triangle_mesh(str(path))
    except RuntimeError:
        vertices = faces = np.zeros((0, 3))
    if vertices.ndim != 2 or vertices.shape[1:] != (3,) or not len(vertices):
        raise ValueError(f"{path} cannot be read as a mesh: expected OBJ or PLY with vertices and triangles.")
    return vertices, faces


def read_points7(path: Path) -> np.ndarray:
    """Read seven points (7, 3) from a .npy, .txt (one point per line) or .pp file (MeshLab's picked points).

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
    """Return the coordinates of every <point …> of a .pp file, in order."""
    points = re.findall(r"<point\b[^>]*>", text)
    return [[float(_attribute(point, axis)) for axis in "xyz"] for point in points]


def _attribute(tag: str, name: str) -> str:
    match = re.search(rf'\b{name}\s*=\s*["\']([^"\']*)["\']', tag)
    if match is None:
        raise ValueError(f"a point without {name}")
    return match.group(1)


def is_predicted(predictions: Path, name: str) -> bool:
    """Return whether mesh and seven points of an image exist; neither is read."""
    try:
        return all(_with_ending(predictions / name, endings) for endings in (MESH_ENDINGS, POINT_ENDINGS))
    except ValueError:
        return False


def _measure(scan: Scan, prediction: Path) -> np.ndarray:
    """Return distances of one scan's points to a predicted mesh, (M,) float32, or raise ValueError."""
    mesh, landmarks = (_with_ending(prediction, endings) for endings in (MESH_ENDINGS, POINT_ENDINGS))
    vertices, faces = read_mesh(mesh)
    distances = now_error(scan.points, vertices, faces, scan.points7, read_points7(landmarks))
    return distances.numpy().astype(np.float32)


def _with_ending(stem: Path, endings: tuple[str, ...]) -> Path:
    """Return the file of this name with one of the endings."""
    for ending in endings:
        path = stem.with_name(stem.name + ending)
        if path.is_file():
            return path
    raise ValueError(f"there is no {stem.name}{' or '.join(endings)} in {stem.parent}.")


def _only(folder: Path, endings: tuple[str, ...]) -> Path:
    """Return the only file of the folder with one of the endings."""
    paths = [path for path in folder.glob("*") if path.suffix in endings]
    if len(paths) != 1:
        raise ValueError(f"{folder} holds {len(paths)} files that end in {', '.join(endings)}: expected one.")
    return paths[0]
