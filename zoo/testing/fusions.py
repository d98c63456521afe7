"""The contract of fusions."""

from collections.abc import Sequence

import torch

from zoo.heads.parts import LANDMARKS, Fusion
from zoo.testing.networks import Inputs, NetworkPartContract, check_shape


class FusionContract(NetworkPartContract):
    """Contract tests of a fusion: a pyramid of the backbone's features, and merged features of c4's shape.

    Example:
        >>> from zoo_plugins.fusions import ConcatFusion
        >>> class TestConcatFusion(FusionContract):
        ...     def make(self): return ConcatFusion(channels=8)
        >>> TestConcatFusion().test_works_without_heatmaps()
    """

    slot = "fusions"
    channels: Sequence[int] = (6, 10, 18)
    """Of c2, c3 and c4."""
    heatmaps = LANDMARKS
    """How many there are in the tests of all parts of networks; without any it is tried as well."""
    sizes = ((64, 64), (32, 32), (96, 96))
    """Of the crops; networks of heads take multiples of 32."""

    def build(self, part: Fusion) -> None:
        part.build(self.channels, self.heatmaps)

    def inputs(self, batch: int, size: tuple[int, int]) -> Inputs:
        side = size[0]
        features = [
            torch.rand(batch, count, side // stride, side // stride)
            for count, stride in zip(self.channels, (4, 8, 16), strict=True)
        ]
        drawn = [torch.randn(batch, self.heatmaps, side // 4, side // 4)] if self.heatmaps else []
        return (*features, *drawn)

    def compute(self, part: Fusion, inputs: Inputs) -> Inputs:
        pyramid = part.pyramid(*inputs[:3])
        return (*pyramid, part.merge(inputs[2], pyramid, inputs[3] if len(inputs) > 3 else None))

    def test_a_pyramid_and_merged_features_of_crops_of_any_size(self) -> None:
        part = self.prepare()
        for size in self.sizes:
            c2, c3, c4, *drawn = self.seeded_inputs(2, size)
            *pyramid, merged = self.evaluate(part, (c2, c3, c4, *drawn))
            assert len(pyramid) >= 3, f"{self.name()}'s pyramid has strides 4, 8 and 16; got {len(pyramid)} levels."
            for level, feature in zip(pyramid, (c2, c3, c4), strict=False):
                promise = f"{self.name()}'s pyramid has pyramid_channels={part.pyramid_channels} at the features' sizes"
                check_shape(level, (2, part.pyramid_channels, *feature.shape[2:]), promise)
            check_shape(merged, tuple(c4.shape), f"{self.name()}.merge gives features of c4's shape")

    def test_works_without_heatmaps(self) -> None:
        self.heatmaps = 0
        self.test_a_pyramid_and_merged_features_of_crops_of_any_size()
        self.test_every_parameter_gets_a_gradient()

    def test_gradients_reach_features_and_heatmaps(self) -> None:
        part, given = self.prepare().train(), tuple(value.requires_grad_() for value in self.seeded_inputs(4))
        merged = self.compute(part, given)[-1]
        (merged * torch.linspace(-1, 1, merged.numel()).view_as(merged)).sum().backward()
        lacking = [
            name
            for name, value in zip(("c2", "c3", "c4", "heatmaps"), given, strict=True)
            if value.grad is None or not value.grad.any()
        ]
        assert not lacking, (
            f"what {self.name()}.merge gives depends on {', '.join(lacking)} too; no gradient came there."
        )
