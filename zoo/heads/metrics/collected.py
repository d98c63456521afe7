"""All metrics of 3D heads together: values per head are collected, then averaged, also by attribute."""

import json
import math
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple, get_args

import numpy as np
import torch
from torch import Tensor
from torchmetrics import Metric

from zoo.heads.measures import FAILURE_NME, FAST, FULL, PresetName
from zoo.heads.mesh import HeadModel
from zoo.heads.metrics.now import faces_within, now_error, synthetic_scan
from zoo.heads.metrics.points import have_extent, seven_points
from zoo.heads.metrics.pose import annotation_consistency, pose_error, reprojection_nme
from zoo.heads.metrics.shape import MILLIMETRES, chamfer_to_ground_truth, rigid_rmse, zn_accuracy
from zoo.heads.parts import HeadBatch, HeadOutput

POSE_NUMBERS = 9 + 4
"""Numbers that F_Q needs of each head: rotation and box."""


class AttributeRow(NamedTuple):
    """Results of the heads that share one value of one attribute."""

    attribute: str
    value: str
    heads: int
    """Number of heads."""
    unusable: int
    """Number of heads whose prediction could not be measured; the means are over the others."""
    means: dict[str, float]
    """Mean of each metric that was measured on any of them."""


def attribute_table(values: Mapping[str, Tensor], attributes: Sequence[Mapping[str, str] | None]) -> list[AttributeRow]:
    """Return one row for each value of each attribute, sorted by both.

    Args:
        values: one value per head for each metric, (N,): NaN where there was nothing to measure, infinite where the
            prediction is unusable.
        attributes: of each of the N heads, as in `HeadBatch`.

    Raises:
        ValueError: the numbers of values and of attributes differ.

    Example:
        >>> rows = attribute_table({"nme": torch.tensor([2.0, 4.0])}, [{"pose": "front"}, {"pose": "sided"}])
        >>> [(row.value, row.means["nme"]) for row in rows]
        [('front', 2.0), ('sided', 4.0)]
    """
    wrong = [name for name, column in values.items() if len(column) != len(attributes)]
    if wrong:
        raise ValueError(
            f"{wrong[0]} has {len(values[wrong[0]])} values for {len(attributes)} heads: expected one a head."
        )
    groups: dict[tuple[str, str], list[int]] = defaultdict(list)
    for index, attributes_of_head in enumerate(attributes):
        for pair in (attributes_of_head or {}).items():
            groups[pair].append(index)
    rows = []
    for (attribute, value), indices in sorted(groups.items()):
        columns = {name: column[indices] for name, column in values.items()}
        unusable = torch.stack([torch.zeros(len(indices)).bool(), *(c.isinf().cpu() for c in columns.values())]).any(0)
        means = {name: mean for name, column in columns.items() if (mean := _mean_of_usable(column)) is not None}
        rows.append(AttributeRow(attribute, value, len(indices), int(unusable.sum()), means))
    return rows


def _mean_of_usable(column: Tensor) -> float | None:
    """Return the mean of the finite values; NaN if all predictions are unusable, None if nothing was to be measured."""
    measured = column[~column.isnan()].double()
    if not len(measured):
        return None
    usable = measured[measured.isfinite()]
    return float(usable.mean()) if len(usable) else float("nan")


def head_metrics(head_model: HeadModel, prefix: str = "", preset: PresetName = "full") -> "HeadMetrics":
    """Return the metrics of 3D heads; `zoo.heads.metrics.MEASURES` explains each key.

    Args:
        head_model: gives landmarks and subsets.
        prefix: of each key (`validation/`).
        preset: `fast`, for validation during training, has NME, pose and failures; `full` also Z5, Chamfer, 3D
            RMSE, NoW and F_Q.

    Raises:
        ValueError: no such preset.

    Example:
        >>> metrics = head_metrics(HeadModel.load("open"), preset="fast")
        >>> metrics.columns
        ('nme', 'landmark_nme', 'pose', 'angle', 'angle_folded')
    """
    if preset not in get_args(PresetName):
        raise ValueError(f"preset={preset!r}: expected one of {', '.join(get_args(PresetName))}.")
    return HeadMetrics(head_model, prefix, preset)


class HeadMetrics(Metric):
    """Collection of all metrics: `update(output, batch)` for each batch, then `compute()` and `by_attribute()`.

    A metric without anything to measure has no key in the results and is never 0: `landmark_nme` without a landmark
    branch, `now_*` without neutral meshes, `f_q` where no head was seen in two crops. A prediction that is not finite,
    or whose seven points lie on one line, is *unusable*: it enters no mean, is counted in `unusable` (a key only if
    there is one) and is a failure in `failure_rate`.

    The states are one-dimensional float32, so that they reduce over processes even if one of them saw no head.
    """

    is_differentiable = False
    full_state_update = False
    values: list[Tensor]
    """One value per column for each head, flattened."""
    distances: list[Tensor]
    """Millimetres, for the points of all synthetic scans."""
    poses: list[Tensor]
    """Rotation and box of each head, flattened."""
    records: list[Tensor]
    """Name and attributes of each head: the bytes of a line of JSON."""

    def __init__(self, head_model: HeadModel, prefix: str = "", preset: PresetName = "full", **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.prefix, self.preset = prefix, preset
        self.columns = FAST if preset == "fast" else FULL
        self._head_model = [head_model]  # in a list: the head model is no part of the metrics
        self.latest: list[dict[str, float]] = []
        """Values of the last update for each head, without those that could not be measured."""
        for state in ("values", "distances", "poses", "records"):
            self.add_state(state, [], dist_reduce_fx="cat")

    @property
    def head_model(self) -> HeadModel:
        """Head model whose landmarks and subsets are measured."""
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
        """Return the results over all heads so far, by key.

        Raises:
            ValueError: there was no head.
        """
        columns = self._by_column()
        heads = len(columns["nme"])
        if not heads:
            raise ValueError("no head was measured: call update with at least one before compute.")
        results = {name: mean for name, column in columns.items() if (mean := _mean_of_usable(column)) is not None}
        results["failure_rate"] = float((columns["nme"] > FAILURE_NME).double().mean())
        unusable = int(columns["nme"].isinf().sum())
        if unusable:
            results["unusable"] = unusable
        if self.preset == "full":
            results |= self._now() | self._consistency()
        return {self.prefix + name: torch.tensor(float(value), device=self.device) for name, value in results.items()}

    def by_attribute(self) -> list[AttributeRow]:
        """Return the means over heads that share an attribute, over all processes; see `attribute_table`."""
        with self.sync_context(dist_sync_fn=self.dist_sync_fn):
            columns = self._by_column()
            columns["failure_rate"] = (columns["nme"] > FAILURE_NME).double()
            return attribute_table(columns, [record["attributes"] for record in self._records()])

    def _measure(self, output: HeadOutput, batch: HeadBatch) -> dict[str, Tensor]:
        """Return one value per head for each column, (B,); NaN where there is nothing to measure."""
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
            "rmse": rigid_rmse(output.vertices[:, head], batch.vertices[:, head]),
            "chamfer": chamfer_to_ground_truth(
                output.vertices,
                batch.vertices[:, face],
                seven_points(self.head_model.landmarks(output.vertices)),
                seven_points(self.head_model.landmarks(batch.vertices)),
            ),
        }

    def _scan_distances(self, output: HeadOutput, batch: HeadBatch) -> Tensor:
        """Return distances of synthetic scans of the true neutral faces to the predicted ones, millimetres."""
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
        """Return whether each prediction can be measured, (B,)."""
        values = [value for value in output._replace(heatmaps=None) if value is not None]
        finite = torch.stack([value.flatten(1).isfinite().all(1) for value in values]).all(0)
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
        poses = poses[[index for index, _ in named]]
        crops = [tuple(box) for box in poses[:, 9:].tolist()]
        result = annotation_consistency(poses[:, :9].reshape(-1, 3, 3), [name for _, name in named], crops)
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
    """Return name and attributes of each head as bytes, which processes can exchange as a tensor."""
    names: Sequence[str | None] = batch.name or [None] * heads
    attributes: Sequence[dict[str, str] | None] = batch.attributes or [None] * heads
    lines = [json.dumps({"name": name, "attributes": own}) for name, own in zip(names, attributes, strict=True)]
    return torch.tensor(list("".join(f"{line}\n" for line in lines).encode()), dtype=torch.uint8)


def _joined(state: list[Tensor] | Tensor) -> Tensor:
    """Return a state as one tensor on the CPU; after reduction over processes it already is one."""
    pieces = [state] if isinstance(state, Tensor) else state
    return torch.cat([piece.cpu() for piece in pieces]) if pieces else torch.empty(0)


def _heads(record: Any, indices: Tensor) -> Any:
    """Return these heads of a batch, or of the output for it."""
    return _changed(record, lambda value: value[indices.to(value.device)])


def _measured(row: Sequence[float], columns: Sequence[str]) -> dict[str, float]:
    """Return a head's values by metric, without those that are NaN (nothing to measure) or infinite (unusable)."""
    return {name: value for name, value in zip(columns, row, strict=True) if math.isfinite(value)}


def _in_full_precision(record: Any) -> Any:
    """Return the record with its half-precision tensors as float32."""
    return _changed(record, lambda value: value.float() if value.dtype in (torch.float16, torch.bfloat16) else value)


def _changed(record: Any, change: Callable[[Tensor], Tensor]) -> Any:
    """Return the record with `change` applied to each of its tensors."""
    return type(record)._make(change(value) if isinstance(value, Tensor) else value for value in record)
