"""Write synthetic heads as files, in the format of DAD-3DHeads: DIR/val/val.json, DIR/val/images, DIR/val/annotations.

Picture number n of a split is number n of `SyntheticHeads(split, seed=…, size=…)`; the split `validation` is called
`val` on disk. A split's list is written last, so that an unfinished split has none.
"""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from zoo.core.files import replacing
from zoo.heads.mesh import HeadModel
from zoo.heads.synthetic.heads import SyntheticHead, draw_head
from zoo.heads.synthetic.regions import find_regions
from zoo.matting.synthetic.photographs import ATTRIBUTION, PHOTOGRAPHS
from zoo.media.images import MediaError, write_image

FOLDERS = {"train": "train", "validation": "val", "test": "test"}
"""A split's folder and list."""

SMALLEST = 32
"""Pixels that a picture is high and wide at least."""

README = """Synthetic heads: renderings in the format of DAD-3DHeads, made by the Ablation Zoo (`zoo data synth heads`).

They are no part of DAD-3DHeads, and no person was photographed. The vertices are those of the head model
'{name}' ({licence}): {source}.
Backgrounds may show pieces of these photographs, which come with scikit-image; whose they are, as its documentation
states:

{photographs}
"""


def write_heads(directory: Path, head_model: HeadModel, *, splits: dict[str, int], size: int, seed: int) -> None:
    """Write pictures and annotations with a progress bar; a run that was interrupted may be started again.

    Args:
        directory: made if it is not there.
        head_model: whose heads.
        splits: how many heads, for `train`, `validation` and `test`.
        size: height and width in pixels.
        seed: another seed gives other pictures.

    Raises:
        MediaError: an unknown split, a count below 1, a size below 32, or a folder that holds other files.
    """
    directory = Path(directory)
    _check(directory, splits, size)
    with replacing(directory / "README.txt") as temporary:
        temporary.write_text(_readme(head_model, splits), encoding="utf-8")
    regions = find_regions(head_model)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True)) as progress:
        for split, count in splits.items():
            folder = FOLDERS[split]
            items = []
            for index in progress.track(range(count), description=f"Drawing {split}"):
                head = draw_head(head_model, regions, seed, split, index, size)
                item = _item(head, folder, head_name(split, index))
                write_image(directory / item["img_path"], head.image)
                _write_json(directory / item["annotation_path"], _annotation(head))
                items.append(item)
            _write_json(directory / folder / f"{folder}.json", items)


def head_name(split: str, index: int) -> str:
    """What picture number `index` of a split is called."""
    return f"synthetic_{split}_{index:06d}"


def _item(head: SyntheticHead, folder: str, name: str) -> dict[str, Any]:
    return {
        "item_id": name,
        "annotation_path": f"{folder}/annotations/{name}.json",
        "img_path": f"{folder}/images/{name}.png",
        "bbox": [round(float(number), 3) for number in head.box],
        "attributes": head.attributes,
    }


def _annotation(head: SyntheticHead) -> dict[str, Any]:
    vertices, model_view, projection = head.annotation
    return {
        "vertices": [
            [round(number, 7) for number in vertex] for vertex in vertices.tolist()
        ],  # a tenth of a micrometre
        "model_view_matrix": model_view.tolist(),
        "projection_matrix": projection.tolist(),
    }


def _write_json(path: Path, content: Any) -> None:
    with replacing(path) as temporary:
        temporary.write_text(json.dumps(content), encoding="utf-8")


def _readme(head_model: HeadModel, splits: Iterable[str]) -> str:
    names = sorted({name for split in splits for name in PHOTOGRAPHS[split]})
    photographs = "\n".join(f"{name}: {ATTRIBUTION[name]}" for name in names)
    return README.format(
        name=head_model.name, licence=head_model.licence, source=head_model.source, photographs=photographs
    )


def _check(directory: Path, splits: dict[str, int], size: int) -> None:
    if size < SMALLEST:
        raise MediaError(f"size is {size}: synthetic heads are at least {SMALLEST} pixels high and wide.")
    for split, count in splits.items():
        if split not in FOLDERS:
            raise MediaError(f"there is no synthetic split '{split}': choose from {', '.join(FOLDERS)}.")
        if count < 1:
            raise MediaError(f"the split '{split}' is to have {count} heads: expected at least 1.")
        ours = {head_name(split, index) for index in range(count)}
        for kind in ("images", "annotations"):
            folder = directory / FOLDERS[split] / kind
            others = [path for path in folder.glob("[!.]*") if path.stem not in ours]
            if others:
                raise MediaError(
                    f"{folder} holds {len(others)} other files, such as {others[0].name}: choose an empty folder."
                )
