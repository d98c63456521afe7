"""The format of DAD-3DHeads on disk: what its files hold, read and checked.

A split is a folder with a list, `val/val.json`, of *items*: one head in one picture, with its box and attributes. An
item's *annotation* is a JSON file of its own with the head's vertices and two matrices that place them in the picture,
as in OpenGL: from the head to the camera's frame (`model_view_matrix`), and on to pixels counted from the picture's
bottom left corner (`projection_matrix`).
"""

import json
import math
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from zoo.core.errors import ZooError

PICTURE_FROM_CAMERA = np.diag([1.0, -1.0, -1.0])
"""OpenGL's camera looks along −z with y up; the picture frame has y down and z away from the viewer."""
ARCHIVE = "DAD-3DHeadsDataset"
"""The folder that the data set is unpacked to."""
KEYS = ("vertices", "model_view_matrix", "projection_matrix")
"""Of an annotation's file, in the order of `Annotation`'s fields."""
SHEAR = 0.1
"""How far R·Rᵀ may be from 1 before it is no rotation."""


class Item(NamedTuple):
    """One line of a split's list."""

    name: str
    """The `item_id`."""
    image: Path
    annotation: Path
    box: tuple[float, float, float, float]
    """x, y, width, height of the head in pixels of the picture."""
    attributes: dict[str, str]


class Annotation(NamedTuple):
    """The head of one item."""

    vertices: np.ndarray
    """(V, 3) metres, unrotated, in the head frame."""
    model_view: np.ndarray
    """(4, 4), head frame to camera frame."""
    projection: np.ndarray
    """(4, 4), camera frame to pixels, y up."""

    @property
    def rotation(self) -> np.ndarray:
        """(3, 3), head frame to picture frame."""
        return PICTURE_FROM_CAMERA @ self.model_view[:3, :3]

    def projected(self, height: int) -> np.ndarray:
        """(V, 2) where the vertices are seen in a picture of this height: pixels, x right, y down."""
        homogeneous = np.concatenate([self.vertices, np.ones_like(self.vertices[:, :1])], axis=1)
        seen = homogeneous @ (self.projection @ self.model_view).T
        places = seen[:, :2] / seen[:, 3:]
        return np.stack([places[:, 0], height - places[:, 1]], axis=1)


def read_items(root: str | Path, split: str) -> list[Item]:
    """The items of a split, in the order of its list; whether their files exist is not looked at.

    Args:
        root: the folder that holds the split's folder, or holds `DAD-3DHeadsDataset` with it.
        split: `train`, `val` or `test`.

    Raises:
        ZooError: there is no such split, or its list is not as the format has it.
    """
    folder = find_split(Path(root), split)
    listing = folder / f"{split}.json"
    entries = _read_json(listing)
    if not isinstance(entries, list) or not entries:
        raise ZooError(f"{listing} holds no list of items; expected DAD-3DHeads's list of the split.")
    return [_item(entry, folder, f"{listing}, item {number}") for number, entry in enumerate(entries)]


def find_split(root: Path, split: str) -> Path:
    """The folder of a split, in the root or one folder below it."""
    candidates = [root / split, root / ARCHIVE / split]
    for folder in candidates:
        if (folder / f"{split}.json").is_file():
            return folder
    raise ZooError(
        f"{candidates[0] / split}.json: there is no such file; expected the folder of DAD-3DHeads with "
        f"{split}/{split}.json in it: check the path."
    )


def missing_files(items: list[Item]) -> list[Path]:
    """Pictures and annotations that the items name and that are not there."""
    return [path for item in items for path in (item.image, item.annotation) if not path.is_file()]


def read_annotation(path: Path, vertex_count: int) -> Annotation:
    """The head of one item.

    Args:
        path: of the annotation.
        vertex_count: how many vertices the head model has.

    Raises:
        ZooError: no such file, not JSON, another number of vertices, or matrices that place no head in a picture.
    """
    content = _read_json(path)
    annotation = Annotation(*(_numbers(content, name, path) for name in KEYS))
    if annotation.vertices.shape != (vertex_count, 3):
        raise ZooError(
            f"{path}: vertices have shape {annotation.vertices.shape}, expected ({vertex_count}, 3), the head model's: "
            "use the head model that the data was annotated with (FLAME for DAD-3DHeads)."
        )
    for name, matrix in zip(KEYS[1:], annotation[1:], strict=True):
        if matrix.shape != (4, 4):
            raise ZooError(f"{path}: {name} has shape {matrix.shape}, expected (4, 4).")
    rotation = annotation.rotation
    if np.abs(rotation @ rotation.T - np.eye(3)).max() > SHEAR or np.linalg.det(rotation) < 0:
        raise ZooError(f"{path}: model_view_matrix does not rotate; expected a rotation in its first 3×3 numbers.")
    with np.errstate(divide="ignore", invalid="ignore"):
        if not np.isfinite(annotation.projected(height=0)).all():
            raise ZooError(f"{path}: the matrices place vertices at no finite pixel; expected both of one camera.")
    return annotation


def _item(entry: Any, folder: Path, where: str) -> Item:
    given: Any = entry if isinstance(entry, dict) else {}
    name, image, box, attributes = (given.get(key) for key in ("item_id", "img_path", "bbox", "attributes"))
    annotation = given.get("annotation_path") or f"annotations/{name}.json"
    if not all(isinstance(value, str) for value in (name, image, annotation)):
        raise ZooError(f"{where} has no item_id or no paths; expected item_id, img_path and annotation_path.")
    if not _is_box(box):
        raise ZooError(f"{where} ({name}): bbox is {box}; expected [x, y, width, height] in pixels.")
    if not isinstance(attributes or {}, dict):
        raise ZooError(f"{where} ({name}): attributes are {attributes!r}; expected them by name.")
    known = {key: str(value) for key, value in (attributes or {}).items() if value is not None}
    x, y, width, height = map(float, box)
    return Item(name, _resolve(image, folder), _resolve(annotation, folder), (x, y, width, height), known)


def _is_box(box: Any) -> bool:
    numbers = isinstance(box, list) and len(box) == 4 and all(isinstance(value, int | float) for value in box)
    return numbers and all(map(math.isfinite, box)) and min(box[2:]) > 0


def _resolve(path: str, folder: Path) -> Path:
    """A path out of a list, by its end (`images/ID.png`): what comes before depends on where the data was unpacked."""
    return folder.joinpath(*Path(path).parts[-2:])


def _read_json(path: Path) -> Any:
    try:
        return json.loads(path.read_bytes())
    except FileNotFoundError:
        raise ZooError(f"{path}: there is no such file; expected one of DAD-3DHeads.") from None
    except (OSError, ValueError) as error:
        raise ZooError(f"{path} cannot be read as JSON ({error}): unpack the data set again.") from error


def _numbers(content: Any, name: str, path: Path) -> np.ndarray:
    try:
        array = np.array(content[name], dtype=np.float64)
    except (KeyError, TypeError, ValueError):
        array = None
    if array is None or not np.isfinite(array).all():
        raise ZooError(f"{path}: {name} is missing or holds something else than finite numbers.")
    return array
