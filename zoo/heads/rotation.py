"""Rotations: the network's six numbers, matrices and angles, and the two coordinate frames.

The *head* frame belongs to the mesh: metres, x to the subject's left, y up, z out of the face. The *image* frame is the
camera's: x right, y down, z away from the viewer. A rotation R maps head to image, v ↦ R·v; a head that looks straight
at the camera has R = diag(1, −1, −1).

Euler angles are those of DAD-3DHeads: scipy's `Rᵀ.as_euler("xyz")` gives (pitch + 180°, yaw, roll); straight ahead is
(0°, 0°, 0°). The effect of each at +30°:

- pitch: the head looks up, the nose moves to the image's top;
- yaw: the head rotates to the subject's own right, the nose moves to the image's left;
- roll: the head leans to the subject's own left shoulder, its top moves to the image's right.

Yaw stays within ±90°: a head rotated further has a yaw of the other side with pitch and roll near ±180°.
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor

FRONTAL = ((1.0, 0.0, 0.0), (0.0, -1.0, 0.0), (0.0, 0.0, -1.0))
"""R of a head that looks straight at the camera."""


def matrix_from_6d(numbers: Tensor) -> Tensor:
    """Return rotation matrices (…, 3, 3) of six numbers (…, 6).

    The first three, normalised, are the first column; the third column is orthogonal to them and to the last three,
    and the second to both (the order and signs that DAD-3DNet's weights were trained with).

    Example:
        >>> matrix_from_6d(torch.tensor([2.0, 0, 0, 0, 1, 0])).diagonal()
        tensor([1., 1., 1.])
    """
    first = F.normalize(numbers[..., 0:3], dim=-1)
    third = F.normalize(torch.cross(first, numbers[..., 3:6], dim=-1), dim=-1)
    second = -torch.cross(first, third, dim=-1)
    return torch.stack([first, second, third], dim=-1)


def matrix_to_6d(rotation: Tensor) -> Tensor:
    """Return six numbers (…, 6) of rotation matrices (…, 3, 3), the inverse of `matrix_from_6d`.

    Example:
        >>> matrix_to_6d(torch.eye(3))
        tensor([1., 0., 0., 0., 1., 0.])
    """
    return torch.cat([rotation[..., :, 0], rotation[..., :, 1]], dim=-1)


def matrix_from_axis_angle(vectors: Tensor) -> Tensor:
    """Return matrices (…, 3, 3) of rotation vectors (…, 3), axis times angle in radians, by Rodrigues' formula.

    Example:
        >>> matrix_from_axis_angle(torch.tensor([0.0, 0.0, torch.pi])).round().diagonal()
        tensor([-1., -1.,  1.])
    """
    angle = (vectors.square().sum(-1, keepdim=True) + 1e-16).sqrt()  # the root has no gradient at 0
    x, y, z = (vectors / angle).unbind(-1)
    zero = torch.zeros_like(x)
    cross = torch.stack([zero, -z, y, z, zero, -x, -y, x, zero], dim=-1).unflatten(-1, (3, 3))
    sine, cosine = torch.sin(angle)[..., None], torch.cos(angle)[..., None]
    identity = torch.eye(3, dtype=vectors.dtype, device=vectors.device)
    return identity + sine * cross + (1 - cosine) * (cross @ cross)


def matrix_from_euler(degrees: Tensor) -> Tensor:
    """Return matrices (…, 3, 3) from head to image of (pitch, yaw, roll) in degrees (…, 3).

    Example:
        >>> matrix_from_euler(torch.zeros(3)).round().diagonal()
        tensor([ 1., -1., -1.])
    """
    pitch, yaw, roll = ((degrees[..., axis] + (180.0 if axis == 0 else 0.0)) * math.pi / 180 for axis in range(3))
    one, zero = torch.ones_like(pitch), torch.zeros_like(pitch)

    def matrix(*entries: Tensor) -> Tensor:
        return torch.stack(entries, dim=-1).unflatten(-1, (3, 3))

    about_x = matrix(one, zero, zero, zero, pitch.cos(), -pitch.sin(), zero, pitch.sin(), pitch.cos())
    about_y = matrix(yaw.cos(), zero, yaw.sin(), zero, one, zero, -yaw.sin(), zero, yaw.cos())
    about_z = matrix(roll.cos(), -roll.sin(), zero, roll.sin(), roll.cos(), zero, zero, zero, one)
    return (about_z @ about_y @ about_x).mT


def matrix_to_euler(rotation: Tensor) -> Tensor:
    """Return (pitch, yaw, roll) in degrees (…, 3), in (−180, 180], of matrices (…, 3, 3) from head to image.

    Example:
        >>> matrix_to_euler(matrix_from_euler(torch.tensor([10.0, 20.0, 30.0]))).round()
        tensor([10., 20., 30.])
    """
    inverse = rotation.mT
    yaw = torch.asin((-inverse[..., 2, 0]).clamp(-1, 1))
    pitch = torch.atan2(inverse[..., 2, 1], inverse[..., 2, 2]) - math.pi
    roll = torch.atan2(inverse[..., 1, 0], inverse[..., 0, 0])
    degrees = torch.stack([pitch, yaw, roll], dim=-1) * 180 / math.pi
    return 180 - (180 - degrees) % 360


def angle_between(first: Tensor, second: Tensor) -> Tensor:
    """Return the angle between two rotations (…, 3, 3) in radians: (…), in [0, π].

    Its gradient is finite everywhere, also at 0 and π.

    Example:
        >>> round(float(angle_between(torch.eye(3), torch.tensor(FRONTAL))), 3)
        3.142
    """
    chord = (first - second).square().sum((-2, -1))  # ‖A − B‖² = 8·sin²(θ/2)
    half_sine_squared = (chord / 8).clamp(0, 1)
    return 2 * torch.atan2((half_sine_squared + 1e-12).sqrt(), (1 - half_sine_squared + 1e-12).sqrt())
