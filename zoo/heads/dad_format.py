"""Reader of the files of DAD-3DHeads.

A split is a folder with a list, `val/val.json`, of *items*: one head in one image, with its box and attributes. An
item's *annotation* is a JSON file with the head's vertices and two matrices as in OpenGL: from the head frame to the
camera's (`model_view_matrix`), and to pixels counted from the image's bottom left corner (`projection_matrix`).
"""

import json
import math
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from zoo.core.errors import ZooError

IMAGE_FROM_CAMERA = np.diag([1.0, -1.0, -1.0])
"""OpenGL's camera looks along −z with y up; the image frame has y down and z away from the viewer."""
ARCHIVE = "DAD-3DHeadsDataset"
"""The folder in the data set's archive."""
KEYS = ("vertices", "model_view_matrix", "projection_matrix")
"""Keys of an annotation, in the order of `Annotation`'s fields."""
SHEAR = 0.1
"""Largest deviation of R·Rᵀ from 1 for a rotation."""


class Item(NamedTuple):
    """One line of a split's list."""

    name: str
    """The `item_id`."""
    image: Path
    annotation: Path
    box: tuple[float, float, float, float]
    """x, y, width, height of the head in pixels of the image."""
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
        """(3, 3), head frame to image frame."""
        return IMAGE_FROM_CAMERA @ self.model_view[:3, :3]

    def projected(self, height: int) -> np.ndarray:
        """Return the vertices projected into an image of this height, (V, 2) pixels, x right, y down."""
        homogeneous = np.concatenate([self.vertices, np.ones_like(self.vertices[:, :1])], axis=1)
        clip = homogeneous @ (self.projection @ self.model_view).T
        x, y = (clip[:, :2] / clip[:, 3:]).T
        return np.stack([x, height - y], axis=1)


def read_items(root: str | Path, split: str) -> list[Item]:
    """Read the list of a split; whether the items' files exist is not checked.

    Args:
        root: the folder with the split's folder, or with `DAD-3DHeadsDataset`.
        split: `train`, `val` or `test`.

    Raises:
        ZooError: there is no such split, or its list has another format.

    Example:
        >>> import tempfile
        >>> folder = Path(tempfile.mkdtemp(), "val")
        >>> folder.mkdir()
        >>> item = {"item_id": "a", "img_path": "images/a.png", "bbox": [1, 2, 30, 40]}
        >>> _ = (folder / "val.json").write_text(json.dumps([item]))
        >>> read_items(folder.parent, "val")[0].box
        (1.0, 2.0, 30.0, 40.0)
    """
    folder = _find_split(Path(root), split)
    listing = folder / f"{split}.json"
    entries = _read_json(listing)
    if not isinstance(entries, list) or not entries:
        raise ZooError(f"{listing} holds no list of items; expected DAD-3DHeads's list of the split.")
    return [_item(entry, folder, f"{listing}, item {number}") for number, entry in enumerate(entries)]


def _find_split(root: Path, split: str) -> Path:
    """Return the folder of a split, in the root or one folder below it."""
    candidates = [root / split, root / ARCHIVE / split]
    for folder in candidates:
        if (folder / f"{split}.json").is_file():
            return folder
    raise ZooError(
        f"{candidates[0] / split}.json: there is no such file; expected the folder of DAD-3DHeads with "
        f"{split}/{split}.json in it: check the path."
    )


def missing_files(items: list[Item]) -> list[Path]:
    """Return the images and annotations of the items that do not exist."""
    return [path for item in items for path in (item.image, item.annotation) if not path.is_file()]


def read_annotation(path: Path, vertex_count: int) -> Annotation:
    """Read the annotation of one item, with the head model's number of vertices.

    Raises:
        ZooError: no such file, not JSON, another number of vertices, or matrices that place no head in an image.

    Example:
        >>> read_annotation(Path("absent.json"), vertex_count=5023)
        Traceback (most recent call last):
        zoo.core.errors.ZooError: absent.json: there is no such file; expected one of DAD-3DHeads.
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
    entry = entry if isinstance(entry, dict) else {}
    name, image, box, attributes = (entry.get(key) for key in ("item_id", "img_path", "bbox", "attributes"))
    annotation = entry.get("annotation_path") or f"annotations/{name}.json"
    if not all(isinstance(value, str) for value in (name, image, annotation)):
        raise ZooError(f"{where} has no item_id or no paths; expected item_id, img_path and annotation_path.")
    if not _is_box(box):
        raise ZooError(f"{where} ({name}): bbox is {box}; expected [x, y, width, height] in pixels.")
    if not isinstance(attributes or {}, dict):
        raise ZooError(f"{where} ({name}): attributes are {attributes!r}; expected them by name.")
    attributes = {key: str(value) for key, value in (attributes or {}).items() if value is not None}
    x, y, width, height = map(float, box)
    return Item(name, _resolve(image, folder), _resolve(annotation, folder), (x, y, width, height), attributes)


def _is_box(box: Any) -> bool:
    numbers = isinstance(box, list) and len(box) == 4 and all(isinstance(value, int | float) for value in box)
    return numbers and all(map(math.isfinite, box)) and min(box[2:]) > 0


def _resolve(path: str, folder: Path) -> Path:
    """Resolve a path of a list by its last two parts (`images/ID.png`), since the data may have been moved."""
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
