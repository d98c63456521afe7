"""Metrics of pose and of landmarks in the image: pose error, reprojection NME, annotation consistency F_Q."""

from collections import defaultdict
from collections.abc import Hashable, Sequence
from itertools import combinations
from typing import NamedTuple

import torch
from torch import Tensor

from zoo.heads.metrics.points import Points

LARGEST_NORM = 8**0.5
"""‖I − R‖ of a rotation by 180°."""
TOLERANCE = 0.1
"""τ of F_Q: an angle of 4.05°."""


class PoseError(NamedTuple):
    """Three distances between two rotations, each () or (B,)."""

    frobenius: Tensor
    """‖I − R_p R_gᵀ‖_F = 2√2 · sin(θ/2), 0 to 2.83."""
    angle: Tensor
    """θ, the angle of the rotation from one to the other, degrees, 0 to 180."""
    angle_folded: Tensor
    """min(θ, 180° − θ), degrees: a head rotated by 180° counts as right. The published 5.36° are of this kind; report
    it only next to `angle`."""


def pose_error(predicted: Points, target: Points) -> PoseError:
    """Return the distance between predicted and true rotation, one value per head.

    Args:
        predicted, target: rotation matrices (3, 3) or (B, 3, 3) in the same convention.

    Raises:
        ValueError: shapes do not fit.

    Source: the Frobenius norm is the pose error of DAD-3DHeads (CVPR 2022). A prediction that is not finite gives NaN.

    Example:
        >>> error = pose_error(torch.eye(3), torch.diag(torch.tensor([1.0, -1.0, -1.0])))
        >>> round(float(error.angle)), round(float(error.angle_folded))
        (180, 0)
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


def reprojection_nme(predicted: Points, target: Points, box: Points) -> Tensor:
    """Return 100 · mean |p − g| / √(width · height), in per cent of the head's size, one value per head: () or (B,).

    Args:
        predicted, target: (N, 2) or (B, N, 2) pixels, the 68 landmarks.
        box: (4,) or (B, 4), the head's box x, y, width, height in the same pixels.

    Raises:
        ValueError: shapes do not fit, or a box has no area.

    Source: DAD-3DHeads (CVPR 2022), "Reprojection NME". A prediction that is not finite gives NaN.

    Example:
        >>> landmarks = torch.zeros(68, 2)
        >>> reprojection_nme(landmarks + torch.tensor([2.0, 0.0]), landmarks, torch.tensor([0, 0, 100, 100]))
        tensor(2.)
    """
    values = (torch.as_tensor(value) for value in (predicted, target, box))
    predicted, target, box = (value if value.dtype == torch.float64 else value.float() for value in values)
    if predicted.shape != target.shape or predicted.ndim not in (2, 3) or predicted.shape[-1] != 2:
        raise ValueError(
            f"predicted has shape {tuple(predicted.shape)} and target {tuple(target.shape)}: "
            "expected the same (N, 2) or (B, N, 2)."
        )
    if box.shape != (*predicted.shape[:-2], 4):
        raise ValueError(
            f"box has shape {tuple(box.shape)}: expected {(*predicted.shape[:-2], 4)}, x, y, width, height."
        )
    if not bool((box[..., 2:] > 0).all()):
        sides = box.reshape(-1, 4)[:, 2:]
        width, height = sides[sides.nan_to_num(nan=-torch.inf).amin(1).argmin()].tolist()
        raise ValueError(f"a head's box has width and height {width:g} × {height:g}: expected both above 0.")
    return 100 * (predicted - target).norm(dim=-1).mean(-1) / (box[..., 2] * box[..., 3]).sqrt()


class Consistency(NamedTuple):
    """Result of `annotation_consistency` (project-defined)."""

    f_q: Tensor
    """Fraction of pairs that agree, 0 to 1; NaN without pairs."""
    auc: Tensor
    """Area under the fraction of agreeing pairs over thresholds 0 to τ, divided by τ, 0 to 1; NaN without pairs."""
    pairs: int


def annotation_consistency(
    rotations: Tensor, heads: Sequence[Hashable], crops: Sequence[Hashable], tolerance: float = TOLERANCE
) -> Consistency:
    """Return F_Q: how often a head keeps its predicted rotation when only its crop changes.

    No publication defines F_Q; this definition is the project's own, and every table that shows it says so. Two
    predictions for one head under different crops agree when ‖I − R₁R₂ᵀ‖_F ≤ τ.

    Args:
        rotations: (N, 3, 3); a prediction that is not finite agrees with none.
        heads: N names, equal for one head.
        crops: N names; predictions of one head in equal crops make no pair.
        tolerance: τ, above 0.

    Example:
        >>> rotations = torch.eye(3).expand(3, 3, 3)
        >>> result = annotation_consistency(rotations, ["ada", "ada", "bob"], ["tight", "wide", "wide"])
        >>> float(result.f_q), result.pairs
        (1.0, 1)
    """
    groups: dict[Hashable, list[int]] = defaultdict(list)
    for index, head in enumerate(heads):
        groups[head].append(index)
    pairs = [pair for group in groups.values() for pair in combinations(group, 2) if crops[pair[0]] != crops[pair[1]]]
    if not pairs:
        return Consistency(torch.tensor(torch.nan), torch.tensor(torch.nan), 0)
    first, second = torch.tensor(pairs).T
    norms = pose_error(rotations[first], rotations[second]).frobenius.nan_to_num(nan=torch.inf)
    # At a threshold t the fraction is that of norms ≤ t, so a pair of norm d contributes the interval from d to τ.
    return Consistency((norms <= tolerance).double().mean(), (1 - norms / tolerance).clamp(min=0).mean(), len(pairs))
