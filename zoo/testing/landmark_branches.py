"""The contract of landmark branches."""

import torch

from zoo.heads.parts import LANDMARKS, LandmarkBranch
from zoo.testing.networks import Inputs, NetworkPartContract, check_shape


class LandmarkBranchContract(NetworkPartContract):
    """Contract tests of a landmark branch: heatmaps and points of the 68 landmarks, as it declares.

    Example:
        >>> from zoo_plugins.landmark_branches import PointLandmarks
        >>> class TestPointLandmarks(LandmarkBranchContract):
        ...     def make(self): return PointLandmarks()
        >>> TestPointLandmarks().test_finds_what_it_says()
    """

    slot = "landmark_branches"
    pyramid_channels = 12
    last_channels = 20
    sizes = ((64, 64), (32, 32), (96, 96))
    """Of the crops; networks of heads take multiples of 32."""

    def build(self, part: LandmarkBranch) -> None:
        part.build(self.pyramid_channels, self.last_channels)

    def inputs(self, batch: int, size: tuple[int, int]) -> Inputs:
        side = size[0]
        pyramid = [torch.rand(batch, self.pyramid_channels, side // stride, side // stride) for stride in (4, 8, 16)]
        return (*pyramid, torch.rand(batch, self.last_channels, side // 32, side // 32))

    def compute(self, part: LandmarkBranch, inputs: Inputs) -> Inputs:
        *pyramid, last = inputs
        found = part.heatmaps(list(pyramid)), part.points(last)
        # An export gives something, even of a branch that finds nothing.
        return tuple(value for value in found if value is not None) or (last,)

    def test_finds_what_it_says(self) -> None:
        part = self.prepare()
        for size in self.sizes:
            *pyramid, last = self.seeded_inputs(2, size)
            with torch.no_grad():
                heatmaps, points = part.heatmaps(pyramid), part.points(last)
            assert part.heatmap_count in (0, LANDMARKS), (
                f"{self.name()}.heatmap_count is 0 or {LANDMARKS}; it is {part.heatmap_count}."
            )
            if part.heatmap_count:
                expected = (2, part.heatmap_count, size[0] // 4, size[1] // 4)
                check_shape(heatmaps, expected, f"{self.name()} says that it gives heatmaps, logits at stride 4")
            else:
                assert heatmaps is None, f"{self.name()} says that it gives no heatmaps; got {type(heatmaps).__name__}."
            if part.gives_points:
                check_shape(points, (2, LANDMARKS, 2), f"{self.name()} says that it gives points")
            else:
                assert points is None, f"{self.name()} says that it gives no points; got {type(points).__name__}."
