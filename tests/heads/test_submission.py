"""Submission files: what the benchmark can read, written item by item, and every fault named in a sentence."""

import json
import weakref
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from zoo.heads import submission
from zoo.heads.mesh import HeadModel
from zoo.heads.submission import SubmissionItem, check_submission, write_submission

Entries = dict[str, Any]


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
    assert check_submission(path, ["one", "three"]) == (2, [], [])


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
    checked = check_submission(path, ["a", "b", "c"])
    assert checked == report


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


def renamed(entries: Entries) -> None:
    entries["x"] = entries.pop("b")


def without_rotation(entries: Entries) -> None:
    del entries["a"]["rotation_matrix"]
    del entries["b"]["rotation_matrix"]


def not_a_number(entries: Entries) -> None:
    entries["b"]["7_landmarks_3d"][2][1] = float("nan")


def short_row(entries: Entries) -> None:
    entries["b"]["68_landmarks_2d"][5] = [1.0]


def words(entries: Entries) -> None:
    entries["b"]["rotation_matrix"][0][0] = "1"


def few_vertices(entries: Entries) -> None:
    entries["b"]["N_landmarks_3d"].pop()


@pytest.mark.parametrize(
    ("spoil", "missing", "sentences"),
    [
        (renamed, ["b"], ["1 item has no usable prediction, of 2: b;", "1 entry is no item that is expected: x."]),
        (without_rotation, ["a", "b"], ["2 entries are without rotation_matrix: a, b."]),
        (not_a_number, ["b"], ["expected 7 × 3 finite numbers in 7_landmarks_3d: b."]),
        (short_row, ["b"], ["expected 68 × 2 finite numbers in 68_landmarks_2d: b."]),
        (words, ["b"], ["expected 3 × 3 finite numbers in rotation_matrix: b."]),
        (few_vertices, ["b"], ["expected 4 × 3 finite numbers in N_landmarks_3d: b."]),
    ],
)
def test_each_kind_of_fault_is_one_sentence(
    tmp_path: Path, spoil: Callable[[Entries], None], missing: list[str], sentences: list[str]
) -> None:
    path = tmp_path / "submission.json"
    write_submission(path, [small("a"), small("b")])
    entries = json.loads(path.read_text())
    spoil(entries)
    path.write_text(json.dumps(entries))
    report = check_submission(path, ["a", "b"], vertices=4)
    assert report.missing == missing
    assert report.items == 2 - len(missing)
    assert len(report.problems) == len(sentences)
    for problem, sentence in zip(report.problems, sentences, strict=True):
        assert sentence in problem


def test_many_items_are_counted_and_some_named(tmp_path: Path) -> None:
    path = tmp_path / "submission.json"
    write_submission(path, [])
    report = check_submission(path, [f"item{index}" for index in range(2746)])
    assert "2746 items have no usable prediction, of 2746: item0, item1, item2 and 2743 more;" in report.problems[0]


def test_second_entries_are_pointed_out(tmp_path: Path) -> None:
    path = tmp_path / "submission.json"
    write_submission(path, [small("a")])
    once = path.read_text().strip()
    path.write_text(f"{once[:-1]},{once[1:]}")
    assert check_submission(path, ["a"], 4).problems == ["1 entry is a second entry for its item: a."]


@pytest.mark.parametrize("chunk", [1, 7, 1 << 20])
def test_pieces_of_any_size_read_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, chunk: int) -> None:
    names = ["plain", 'quoted "name"', "back\\slash", "{brace}, and: colon", "ümläut"]
    path = tmp_path / "submission.json"
    write_submission(path, [small(name) for name in names])
    monkeypatch.setattr(submission, "CHUNK", chunk)
    assert check_submission(path, names, vertices=4) == (5, [], [])
    path.write_text(json.dumps(json.loads(path.read_text()), indent=1))
    assert check_submission(path, names, vertices=4) == (5, [], [])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "ends in the middle"),
        ("[1, 2]", "expected a JSON object of entries"),
        ('{"a": 3}', "expected a JSON object of entries"),
        ('{"a": {} "b": {}}', "expected a JSON object of entries"),
        ('{"a": {"68_landmarks_2d": [[', "ends in the middle"),
        ('{"a', "ends in the middle"),
    ],
)
def test_files_that_are_no_submission_are_refused(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "submission.json"
    path.write_text(text)
    with pytest.raises(ValueError, match=message):
        check_submission(path, ["a"])


def test_absent_and_binary_files_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="cannot be read as a submission"):
        check_submission(tmp_path / "none.json", ["a"])
    (tmp_path / "binary.json").write_bytes(b"{\xff\xfe")
    with pytest.raises(ValueError, match="cannot be read as a submission"):
        check_submission(tmp_path / "binary.json", ["a"])


def test_an_entry_without_end_does_not_fill_the_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(submission, "CHUNK", 64)
    monkeypatch.setattr(submission, "LONGEST", 256)
    path = tmp_path / "submission.json"
    path.write_text('{"a": {"68_landmarks_2d": [' + "1, " * 1000)
    with pytest.raises(ValueError, match="expected a JSON object of entries"):
        check_submission(path, ["a"])
