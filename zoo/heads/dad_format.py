"""The format of DAD-3DHeads: reading and checking its files, and writing any dataset of heads in it.

A split is a folder with a list, `val/val.json`, of *items*: one head in one image, with its box and attributes. An
item's *annotation* is a JSON file of its own with the head's vertices and two matrices that project them to the image,
as in OpenGL: from the head to the camera's frame (`model_view_matrix`), and on to pixels counted from the image's
bottom left corner (`projection_matrix`).
"""

import json
import math
import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from zoo.core.errors import ZooError
from zoo.core.files import write_text
from zoo.media.images import MediaError, write_image
from zoo.media.progress import tracked

if TYPE_CHECKING:
    from zoo.heads.parts import HeadDataset, HeadPicture

IMAGE_FROM_CAMERA = np.diag([1.0, -1.0, -1.0])
"""OpenGL's camera looks along −z with y up; the picture frame has y down and z away from the viewer."""
ARCHIVE = "DAD-3DHeadsDataset"  # the folder that the data set is unpacked to
DAD_SPLITS = ("train", "val", "test")
KEYS = ("vertices", "model_view_matrix", "projection_matrix")  # of a file, in the order of `Annotation`'s fields
SHEAR = 0.1  # largest deviation of R·Rᵀ from 1 for a rotation R
FOLDERS = {"validation": "val"}  # splits whose folder and list have another name
README = """{name}: heads in the format of DAD-3DHeads, written by the Ablation Zoo (`zoo data synth heads`).

The vertices are those of the head model '{model}' ({licence}): {source}.
{notice}
"""


class Item(NamedTuple):
    """One line of a split's list."""

    name: str  # the `item_id`
    image: Path
    annotation: Path
    box: tuple[float, float, float, float]  # x, y, width, height of the head in pixels of the image
    attributes: dict[str, str]


class Annotation(NamedTuple):
    """The head of one item.

    Example:
        >>> Annotation(np.zeros((1, 3)), np.eye(4), np.eye(4)).projected(height=10)
        array([[ 0., 10.]])
    """

    vertices: np.ndarray  # (V, 3) metres, unrotated, in the head frame
    model_view: np.ndarray  # (4, 4), head frame to camera frame
    projection: np.ndarray  # (4, 4), camera frame to pixels, y up

    @property
    def rotation(self) -> np.ndarray:
        """(3, 3), head frame to picture frame."""
        return IMAGE_FROM_CAMERA @ self.model_view[:3, :3]

    def projected(self, height: int) -> np.ndarray:
        """Return the vertices' projections (V, 2) to an image of this height: pixels, x right, y down."""
        homogeneous = np.concatenate([self.vertices, np.ones_like(self.vertices[:, :1])], axis=1)
        seen = homogeneous @ (self.projection @ self.model_view).T
        pixels = seen[:, :2] / seen[:, 3:]
        return np.stack([pixels[:, 0], height - pixels[:, 1]], axis=1)


def read_items(root: str | Path, split: str) -> list[Item]:
    """Return the items of a split, in the order of its list; whether their files exist is not checked.

    Args:
        root: the folder that holds the split's folder, or holds `DAD-3DHeadsDataset` with it.
        split: `train`, `val` or `test`.

    Raises:
        ZooError: there is no such split, or its list is not as the format has it.

    Example:
        >>> from tempfile import mkdtemp
        >>> entry = {"item_id": "a", "img_path": "val/images/a.png", "bbox": [1, 2, 30, 40], "attributes": {}}
        >>> write_text(Path(root := mkdtemp()) / "val/val.json", json.dumps([entry]))
        >>> [(item.name, item.box) for item in read_items(root, "val")]
        [('a', (1.0, 2.0, 30.0, 40.0))]
    """
    folder = find_split(Path(root), split)
    listing = folder / f"{split}.json"
    entries = _read_json(listing)
    if not isinstance(entries, list) or not entries:
        raise ZooError(f"{listing} holds no list of items; expected DAD-3DHeads's list of the split.")
    return [_item(entry, folder, f"{listing}, item {number}") for number, entry in enumerate(entries)]


def find_split(root: Path, split: str) -> Path:
    """Return the folder of a split, in the root or one folder below it.

    Raises:
        ZooError: neither holds the split's list.

    Example:
        >>> from tempfile import mkdtemp
        >>> write_text(Path(root := mkdtemp()) / ARCHIVE / "val/val.json", "[]")
        >>> find_split(Path(root), "val").relative_to(root).as_posix()
        'DAD-3DHeadsDataset/val'
    """
    candidates = [root / split, root / ARCHIVE / split]
    for folder in candidates:
        if (folder / f"{split}.json").is_file():
            return folder
    raise ZooError(
        f"{candidates[0] / split}.json: there is no such file; expected the folder of DAD-3DHeads with "
        f"{split}/{split}.json in it: check the path."
    )


def missing_files(items: list[Item]) -> list[Path]:
    """Return the images and annotations of items that do not exist.

    Example:
        >>> missing_files([Item("a", Path("a.png"), Path("a.json"), (0, 0, 1, 1), {})])[0].name
        'a.png'
    """
    return [path for item in items for path in (item.image, item.annotation) if not path.is_file()]


def read_annotation(path: Path, vertex_count: int | None) -> Annotation:
    """Read the annotation of one item, for a head model of `vertex_count` vertices; None takes any.

    Raises:
        ZooError: no such file, not JSON, another number of vertices, or matrices that project no head to an image.

    Example:
        >>> from tempfile import mkdtemp
        >>> content = {KEYS[0]: [[0, 0, 1]], KEYS[1]: np.diag([1, -1, -1, 1]).tolist(), KEYS[2]: np.eye(4).tolist()}
        >>> write_text(path := Path(mkdtemp()) / "a.json", json.dumps(content))
        >>> read_annotation(path, vertex_count=1).rotation.tolist() == np.eye(3).tolist()
        True
    """
    content = _read_json(path)
    annotation = Annotation(*(_numbers(content, name, path) for name in KEYS))
    if annotation.vertices.shape != (vertex_count or len(annotation.vertices), 3):
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


def fit_annotation(head: "HeadPicture") -> Annotation:
    """Fit a camera to a head of known rotation, vertices and projections, by linear least squares.

    It is x = (a·X + b·Z + c) / (1 + s·Z), y = (a·Y + d·Z + e) / (1 + s·Z) in the picture frame, orthographic for s = 0.

    Example:
        >>> import torch
        >>> from zoo.heads.parts import HeadPicture
        >>> vertices, box = torch.randn(9, 3), torch.tensor([0.0, 0, 8, 8])
        >>> head = HeadPicture(torch.zeros(3, 8, 8), box, vertices, 5 * vertices[:, :2] + 4, torch.eye(3), {}, "a")
        >>> bool(np.allclose(fit_annotation(head).projected(8), head.projected, atol=1e-4))
        True
    """
    vertices, pixels, rotation = (x.double().numpy() for x in (head.vertices, head.projected, head.rotation))
    x, y, z = rotation @ vertices.T
    one, zero = np.ones_like(z), np.zeros_like(z)
    across = np.stack([x, z, one, zero, zero, -pixels[:, 0] * z], axis=1)
    down = np.stack([y, zero, zero, z, one, -pixels[:, 1] * z], axis=1)
    a, b, c, d, e, s = np.linalg.lstsq(np.concatenate([across, down]), pixels.T.reshape(-1), rcond=None)[0]
    height = head.image.shape[-2]
    projection = np.array([[a, 0, -b, c], [0, a, d - height * s, height - e], [0, 0, -1, 0], [0, 0, -s, 1]])
    model_view = np.eye(4)
    model_view[:3, :3] = IMAGE_FROM_CAMERA @ rotation
    return Annotation(vertices.astype(np.float32), model_view, projection)


def write_heads(directory: Path, datasets: Mapping[str, "HeadDataset"], counts: Mapping[str, int]) -> None:
    """Write datasets as images and annotations with progress bars; an interrupted run may be repeated.

    A split's list is written last, so that an unfinished split has none; the split `validation` is called `val`. A
    dataset may have a method `annotation(index)` that knows the exact camera; otherwise it is fitted. It may have a
    `notice`, lines about sources and licences, which go into `README.txt`.

    Args:
        directory: created if it is missing.
        datasets: by split, each built with its head model.
        counts: how many heads of each split.

    Raises:
        MediaError: a folder holds other files.

    Example:
        >>> from tempfile import mkdtemp
        >>> from zoo.core.spec import build
        >>> from zoo.heads.mesh import HeadModel
        >>> dataset = build({"class_path": "SyntheticHeads", "init_args": {"count": 1, "size": 32}})
        >>> dataset.build(HeadModel.load("procedural"))
        >>> write_heads(Path(root := mkdtemp()), {"train": dataset}, {"train": 1})
        >>> [item.name for item in read_items(root, "train")]
        ['synthetic_train_000000']
    """
    name = ", ".join(dict.fromkeys(type(dataset).__name__ for dataset in datasets.values()))
    notice = dict.fromkeys(line for dataset in datasets.values() for line in getattr(dataset, "notice", ()))
    for split, dataset in datasets.items():
        items: list[dict[str, Any]] = []
        split_folder = directory / FOLDERS.get(split, split)
        others = {path.stem: path for kind in ("images", "annotations") for path in (split_folder / kind).glob("[!.]*")}
        for index in tracked(range(counts[split]), counts[split], f"Writing {split}", progress=True):
            head = dataset.picture(index)
            item = _entry(head, split_folder.name)
            if others and index == 0 and item["item_id"] not in others:
                break
            others.pop(item["item_id"], None)
            annotation = dataset.annotation(index) if hasattr(dataset, "annotation") else fit_annotation(head)
            write_image(directory / item["img_path"], head.image)
            write_text(directory / item["annotation_path"], json.dumps(_to_json(annotation)))
            items.append(item)
        if others:
            other = next(iter(others.values()))
            raise MediaError(
                f"{other.parent} holds {len(others)} other files, such as {other.name}: choose an empty folder."
            )
        write_text(split_folder / f"{split_folder.name}.json", json.dumps(items))
        model = dataset.head_model
    fields = {"model": model.name, "licence": model.licence, "source": model.source, "notice": "\n".join(notice)}
    write_text(directory / "README.txt", README.format(name=name, **fields))


def _entry(head: "HeadPicture", folder: str) -> dict[str, Any]:
    name = re.sub(r"[^\w.-]+", "_", head.name)
    return {
        "item_id": name,
        "annotation_path": f"{folder}/annotations/{name}.json",
        "img_path": f"{folder}/images/{name}.png",
        "bbox": [round(float(number), 3) for number in head.box],
        "attributes": head.attributes,
    }


def _to_json(annotation: Annotation) -> dict[str, Any]:
    vertices = [[round(number, 7) for number in vertex] for vertex in annotation.vertices.tolist()]  # in 0.1 µm
    return dict(zip(KEYS, (vertices, annotation.model_view.tolist(), annotation.projection.tolist()), strict=True))


def _item(entry: Any, folder: Path, where: str) -> Item:
    fields: Any = entry if isinstance(entry, dict) else {}
    name, image, box, attributes = (fields.get(key) for key in ("item_id", "img_path", "bbox", "attributes"))
    annotation = fields.get("annotation_path") or f"annotations/{name}.json"
    if not all(isinstance(value, str) for value in (name, image, annotation)):
        raise ZooError(f"{where} has no item_id or no paths; expected item_id, img_path and annotation_path.")
    numbers = isinstance(box, list) and len(box) == 4 and all(isinstance(value, int | float) for value in box)
    if not numbers or not all(map(math.isfinite, box)) or min(box[2:]) <= 0:
        raise ZooError(f"{where} ({name}): bbox is {box}; expected [x, y, width, height] in pixels.")
    if not isinstance(attributes or {}, dict):
        raise ZooError(f"{where} ({name}): attributes are {attributes!r}; expected them by name.")
    known = {key: str(value) for key, value in (attributes or {}).items() if value is not None}
    x, y, width, height = map(float, box)
    return Item(name, _resolve(image, folder), _resolve(annotation, folder), (x, y, width, height), known)


def _resolve(path: str, folder: Path) -> Path:
    """Return the path of a listed file by its end (`images/ID.png`): the rest depends on the place of unpacking."""
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
