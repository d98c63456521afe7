"""Landmark branches: the 68 landmarks found in the picture itself, beside those of the head mesh.

*Heatmaps* say for each cell of 4×4 pixels how likely a landmark lies in it; the fusion brings them back into the
backbone. *Points* are regressed from the backbone's last features.
"""

from torch import Tensor, nn

from zoo.heads.net import regression_head, start_at
from zoo.heads.parts import LANDMARKS, LandmarkBranch


class PointLandmarks(LandmarkBranch):
    """Points without heatmaps: the fusion works on the backbone's features alone.

    Args:
        width: of the hidden layer.
        dropout: share of the hidden layer that is dropped in training.
    """

    def __init__(self, width: int = 512, dropout: float = 0.3) -> None:
        super().__init__()
        self.width = width
        self.dropout = dropout

    def build(self, pyramid_channels: int, last_channels: int, points: int = LANDMARKS) -> None:
        self.regressor = regression_head(last_channels, self.width, self.dropout, 2 * points)
        # Points are cut off at 0, beyond which no gradient passes: they start in the middle of the crop.
        start_at(self.regressor, 0.5)

    def heatmaps(self, pyramid: list[Tensor]) -> Tensor | None:
        return None

    def points(self, last: Tensor) -> Tensor | None:
        return self.regressor(last).relu().unflatten(1, (-1, 2))


class HeatmapLandmarks(PointLandmarks):
    """Heatmaps and points, as in DAD-3DNet.

    Args:
        width: of the hidden layer of the points.
        dropout: share of that layer that is dropped in training.
    """

    heatmap_count = LANDMARKS

    def __init__(self, width: int = 512, dropout: float = 0.3) -> None:
        super().__init__(width, dropout)

    def build(self, pyramid_channels: int, last_channels: int, points: int = LANDMARKS) -> None:
        super().build(pyramid_channels, last_channels, points)
        self.heatmap = nn.Conv2d(pyramid_channels, points, 3, padding=1)
        assert self.heatmap.bias is not None
        nn.init.zeros_(self.heatmap.bias)  # as in the official code: every cell starts as likely as not

    def heatmaps(self, pyramid: list[Tensor]) -> Tensor | None:
        return self.heatmap(pyramid[0])


class NoLandmarks(LandmarkBranch):
    """Neither heatmaps nor points: landmarks come from the head mesh alone."""

    gives_points = False

    def build(self, pyramid_channels: int, last_channels: int, points: int = LANDMARKS) -> None:
        pass

    def heatmaps(self, pyramid: list[Tensor]) -> Tensor | None:
        return None

    def points(self, last: Tensor) -> Tensor | None:
        return None
