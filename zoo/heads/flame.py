"""Reader of FLAME from the user's own files: the model's pickle, the landmark embedding and the vertex subsets.

FLAME is a Python 2 pickle with objects of chumpy and scipy; `zoo.heads.inert_pickle` reads it without running anything.
"""

import json
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import IO, Any

import numpy as np

from zoo.core.errors import ZooError
from zoo.heads.asset import LANDMARKS, SUBSETS, HeadAsset
from zoo.heads.inert_pickle import MAX_NUMBERS, ForbiddenImportError, StoredArray, array, describe, load_inert
from zoo.heads.transfer import mirrored_vertices, transfer

FLAME_JOINTS = ("root", "neck", "jaw", "left_eye", "right_eye")
FLAME_PARENTS = np.array([-1, 0, 1, 1, 1])
FLAME_OFFSET = np.array([0, 0, 0.05], np.float32)
"""Offset that DAD-3DHeads adds to FLAME's vertices, metres: it moves the skull's middle to the origin."""
SHAPES, EXPRESSIONS = 300, 100
LICENCE = "FLAME's own, see https://flame.is.tue.mpg.de: not to be passed on, unless your copy came with another one"

CONTOUR, WITHIN_FACE = 17, 51
"""Numbers of landmarks on the contour, which come first, and within the face."""
EMBEDDING_FILES = ("flame_static_embedding.pkl", "flame_dynamic_embedding.npy")
EMBEDDING_KEYS = (
    ("lmk_face_idx", "lmk_b_coords"),
    ("static_lmk_faces_idx", "static_lmk_bary_coords"),
    ("dynamic_lmk_faces_idx", "dynamic_lmk_bary_coords"),
    ("full_lmk_faces_idx", "full_lmk_bary_coords"),
    ("landmark_faces", "landmark_weights"),
)
"""Names of triangles and barycentric weights in FLAME's, DECA's and our own files."""
SUBSET_ALIASES = {"face_w_ears": "face_with_ears"}


def read_flame(
    path: str | Path,
    landmarks: str | Path | None = None,
    subsets: str | Path | None = None,
    *,
    reference: Callable[[], HeadAsset],
) -> HeadAsset:
    """Read FLAME from its pickle, of any release from 2017 to 2023.

    Args:
        path: the pickle.
        landmarks: the embedding of the landmarks: a file with 68, one with the 51 within the face, or the folder of
            `EMBEDDING_FILES`. If the contour depends on the head's yaw, the frontal one is used.
        subsets: vertex indices by name: a folder with `face.npy`, `head.npy` and `face_with_ears.npy` (or .json, .txt),
            or one .json, .npz or .pkl with all.
        reference: returns the head from which missing landmarks and subsets are transferred; a note in the asset names
            them.

    Raises:
        ZooError: a file that cannot be used, or that imports a class that no FLAME file needs.

    Example:
        >>> read_flame("absent.pkl", reference=lambda: None)
        Traceback (most recent call last):
        zoo.core.errors.ZooError: absent.pkl: there is no such file.
    """
    stored = stored_by_name(path)
    if missing := [key for key in ("v_template", "f", *_flame_shapes(0)) if key not in stored]:
        raise ZooError(f"{path} lacks {', '.join(missing)}: expected a FLAME model as its owners publish it.")
    template = array(stored["v_template"], path, "v_template")
    if template.ndim != 2 or template.shape[1] != 3 or not np.isfinite(template).all():
        raise ZooError(f"{path}: v_template has shape {template.shape}, expected (vertices, 3) finite numbers.")
    arrays = {key: array(stored[key], path, key) for key in ("f", *_flame_shapes(0))}
    for key, shape in _flame_shapes(len(template)).items():
        if arrays[key].shape != shape:
            raise ZooError(f"{path}: {key} has shape {arrays[key].shape}, expected {shape} as in FLAME.")
    faces = arrays["f"]
    if faces.ndim != 2 or faces.shape[1] != 3 or faces.min() < 0 or faces.max() >= len(template):
        raise ZooError(
            f"{path}: f has shape {faces.shape} and numbers up to {faces.max(initial=0)}, expected (triangles, 3) "
            f"indices below {len(template)}."
        )
    parents, expected = arrays["kintree_table"][0, 1:].tolist(), FLAME_PARENTS[1:].tolist()
    if parents != expected:
        raise ZooError(f"{path}: the joints hang on {parents}, expected {expected} as in FLAME.")
    tables, notes = _landmarks_and_subsets(template, faces, landmarks, subsets, reference)
    return HeadAsset(
        name="FLAME",
        licence=LICENCE,
        source=Path(path).name,
        template=template.astype(np.float32),
        faces=faces.astype(np.int64),
        shape_basis=arrays["shapedirs"][:, :, :SHAPES].astype(np.float32),
        expression_basis=arrays["shapedirs"][:, :, SHAPES:].astype(np.float32),
        joints=FLAME_JOINTS,
        parents=FLAME_PARENTS,
        joint_regressor=arrays["J_regressor"].astype(np.float32),
        weights=arrays["weights"].astype(np.float32),
        pose_basis=arrays["posedirs"].astype(np.float32),
        mirror=mirrored_vertices(template),
        offset=FLAME_OFFSET,
        notes=notes,
        **tables,
    )


def _flame_shapes(vertices: int) -> dict[str, tuple[int, ...]]:
    """Return the shapes of the arrays in FLAME's pickle by name, without template and triangles `f`."""
    joints = len(FLAME_JOINTS)
    return {
        "shapedirs": (vertices, 3, SHAPES + EXPRESSIONS),
        "posedirs": (vertices, 3, 9 * (joints - 1)),
        "J_regressor": (joints, vertices),
        "kintree_table": (2, joints),
        "weights": (vertices, joints),
    }


def _landmarks_and_subsets(
    template: np.ndarray,
    faces: np.ndarray,
    landmarks_path: str | Path | None,
    subsets_path: str | Path | None,
    reference: Callable[[], HeadAsset],
) -> tuple[dict[str, Any], tuple[str, ...]]:
    """Return the tables that FLAME's own file lacks, as arguments of `HeadAsset`, and notes on transferred ones."""
    triangles, weights = read_landmarks(landmarks_path) if landmarks_path else (np.arange(0), np.zeros((0, 3)))
    subsets = read_subsets(subsets_path) if subsets_path else {}
    missing_landmarks = LANDMARKS - len(triangles)
    missing_subsets = [name for name in SUBSETS if name not in subsets]
    notes = []
    if missing_landmarks or missing_subsets:
        other = reference()
        transferred = transfer(template, faces, other)
        triangles = np.append(transferred.landmark_faces[:missing_landmarks], triangles)
        weights = np.append(transferred.landmark_weights[:missing_landmarks], weights, axis=0)
        subsets |= {name: transferred.subsets[name] for name in missing_subsets}
        how = f"transferred from '{other.name}' by nearest surface point"
        if missing_landmarks:
            which = "the 68 landmarks" if missing_landmarks == LANDMARKS else f"the {CONTOUR} landmarks of the contour"
            notes.append(f"{which} were {how}: give FLAME's own embedding as `landmarks`")
        if missing_subsets:
            notes.append(f"the subsets {', '.join(missing_subsets)} were {how}: give index files as `subsets`")
    landmarks = {"landmark_faces": triangles.astype(np.int64), "landmark_weights": weights.astype(np.float32)}
    return landmarks | {"subsets": subsets}, tuple(notes)


def read_landmarks(path: str | Path) -> tuple[np.ndarray, np.ndarray]:
    """Return triangles (N,) and barycentric weights (N, 3) of all 68 landmarks, or of the last 51, within the face.

    Raises:
        ZooError: the file cannot be used.
    """
    path = Path(path)
    files = [path / name for name in EMBEDDING_FILES] if path.is_dir() else [path]
    parts = {}
    for file in files:
        stored = stored_by_name(file)
        for faces_key, weights_key in EMBEDDING_KEYS:
            if faces_key in stored and weights_key in stored:
                faces = array(stored[faces_key], file, faces_key)
                weights = array(stored[weights_key], file, weights_key)
                if not faces.ndim or faces.dtype.kind == "f" or weights.shape != (*faces.shape, 3):
                    raise ZooError(
                        f"{file}: {faces_key} has shape {faces.shape} and {weights_key} {weights.shape}, expected "
                        "indices of triangles and three weights for each."
                    )
                count = faces.shape[-1]
                # A contour that depends on the yaw has a row for each degree; the first is frontal.
                parts[count] = faces.reshape(-1, count)[0], weights.reshape(-1, count, 3)[0]
    if LANDMARKS in parts:
        return parts[LANDMARKS]
    if WITHIN_FACE in parts and CONTOUR in parts:
        contour, within = parts[CONTOUR], parts[WITHIN_FACE]
        return np.append(contour[0], within[0]), np.append(contour[1], within[1], axis=0)
    if WITHIN_FACE in parts:
        return parts[WITHIN_FACE]
    counts = " and ".join(str(count) for count in parts) or "no"
    raise ZooError(
        f"{path} holds {counts} landmarks; expected an embedding of {LANDMARKS}, or of the {WITHIN_FACE} within the "
        "face, such as FLAME's flame_static_embedding.pkl."
    )


def read_subsets(path: str | Path) -> dict[str, np.ndarray]:
    """Return the vertex indices of the subsets `face`, `head`, `face_with_ears` in a folder or file.

    Raises:
        ZooError: the file cannot be used, or has none of them.
    """
    path, subsets = Path(path), {}
    stored = {} if path.is_dir() else stored_by_name(path)
    for name in (*SUBSETS, *SUBSET_ALIASES):
        for file in (path / f"{name}{suffix}" for suffix in (".npy", ".json", ".txt")):
            if path.is_dir() and file.is_file():
                subsets[SUBSET_ALIASES.get(name, name)] = _indices(_read_stored(file), file, name)
        if name in stored:
            subsets[SUBSET_ALIASES.get(name, name)] = _indices(stored[name], path, name)
    if not subsets:
        raise ZooError(f"{path} holds none of the subsets {', '.join(SUBSETS)}.")
    return subsets


def _indices(value: Any, path: Path, name: str) -> np.ndarray:
    """Return (N,) vertex indices from any stored form."""
    indices = array(value, path, name)
    if indices.ndim != 1 or indices.dtype.kind not in "iu" or not len(indices):
        raise ZooError(
            f"{path}: {name} is a {indices.dtype} array of shape {indices.shape}, expected a list of indices."
        )
    return indices.astype(np.int64)


def stored_by_name(path: str | Path) -> Mapping[str, Any]:
    """Return the values that a .pkl, .npy, .npz or .json file stores by name; nothing that it names is imported.

    Raises:
        ZooError: the file cannot be used, or stores something else.
    """
    stored = _read_stored(Path(path))
    if isinstance(stored, StoredArray) and stored.items is not None and len(stored.items) == 1:
        stored = stored.items[0]  # np.save of a dict
    if not isinstance(stored, dict):
        raise ZooError(f"{path} holds {describe(stored)}, expected arrays by name.")
    return stored


def _read_stored(path: Path) -> Any:
    """Return the content of a .pkl, .npy, .npz, .json or .txt file."""
    readers: dict[str, Callable[[IO[bytes]], Any]] = {
        ".pkl": load_inert,
        ".npy": _read_npy,
        ".npz": _read_npz,
        ".json": json.load,
        ".txt": lambda file: [int(word) for word in file.read().split()],
    }
    reader = readers.get(path.suffix.lower())
    if reader is None:
        raise ZooError(f"{path} has an unknown format; expected a file ending in {', '.join(readers)}.")
    try:
        with path.open("rb") as file:
            return reader(file)
    except FileNotFoundError:
        raise ZooError(f"{path}: there is no such file.") from None
    except ForbiddenImportError as error:
        raise ZooError(
            f"{path} wants to import {error}, which no FLAME file needs: it was refused and nothing of it was run; get "
            "the file from its owners."
        ) from None
    except Exception as error:  # a damaged or hostile file may fail in any way
        raise ZooError(
            f"{path} cannot be read as {path.suffix} ({type(error).__name__}: {error}): get the file again."
        ) from error


def _read_npy(file: IO[bytes]) -> Any:
    """Return an array, or a `StoredArray` for an object that `np.save` pickled."""
    version = np.lib.format.read_magic(file)
    header = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    if header(file)[2].hasobject:
        return load_inert(file)
    file.seek(0)
    return np.load(file, allow_pickle=False)


def _read_npz(file: IO[bytes]) -> dict[str, np.ndarray]:
    """Return the arrays of an archive by name."""
    with zipfile.ZipFile(file) as archive:
        size = sum(entry.file_size for entry in archive.infolist())
    if size > 8 * MAX_NUMBERS:
        raise ValueError(f"its arrays have {size:,} bytes, expected at most {8 * MAX_NUMBERS:,}")
    file.seek(0)
    return dict(np.load(file, allow_pickle=False))
