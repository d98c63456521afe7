"""Pose error: the norm and both angles of rotations whose angle is known."""

import math

import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation

from zoo.heads.metrics import pose_error


@pytest.mark.parametrize("angle", [0.0, 1e-4, 5.0, 89.0, 91.0, 150.0, 180.0])
def test_known_angles(angle: float) -> None:
    first = Rotation.from_euler("xyz", [170, 20, -40], degrees=True)
    axis = np.array([1.0, -2.0, 0.5]) / np.linalg.norm([1.0, -2.0, 0.5])
    second = Rotation.from_rotvec(np.radians(angle) * axis) * first
    error = pose_error(torch.from_numpy(second.as_matrix()), torch.from_numpy(first.as_matrix()))
    assert error.frobenius.item() == pytest.approx(2 * math.sqrt(2) * math.sin(math.radians(angle) / 2), abs=1e-9)
    assert error.angle.item() == pytest.approx(angle, abs=1e-5)
    assert error.angle_folded.item() == pytest.approx(min(angle, 180 - angle), abs=1e-5)


def test_equals_the_loop_over_matrices() -> None:
    first, second = Rotation.random(5, rng=0), Rotation.random(5, rng=1)
    error = pose_error(torch.from_numpy(first.as_matrix()), torch.from_numpy(second.as_matrix()))
    for index in range(5):
        difference = np.eye(3) - first[index].as_matrix() @ second[index].as_matrix().T
        norm = math.sqrt(sum(difference[i, j] ** 2 for i in range(3) for j in range(3)))
        assert error.frobenius[index].item() == pytest.approx(norm)
        geodesic = (first[index] * second[index].inv()).magnitude()
        assert error.angle[index].item() == pytest.approx(math.degrees(geodesic), abs=1e-5)


def test_a_prediction_that_is_not_finite_stays_visible() -> None:
    error = pose_error(torch.full((1, 3, 3), torch.nan), torch.eye(3)[None])
    assert all(value.isnan().all() for value in error)


def test_shapes_that_do_not_fit_are_refused() -> None:
    with pytest.raises(ValueError, match="expected the same"):
        pose_error(torch.eye(3), torch.eye(3)[None])
    with pytest.raises(ValueError, match="expected the same"):
        pose_error(torch.zeros(2, 6), torch.zeros(2, 6))
