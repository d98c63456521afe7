"""Submission files: what the benchmark can read, written item by item, and every gap named in a sentence."""

import json
import weakref
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from zoo.heads.mesh import HeadModel
from zoo.heads.submission import SubmissionItem, write_submission


def item(name: str, vertices: int = 5023) -> SubmissionItem:
    generator = torch.Generator().manual_seed(len(name))
    return SubmissionItem(
        name,
        256 * torch.rand(68, 2, generator=generator),
        torch.rand(vertices, 3, generator=generator),
        torch.rand(7, 3, generator=generator),
        torch.eye(3),
    )


def small(name: str) -> SubmissionItem:
    return item(name, vertices=4)


def test_the_file_holds_what_was_predicted(tmp_path: Path) -> None:
    path = tmp_path / "new" / "submission.json"
    report = write_submission(path, [item("one"), item("three")], ["one", "three"])
    assert (report.items, report.missing, report.problems) == (2, [], [])
    entries = json.loads(path.read_text())
    assert list(entries) == ["one", "three"]
    one = item("one")
    expected = {
        "68_landmarks_2d": one.landmarks,
        "N_landmarks_3d": one.vertices,
        "7_landmarks_3d": one.points7,
        "rotation_matrix": one.rotation,
    }
    assert set(entries["one"]) == set(expected)
    for key, values in expected.items():
        assert torch.allclose(torch.tensor(entries["one"][key]), values, atol=1e-6)


def test_a_mesh_is_turned_into_the_picture_frame() -> None:
    head_model = HeadModel.load("procedural")
    quarter = torch.tensor([[0.0, 0, 1], [0, -1, 0], [1, 0, 0]])
    made = SubmissionItem.from_mesh("x", head_model, head_model.template, quarter, torch.zeros(68, 2))
    assert torch.equal(made.vertices[:, 0], head_model.template[:, 2])
    landmarks = head_model.landmarks(head_model.template[None])[0]
    assert torch.allclose(made.points7[0], quarter @ landmarks[36])
    assert torch.allclose(made.points7[4], quarter @ landmarks[33])


def test_missing_and_broken_predictions_are_counted_and_named(tmp_path: Path) -> None:
    path = tmp_path / "submission.json"
    broken = item("b")._replace(rotation=torch.full((3, 3), torch.nan))
    report = write_submission(path, [item("a"), broken], ["a", "b", "c"])
    assert (report.items, report.missing) == (1, ["b", "c"])
    assert len(report.problems) == 1
    assert "2 items have no usable prediction, of 3: b, c" in report.problems[0]
    assert list(json.loads(path.read_text())) == ["a"]


def test_broken_predictions_are_known_without_a_list(tmp_path: Path) -> None:
    broken = item("b")._replace(landmarks=torch.full((68, 2), torch.inf))
    report = write_submission(tmp_path / "submission.json", [broken])
    assert (report.items, report.missing) == (0, ["b"])
    assert json.loads((tmp_path / "submission.json").read_text()) == {}


def test_other_meshes_are_pointed_out(tmp_path: Path) -> None:
    report = write_submission(tmp_path / "submission.json", [small("a"), item("b")])
    assert report.items == 2
    assert "1 mesh has other than FLAME's 5023 vertices: a;" in report.problems[0]


@pytest.mark.parametrize(
    ("items", "message"),
    [
        ([small("a"), small("a")], "two predictions for the item 'a'"),
        ([small("z")], "'z' is for no item that is expected"),
        ([small("a")._replace(landmarks=torch.zeros(67, 2))], r"68_landmarks_2d of shape \(67, 2\)"),
        ([small("a")._replace(vertices=torch.zeros(5, 2))], r"N_landmarks_3d of shape \(5, 2\): expected \(N, 3\)"),
    ],
)
def test_wrong_predictions_leave_the_old_file_as_it_was(
    tmp_path: Path, items: list[SubmissionItem], message: str
) -> None:
    path = tmp_path / "submission.json"
    path.write_text("precious")
    with pytest.raises(ValueError, match=message):
        write_submission(path, items, ["a"])
    assert path.read_text() == "precious"
    assert list(tmp_path.iterdir()) == [path]


def test_items_are_taken_one_by_one(tmp_path: Path) -> None:
    """Each is gone from memory before the one after the next is made."""
    alive: list[int] = []
    given: weakref.WeakSet[torch.Tensor] = weakref.WeakSet()

    def items() -> Iterator[SubmissionItem]:
        for index in range(4):
            made = small(f"item{index}")
            given.add(made.vertices)
            alive.append(len(given))
            yield made
            del made

    write_submission(tmp_path / "submission.json", items())
    assert max(alive) <= 2


def test_many_items_are_counted_and_some_named(tmp_path: Path) -> None:
    report = write_submission(tmp_path / "submission.json", [], [f"item{index}" for index in range(2746)])
    assert "2746 items have no usable prediction, of 2746: item0, item1, item2 and 2743 more;" in report.problems[0]


def test_names_of_any_characters_are_written(tmp_path: Path) -> None:
    names = ["plain", 'quoted "name"', "back\\slash", "{brace}, and: colon", "ümläut"]
    path = tmp_path / "submission.json"
    report = write_submission(path, [small(name) for name in names], names)
    assert (report.items, report.missing) == (5, [])
    assert list(json.loads(path.read_text())) == names
