"""All metrics of 3D heads, fed together: one value a head and metric is kept, and the means are taken at the end."""

import json
import math
from collections.abc import Callable, Sequence
from typing import Any, get_args

import numpy as np
import torch
from torch import Tensor
from torchmetrics import Metric

from zoo.heads.measures import FAILURE_NME, FAST, FULL, PresetName
from zoo.heads.mesh import HeadModel
from zoo.heads.metrics.attributes import AttributeRow, attribute_table, mean_of_usable
from zoo.heads.metrics.chamfer import chamfer_to_ground_truth
from zoo.heads.metrics.consistency import annotation_consistency
from zoo.heads.metrics.depth_order import zn_accuracy
from zoo.heads.metrics.now import now_error
from zoo.heads.metrics.points import have_extent, seven_points
from zoo.heads.metrics.pose import pose_error
from zoo.heads.metrics.reprojection import reprojection_nme
from zoo.heads.metrics.scans import faces_within, synthetic_scan
from zoo.heads.parts import HeadBatch, HeadOutput

MILLIMETRES = 1000.0
"""Millimetres a metre."""

POSE_NUMBERS = 9 + 4
"""Numbers kept of each head for F_Q: its rotation and its box."""


def head_metrics(head_model: HeadModel, prefix: str = "", preset: PresetName = "full") -> "HeadMetrics":
    """The metrics of 3D heads; `zoo.heads.metrics.MEASURES` says what each key is.

    Args:
        head_model: whose landmarks and subsets are measured.
        prefix: put before each key (`validation/`).
        preset: `fast` for the validation within a training: NME, pose and failures; `full` also Z5, Chamfer, NoW, F_Q.

    Raises:
        ValueError: no such preset.
    """
    if preset not in get_args(PresetName):
        raise ValueError(f"preset={preset!r}: expected one of {', '.join(get_args(PresetName))}.")
    return HeadMetrics(head_model, prefix, preset)


class HeadMetrics(Metric):
    """What `head_metrics` gives: `update(output, batch)` for each batch, then `compute()`, then `by_attribute()`.

    What had nothing to measure is no key of the results, never 0: `landmark_nme` without a landmark branch, `now_*`
    without neutral meshes, `f_q` where no head was seen in two crops. A prediction that is not finite, or whose seven
    points lie on one line, is *unusable*: it enters no mean, is counted in `unusable` (a key only where there is one)
    and is a failure in `failure_rate`.

    The states are one-dimensional float32: so they reduce over processes even where one of them saw no head.
    """

    is_differentiable = False
    full_state_update = False
    values: list[Tensor]
    """Numbers of all heads, one after the other: of each head one value a column."""
    distances: list[Tensor]
    """Millimetres, of the points of all synthetic scans."""
    poses: list[Tensor]
    """Rotation and box of each head."""
    records: list[Tensor]
    """Name and attributes of each head: the bytes of a line of JSON."""

    def __init__(self, head_model: HeadModel, prefix: str = "", preset: PresetName = "full", **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.prefix, self.preset = prefix, preset
        self.columns = FAST if preset == "fast" else FULL
        self._head_model = [head_model]  # in a list: the head model is no part of the metrics
        self.latest: list[dict[str, float]] = []
        """What the last update measured on each head; without what could not be measured on it."""
        for state in ("values", "distances", "poses", "records"):
            self.add_state(state, [], dist_reduce_fx="cat")

    @property
    def head_model(self) -> HeadModel:
        """Whose landmarks and subsets are measured."""
        return self._head_model[0]

    def update(self, output: HeadOutput, batch: HeadBatch) -> None:
        """Add a batch.

        Args:
            output: with vertices, projected and rotation.
            batch: the ground truth.

        Raises:
            ValueError: the output lacks the mesh, or the ground truth is not usable (a box without area).
        """
        if output.vertices is None or output.projected is None or output.rotation is None:
            raise ValueError(
                "the output has no mesh: expected vertices, projected and rotation, as HeadAlignment gives."
            )
        poses = torch.cat([output.rotation.flatten(1), batch.box], dim=1)
        with torch.autocast(batch.image.device.type, enabled=False):
            output, batch = _in_full_precision(output), _in_full_precision(batch)
            usable = self._usable(output).nonzero()[:, 0]
            measured = self._measure(_heads(output, usable), _heads(batch, usable))
            values = torch.full((len(poses), len(self.columns)), torch.inf)
            values[usable.cpu()] = torch.stack([measured[name].cpu().float() for name in self.columns], dim=1)
            self.latest = [_measured(row, self.columns) for row in values.tolist()]
            self._keep("values", values)
            if self.preset == "full":
                self._keep("distances", self._scan_distances(_heads(output, usable), _heads(batch, usable)))
                self._keep("poses", poses)
        self._keep("records", _to_bytes(batch, len(poses)))

    def compute(self) -> dict[str, Tensor]:
        """The results over all heads so far, by key.

        Raises:
            ValueError: there was no head.
        """
        columns = self._by_column()
        heads = len(columns["nme"])
        if not heads:
            raise ValueError("no head was measured: call update with at least one before compute.")
        found = {name: mean for name, column in columns.items() if (mean := mean_of_usable(column)) is not None}
        found["failure_rate"] = float((columns["nme"] > FAILURE_NME).double().mean())
        unusable = int(columns["nme"].isinf().sum())
        if unusable:
            found["unusable"] = unusable
        if self.preset == "full":
            found |= self._now() | self._consistency()
        return {self.prefix + name: torch.tensor(float(value), device=self.device) for name, value in found.items()}

    def by_attribute(self) -> list[AttributeRow]:
        """The means over the heads that share a value of an attribute, over all processes; see `attribute_table`."""
        with self.sync_context(dist_sync_fn=self.dist_sync_fn):
            columns = self._by_column()
            columns["failure_rate"] = (columns["nme"] > FAILURE_NME).double()
            return attribute_table(columns, [record["attributes"] for record in self._records()])

    def _measure(self, output: HeadOutput, batch: HeadBatch) -> dict[str, Tensor]:
        """One value a head for each column, (B,); NaN where there is nothing to measure."""
        assert output.projected is not None
        assert output.rotation is not None
        size = batch.image.shape[-1]
        target = self.head_model.landmarks(batch.projected)
        pose = pose_error(output.rotation, batch.rotation)
        measured = {
            "nme": reprojection_nme(self.head_model.landmarks(output.projected), target, batch.box),
            "landmark_nme": torch.full((len(target),), torch.nan),
            "pose": pose.frobenius,
            "angle": pose.angle,
            "angle_folded": pose.angle_folded,
        }
        if output.landmarks is not None:
            measured["landmark_nme"] = reprojection_nme(output.landmarks * size, batch.landmarks * size, batch.box)
        if self.preset == "full" and len(target):
            measured |= self._measure_shape(output, batch)
        return {name: measured.get(name, torch.empty(0)) for name in self.columns}

    def _measure_shape(self, output: HeadOutput, batch: HeadBatch) -> dict[str, Tensor]:
        assert output.vertices is not None
        assert output.rotation is not None
        head, face = self.head_model.subset("head"), self.head_model.subset("face")
        posed = output.vertices[:, head] @ output.rotation.mT
        true_posed = batch.vertices[:, head] @ batch.rotation.mT
        return {
            "z5": zn_accuracy(posed, true_posed, mode="paper"),
            "z5_official": zn_accuracy(posed, true_posed, mode="official"),
            "chamfer": chamfer_to_ground_truth(
                output.vertices,
                batch.vertices[:, face],
                seven_points(self.head_model.landmarks(output.vertices)),
                seven_points(self.head_model.landmarks(batch.vertices)),
            ),
        }

    def _scan_distances(self, output: HeadOutput, batch: HeadBatch) -> Tensor:
        """Distances of synthetic scans of the true neutral faces to the predicted neutral meshes, millimetres."""
        if batch.neutral is None or not len(batch.neutral):
            return torch.empty(0)
        model, faces = self.head_model, self.head_model.faces
        predicted, true = model.neutral(output.params), batch.neutral * MILLIMETRES
        predicted7, true7 = (seven_points(model.landmarks(vertices)) for vertices in (predicted, true))
        scanned = faces_within(faces, model.subset("face"))
        return torch.cat(
            [
                now_error(synthetic_scan(true[head], scanned), predicted[head], faces, true7[head], predicted7[head])
                for head in range(len(true))
            ]
        )

    def _usable(self, output: HeadOutput) -> Tensor:
        """Whether each head's prediction can be measured, (B,)."""
        given = [value for value in output._replace(heatmaps=None) if value is not None]
        finite = torch.stack([value.flatten(1).isfinite().all(1) for value in given]).all(0)
        assert output.vertices is not None
        return finite & have_extent(seven_points(self.head_model.landmarks(output.vertices.nan_to_num(0, 0, 0))))

    def _now(self) -> dict[str, float]:
        pooled = _joined(self.distances).double().numpy()
        if not len(pooled):
            return {}
        return {
            "now_median": float(np.median(pooled)),
            "now_mean": float(pooled.mean()),
            "now_std": float(pooled.std()),
        }

    def _consistency(self) -> dict[str, float]:
        poses = _joined(self.poses).reshape(-1, POSE_NUMBERS)
        named = [(index, record["name"]) for index, record in enumerate(self._records()) if record["name"] is not None]
        chosen = poses[[index for index, _ in named]]
        crops = [tuple(box) for box in chosen[:, 9:].tolist()]
        result = annotation_consistency(chosen[:, :9].reshape(-1, 3, 3), [name for _, name in named], crops)
        return {"f_q": float(result.f_q), "f_q_auc": float(result.auc)} if result.pairs else {}

    def _by_column(self) -> dict[str, Tensor]:
        rows = _joined(self.values).reshape(-1, len(self.columns))
        return dict(zip(self.columns, rows.T, strict=True))

    def _records(self) -> list[dict[str, Any]]:
        text = bytes(_joined(self.records).to(torch.uint8).tolist()).decode()
        return [json.loads(line) for line in text.splitlines()]

    def _keep(self, state: str, numbers: Tensor) -> None:
        getattr(self, state).append(numbers.detach().flatten().to(self.device, torch.float32))


def _to_bytes(batch: HeadBatch, heads: int) -> Tensor:
    """Name and attributes of each head as bytes, which can travel between processes as a tensor."""
    nothing: list[None] = [None] * heads
    names: Sequence[str | None] = batch.name or nothing
    attributes: Sequence[dict[str, str] | None] = batch.attributes or nothing
    lines = [json.dumps({"name": name, "attributes": known}) for name, known in zip(names, attributes, strict=True)]
    return torch.tensor(list("".join(f"{line}\n" for line in lines).encode()), dtype=torch.uint8)


def _joined(state: list[Tensor] | Tensor) -> Tensor:
    """A state in one piece, on the CPU; it is a tensor already once it was reduced over processes."""
    pieces = [state] if isinstance(state, Tensor) else state
    return torch.cat([piece.cpu() for piece in pieces]) if pieces else torch.empty(0)


def _heads(record: Any, chosen: Tensor) -> Any:
    """These heads of a batch, or of the output for it."""
    return _changed(record, lambda value: value[chosen.to(value.device)])


def _measured(row: Sequence[float], columns: Sequence[str]) -> dict[str, float]:
    """A head's values by metric, without those that are NaN (nothing to measure) or infinite (unusable)."""
    return {name: value for name, value in zip(columns, row, strict=True) if math.isfinite(value)}


def _in_full_precision(record: Any) -> Any:
    """The record with its half-precision tensors as float32."""
    return _changed(record, lambda value: value.float() if value.dtype in (torch.float16, torch.bfloat16) else value)


def _changed(record: Any, change: Callable[[Tensor], Tensor]) -> Any:
    """The record with each of its tensors changed."""
    return type(record)._make(change(value) if isinstance(value, Tensor) else value for value in record)
