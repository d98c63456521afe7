"""Submission files of the DAD-3DHeads benchmark: written item by item, and checked before they are sent.

One JSON object holds an entry for each item of the benchmark:

    "ITEM_ID": {
      "68_landmarks_2d":  68 × 2, pixels of the whole picture, x right, y down
      "N_landmarks_3d":   N × 3, the mesh's vertices turned into the picture frame; FLAME's 5,023 for the Z_n accuracy
      "7_landmarks_3d":   7 × 3, in the same frame, in the order of `zoo.heads.metrics.SEVEN_POINTS`
      "rotation_matrix":  3 × 3, head frame to picture frame
    }

A file for the test set is nearly a gigabyte, so neither writing nor checking holds more than one entry. The benchmark's
program leaves out, from all its means, every item that it cannot read; here they are counted and named.
"""

import json
import math
from collections.abc import Collection, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple, TextIO

import torch
from torch import Tensor

from zoo.core.files import replacing
from zoo.heads.mesh import HeadModel
from zoo.heads.metrics.points import seven_points

FLAME_VERTICES = 5023
"""The benchmark's Z_n accuracy and face subset are those of FLAME's mesh."""

DECIMALS = 6
"""Micrometres of a mesh in metres; it halves the size of the file."""

ROWS = {"68_landmarks_2d": (68, 2), "N_landmarks_3d": (None, 3), "7_landmarks_3d": (7, 3), "rotation_matrix": (3, 3)}
"""Rows and columns of each list of an entry; None: any number."""

NAMED = 3
"""How many items a sentence names before it counts the rest."""

CHUNK = 1 << 20
"""Characters read at once."""
LONGEST = 1 << 26
"""Characters that an entry may have; one of a FLAME mesh has a third of a million."""


class SubmissionItem(NamedTuple):
    """The prediction for one item of the benchmark."""

    item_id: str
    landmarks: Tensor
    """(68, 2) pixels of the whole picture."""
    vertices: Tensor
    """(N, 3), turned into the picture frame."""
    points7: Tensor
    """(7, 3) in the same frame."""
    rotation: Tensor
    """(3, 3), head frame to picture frame."""

    @classmethod
    def from_mesh(
        cls, item_id: str, head_model: HeadModel, vertices: Tensor, rotation: Tensor, landmarks: Tensor
    ) -> "SubmissionItem":
        """The entry for a predicted head.

        Args:
            item_id: the item's name in the data set.
            head_model: whose vertices they are.
            vertices: (V, 3), unrotated, in the head frame.
            rotation: (3, 3), head frame to picture frame.
            landmarks: (68, 2) pixels of the whole picture, the crop undone.
        """
        posed = vertices @ rotation.mT
        return cls(item_id, landmarks, posed, seven_points(head_model.landmarks(posed[None]))[0], rotation)


class SubmissionReport(NamedTuple):
    """What a submission file holds, and what is wrong with it."""

    items: int
    """Entries that the benchmark can measure."""
    missing: list[str]
    """Items without such an entry."""
    problems: list[str]
    """One sentence for each thing that is wrong; empty where the file is complete."""


def write_submission(
    path: str | Path, items: Iterable[SubmissionItem], expected_ids: Collection[str] | None = None
) -> SubmissionReport:
    """Write a submission file; it is complete under its name, or not there at all.

    A prediction that is not finite is not written but counted as missing.

    Args:
        path: the file, which is replaced.
        items: one a predicted item, taken one by one.
        expected_ids: all items of the benchmark; without them only the broken predictions are known to be missing.

    Raises:
        ValueError: two predictions for one item, a prediction for an item that is not expected, or wrong shapes.
    """
    expected = None if expected_ids is None else set(expected_ids)
    written: set[str] = set()
    broken: set[str] = set()
    foreign: list[str] = []
    with replacing(Path(path)) as unfinished, unfinished.open("w", encoding="utf-8") as file:
        file.write("{")
        for item in items:
            if item.item_id in written or item.item_id in broken:
                raise ValueError(f"there are two predictions for the item '{item.item_id}': expected one.")
            if expected is not None and item.item_id not in expected:
                raise ValueError(f"the prediction '{item.item_id}' is for no item that is expected: check the data.")
            entry = _entry(item)
            if entry is None:
                broken.add(item.item_id)
                continue
            if len(item.vertices) != FLAME_VERTICES:
                foreign.append(item.item_id)
            file.write(f"{',' if written else ''}\n{json.dumps(item.item_id)}: {json.dumps(entry)}")
            written.add(item.item_id)
        file.write("\n}\n")
    missing = sorted(broken) if expected_ids is None else [name for name in expected_ids if name not in written]
    problems = _missing_sentence(missing, len(written) + len(missing))
    if foreign:
        problems.append(
            f"{_counted(foreign, 'mesh has', 'meshes have')} other than FLAME's {FLAME_VERTICES} vertices: "
            f"{_named(foreign)}; the benchmark cannot measure their Z_n accuracy, and its program then leaves them out."
        )
    return SubmissionReport(len(written), missing, problems)


def check_submission(
    path: str | Path, expected_ids: Collection[str], vertices: int = FLAME_VERTICES
) -> SubmissionReport:
    """What a submission file holds, and one sentence for each kind of thing that is wrong with it.

    Args:
        path: the file.
        expected_ids: all items of the benchmark.
        vertices: how many the meshes must have.

    Raises:
        ValueError: the file is unreadable or no JSON object.
    """
    expected = set(expected_ids)
    good: set[str] = set()
    seen: set[str] = set()
    wrong: dict[str, list[str]] = {}
    for name, text in _entries(Path(path)):
        if name not in expected:
            wrong.setdefault("no item that is expected", []).append(name)
            continue
        if name in seen:
            wrong.setdefault("a second entry for its item", []).append(name)
            continue
        seen.add(name)
        fault = _fault(text, vertices)
        if fault is None:
            good.add(name)
        else:
            wrong.setdefault(fault, []).append(name)
    missing = [name for name in expected_ids if name not in seen]
    sentences = _missing_sentence(missing, len(expected))
    for fault, names in wrong.items():
        sentences.append(f"{_counted(names, 'entry is', 'entries are')} {fault}: {_named(names)}.")
    return SubmissionReport(len(good), [name for name in expected_ids if name not in good], sentences)


def _entry(item: SubmissionItem) -> dict[str, list[list[float]]] | None:
    """The lists of an entry; None where a number is not finite.

    Raises:
        ValueError: a shape that the benchmark cannot read.
    """
    tensors = dict(zip(ROWS, (item.landmarks, item.vertices, item.points7, item.rotation), strict=True))
    for name, values in tensors.items():
        rows, columns = ROWS[name]
        if values.ndim != 2 or values.shape[1] != columns or rows not in (None, values.shape[0]):
            raise ValueError(
                f"the prediction '{item.item_id}' has a {name} of shape {tuple(values.shape)}: "
                f"expected ({rows or 'N'}, {columns})."
            )
    if not all(bool(values.isfinite().all()) for values in tensors.values()):
        return None
    return {
        name: torch.round(values.detach().cpu().double(), decimals=DECIMALS).tolist()
        for name, values in tensors.items()
    }


def _fault(text: str, vertices: int) -> str | None:
    """What is wrong with an entry, continuing "the entry is …"; None where nothing is."""
    try:
        entry = json.loads(text)
    except ValueError:
        return "no JSON"
    if not isinstance(entry, dict):
        return "no JSON object"
    for name, (rows, columns) in ROWS.items():
        if name not in entry:
            return f"without {name}"
        rows = vertices if rows is None else rows
        if not _is_matrix(entry[name], rows, columns):
            return f"of another form: expected {rows} × {columns} finite numbers in {name}"
    return None


def _is_matrix(value: Any, rows: int, columns: int) -> bool:
    """Whether it is a list of this many lists of this many finite numbers."""
    return (
        isinstance(value, list)
        and len(value) == rows
        and all(isinstance(row, list) and len(row) == columns for row in value)
        and all(
            isinstance(x, int | float) and not isinstance(x, bool) and math.isfinite(x) for row in value for x in row
        )
    )


def _entries(path: Path) -> Iterator[tuple[str, str]]:
    """Name and text of each entry of a JSON object of flat objects, read piece by piece.

    Raises:
        ValueError: the file is unreadable or something else.
    """
    try:
        with path.open(encoding="utf-8") as file:
            yield from _Reader(file, path).entries()
    except (OSError, UnicodeDecodeError) as error:
        raise ValueError(f"{path} cannot be read as a submission: {error}.") from None


class _Reader:
    """Reads a JSON object entry by entry, holding no more than one and a chunk."""

    def __init__(self, file: TextIO, path: Path) -> None:
        self.file, self.path = file, path
        self.buffer, self.place = "", 0

    def entries(self) -> Iterator[tuple[str, str]]:
        """Name and text of each entry."""
        self._expect("{")
        if self._next() == "}":
            return
        while True:
            name = self._name()
            self._expect(":")
            yield name, self._value()
            if self._next() == "}":
                return
            self._expect(",")

    def _name(self) -> str:
        self._expect('"')
        while True:
            end = self._find('"')
            try:
                return str(json.loads(self.buffer[:end]))
            except ValueError:  # a quotation mark within the name
                continue

    def _value(self) -> str:
        """The text of an entry up to its closing brace; entries hold lists only, no objects and no braces."""
        if self._next() != "{":
            raise self._error()
        end = self._find("}")
        return self.buffer[:end]

    def _next(self) -> str:
        """The next character that is no white space, not taken; the buffer then begins with it."""
        while True:
            while self.place < len(self.buffer) and self.buffer[self.place].isspace():
                self.place += 1
            if self.place < len(self.buffer):
                self.buffer, self.place = self.buffer[self.place :], 0
                return self.buffer[0]
            self._read()

    def _expect(self, character: str) -> None:
        if self._next() != character:
            raise self._error()
        self.place += 1

    def _find(self, character: str) -> int:
        """The place after the next such character; all up to there stays in the buffer."""
        start = self.place
        while (found := self.buffer.find(character, start)) < 0:
            start = len(self.buffer)
            self._read()
        self.place = found + 1
        return self.place

    def _read(self) -> None:
        chunk = self.file.read(CHUNK)
        if not chunk:
            raise ValueError(f"{self.path} ends in the middle: write it again.")
        if len(self.buffer) > LONGEST:
            raise self._error()
        self.buffer += chunk

    def _error(self) -> ValueError:
        return ValueError(
            f"{self.path} is no submission: expected a JSON object of entries, got {self.buffer[:20]!r} in its place."
        )


def _missing_sentence(missing: Sequence[str], total: int) -> list[str]:
    if not missing:
        return []
    return [
        f"{_counted(missing, 'item has', 'items have')} no usable prediction, of {total}: {_named(missing)}; the "
        "benchmark would leave them out of its means."
    ]


def _counted(names: Sequence[str], one: str, many: str) -> str:
    return f"{len(names)} {one if len(names) == 1 else many}"


def _named(names: Sequence[str]) -> str:
    more = len(names) - NAMED
    return ", ".join(names[:NAMED]) + (f" and {more} more" if more > 0 else "")
