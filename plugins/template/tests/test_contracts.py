"""Contract tests of the parts: run `pytest` here after installing the distribution."""

import torch
from zoo_example_parts.losses import LaplacianPyramid
from zoo_example_parts.selectors import MixedPatches

from zoo.testing import MattingLossContract, SelectorContract


class TestMixedPatches(SelectorContract):
    def make(self) -> MixedPatches:
        return MixedPatches(patches=8)

    def test_in_training_the_worst_come_first_and_the_rest_is_drawn(self) -> None:
        error = torch.rand(1, 1, 10, 10)
        score = MixedPatches(patches=8, share=0.5).train()(error)
        assert set(score.flatten().topk(4).indices.tolist()) == set(error.flatten().topk(4).indices.tolist())
        assert score.min() > 0


class TestLaplacianPyramid(MattingLossContract):
    def make(self) -> LaplacianPyramid:
        return LaplacianPyramid(levels=3)
