"""The contract of patch selectors."""

import torch

from zoo.matting.parts import PatchSelector
from zoo.testing.networks import Inputs, NetworkPartContract, check_shape


class SelectorContract(NetworkPartContract):
    """Contract tests of a patch selector: a score for every patch of any grid.

    Example:
        >>> from zoo_plugins.selectors import TopK
        >>> class TestTopK(SelectorContract):
        ...     def make(self): return TopK(patches=5)
        >>> TestTopK().test_a_score_for_every_patch_of_any_grid()
    """

    slot = "selectors"
    sizes = ((6, 9), (1, 1), (5, 4))
    """Rows and columns of the grid of patches."""

    def inputs(self, batch: int, size: tuple[int, int]) -> Inputs:
        return (torch.rand(batch, 1, *size),)

    def compute(self, part: PatchSelector, inputs: Inputs) -> Inputs:
        return (part(*inputs),)

    def test_a_score_for_every_patch_of_any_grid(self) -> None:
        part = self.prepare()
        for training in (False, True):
            for size in self.sizes:
                for batch in (1, 2):
                    (score,) = self.evaluate(part.train(training), self.seeded_inputs(batch, size))
                    promise = f"{self.name()}'s score has the shape of the error map, in training={training}"
                    check_shape(score, (batch, 1, *size), promise)
                    assert score.isfinite().all(), f"{self.name()}'s score is finite."

    def test_any_precision_will_do(self) -> None:
        for dtype in (torch.float32, torch.bfloat16, torch.float16):
            for training in (False, True):
                (score,) = self.evaluate(self.prepare().train(training), (self.seeded_inputs()[0].to(dtype),))
                assert score.is_floating_point(), f"{self.name()} scores an error map of {dtype}; got {score.dtype}."

    def test_patches_is_a_number_or_none(self) -> None:
        patches = self.make().patches
        assert patches is None or (type(patches) is int and patches >= 0), (
            f"{self.name()}.patches is how many patches of an image may be refined, or None for all; got {patches!r}."
        )

    def test_says_whether_it_looks_at_the_error(self) -> None:
        part, (error,) = self.prepare(), self.seeded_inputs()
        looks = not torch.equal(*(self.evaluate(part, (given,))[0] for given in (error, 1 - error.flip(-1))))
        assert looks == part.uses_error, (
            f"{self.name()}.uses_error says whether the score depends on the error map, so that a map without "
            f"information can be refused; it is {part.uses_error}, but the score does{'' if looks else ' not'} depend."
        )
