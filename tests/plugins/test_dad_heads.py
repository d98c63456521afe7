"""DADHeads: from files in the DAD-3DHeads format to pictures of heads, or to a sentence about what is wrong."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from zoo_plugins.datasets.dad_heads import DADHeads
from zoo_plugins.head_models import ProceduralHead

from zoo.core.errors import ZooError
from zoo.heads.crop import crop_head
from zoo.heads.mesh import HeadModel
from zoo.heads.rotation import FRONTAL
from zoo.media.images import MediaError

WIDTH, HEIGHT, FOCAL = 80, 100, 200.0
BOX = [15, 20, 50, 60]
ATTRIBUTES = [{"pose": "front", "occlusions": True}, {"pose": "sided", "occlusions": False}]


@pytest.fixture(scope="module")
def head_model() -> HeadModel:
    return ProceduralHead()


@pytest.fixture
def root(tmp_path: Path, head_model: HeadModel) -> Path:
    """Two annotated heads in `val`: the template, half a metre in front of a pinhole camera and looking into it."""
    annotation = {
        "vertices": head_model.template.tolist(),
        "model_view_matrix": [[1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 1, -0.5], [0, 0, 0, 1]],
        "projection_matrix": [[FOCAL, 0, -WIDTH / 2, 0], [0, FOCAL, -HEIGHT / 2, 0], [0, 0, 1, 0], [0, 0, -1, 0]],
    }
    items = []
    for name, attributes in zip(("anna", "ben"), ATTRIBUTES, strict=True):
        item = {"item_id": name, "bbox": BOX, "attributes": attributes}
        item |= {"img_path": f"val/images/{name}.png", "annotation_path": f"val/annotations/{name}.json"}
        items.append(item)
        write_json(tmp_path / item["annotation_path"], annotation)
        (tmp_path / "val/images").mkdir(exist_ok=True)
        pixels = np.full((HEIGHT, WIDTH, 3), (10, 20, 30), np.uint8)
        Image.fromarray(pixels).save(tmp_path / item["img_path"])
    write_json(tmp_path / "val/val.json", items)
    return tmp_path


def write_json(path: Path, content: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content))


def change_items(root: Path, **changes: Any) -> None:
    path = root / "val/val.json"
    write_json(path, [item | changes for item in json.loads(path.read_text())])


def opened(root: Path, head_model: HeadModel, **arguments: Any) -> DADHeads:
    dataset = DADHeads(str(root), "val", **arguments)
    dataset.build(head_model)
    return dataset


def test_pictures_hold_what_the_files_say(root: Path, head_model: HeadModel) -> None:
    dataset = opened(root, head_model)
    assert len(dataset) == 2
    picture = dataset.picture(1)
    assert picture.image.shape == (3, HEIGHT, WIDTH)
    assert picture.image.dtype == torch.uint8
    assert picture.image[:, 0, 0].tolist() == [10, 20, 30]
    assert picture.box.dtype == torch.float32
    assert picture.box.tolist() == BOX
    assert torch.allclose(picture.vertices, head_model.template)
    depth = 0.5 - head_model.template[:, 2]
    assert torch.allclose(picture.projected[:, 0], WIDTH / 2 + FOCAL * head_model.template[:, 0] / depth, atol=1e-3)
    assert torch.allclose(picture.projected[:, 1], HEIGHT / 2 - FOCAL * head_model.template[:, 1] / depth, atol=1e-3)
    assert torch.equal(picture.rotation, torch.tensor(FRONTAL))
    assert (picture.name, picture.attributes) == ("ben", {"pose": "sided", "occlusions": "False"})


def test_a_frontal_face_looks_out_of_the_crop_the_right_way_up(root: Path, head_model: HeadModel) -> None:
    landmarks = crop_head(opened(root, head_model).picture(0), head_model, 64, extension=0.2).landmarks
    assert landmarks[36, 0] < landmarks[45, 0]  # the subject's right eye is at the picture's left
    assert landmarks[27, 1] < landmarks[33, 1] < landmarks[8, 1]  # the bridge of the nose, its base, the chin


@pytest.mark.parametrize(
    ("attributes", "names"),
    [
        ({"pose": "sided"}, ["ben"]),
        ({"occlusions": True}, ["anna"]),
        ({"occlusions": "false", "pose": "sided"}, ["ben"]),
        ({}, ["anna", "ben"]),
    ],
)
def test_heads_are_chosen_by_attributes(
    root: Path, head_model: HeadModel, attributes: dict[str, str | bool], names: list[str]
) -> None:
    dataset = opened(root, head_model, attributes=attributes)
    assert [dataset.picture(index).name for index in range(len(dataset))] == names


def test_attributes_that_no_head_has_are_answered_with_those_there_are(root: Path) -> None:
    with pytest.raises(ZooError, match=r"there are occlusions \(False, True\), pose \(front, sided\)"):
        DADHeads(str(root), "val", attributes={"pose": "atypical"})


def test_another_head_model_is_refused_before_training(root: Path) -> None:
    class Smaller:
        vertex_count = 12

    with pytest.raises(ZooError, match=r"anna\.json: vertices have shape \(5023, 3\), expected \(12, 3\)"):
        DADHeads(str(root), "val").build(Smaller())  # type: ignore[arg-type]


def test_missing_files_are_counted_and_named(root: Path) -> None:
    (root / "val/images/ben.png").unlink()
    (root / "val/annotations/ben.json").unlink()
    with pytest.raises(ZooError, match=r"2 of the files .* are missing \(.*images/ben\.png, .*annotations/ben"):
        DADHeads(str(root), "val")


def test_a_split_without_annotations_is_the_benchmarks(root: Path) -> None:
    for path in (root / "val/annotations").iterdir():
        path.unlink()
    with pytest.raises(ZooError, match=r"'val' of .* has no annotations .*zoo head submit"):
        DADHeads(str(root), "val")


def test_a_box_outside_the_picture_names_it(root: Path, head_model: HeadModel) -> None:
    change_items(root, bbox=[WIDTH + 1, 0, 10, 10])
    with pytest.raises(ZooError, match=r"anna\.png: the head's box x=81.* lies outside the image"):
        opened(root, head_model).picture(0)


def test_a_picture_that_cannot_be_read_is_named(root: Path, head_model: HeadModel) -> None:
    (root / "val/images/anna.png").write_bytes(b"no picture")
    with pytest.raises(MediaError, match=r"anna\.png is not an image"):
        opened(root, head_model).picture(0)
