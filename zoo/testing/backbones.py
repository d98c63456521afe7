"""Contract of backbones."""

from collections.abc import Sequence

import torch

from zoo.core.parts import Backbone
from zoo.testing.networks import Inputs, NetworkPartContract, check_close, check_shape


class BackboneContract(NetworkPartContract):
    """Contract tests of a backbone: features of images of any size at the requested strides.

    Example:
        >>> from zoo_plugins.backbones import TimmBackbone
        >>> class TestTimmBackbone(BackboneContract):
        ...     def make(self): return TimmBackbone("test_efficientnet")
        >>> TestTimmBackbone().test_strides_that_it_lacks_are_refused()
    """

    slot = "backbones"
    in_channels = 6
    strides: Sequence[int] = (2, 4, 8, 16)
    """Those of matting; heads use 3 channels and strides (4, 8, 16, 32), and stop at 16."""
    sizes = ((64, 96), (33, 47), (70, 65))

    def build(self, part: Backbone) -> None:
        part.build(self.in_channels, self.strides)

    def inputs(self, batch: int, size: tuple[int, int]) -> Inputs:
        return (torch.rand(batch, self.in_channels, *size),)

    def compute(self, part: Backbone, inputs: Inputs) -> Inputs:
        return tuple(part(*inputs))

    def test_features_of_images_of_any_size(self) -> None:
        part = self.prepare()
        assert list(part.strides) == list(self.strides), (
            f"{self.name()}.strides are those that were asked for, {list(self.strides)}; got {part.strides}."
        )
        for height, width in self.sizes:
            features = self.evaluate(part, self.seeded_inputs(1, (height, width)))
            assert len(features) == len(self.strides), (
                f"{self.name()} gives a map a stride, finest first; got {len(features)} for {list(self.strides)}."
            )
            for feature, channels, stride in zip(features, part.channels, self.strides, strict=True):
                expected = (1, channels, -(-height // stride), -(-width // stride))
                check_shape(feature, expected, f"{self.name()}'s map at stride {stride} for an image {height}×{width}")

    def test_stops_on_the_way_and_goes_on(self) -> None:
        part, (image,) = self.prepare(), self.seeded_inputs()
        if type(part).until is Backbone.until:  # runs only as a whole, and reports that
            return
        expected = self.evaluate(part, (image,))
        with torch.no_grad():
            first = part.until(image, self.strides[-2])
            check_close(expected[:-1], first, f"{self.name()}.until gives the first features of forward")
            check_close(expected[-1:], (part.last_stage(first[-1]),), f"{self.name()}.last_stage goes on to the last")

    def test_strides_that_it_lacks_are_refused(self) -> None:
        try:
            self.make().build(self.in_channels, (3, 7))
        except ValueError:
            return
        raise AssertionError(f"{self.name()} refuses strides that it has no features at, (3, 7), with a ValueError.")
