"""Head assets: the checked arrays of a head model, and their file.

A *head asset* holds everything a head model computes from: a template mesh, its shape and expression directions, joints
with skinning weights, the 68 landmarks and named subsets of vertices, with its licence and source. On disk it is a
safetensors file; its header holds the fields that are no arrays.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from pathlib import Path

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save as to_bytes

from zoo.core.errors import ZooError
from zoo.core.files import replacing

FORMAT = "zoo-head-1"
LANDMARKS = 68
SUBSETS = ("face", "head", "face_with_ears")
"""Subsets of vertices that every head model has, since losses and metrics compare them."""
HEADER = ("name", "licence", "source", "joints", "notes")
"""The fields of an asset that are no arrays."""


@dataclass(frozen=True)
class HeadAsset:
    """The arrays of a head model with V vertices, F triangles, S shape and E expression directions, J joints.

    Positions are metres in the head frame: x to the subject's left, y up, z out of the face.

    Args:
        name: used in messages.
        licence, source: licence and attribution.
        template: (V, 3), the mean head.
        faces: (F, 3) indices, counter-clockwise seen from outside.
        shape_basis: (V, 3, S) metres per unit of each shape parameter.
        expression_basis: (V, 3, E).
        joints: names of the joints, parents first; one is `jaw`.
        parents: (J,) index of each joint's parent, −1 for the root.
        joint_regressor: (J, V), joints as weighted means of the shaped vertices.
        weights: (V, J) skinning weights, each row sums to 1.
        landmark_faces: (68,) index of the triangle that each landmark lies on.
        landmark_weights: (68, 3) barycentric, each row sums to 1.
        subsets: indices of vertices by name; at least those of `SUBSETS`.
        pose_basis: (V, 3, 9·(J − 1)) corrective directions driven by R − 1 of all joints but the root; or None.
        mirror: (V,) the index of each vertex's mirror image; None if the mesh is not symmetric.
        offset: (3,) added to every vertex before the head is rotated, metres.
        notes: remarks for the user, for example which tables were transferred from another head.

    Example:
        >>> from zoo.heads.mesh import HeadModel
        >>> asset = HeadModel.load("procedural").asset()
        >>> asset.template.shape, asset.joints[2]
        ((5023, 3), 'jaw')
    """

    name: str
    licence: str
    source: str
    template: np.ndarray
    faces: np.ndarray
    shape_basis: np.ndarray
    expression_basis: np.ndarray
    joints: tuple[str, ...]
    parents: np.ndarray
    joint_regressor: np.ndarray
    weights: np.ndarray
    landmark_faces: np.ndarray
    landmark_weights: np.ndarray
    subsets: Mapping[str, np.ndarray]
    pose_basis: np.ndarray | None = None
    mirror: np.ndarray | None = None
    offset: np.ndarray = field(default_factory=lambda: np.zeros(3, np.float32))
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        _check(self)

    @property
    def sha256(self) -> str:
        """Checksum of all arrays: two assets with the same sum compute the same."""
        digest = hashlib.sha256()
        for name, array in sorted(arrays(self).items()):
            array = _to_float32(array)  # as `read` returns it
            digest.update(f"{name} {array.dtype} {array.shape}".encode())
            digest.update(np.ascontiguousarray(array).tobytes())
        return digest.hexdigest()


def first_directions(asset: HeadAsset, shape: int | None, expression: int | None) -> HeadAsset:
    """Return the asset with its first directions of shape and of expression; None keeps all of them.

    Raises:
        ZooError: there are fewer.

    Example:
        >>> from zoo.heads.mesh import HeadModel
        >>> first_directions(HeadModel.load("procedural").asset(), 100, 50).shape_basis.shape
        (5023, 3, 100)
    """
    reduced = {}
    for name, count in (("shape", shape), ("expression", expression)):
        basis = getattr(asset, f"{name}_basis")
        if count is not None and not 1 <= count <= basis.shape[2]:
            raise ZooError(
                f"{name}={count}: the head model '{asset.name}' has {basis.shape[2]} {name} parameters; give 1 to "
                f"{basis.shape[2]}, or null for all."
            )
        reduced[f"{name}_basis"] = basis[:, :, :count]
    return asset if shape is None and expression is None else replace(asset, **reduced)


def save(asset: HeadAsset, path: str | Path) -> None:
    """Write the asset atomically as one safetensors file; half-precision arrays stay half-precision.

    Example:
        >>> from tempfile import mkdtemp
        >>> from zoo.heads.mesh import HeadModel
        >>> asset, path = HeadModel.load("open").asset(), Path(mkdtemp()) / "head.safetensors"
        >>> save(asset, path)
        >>> read(path).sha256 == asset.sha256
        True
    """
    header = {key: getattr(asset, key) for key in ("name", "licence", "source")}
    header |= {"joints": json.dumps(asset.joints), "notes": json.dumps(asset.notes), "format": FORMAT}
    content = to_bytes({name: np.ascontiguousarray(array) for name, array in arrays(asset).items()}, header)
    with replacing(Path(path)) as temporary:
        temporary.write_bytes(content)  # safetensors' own writer makes a file that other users cannot read


def read(path: str | Path) -> HeadAsset:
    """Read the file of a head asset, see `save`.

    Raises:
        ZooError: no such file, no head asset, or arrays that do not fit together.
    """
    try:
        with safe_open(path, framework="numpy") as file:
            header = file.metadata() or {}
            if header.get("format") != FORMAT:
                raise ZooError(
                    f"{path} is no head model of ours (format {header.get('format')!r}, expected {FORMAT!r}): "
                    "convert the original with `zoo convert head FILE`."
                )
            stored = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except FileNotFoundError:
        raise ZooError(f"{path}: there is no such file.") from None
    except (SafetensorError, OSError) as error:
        raise ZooError(f"{path} cannot be read as safetensors ({error}): convert the original again.") from error
    subsets = {name.removeprefix("subset."): stored.pop(name) for name in list(stored) if name.startswith("subset.")}
    try:
        return HeadAsset(
            name=header["name"],
            licence=header["licence"],
            source=header["source"],
            joints=tuple(json.loads(header["joints"])),
            notes=tuple(json.loads(header["notes"])),
            subsets=subsets,
            **{name: _to_float32(array) for name, array in stored.items()},
        )
    except (KeyError, TypeError, json.JSONDecodeError) as error:
        raise ZooError(
            f"{path} does not hold what makes a head model ({error}): convert the original again."
        ) from error


def arrays(asset: HeadAsset) -> dict[str, np.ndarray]:
    """Return the arrays of the asset by their name in its file, without optional arrays that are None."""
    names = [each.name for each in fields(asset) if each.name not in ("subsets", *HEADER)]
    present = {name: getattr(asset, name) for name in names if getattr(asset, name) is not None}
    return present | {f"subset.{name}": indices for name, indices in asset.subsets.items()}


def _to_float32(array: np.ndarray) -> np.ndarray:
    """Return half-precision arrays, which shipped files hold, as float32."""
    return array.astype(np.float32) if array.dtype == np.float16 else array


def _check(asset: HeadAsset) -> None:
    """Raise ZooError unless the arrays fit together and losses and metrics find what they need."""
    if "jaw" not in asset.joints[1:]:
        raise ZooError(
            f"the head model '{asset.name}' has the joints {', '.join(asset.joints)}, none below the root called 'jaw'."
        )
    if missing := [name for name in SUBSETS if not len(asset.subsets.get(name, ()))]:
        raise ZooError(f"the head model '{asset.name}' lacks the subset of vertices {', '.join(missing)}.")
    _check_arrays(asset)
    if [*asset.parents[:1]] != [-1] or any(not 0 <= parent < own for own, parent in enumerate(asset.parents) if own):
        raise ZooError(
            f"the head model '{asset.name}': parents are {asset.parents.tolist()}, expected −1 for the root, which "
            "comes first, and earlier joints for the others."
        )
    for name in ("weights", "landmark_weights"):
        sums = getattr(asset, name).sum(1, dtype=np.float64)
        if abs(sums - 1).max() > 0.01:
            bounds = f"{sums.min():.3f} to {sums.max():.3f}"
            raise ZooError(f"the head model '{asset.name}': rows of {name} sum to {bounds}, expected 1.")


def _check_arrays(asset: HeadAsset) -> None:
    """Raise ZooError unless shapes agree, numbers are finite, and indices are whole numbers in range."""
    vertices, joints = len(asset.template), len(asset.joints)
    expected: dict[str, tuple[int | None, ...]] = {
        "template": (vertices, 3),
        "faces": (None, 3),
        "shape_basis": (vertices, 3, None),
        "expression_basis": (vertices, 3, None),
        "parents": (joints,),
        "joint_regressor": (joints, vertices),
        "weights": (vertices, joints),
        "landmark_faces": (LANDMARKS,),
        "landmark_weights": (LANDMARKS, 3),
        "pose_basis": (vertices, 3, 9 * (joints - 1)),
        "mirror": (vertices,),
        "offset": (3,),
    }
    limits = {"faces": vertices, "landmark_faces": len(asset.faces), "mirror": vertices}
    for name, array in arrays(asset).items():
        shape = expected.get(name, (None,))
        if len(shape) != array.ndim or any(n not in (None, size) for n, size in zip(shape, array.shape, strict=True)):
            raise ZooError(
                f"the head model '{asset.name}': {name} has shape {array.shape}, "
                f"expected ({', '.join('any' if size is None else str(size) for size in shape)})."
            )
        if not np.isfinite(array).all():
            raise ZooError(f"the head model '{asset.name}': {name} holds numbers that are not finite.")
        limit = limits.get(name, vertices if name.startswith("subset.") else None)
        if limit is None or not array.size:
            continue
        if array.dtype.kind not in "iu" or array.min() < 0 or array.max() >= limit:
            raise ZooError(
                f"the head model '{asset.name}': {name} holds {array.dtype} indices from {array.min()} to "
                f"{array.max()}, expected whole numbers from 0 to {limit - 1}."
            )
