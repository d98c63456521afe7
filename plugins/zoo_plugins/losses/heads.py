"""Loss terms of 3D heads (DAD-3DNet; official `train_loss.yaml`).

The default weights are the official ones. `ReprojectionLoss` alone trains translation and scale, and also the rotation
unless `RotationGeodesic`, which is not in the official code, is used.
"""

import math
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from zoo.core.parts import LossTerm
from zoo.heads.mesh import HeadModel
from zoo.heads.parts import HeadBatch, HeadLoss, HeadOutput, heatmap_targets
from zoo.heads.rotation import angle_between

OFFICIAL_SIZE = 256
"""Side of the official crops, in whose pixels the reprojection error is measured."""


class SoftIoUHeatmap(LossTerm):
    """Soft IoU loss on heatmaps: 1 − the mean over all maps of (Σ y·p + ε) / (Σ y² + Σ p² − Σ y·p + ε), ε = 1e-6.

    p = sigmoid(logits), y the map of `heatmap_targets` (official `IoULoss`). A landmark that is not visible has y = 0
    and a quotient near 0, so it keeps the term above 0.

    Args:
        weight: of the term in the sum.

    Example:
        >>> batch = HeadBatch(*[torch.ones(1, 68)] * 8)._replace(landmarks=torch.full((1, 68, 2), 0.5))
        >>> output = HeadOutput(torch.full((1, 68, 16, 16), -9.0), None, None)
        >>> float(SoftIoUHeatmap()(output, batch)) > 0.99
        True
    """

    reads = frozenset({"heatmaps"})
    targets = frozenset({"landmarks", "visible"})

    def forward(self, output: HeadOutput, batch: HeadBatch) -> Tensor:
        predicted, target = _heatmap_pair(output, batch)
        both = (predicted * target).sum((2, 3))
        either = predicted.square().sum((2, 3)) + target.square().sum((2, 3)) - both
        return 1 - ((both + 1e-6) / (either + 1e-6)).mean()


class AdaptiveWingHeatmap(LossTerm):
    """Adaptive wing loss on heatmaps (Wang, Bo, Fuxin, ICCV 2019), named in DAD-3DNet's paper.

    With d = |y − p|, p = sigmoid(logits) and y the map of `heatmap_targets`: ω·ln(1 + (d/ε)^(α−y)) for d < θ, above it
    the linear continuation A·d − C; the mean over all cells, without that paper's weighted loss map.

    Args:
        weight: of the term in the sum.
        omega: ω, the height of the wing.
        theta: θ, the distance above which the loss is linear.
        epsilon: ε, the unit of distance inside the wing.
        alpha: α, above 2, so that the exponent stays above 1 where y = 1.

    Example:
        >>> batch = HeadBatch(*[torch.ones(1, 68)] * 8)._replace(landmarks=torch.full((1, 68, 2), 0.5))
        >>> output = HeadOutput(torch.full((1, 68, 16, 16), -9.0), None, None)
        >>> round(float(AdaptiveWingHeatmap(omega=14.0)(output, batch)), 2)
        0.56
    """

    reads = frozenset({"heatmaps"})
    targets = frozenset({"landmarks", "visible"})

    def __init__(
        self, weight: float = 1.0, omega: float = 14.0, theta: float = 0.5, epsilon: float = 1.0, alpha: float = 2.1
    ) -> None:
        super().__init__(weight)
        if not (omega > 0 and theta > 0 and epsilon > 0 and alpha > 2):
            raise ValueError(
                f"AdaptiveWingHeatmap(omega={omega}, theta={theta}, epsilon={epsilon}, alpha={alpha}): "
                "expected the first three above 0 and alpha above 2."
            )
        self.omega, self.theta, self.epsilon, self.alpha = omega, theta, epsilon, alpha

    def forward(self, output: HeadOutput, batch: HeadBatch) -> Tensor:
        predicted, target = _heatmap_pair(output, batch)
        distance = (predicted - target).abs()
        exponent = self.alpha - target
        ratio = self.theta / self.epsilon
        at_theta = torch.exp(exponent * math.log(ratio))  # (θ/ε)^(α−y)
        slope = self.omega * exponent * at_theta / (1 + at_theta) / self.theta
        line = slope * (distance - self.theta) + self.omega * torch.log1p(at_theta)
        wing = self.omega * torch.log1p((distance / self.epsilon).pow(exponent))
        return torch.where(distance < self.theta, wing, line).mean()


class LandmarkL1(LossTerm):
    """Smooth L1 loss of the landmark branch's points, those not visible set to 0 on both sides.

    The mean over all coordinates in [0, 1], so an error d counts d²/2 (official `LandmarksLossWVisibility`).

    Args:
        weight: of the term in the sum.

    Example:
        >>> points = torch.rand(2, 68, 2)
        >>> batch = HeadBatch(*[torch.ones(2, 68)] * 8)._replace(landmarks=points)
        >>> float(LandmarkL1()(HeadOutput(None, points, None), batch))
        0.0
    """

    reads = frozenset({"landmarks"})
    targets = frozenset({"landmarks", "visible"})

    def __init__(self, weight: float = 100.0) -> None:
        super().__init__(weight)

    def forward(self, output: HeadOutput, batch: HeadBatch) -> Tensor:
        assert output.landmarks is not None
        visible = batch.visible[..., None]
        return F.smooth_l1_loss(output.landmarks * visible, batch.landmarks * visible)


class SubsetLoss(HeadLoss):
    """Base of losses that sum over subsets of the head model's vertices, with a factor each.

    Args:
        subsets: the factor of each subset by name.
        weight: of the term in the sum.
    """

    def __init__(self, subsets: dict[str, float], weight: float) -> None:
        super().__init__(weight)
        if not subsets:
            raise ValueError(f"{type(self).__name__}(subsets={{}}): expected at least one subset, such as face: 1.0.")
        self.subsets = dict(subsets)

    def build(self, head_model: HeadModel) -> None:
        for name in self.subsets:
            self.register_buffer(f"subset_{name}", head_model.subset(name), persistent=False)

    def over_subsets(self, compare: Callable[[Tensor, Tensor], Tensor], predicted: Tensor, target: Tensor) -> Tensor:
        """Return Σ factor · compare(predicted, target) over the subsets of (B, V, D) points."""
        values = []
        for name, factor in self.subsets.items():
            indices = self.get_buffer(f"subset_{name}")
            values.append(factor * compare(predicted[:, indices], target[:, indices]))
        return torch.stack(values).sum()


class VertexLoss(SubsetLoss):
    """Mean squared error of the unrotated vertices, each subset first scaled to a cube (official `Vertices3DLoss`).

    The loss is thereby invariant to position and size.

    Args:
        subsets: the factor of each subset; None: head 0.5, face_with_ears 0.75, face 1 (official).
        weight: of the term in the sum.

    Example:
        >>> VertexLoss(subsets={"face": 1.0}).spec["init_args"]
        {'subsets': {'face': 1.0}, 'weight': 50.0}
    """

    reads = frozenset({"vertices"})
    targets = frozenset({"vertices"})

    def __init__(self, subsets: dict[str, float] | None = None, weight: float = 50.0) -> None:
        super().__init__({"head": 0.5, "face_with_ears": 0.75, "face": 1.0} if subsets is None else subsets, weight)

    def forward(self, output: HeadOutput, batch: HeadBatch) -> Tensor:
        assert output.vertices is not None
        return self.over_subsets(_cube_error, output.vertices, batch.vertices)


class ReprojectionLoss(SubsetLoss):
    """Smooth L1 loss of the projected vertices (official `ReprojectionLoss`).

    In pixels of a crop of 256×256; other crops are scaled to it, so that the weight has the same effect.

    Args:
        subsets: the factor of each subset; None: face 0.5, face_with_ears 0.5 (official).
        weight: of the term in the sum.

    Example:
        >>> ReprojectionLoss().subsets
        {'face': 0.5, 'face_with_ears': 0.5}
    """

    reads = frozenset({"projected"})
    targets = frozenset({"projected", "image"})

    def __init__(self, subsets: dict[str, float] | None = None, weight: float = 0.05) -> None:
        super().__init__({"face": 0.5, "face_with_ears": 0.5} if subsets is None else subsets, weight)

    def forward(self, output: HeadOutput, batch: HeadBatch) -> Tensor:
        assert output.projected is not None
        scale = OFFICIAL_SIZE / batch.image.shape[-1]
        return self.over_subsets(F.smooth_l1_loss, output.projected * scale, batch.projected * scale)


class RotationGeodesic(LossTerm):
    """Mean angle between predicted and true rotation, in radians.

    Args:
        weight: of the term in the sum.

    Example:
        >>> rotation = torch.eye(3)[None]
        >>> batch = HeadBatch(*[rotation] * 8)
        >>> float(RotationGeodesic()(HeadOutput(None, None, None, rotation=rotation), batch)) < 1e-5
        True
    """

    reads = frozenset({"rotation"})
    targets = frozenset({"rotation"})

    def forward(self, output: HeadOutput, batch: HeadBatch) -> Tensor:
        assert output.rotation is not None
        return angle_between(output.rotation, batch.rotation).mean()


def _heatmap_pair(output: HeadOutput, batch: HeadBatch) -> tuple[Tensor, Tensor]:
    """Return predicted and target heatmaps, (B, 68, h, h) in [0, 1]."""
    assert output.heatmaps is not None
    predicted = output.heatmaps.sigmoid()
    return predicted, heatmap_targets(batch.landmarks, batch.visible, predicted.shape[-1])


def _in_cube(vertices: Tensor) -> Tensor:
    """Shift and scale (B, n, 3) so that the longest side of each head's bounding box is from −1 to 1."""
    lowest, highest = vertices.amin(1, keepdim=True), vertices.amax(1, keepdim=True)
    half = (highest - lowest) / 2
    return (vertices - lowest - half) / half.amax(2, keepdim=True)


def _cube_error(predicted: Tensor, target: Tensor) -> Tensor:
    return F.mse_loss(_in_cube(predicted), _in_cube(target))
