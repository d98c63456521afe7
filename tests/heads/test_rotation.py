"""Rotations: six numbers, axis and angle, Euler angles, and which way the head turns."""

import math

import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation
from torch import Tensor

from zoo.heads.rotation import (
    FRONTAL,
    angle_between,
    matrix_from_6d,
    matrix_from_axis_angle,
    matrix_from_euler,
    matrix_to_6d,
    matrix_to_euler,
)


def random_rotations(count: int = 50) -> Tensor:
    return torch.from_numpy(Rotation.random(count, random_state=0).as_matrix())


def normal(*shape: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


def test_six_numbers_give_the_columns_of_the_official_formula() -> None:
    numbers = normal(20, 6)
    for six, matrix in zip(numbers.numpy(), matrix_from_6d(numbers).numpy(), strict=True):
        first = six[:3] / np.linalg.norm(six[:3])
        third = np.cross(first, six[3:])
        third /= np.linalg.norm(third)
        np.testing.assert_allclose(matrix, np.stack([first, -np.cross(first, third), third], axis=1), atol=1e-12)
        np.testing.assert_allclose(matrix.T @ matrix, np.eye(3), atol=1e-12)
        assert np.linalg.det(matrix) == pytest.approx(1)


def test_matrices_survive_the_way_through_six_numbers() -> None:
    rotations = random_rotations()
    torch.testing.assert_close(matrix_from_6d(matrix_to_6d(rotations)), rotations)


def test_axis_and_angle_agree_with_scipy() -> None:
    turns = torch.cat([normal(30, 3), 1e-4 * normal(5, 3), torch.zeros(1, 3, dtype=torch.float64)])
    expected = torch.from_numpy(Rotation.from_rotvec(turns.numpy()).as_matrix())
    torch.testing.assert_close(matrix_from_axis_angle(turns), expected, rtol=0, atol=1e-8)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_jaw_at_rest_has_the_gradient_of_a_small_turn(dtype: torch.dtype) -> None:
    turn = torch.zeros(3, dtype=dtype, requires_grad=True)
    (gradient,) = torch.autograd.grad(matrix_from_axis_angle(turn)[1, 2], turn)
    torch.testing.assert_close(gradient, torch.tensor([-1.0, 0, 0], dtype=dtype), atol=1e-4, rtol=0)
    assert matrix_from_axis_angle(turn).equal(torch.eye(3, dtype=dtype))


def test_axis_and_angle_have_the_right_gradient() -> None:
    assert torch.autograd.gradcheck(matrix_from_axis_angle, (normal(4, 3).requires_grad_(),))


def test_euler_angles_are_the_official_ones() -> None:
    rotations = random_rotations()
    official = Rotation.from_matrix(rotations.mT.numpy()).as_euler("xyz", degrees=True) - [180, 0, 0]
    found = matrix_to_euler(rotations)
    apart = (found.numpy() - official + 180) % 360 - 180
    np.testing.assert_allclose(apart, 0, atol=1e-6)
    assert found.min() > -180
    assert found.max() <= 180
    torch.testing.assert_close(matrix_from_euler(found), rotations)


def test_straight_ahead_is_zero_degrees() -> None:
    straight = matrix_from_euler(torch.zeros(3, dtype=torch.float64))
    torch.testing.assert_close(straight, torch.tensor(FRONTAL, dtype=torch.float64))
    torch.testing.assert_close(matrix_to_euler(straight), torch.zeros(3, dtype=torch.float64))


@pytest.mark.parametrize(
    ("degrees", "nose", "crown"),
    [
        ((0, 0, 0), (0, 0, -1), (0, -1, 0)),
        ((30, 0, 0), (0, -0.5, -math.sqrt(0.75)), (0, -math.sqrt(0.75), 0.5)),
        ((0, 30, 0), (-0.5, 0, -math.sqrt(0.75)), (0, -1, 0)),
        ((0, 0, 30), (0, 0, -1), (0.5, -math.sqrt(0.75), 0)),
    ],
)
def test_which_way_the_head_turns(
    degrees: tuple[float, ...], nose: tuple[float, ...], crown: tuple[float, ...]
) -> None:
    """In the picture frame: x right, y down, z away from the viewer."""
    rotation = matrix_from_euler(torch.tensor(degrees, dtype=torch.float64))
    out_of_face, up = torch.tensor([[0, 0, 1.0], [0, 1, 0]], dtype=torch.float64)
    torch.testing.assert_close(rotation @ out_of_face, torch.tensor(nose, dtype=torch.float64))
    torch.testing.assert_close(rotation @ up, torch.tensor(crown, dtype=torch.float64))


def test_the_angle_between_rotations_agrees_with_scipy() -> None:
    first, second = random_rotations(40).split(20)
    relative = Rotation.from_matrix((first.mT @ second).numpy())
    np.testing.assert_allclose(angle_between(first, second).numpy(), relative.magnitude(), atol=1e-6)


@pytest.mark.parametrize("angle", [0.0, 1e-3, 1.0, math.pi - 1e-3, math.pi])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_the_angle_has_a_finite_gradient_everywhere(angle: float, dtype: torch.dtype) -> None:
    turned = torch.from_numpy(Rotation.from_rotvec([0, angle, 0]).as_matrix()).to(dtype).requires_grad_()
    found = angle_between(turned, torch.eye(3, dtype=dtype))
    assert found.item() == pytest.approx(angle, abs=1e-5 if dtype == torch.float64 else 2e-3)
    (gradient,) = torch.autograd.grad(found, turned)
    assert gradient.isfinite().all()
