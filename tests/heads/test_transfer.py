"""Landmarks and subsets carried over from one head to another."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.spatial.transform import Rotation
from zoo_plugins.head_models import open_head_asset
from zoo_plugins.procedural_head import procedural_asset

from zoo.core.errors import ZooError
from zoo.heads.asset import SUBSETS, HeadAsset
from zoo.heads.transfer import align, mirrored_vertices, nearest_on_surface, transfer

REFERENCE = procedural_asset()


def landmarks(template: np.ndarray, faces: np.ndarray, weights: np.ndarray) -> np.ndarray:
    return (template[REFERENCE.faces[faces]] * weights[:, :, None]).sum(1)


def moved(template: np.ndarray, degrees: tuple[float, ...] = (6, -8, 5), scale: float = 37) -> np.ndarray:
    """In other units, turned and shifted."""
    return scale * template @ Rotation.from_euler("xyz", degrees, degrees=True).as_matrix().T + [5, -3, 2]


def test_the_same_head_in_another_place_and_unit_gets_the_same_tables() -> None:
    template = moved(REFERENCE.template)
    found = transfer(template, REFERENCE.faces, REFERENCE)
    expected = landmarks(template, REFERENCE.landmark_faces, REFERENCE.landmark_weights)
    np.testing.assert_allclose(landmarks(template, found.landmark_faces, found.landmark_weights), expected, atol=1e-3)
    for name in SUBSETS:
        np.testing.assert_array_equal(found.subsets[name], REFERENCE.subsets[name])


def test_another_person_gets_landmarks_within_a_few_millimetres() -> None:
    template = REFERENCE.template + REFERENCE.shape_basis[:, :, :5] @ np.array([0.8, -0.8, 0.8, 0.8, -0.8], np.float32)
    found = transfer(template, REFERENCE.faces, REFERENCE)
    expected = landmarks(template, REFERENCE.landmark_faces, REFERENCE.landmark_weights)
    error = np.linalg.norm(landmarks(template, found.landmark_faces, found.landmark_weights) - expected, axis=1)
    assert error.mean() < 0.003
    assert error.max() < 0.010
    for name in SUBSETS:
        common = np.intersect1d(found.subsets[name], REFERENCE.subsets[name])
        assert len(common) > 0.9 * len(np.union1d(found.subsets[name], REFERENCE.subsets[name]))


def test_a_head_without_neck_is_aligned_all_the_same() -> None:
    """The start must not depend on how much neck there is."""
    kept = (REFERENCE.template[REFERENCE.faces, 1] > -0.11).all(1)
    template = moved(REFERENCE.template)
    aligned = align(REFERENCE.template, REFERENCE.subsets["head"], template, REFERENCE.faces[kept])
    np.testing.assert_allclose(aligned, template, atol=37 * 0.001)


def test_a_head_of_another_mesh_gets_its_features_in_place() -> None:
    found = transfer(REFERENCE.template, REFERENCE.faces, open_head_asset())
    places = landmarks(REFERENCE.template, found.landmark_faces, found.landmark_weights)
    expected = landmarks(REFERENCE.template, REFERENCE.landmark_faces, REFERENCE.landmark_weights)
    assert np.linalg.norm(places - expected, axis=1).mean() < 0.015, "as unlike as the two heads are"
    left_eye, right_eye = places[42:48].mean(0), places[36:42].mean(0)
    nose, mouth, chin = places[30], places[48:].mean(0), places[8]
    assert right_eye[0] < -0.02 < 0.02 < left_eye[0]
    assert min(left_eye[1], right_eye[1]) > nose[1] > mouth[1] > chin[1]
    common = np.intersect1d(found.subsets["face"], REFERENCE.subsets["face"])
    assert len(common) > 0.7 * len(np.union1d(found.subsets["face"], REFERENCE.subsets["face"]))


def test_a_head_without_width_is_refused() -> None:
    flat = REFERENCE.template * [0, 1, 1]
    with pytest.raises(ZooError, match="no width"):
        transfer(flat, REFERENCE.faces, REFERENCE)


def test_an_empty_subset_is_refused() -> None:
    hidden = without_reach(REFERENCE)
    with pytest.raises(ZooError, match=r"subsets face of 'procedural' meet no vertex .* give index files"):
        transfer(REFERENCE.template, REFERENCE.faces, hidden)


def without_reach(reference: HeadAsset) -> HeadAsset:
    """The face is one vertex that no triangle uses."""
    alone = len(reference.template)
    added = {
        name: np.append(getattr(reference, name), getattr(reference, name)[:1], axis=0)
        for name in ("template", "shape_basis", "expression_basis", "weights")
    }
    regressor = np.append(reference.joint_regressor, np.zeros((5, 1), np.float32), axis=1)
    subsets = dict(reference.subsets) | {"face": np.array([alone])}
    return replace(reference, **added, joint_regressor=regressor, subsets=subsets, pose_basis=None, mirror=None)


def test_the_nearest_place_on_a_surface() -> None:
    vertices = np.array([[0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 9.0]])
    faces = np.array([[0, 1, 2], [1, 2, 3]])
    points = np.array([[0.25, 0.25, -2], [-1, -1, 0], [0, 0, 20]])
    found, weights, places = nearest_on_surface(points, vertices, faces)
    assert found.tolist() == [0, 0, 1]
    np.testing.assert_allclose(weights, [[0.5, 0.25, 0.25], [1, 0, 0], [0, 0, 1]], atol=1e-12)
    np.testing.assert_allclose(places, [[0.25, 0.25, 0], [0, 0, 0], [0, 0, 9]], atol=1e-12)


def test_mirrored_vertices_are_found_where_the_mesh_is_symmetric() -> None:
    assert REFERENCE.mirror is not None
    np.testing.assert_array_equal(mirrored_vertices(REFERENCE.template), REFERENCE.mirror)
    assert mirrored_vertices(REFERENCE.template[REFERENCE.template[:, 0] > -0.03]) is None
