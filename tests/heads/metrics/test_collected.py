"""All head metrics together: equal to the functions one by one, however heads are batched and shared out."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from zoo.core.seeding import random_stream
from zoo.heads.mesh import HeadModel, HeadParams
from zoo.heads.metrics import (
    MEASURES,
    HeadMetrics,
    chamfer_to_ground_truth,
    head_metrics,
    now_error,
    pose_error,
    reprojection_nme,
    rigid_rmse,
    seven_points,
    zn_accuracy,
)
from zoo.heads.metrics.now import faces_within, synthetic_scan
from zoo.heads.parts import HeadBatch, HeadOutput
from zoo.heads.rotation import matrix_from_6d, matrix_from_euler, matrix_to_6d

HEADS, SIZE = 5, 128
ROUNDING = 2e-4
"""Meshes of other batches differ in the last bits, and the search for the NoW alignment ends elsewhere."""
NAMES = ["a", "a", "b", "c", "c"]
ATTRIBUTES = [{"pose": pose, "occlusions": "False"} for pose in ("front", "front", "sided", "sided", "atypical")]


@pytest.fixture(scope="module")
def head_model() -> HeadModel:
    return HeadModel.load("procedural")


@pytest.fixture(scope="module")
def measured(head_model: HeadModel) -> tuple[HeadOutput, HeadBatch]:
    """Predictions that are somewhat wrong, and the truth."""
    with random_stream(0, "test heads"):
        true = HeadParams(
            shape=torch.randn(HEADS, 300),
            expression=torch.randn(HEADS, 100),
            jaw=0.1 * torch.randn(HEADS, 3),
            rotation=matrix_to_6d(matrix_from_euler(20 * torch.randn(HEADS, 3))),
            translation=0.1 * torch.randn(HEADS, 3),
            scale=torch.full((HEADS, 1), 5.0),
        )
        wrong = HeadParams(*(value + 0.03 * torch.randn(value.shape) for value in true))
        box = torch.tensor([10.0, 10.0, 90.0, 100.0]) + torch.arange(HEADS)[:, None]
        landmarks = torch.rand(HEADS, 68, 2)
    closed = true._replace(expression=0 * true.expression, jaw=0 * true.jaw)
    truth = predict(head_model, true, landmarks)
    assert truth.vertices is not None and truth.projected is not None and truth.rotation is not None  # noqa: PT018
    batch = HeadBatch(
        image=torch.zeros(HEADS, 3, SIZE, SIZE),
        vertices=truth.vertices,
        projected=truth.projected,
        landmarks=head_model.landmarks(truth.projected) / SIZE,
        visible=torch.ones(HEADS, 68),
        rotation=truth.rotation,
        box=box,
        attributes=ATTRIBUTES,
        neutral=head_model.vertices(closed, rotated=False),
        name=NAMES,
    )
    return predict(head_model, wrong, landmarks), batch


def predict(head_model: HeadModel, params: HeadParams, landmarks: Tensor) -> HeadOutput:
    vertices = head_model.vertices(params, rotated=False)
    return HeadOutput(
        heatmaps=None,
        landmarks=landmarks,
        params=params.to_vector(),
        vertices=vertices,
        projected=head_model.project(params, SIZE, vertices),
        rotation=matrix_from_6d(params.rotation),
    )


def some(record: Any, chosen: slice) -> Any:
    return type(record)._make(None if value is None else value[chosen] for value in record)


def spoiled(output: HeadOutput, head: int, field: str, value: float) -> HeadOutput:
    """The output with one head's field set to a value."""
    changed = getattr(output, field).clone()
    changed[head] = value
    return output._replace(**{field: changed})


def results(head_model: HeadModel, output: HeadOutput, batch: HeadBatch, **options: Any) -> dict[str, float]:
    metrics = head_metrics(head_model, **options)
    metrics.update(output, batch)
    return numbers(metrics)


def numbers(metrics: HeadMetrics) -> dict[str, float]:
    return {name: value.item() for name, value in metrics.compute().items()}


def test_every_key_equals_its_function(head_model: HeadModel, measured: tuple[Any, Any]) -> None:
    output, batch = measured
    found = results(head_model, output, batch)
    head, face = head_model.subset("head"), head_model.subset("face")
    landmarks, true_landmarks = head_model.landmarks(output.projected), head_model.landmarks(batch.projected)
    nme = reprojection_nme(landmarks, true_landmarks, batch.box)
    pose = pose_error(output.rotation, batch.rotation)
    posed, true_posed = output.vertices @ output.rotation.mT, batch.vertices @ batch.rotation.mT
    points7, true_points7 = (seven_points(head_model.landmarks(mesh.vertices)) for mesh in (output, batch))
    expected = {
        "nme": nme.mean(),
        "landmark_nme": reprojection_nme(output.landmarks * SIZE, batch.landmarks * SIZE, batch.box).mean(),
        "pose": pose.frobenius.mean(),
        "angle": pose.angle.mean(),
        "angle_folded": pose.angle_folded.mean(),
        "z5": zn_accuracy(posed[:, head], true_posed[:, head]).mean(),
        "z5_official": zn_accuracy(posed[:, head], true_posed[:, head], mode="official").mean(),
        "chamfer": chamfer_to_ground_truth(output.vertices, batch.vertices[:, face], points7, true_points7).mean(),
        "rmse": rigid_rmse(output.vertices[:, head], batch.vertices[:, head]).mean(),
        "failure_rate": (nme > 5).double().mean(),
    }
    assert {name: found[name] for name in expected} == pytest.approx(
        {name: value.item() for name, value in expected.items()}, rel=1e-5
    )
    assert set(found) == set(expected) | {"now_median", "now_mean", "now_std", "f_q", "f_q_auc"}
    assert set(found) <= set(MEASURES)


def test_now_is_measured_on_neutral_faces_in_millimetres(head_model: HeadModel, measured: tuple[Any, Any]) -> None:
    output, batch = measured
    found = results(head_model, output, batch)
    scanned = faces_within(head_model.faces, head_model.subset("face"))
    params = head_model.split(output.params)
    closed = head_model.vertices(params._replace(expression=0 * params.expression, jaw=0 * params.jaw), rotated=False)
    pooled = []
    for true, mesh in zip(1000 * batch.neutral, closed, strict=True):
        true7, points7 = (seven_points(head_model.landmarks(points[None]))[0] for points in (true, mesh))
        pooled.append(now_error(synthetic_scan(true, scanned), mesh, head_model.faces, true7, points7))
    distances = torch.cat(pooled)
    assert found["now_mean"] == pytest.approx(distances.mean().item(), rel=1e-5)
    assert found["now_median"] == pytest.approx(distances.median().item(), rel=1e-3)
    assert found["now_std"] == pytest.approx(distances.std().item(), rel=1e-3)
    shut_mouths = batch._replace(vertices=batch.neutral)
    assert results(head_model, output, shut_mouths)["now_mean"] == found["now_mean"]


def test_a_perfect_prediction_is_perfect(head_model: HeadModel, measured: tuple[Any, Any]) -> None:
    output, batch = measured
    perfect = output._replace(**{field: getattr(batch, field) for field in ("vertices", "projected", "rotation")})
    found = results(head_model, perfect._replace(landmarks=batch.landmarks), batch)
    zero = ("nme", "landmark_nme", "pose", "angle", "angle_folded", "failure_rate", "chamfer", "rmse")
    assert [found[name] for name in zero] == pytest.approx([0] * len(zero), abs=1e-3)
    assert found["z5"] == found["z5_official"] == 1


def test_what_had_nothing_to_measure_is_absent(head_model: HeadModel, measured: tuple[Any, Any]) -> None:
    output, batch = measured
    bare = batch._replace(neutral=None, name=None, attributes=None)
    found = results(head_model, output._replace(landmarks=None), bare)
    assert not {"landmark_nme", "now_median", "now_mean", "now_std", "f_q", "f_q_auc", "unusable"} & set(found)
    assert {"nme", "pose", "z5", "chamfer"} <= set(found)
    metrics = head_metrics(head_model, preset="fast")
    metrics.update(output, bare)
    assert metrics.by_attribute() == []


def test_the_fast_preset_measures_what_costs_nothing(head_model: HeadModel, measured: tuple[Any, Any]) -> None:
    found = results(head_model, *measured, prefix="validation/", preset="fast")
    names = {"nme", "landmark_nme", "pose", "angle", "angle_folded", "failure_rate"}
    assert set(found) == {f"validation/{name}" for name in names}
    full = results(head_model, *measured)
    assert found == {f"validation/{name}": full[name] for name in names}


@pytest.mark.parametrize(
    "spoil",
    [
        lambda output: spoiled(output, 2, "vertices", torch.nan),
        lambda output: spoiled(output, 2, "vertices", 0.0),
        lambda output: spoiled(output, 2, "projected", torch.inf),
        lambda output: spoiled(output, 2, "rotation", torch.nan),
        lambda output: spoiled(output, 2, "params", torch.nan),
        lambda output: spoiled(output, 2, "landmarks", torch.nan),
    ],
)
def test_an_unusable_prediction_is_counted_and_enters_no_mean(
    head_model: HeadModel, measured: tuple[Any, Any], spoil: Callable[[HeadOutput], HeadOutput]
) -> None:
    output, batch = measured
    found = results(head_model, spoil(output), batch, preset="fast")
    others = [0, 1, 3, 4]
    pose = pose_error(output.rotation, batch.rotation).angle[others]
    nme = reprojection_nme(head_model.landmarks(output.projected), head_model.landmarks(batch.projected), batch.box)
    assert found["unusable"] == 1
    assert found["angle"] == pytest.approx(pose.mean().item(), rel=1e-5)
    assert found["nme"] == pytest.approx(nme[others].mean().item(), rel=1e-5)
    assert found["failure_rate"] == pytest.approx(((nme[others] > 5).sum().item() + 1) / HEADS)


def test_unusable_predictions_do_not_hide_in_any_metric(head_model: HeadModel, measured: tuple[Any, Any]) -> None:
    output, batch = measured
    pair = some(spoiled(output, 0, "rotation", torch.nan), slice(0, 2)), some(batch, slice(0, 2))
    found, alone = results(head_model, *pair), results(head_model, *(some(record, slice(1, 2)) for record in pair))
    assert found["f_q"] == 0
    assert found["z5"] == alone["z5"]
    assert found["now_mean"] == alone["now_mean"]
    none = results(head_model, some(pair[0], slice(0, 1)), some(pair[1], slice(0, 1)))
    assert torch.tensor([none["nme"], none["z5"]]).isnan().all()
    assert (none["failure_rate"], none["unusable"]) == (1, 1)


def test_f_q_compares_crops_of_one_head(head_model: HeadModel, measured: tuple[Any, Any]) -> None:
    output, batch = measured
    same = output._replace(rotation=torch.eye(3).expand(HEADS, 3, 3).clone())
    same.rotation[1] = matrix_from_euler(torch.tensor([180.0, 0.0, 90.0]))
    found = results(head_model, same, batch)
    assert (found["f_q"], found["f_q_auc"]) == (0.5, 0.5)


def test_batches_do_not_matter(head_model: HeadModel, measured: tuple[Any, Any]) -> None:
    metrics = head_metrics(head_model)
    for chosen in (slice(0, 2), slice(2, 5)):
        metrics.update(*(some(record, chosen) for record in measured))
    assert numbers(metrics) == pytest.approx(results(head_model, *measured), rel=ROUNDING)
    metrics.reset()
    metrics.update(*measured)
    assert numbers(metrics) == results(head_model, *measured)


class Processes:
    """Stands for torch.distributed: gathers a state from metrics that were fed in other processes."""

    def __init__(self, *others: HeadMetrics) -> None:
        self.others = others
        self.states: list[str] = []

    def gather(self, own: Tensor, group: Any = None) -> list[Tensor]:
        state = self.states.pop(0)
        found = (torch.cat(getattr(other, state) or [torch.empty(0)]) for other in self.others)
        assert own.ndim == 1
        return [own, *found]

    def join(self, metrics: HeadMetrics) -> HeadMetrics:
        self.states = 2 * list(metrics._reductions)
        metrics.dist_sync_fn, metrics.distributed_available_fn = self.gather, lambda: True
        return metrics


@pytest.mark.parametrize("shares", [(slice(0, 2), slice(2, 5)), (slice(0, 0), slice(0, 5)), (slice(0, 5), slice(0, 0))])
def test_processes_reduce_to_one_over_all_heads(
    head_model: HeadModel, measured: tuple[Any, Any], shares: tuple[slice, slice]
) -> None:
    pair = [head_metrics(head_model), head_metrics(head_model)]
    for metrics, chosen in zip(pair, shares, strict=True):
        if chosen.stop > chosen.start:  # otherwise the process sees no head at all
            metrics.update(*(some(record, chosen) for record in measured))
    first = Processes(pair[1]).join(pair[0])
    alone = head_metrics(head_model)
    alone.update(*measured)
    assert numbers(first) == pytest.approx(numbers(alone), rel=ROUNDING)
    assert [row[:4] for row in first.by_attribute()] == [row[:4] for row in alone.by_attribute()]


def test_merged_states_are_as_one(head_model: HeadModel, measured: tuple[Any, Any]) -> None:
    first, second = head_metrics(head_model), head_metrics(head_model)
    first.update(*(some(record, slice(0, 3)) for record in measured))
    second.update(*(some(record, slice(3, 5)) for record in measured))
    first.merge_state(second)
    assert numbers(first) == pytest.approx(results(head_model, *measured), rel=ROUNDING)


def test_by_attribute(head_model: HeadModel, measured: tuple[Any, Any]) -> None:
    metrics = head_metrics(head_model, preset="fast")
    metrics.update(*(some(record, slice(0, 1)) for record in measured))
    metrics.update(*(some(record, slice(1, 5)) for record in measured))
    rows = {(row.attribute, row.value): row for row in metrics.by_attribute()}
    assert {key: row.heads for key, row in rows.items()} == {
        ("occlusions", "False"): 5,
        ("pose", "atypical"): 1,
        ("pose", "front"): 2,
        ("pose", "sided"): 2,
    }
    front = results(head_model, *(some(record, slice(0, 2)) for record in measured), preset="fast")
    assert rows["pose", "front"].means == pytest.approx(front, rel=1e-5)


def test_bad_ground_truth_is_refused(head_model: HeadModel, measured: tuple[Any, Any]) -> None:
    output, batch = measured
    with pytest.raises(ValueError, match="expected both above 0"):
        results(head_model, output, batch._replace(box=0 * batch.box))
    with pytest.raises(ValueError, match="outer eye corners of the scan"):
        results(head_model, output, batch._replace(neutral=batch.neutral / 1000))


def test_misuse_is_refused(head_model: HeadModel, measured: tuple[Any, Any]) -> None:
    output, batch = measured
    with pytest.raises(ValueError, match="the output has no mesh"):
        head_metrics(head_model).update(output._replace(vertices=None), batch)
    with pytest.raises(ValueError, match="expected one of fast, full"):
        head_metrics(head_model, preset="quick")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="no head was measured"):
        head_metrics(head_model).compute()


def test_the_head_model_is_no_part_of_the_metrics(head_model: HeadModel) -> None:
    metrics = head_metrics(head_model)
    assert list(metrics.modules()) == [metrics]
    assert metrics.state_dict() == {}


def test_half_precision_is_measured_in_full(head_model: HeadModel, measured: tuple[Any, Any]) -> None:
    output, batch = (
        type(record)._make(value.bfloat16() if isinstance(value, Tensor) else value for value in record)
        for record in measured
    )
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = results(head_model, output, batch)
    expected = results(head_model, *measured)
    assert found["z5"] == pytest.approx(expected["z5"], abs=0.1)
    assert found["angle"] == pytest.approx(expected["angle"], abs=1)
