"""Submission files of the DAD-3DHeads benchmark, written item by item.

One JSON object holds an entry for each item of the benchmark:

    "ITEM_ID": {
      "68_landmarks_2d":  68 × 2, pixels of the whole image, x right, y down
      "N_landmarks_3d":   N × 3, the mesh's vertices rotated into the image frame; FLAME's 5,023 for the Z_n accuracy
      "7_landmarks_3d":   7 × 3, in the same frame, in the order of `zoo.heads.metrics.SEVEN_POINTS`
      "rotation_matrix":  3 × 3, head frame to image frame
    }

A file for the test set is nearly a gigabyte, so only one entry is in memory at a time. The benchmark's program leaves
every item that it cannot read out of its means; here they are counted and named.
"""

import json
from collections.abc import Collection, Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor

from zoo.core.files import replacing
from zoo.heads.mesh import HeadModel
from zoo.heads.metrics.points import seven_points

FLAME_VERTICES = 5023
"""The benchmark's Z_n accuracy and face subset are those of FLAME's mesh."""
DECIMALS = 6
"""Micrometres of a mesh in metres; rounding halves the size of the file."""
ROWS = {"68_landmarks_2d": (68, 2), "N_landmarks_3d": (None, 3), "7_landmarks_3d": (7, 3), "rotation_matrix": (3, 3)}
"""Rows and columns of each list of an entry; None: any number."""
MAX_NAMES = 3
"""Items that a sentence names before it counts the rest."""


class SubmissionItem(NamedTuple):
    """The prediction for one item of the benchmark."""

    item_id: str
    landmarks: Tensor
    """(68, 2) pixels of the whole image."""
    vertices: Tensor
    """(N, 3), rotated into the image frame."""
    points7: Tensor
    """(7, 3) in the same frame."""
    rotation: Tensor
    """(3, 3), head frame to image frame."""

    @classmethod
    def from_mesh(
        cls, item_id: str, head_model: HeadModel, vertices: Tensor, rotation: Tensor, landmarks: Tensor
    ) -> "SubmissionItem":
        """Return the entry for a predicted head.

        Args:
            item_id: the item's name in the data set.
            head_model: the model of the vertices.
            vertices: (V, 3), unrotated, in the head frame.
            rotation: (3, 3), head frame to image frame.
            landmarks: (68, 2) pixels of the whole image.

        Example:
            >>> head = HeadModel.load("open")
            >>> item = SubmissionItem.from_mesh("a", head, head.template, torch.eye(3), torch.zeros(68, 2))
            >>> item.points7.shape
            torch.Size([7, 3])
        """
        posed = vertices @ rotation.mT
        return cls(item_id, landmarks, posed, seven_points(head_model.landmarks(posed[None]))[0], rotation)


class SubmissionReport(NamedTuple):
    """Contents and faults of a submission file."""

    items: int
    """Entries that the benchmark can measure."""
    missing: list[str]
    """Items without such an entry."""
    problems: list[str]
    """One sentence for each fault; empty for a complete file."""


def write_submission(
    path: str | Path, items: Iterable[SubmissionItem], expected_ids: Collection[str] | None = None
) -> SubmissionReport:
    """Write a submission file atomically.

    A prediction that is not finite is not written but counted as missing.

    Args:
        path: the file, which is replaced.
        items: predictions; an iterator is consumed one by one.
        expected_ids: all items of the benchmark; without them only the broken predictions are known to be missing.

    Raises:
        ValueError: two predictions for one item, a prediction for an item that is not expected, or wrong shapes.

    Example:
        >>> from tempfile import mkdtemp
        >>> item = SubmissionItem("a", torch.zeros(68, 2), torch.zeros(5023, 3), torch.zeros(7, 3), torch.eye(3))
        >>> write_submission(Path(mkdtemp()) / "submission.json", [item], ["a", "b"]).missing
        ['b']
    """
    expected = None if expected_ids is None else set(expected_ids)
    written: set[str] = set()
    broken: set[str] = set()
    other_meshes: list[str] = []
    with replacing(Path(path)) as temporary, temporary.open("w", encoding="utf-8") as file:
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
                other_meshes.append(item.item_id)
            file.write(f"{',' if written else ''}\n{json.dumps(item.item_id)}: {json.dumps(entry)}")
            written.add(item.item_id)
        file.write("\n}\n")
    missing = sorted(broken) if expected_ids is None else [name for name in expected_ids if name not in written]
    problems = []
    if missing:
        problems.append(
            f"{_counted(missing, 'item has', 'items have')} no usable prediction, of {len(written) + len(missing)}: "
            f"{_named(missing)}; the benchmark would leave them out of its means."
        )
    if other_meshes:
        problems.append(
            f"{_counted(other_meshes, 'mesh has', 'meshes have')} other than FLAME's {FLAME_VERTICES} vertices: "
            f"{_named(other_meshes)}; the benchmark cannot measure their Z_n accuracy, and its program then leaves "
            "them out."
        )
    return SubmissionReport(len(written), missing, problems)


def _entry(item: SubmissionItem) -> dict[str, list[list[float]]] | None:
    """Return the lists of an entry, or None if a number is not finite; raise ValueError for a wrong shape."""
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


def _counted(names: Sequence[str], one: str, many: str) -> str:
    return f"{len(names)} {one if len(names) == 1 else many}"


def _named(names: Sequence[str]) -> str:
    more = len(names) - MAX_NAMES
    return ", ".join(names[:MAX_NAMES]) + (f" and {more} more" if more > 0 else "")
