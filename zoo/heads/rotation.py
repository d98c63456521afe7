"""Rotations: the network's six numbers, matrices, and angles; and which way the axes point.

Two frames. The *head* frame belongs to the mesh: metres, x to the subject's left, y up, z out of the face. The
*picture* frame is the camera's: x right, y down, z away from the viewer. A rotation R takes head to picture, v ↦ R·v,
so that a head that looks straight at the camera has R = diag(1, −1, −1).

Euler angles are those of DAD-3DHeads: scipy's `Rᵀ.as_euler("xyz")` gives (pitch + 180°, yaw, roll); straight ahead is
(0°, 0°, 0°). Alone, each of them at +30°:

- pitch: looks up, the nose moves to the picture's top;
- yaw: turns to the subject's own right, the nose moves to the picture's left;
- roll: leans to the subject's own left shoulder, the top of the head moves to the picture's right.

Yaw stays within ±90°: a head that is turned further comes out as one of the other side with pitch and roll near ±180°.
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor

FRONTAL = ((1.0, 0.0, 0.0), (0.0, -1.0, 0.0), (0.0, 0.0, -1.0))
"""R of a head that looks straight at the camera."""


def matrix_from_6d(numbers: Tensor) -> Tensor:
    """Six numbers (…, 6) → rotation matrices (…, 3, 3).

    The first three, normalised, are the first column; the third column is at right angles to them and to the last
    three, and the second at right angles to both (the order and signs that DAD-3DNet's weights were trained with).
    """
    first = F.normalize(numbers[..., 0:3], dim=-1)
    third = F.normalize(torch.cross(first, numbers[..., 3:6], dim=-1), dim=-1)
    second = -torch.cross(first, third, dim=-1)
    return torch.stack([first, second, third], dim=-1)


def matrix_to_6d(rotation: Tensor) -> Tensor:
    """Rotation matrices (…, 3, 3) → six numbers (…, 6) that `matrix_from_6d` turns back into them."""
    return torch.cat([rotation[..., :, 0], rotation[..., :, 1]], dim=-1)


def matrix_from_axis_angle(turn: Tensor) -> Tensor:
    """Rotation vectors (…, 3), the axis times the angle in radians → matrices (…, 3, 3), by Rodrigues' formula."""
    angle = (turn.square().sum(-1, keepdim=True) + 1e-16).sqrt()  # the root has no gradient at 0
    x, y, z = (turn / angle).unbind(-1)
    zero = torch.zeros_like(x)
    cross = torch.stack([zero, -z, y, z, zero, -x, -y, x, zero], dim=-1).unflatten(-1, (3, 3))
    sine, cosine = torch.sin(angle)[..., None], torch.cos(angle)[..., None]
    identity = torch.eye(3, dtype=turn.dtype, device=turn.device)
    return identity + sine * cross + (1 - cosine) * (cross @ cross)


def matrix_from_euler(degrees: Tensor) -> Tensor:
    """(pitch, yaw, roll) in degrees (…, 3) → matrices (…, 3, 3) that take head to picture."""
    pitch, yaw, roll = ((degrees[..., axis] + (180.0 if axis == 0 else 0.0)) * math.pi / 180 for axis in range(3))
    one, zero = torch.ones_like(pitch), torch.zeros_like(pitch)

    def matrix(*entries: Tensor) -> Tensor:
        return torch.stack(entries, dim=-1).unflatten(-1, (3, 3))

    about_x = matrix(one, zero, zero, zero, pitch.cos(), -pitch.sin(), zero, pitch.sin(), pitch.cos())
    about_y = matrix(yaw.cos(), zero, yaw.sin(), zero, one, zero, -yaw.sin(), zero, yaw.cos())
    about_z = matrix(roll.cos(), -roll.sin(), zero, roll.sin(), roll.cos(), zero, zero, zero, one)
    return (about_z @ about_y @ about_x).mT


def matrix_to_euler(rotation: Tensor) -> Tensor:
    """Matrices (…, 3, 3) that take head to picture → (pitch, yaw, roll) in degrees (…, 3), each in (−180, 180]."""
    turned = rotation.mT
    yaw = torch.asin((-turned[..., 2, 0]).clamp(-1, 1))
    pitch = torch.atan2(turned[..., 2, 1], turned[..., 2, 2]) - math.pi
    roll = torch.atan2(turned[..., 1, 0], turned[..., 0, 0])
    degrees = torch.stack([pitch, yaw, roll], dim=-1) * 180 / math.pi
    return 180 - (180 - degrees) % 360


def angle_between(first: Tensor, second: Tensor) -> Tensor:
    """The angle of the rotation that leads from one to the other, in radians: (…, 3, 3) twice → (…), in [0, π].

    Has a finite gradient everywhere, also at 0 and π.
    """
    chord = (first - second).square().sum((-2, -1))  # ‖A − B‖² = 8·sin²(θ/2)
    half_sine_squared = (chord / 8).clamp(0, 1)
    return 2 * torch.atan2((half_sine_squared + 1e-12).sqrt(), (1 - half_sine_squared + 1e-12).sqrt())
