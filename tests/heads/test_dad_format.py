"""The DAD-3DHeads format: a camera worked out by hand, and files that are not as they should be."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from zoo.core.errors import ZooError
from zoo.heads.dad_format import Annotation, missing_files, read_annotation, read_items

VERTICES = [[0.1, 0.05, 0.0], [0.0, 0.0, 0.0], [-0.02, -0.1, 0.1]]
# A head one metre in front of the camera, looking into it.
MODEL_VIEW = [[1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 1, -1], [0, 0, 0, 1]]
# A pinhole camera of 500 pixels focal length; its axis meets a picture of height 200 at x = 100, y = 80.
PROJECTION = [[500, 0, -100, 0], [0, 500, -120, 0], [0, 0, 1, 0], [0, 0, -1, 0]]
ANNOTATION = {"vertices": VERTICES, "model_view_matrix": MODEL_VIEW, "projection_matrix": PROJECTION}
ITEM = {
    "item_id": "anna",
    "annotation_path": "DAD-3DHeadsDataset/val/annotations/anna.json",
    "img_path": "DAD-3DHeadsDataset/val/images/anna.png",
    "bbox": [10, 20, 30, 40],
    "attributes": {"pose": "front", "occlusions": True, "gender": None},
}


def write(path: Path, content: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return path


def test_vertices_are_projected_as_by_hand() -> None:
    annotation = Annotation(*(np.array(values, float) for values in ANNOTATION.values()))
    expected = [[100 + 50, 80 - 25], [100, 80], [100 - 10 / 0.9, 80 + 50 / 0.9]]
    assert annotation.projected(height=200) == pytest.approx(np.array(expected))
    assert np.array_equal(annotation.rotation, np.diag([1, -1, -1]))  # straight at the camera


def test_annotations_are_read(tmp_path: Path) -> None:
    annotation = read_annotation(write(tmp_path / "anna.json", ANNOTATION), vertex_count=3)
    assert annotation.vertices == pytest.approx(np.array(VERTICES))


@pytest.mark.parametrize("folder", ["", "DAD-3DHeadsDataset"])
@pytest.mark.parametrize("prefix", ["DAD-3DHeadsDataset/val/", "val/", "", "/somewhere/else/"])
def test_items_are_found_wherever_the_archive_was_unpacked(tmp_path: Path, folder: str, prefix: str) -> None:
    paths = {"annotation_path": f"{prefix}annotations/anna.json", "img_path": f"{prefix}images/anna.png"}
    split = tmp_path / folder / "val"
    write(split / "val.json", [ITEM | paths])
    write(split / "annotations" / "anna.json", ANNOTATION)
    (item,) = read_items(tmp_path, "val")
    assert item.name == "anna"
    assert item.box == (10, 20, 30, 40)
    assert item.attributes == {"pose": "front", "occlusions": "True"}
    assert missing_files([item]) == [split / "images" / "anna.png"]


def test_the_benchmarks_items_need_no_annotation_path(tmp_path: Path) -> None:
    write(tmp_path / "test" / "test.json", [{key: ITEM[key] for key in ("item_id", "img_path", "bbox")}])
    (item,) = read_items(tmp_path, "test")
    assert item.image == tmp_path / "test" / "images" / "anna.png"
    assert item.attributes == {}


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"vertices": VERTICES[:2]}, r"vertices have shape \(2, 3\), expected \(3, 3\)"),
        ({"vertices": [[0, 0], [0, 0], [0, 0]]}, "vertices have shape"),
        ({"vertices": [[0, 0, "?"]]}, "vertices is missing or holds something else"),
        ({"vertices": [[0, 0, float("nan")]] * 3}, "vertices is missing or holds something else"),
        ({"model_view_matrix": MODEL_VIEW[:3]}, r"model_view_matrix has shape \(3, 4\)"),
        ({"projection_matrix": None}, "projection_matrix is missing"),
        ({"model_view_matrix": (np.diag([-1.0, 1, 1, 1])).tolist()}, "model_view_matrix does not rotate"),
        ({"model_view_matrix": np.zeros((4, 4)).tolist()}, "model_view_matrix does not rotate"),
        ({"projection_matrix": np.zeros((4, 4)).tolist()}, "the matrices place vertices at no finite pixel"),
    ],
)
def test_annotations_that_place_no_head_are_refused(tmp_path: Path, changes: dict[str, Any], reason: str) -> None:
    path = write(tmp_path / "anna.json", ANNOTATION | changes)
    with pytest.raises(ZooError, match=f"anna.json: {reason}"):
        read_annotation(path, vertex_count=3)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("{", "cannot be read as JSON"),
        ("\xff\xfe", "cannot be read as JSON"),
        ({"anna": ITEM}, "holds no list of items"),
        ([], "holds no list of items"),
        (["anna"], "item 0 has no item_id or no paths"),
        ([ITEM, {"item_id": "ben"}], "item 1 has no item_id or no paths"),
        ([ITEM | {"bbox": [1, 2, 3]}], r"item 0 \(anna\): bbox is"),
        ([ITEM | {"bbox": [1, 2, 0, 3]}], r"item 0 \(anna\): bbox is"),
        ([ITEM | {"bbox": "1 2 3 4"}], r"item 0 \(anna\): bbox is"),
        ([ITEM | {"bbox": [1, 2, None, 4]}], r"item 0 \(anna\): bbox is"),
        ([ITEM | {"img_path": 7}], "item 0 has no item_id or no paths"),
        ([ITEM | {"attributes": "front"}], r"item 0 \(anna\): attributes are 'front'"),
    ],
)
def test_lists_that_are_broken_are_refused(tmp_path: Path, content: Any, reason: str) -> None:
    write(tmp_path / "val" / "val.json", content)
    with pytest.raises(ZooError, match=rf"val\.json.*{reason}"):
        read_items(tmp_path, "val")


def test_missing_files_are_named(tmp_path: Path) -> None:
    with pytest.raises(ZooError, match=r"train\.json: there is no such file"):
        read_items(tmp_path, "train")
    with pytest.raises(ZooError, match=r"ben\.json: there is no such file"):
        read_annotation(tmp_path / "ben.json", vertex_count=3)
