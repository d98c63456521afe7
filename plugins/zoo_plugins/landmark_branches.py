"""Landmark branches: predict the 68 landmarks directly, in addition to those of the head mesh.

*Heatmaps* give the probability that a landmark lies in a cell of 4×4 pixels; the fusion merges them into the backbone.
*Points* are regressed from the backbone's last features.
"""

from torch import Tensor, nn

from zoo.heads.net import regression_head, start_at
from zoo.heads.parts import LANDMARKS, LandmarkBranch


class PointLandmarks(LandmarkBranch):
    """Points without heatmaps: the fusion uses the backbone's features alone.

    Args:
        width: of the hidden layer.
        dropout: probability in the hidden layer.

    Example:
        >>> import torch
        >>> branch = PointLandmarks(width=8)
        >>> branch.build(pyramid_channels=4, last_channels=16)
        >>> branch.points(torch.rand(2, 16, 3, 3)).shape
        torch.Size([2, 68, 2])
    """

    def __init__(self, width: int = 512, dropout: float = 0.3) -> None:
        super().__init__()
        self.width = width
        self.dropout = dropout

    def build(self, pyramid_channels: int, last_channels: int, points: int = LANDMARKS) -> None:
        self.regressor = regression_head(last_channels, self.width, self.dropout, 2 * points)
        start_at(self.regressor, 0.5)  # the middle of the crop: a ReLU follows, which has no gradient below 0

    def heatmaps(self, pyramid: list[Tensor]) -> Tensor | None:
        return None

    def points(self, last: Tensor) -> Tensor | None:
        return self.regressor(last).relu().unflatten(1, (-1, 2))


class HeatmapLandmarks(PointLandmarks):
    """Heatmaps and points, as in DAD-3DNet.

    Args:
        width: of the hidden layer of the points.
        dropout: probability in that layer.

    Example:
        >>> import torch
        >>> branch = HeatmapLandmarks(width=8)
        >>> branch.build(pyramid_channels=4, last_channels=16)
        >>> branch.heatmaps([torch.rand(2, 4, 12, 12)]).shape
        torch.Size([2, 68, 12, 12])
    """

    heatmap_count = LANDMARKS

    def build(self, pyramid_channels: int, last_channels: int, points: int = LANDMARKS) -> None:
        super().build(pyramid_channels, last_channels, points)
        self.heatmap = nn.Conv2d(pyramid_channels, points, 3, padding=1)
        assert self.heatmap.bias is not None
        nn.init.zeros_(self.heatmap.bias)  # as in the official code: probability ½ in every cell

    def heatmaps(self, pyramid: list[Tensor]) -> Tensor | None:
        return self.heatmap(pyramid[0])


class NoLandmarks(LandmarkBranch):
    """Neither heatmaps nor points: landmarks come from the head mesh alone.

    Example:
        >>> NoLandmarks().gives_points, NoLandmarks().heatmap_count
        (False, 0)
    """

    gives_points = False

    def build(self, pyramid_channels: int, last_channels: int, points: int = LANDMARKS) -> None:
        pass

    def heatmaps(self, pyramid: list[Tensor]) -> Tensor | None:
        return None

    def points(self, last: Tensor) -> Tensor | None:
        return None
