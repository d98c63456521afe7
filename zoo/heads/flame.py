"""FLAME from the user's own files: the model's pickle, the landmark embedding and the subsets of vertices.

FLAME comes as a pickle of Python 2 with objects of chumpy and scipy inside; `zoo.heads.inert_pickle` reads it without
running anything.
"""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import IO, Any

import numpy as np

from zoo.core.errors import ZooError
from zoo.heads.asset import LANDMARKS, SUBSETS, HeadAsset
from zoo.heads.inert_pickle import ForbiddenImportError, InertUnpickler, StoredArray, array, describe
from zoo.heads.transfer import mirrored_vertices, transfer

FLAME_JOINTS = ("root", "neck", "jaw", "left_eye", "right_eye")
FLAME_PARENTS = np.array([-1, 0, 1, 1, 1])
FLAME_OFFSET = np.array([0, 0, 0.05], np.float32)
"""What DAD-3DHeads adds to FLAME's vertices, metres: it brings the middle of the skull to the origin."""
SHAPES, EXPRESSIONS = 300, 100
LICENCE = "FLAME's own, see https://flame.is.tue.mpg.de: not to be passed on, unless your copy came with another one"

CONTOUR, WITHIN_FACE = 17, 51
"""How many of the 68 landmarks are on the contour, which come first, and how many within the face."""
EMBEDDING_FILES = ("flame_static_embedding.pkl", "flame_dynamic_embedding.npy")
EMBEDDING_KEYS = (
    ("lmk_face_idx", "lmk_b_coords"),
    ("static_lmk_faces_idx", "static_lmk_bary_coords"),
    ("dynamic_lmk_faces_idx", "dynamic_lmk_bary_coords"),
    ("full_lmk_faces_idx", "full_lmk_bary_coords"),
    ("landmark_faces", "landmark_weights"),
)
"""What triangles and barycentric weights are called in FLAME's, DECA's and our own files."""
SUBSET_ALIASES = {"face_w_ears": "face_with_ears"}


def read_flame(
    path: str | Path,
    landmarks: str | Path | None = None,
    subsets: str | Path | None = None,
    *,
    reference: Callable[[], HeadAsset],
) -> HeadAsset:
    """FLAME from its pickle, of any release from 2017 to 2023.

    Args:
        path: the pickle.
        landmarks: the embedding of the landmarks: a file with 68, one with the 51 within the face, or the folder of
            `EMBEDDING_FILES`. Of a contour that follows the head's turn, that of the frontal head is taken.
        subsets: vertex indices by name: a folder with `face.npy`, `head.npy` and `face_with_ears.npy` (or .json, .txt),
            or one .json, .npz or .pkl with all.
        reference: gives the head that landmarks and subsets are transferred from where they are not given; a note in
            the asset says which were.

    Raises:
        ZooError: a file that cannot be used, or that wants to import what no FLAME file needs.
    """
    stored = stored_by_name(path)
    if missing := [key for key in ("v_template", "f", *shapes_of(0)) if key not in stored]:
        raise ZooError(f"{path} lacks {', '.join(missing)}: expected a FLAME model as its owners publish it.")
    template = array(stored["v_template"], path, "v_template")
    if template.ndim != 2 or template.shape[1] != 3 or not np.isfinite(template).all():
        raise ZooError(f"{path}: v_template has shape {template.shape}, expected (vertices, 3) finite numbers.")
    arrays = {key: array(stored[key], path, key) for key in ("f", *shapes_of(0))}
    for key, shape in shapes_of(len(template)).items():
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
    tables, notes = landmarks_and_subsets(template, faces, landmarks, subsets, reference)
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


def shapes_of(vertices: int) -> dict[str, tuple[int, ...]]:
    """What the arrays in FLAME's pickle are called, and their shapes, beside the template and the triangles `f`."""
    joints = len(FLAME_JOINTS)
    return {
        "shapedirs": (vertices, 3, SHAPES + EXPRESSIONS),
        "posedirs": (vertices, 3, 9 * (joints - 1)),
        "J_regressor": (joints, vertices),
        "kintree_table": (2, joints),
        "weights": (vertices, joints),
    }


def landmarks_and_subsets(
    template: np.ndarray,
    faces: np.ndarray,
    landmarks: str | Path | None,
    subsets: str | Path | None,
    reference: Callable[[], HeadAsset],
) -> tuple[dict[str, Any], tuple[str, ...]]:
    """The tables that FLAME's own file lacks, by their names in `HeadAsset`, and notes on what was transferred."""
    triangles, weights = read_landmarks(landmarks) if landmarks else (np.arange(0), np.zeros((0, 3)))
    given = read_subsets(subsets) if subsets else {}
    lacking_landmarks = LANDMARKS - len(triangles)
    lacking_subsets = [name for name in SUBSETS if name not in given]
    notes = []
    if lacking_landmarks or lacking_subsets:
        other = reference()
        found = transfer(template, faces, other)
        triangles = np.append(found.landmark_faces[:lacking_landmarks], triangles)
        weights = np.append(found.landmark_weights[:lacking_landmarks], weights, axis=0)
        given |= {name: found.subsets[name] for name in lacking_subsets}
        how = f"transferred from '{other.name}' by nearest surface point"
        if lacking_landmarks:
            which = "the 68 landmarks" if lacking_landmarks == LANDMARKS else f"the {CONTOUR} landmarks of the contour"
            notes.append(f"{which} were {how}: give FLAME's own embedding as `landmarks`")
        if lacking_subsets:
            notes.append(f"the subsets {', '.join(lacking_subsets)} were {how}: give index files as `subsets`")
    tables = {
        "landmark_faces": triangles.astype(np.int64),
        "landmark_weights": weights.astype(np.float32),
        "subsets": given,
    }
    return tables, tuple(notes)


# The user's landmarks and subsets


def read_landmarks(path: str | Path) -> tuple[np.ndarray, np.ndarray]:
    """Triangles (N,) and barycentric weights (N, 3) of all 68 landmarks, or of the 51 within the face, the last ones.

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
                # A contour that follows the turn of the head has a row for each degree; the first is straight ahead.
                parts[count] = faces.reshape(-1, count)[0], weights.reshape(-1, count, 3)[0]
    if LANDMARKS in parts:
        return parts[LANDMARKS]
    if WITHIN_FACE in parts and CONTOUR in parts:
        contour, within = parts[CONTOUR], parts[WITHIN_FACE]
        return np.append(contour[0], within[0]), np.append(contour[1], within[1], axis=0)
    if WITHIN_FACE in parts:
        return parts[WITHIN_FACE]
    held = " and ".join(str(count) for count in parts) or "no"
    raise ZooError(
        f"{path} holds {held} landmarks; expected an embedding of {LANDMARKS}, or of the {WITHIN_FACE} within the "
        "face, such as FLAME's flame_static_embedding.pkl."
    )


def read_subsets(path: str | Path) -> dict[str, np.ndarray]:
    """Vertex indices of those of the subsets `face`, `head`, `face_with_ears` that a folder or file has.

    Raises:
        ZooError: the file cannot be used, or has none of them.
    """
    path = Path(path)
    found = {}
    for name in (*SUBSETS, *SUBSET_ALIASES):
        for suffix in (".npy", ".json", ".txt"):
            if path.is_dir() and (file := path / f"{name}{suffix}").is_file():
                found[SUBSET_ALIASES.get(name, name)] = indices(stored_in(file), file, name)
    if not path.is_dir():
        stored = stored_by_name(path)
        for name in (*SUBSETS, *SUBSET_ALIASES):
            if name in stored:
                found[SUBSET_ALIASES.get(name, name)] = indices(stored[name], path, name)
    if not found:
        raise ZooError(f"{path} holds none of the subsets {', '.join(SUBSETS)}.")
    return found


def indices(value: Any, path: Path, name: str) -> np.ndarray:
    """(N,) indices of vertices, from whatever form they were stored in."""
    found = array(value, path, name)
    if found.ndim != 1 or found.dtype.kind not in "iu" or not len(found):
        raise ZooError(f"{path}: {name} is a {found.dtype} array of shape {found.shape}, expected a list of indices.")
    return found.astype(np.int64)


# Files of any of the formats


def stored_by_name(path: str | Path) -> Mapping[str, Any]:
    """What a file stores under names.

    Raises:
        ZooError: the file cannot be used, or stores something else.
    """
    stored = stored_in(Path(path))
    if isinstance(stored, StoredArray) and stored.items is not None and len(stored.items) == 1:
        stored = stored.items[0]  # np.save of a dict
    if not isinstance(stored, dict):
        raise ZooError(f"{path} holds {describe(stored)}, expected arrays by name.")
    return stored


def stored_in(path: Path) -> Any:
    """The content of a .pkl, .npy, .npz, .json or .txt file; nothing that it names is imported."""
    readers: dict[str, Callable[[IO[bytes]], Any]] = {
        ".pkl": lambda file: InertUnpickler(file, encoding="latin1").load(),
        ".npy": read_npy,
        ".npz": lambda file: dict(np.load(file, allow_pickle=False)),
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


def read_npy(file: IO[bytes]) -> Any:
    """An array; or what `np.save` pickled, a `StoredArray`."""
    version = np.lib.format.read_magic(file)
    header = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    if header(file)[2].hasobject:
        return InertUnpickler(file, encoding="latin1").load()
    file.seek(0)
    return np.load(file, allow_pickle=False)
