"""Pose error: how far two rotations are apart."""

from typing import NamedTuple

import torch
from torch import Tensor

from zoo.heads.metrics.points import Points

LARGEST_NORM = 8**0.5
"""‖I − R‖ of a half turn."""


class PoseError(NamedTuple):
    """Three ways to say how far two rotations are apart, each () or (B,)."""

    frobenius: Tensor
    """‖I − R_p R_gᵀ‖_F = 2√2 · sin(θ/2), 0 to 2.83."""
    angle: Tensor
    """θ, the angle of the rotation from one to the other, degrees, 0 to 180."""
    angle_folded: Tensor
    """min(θ, 180° − θ), degrees: counts a head that is the wrong way round as right. The published 5.36° are of this
    kind; report it only beside `angle`."""


def pose_error(predicted: Points, target: Points) -> PoseError:
    """How far two rotations are apart, one value a head.

    Args:
        predicted, target: rotation matrices (3, 3) or (B, 3, 3), both in one convention.

    Raises:
        ValueError: shapes do not fit.

    Source: the Frobenius norm is the pose error of DAD-3DHeads (CVPR 2022). A prediction that is not finite gives NaN.
    """
    predicted, target = (torch.as_tensor(rotation).to("cpu", torch.float64) for rotation in (predicted, target))
    if predicted.shape != target.shape or predicted.ndim not in (2, 3) or predicted.shape[-2:] != (3, 3):
        raise ValueError(
            f"predicted has shape {tuple(predicted.shape)} and target {tuple(target.shape)}: "
            "expected the same (3, 3) or (B, 3, 3)."
        )
    identity = torch.eye(3, dtype=torch.float64)
    frobenius = (identity - predicted @ target.mT).square().sum((-2, -1)).sqrt()
    angle = 2 * torch.asin((frobenius / LARGEST_NORM).clamp(max=1)) * 180 / torch.pi
    return PoseError(frobenius, angle, torch.minimum(angle, 180 - angle))
