"""The contract of error maps."""

import torch

from zoo.matting.parts import Coarse, ErrorMap
from zoo.testing.networks import Inputs, NetworkPartContract


class ErrorMapContract(NetworkPartContract):
    """Contract tests of an error map: values ≥ 0 in one channel, for images of any size.

    Example:
        >>> from zoo_plugins.error_maps import AlphaUncertainty
        >>> class TestAlphaUncertainty(ErrorMapContract):
        ...     def make(self): return AlphaUncertainty()
        >>> TestAlphaUncertainty().test_a_map_for_pictures_of_any_size()
    """

    slot = "error_maps"

    @property
    def trains(self) -> bool:  # type: ignore[override]
        """A map that reads the true alpha refuses training."""
        return not type(self.make()).needs_target

    def inputs(self, batch: int, size: tuple[int, int]) -> Inputs:
        height, width = size
        small = (max(height // 4, 1), max(width // 4, 1))
        alpha, foreground = torch.rand(batch, 1, *small), torch.rand(batch, 3, *small) - 0.5
        error, hidden = torch.rand(batch, 1, *small), torch.rand(batch, 32, *small)
        return (alpha, foreground, error, hidden, torch.rand(batch, 3, *size), torch.rand(batch, 3, *size),
                torch.rand(batch, 1, *size))  # fmt: skip

    def compute(self, part: ErrorMap, inputs: Inputs) -> Inputs:
        *coarse, source, background, target = inputs
        return (part(Coarse(*coarse), source, background, target if part.needs_target else None),)

    def test_a_map_for_pictures_of_any_size(self) -> None:
        part = self.prepare()
        for size in self.sizes:
            (error,) = self.evaluate(part, self.seeded_inputs(2, size))
            got = tuple(error.shape)
            assert error.ndim == 4 and got[:2] == (2, 1), (  # noqa: PT018
                f"{self.name()} gives a map (B, 1, h, w); got shape {got} for pictures of {size}."
            )
            assert error.isfinite().all(), f"{self.name()}'s map is finite."
            assert error.min() >= 0, f"{self.name()}'s map is never negative; got {error.min():.3g}."

    def test_says_whether_it_knows_anything(self) -> None:
        part = self.prepare()
        one, other = (self.evaluate(part, self.seeded_inputs(seed=seed))[0] for seed in (1, 2))
        varies = not torch.equal(one, other)
        assert varies == part.informative, (
            f"{self.name()}.informative says whether the map ranks patches, since selectors that rank by error refuse "
            f"one that does not; it is {part.informative}, but the map does{'' if varies else ' not'} vary."
        )

    def test_what_needs_the_true_alpha_refuses_training_and_its_absence(self) -> None:
        part = self.prepare()
        if not part.needs_target:
            return
        *coarse, source, background, target = self.seeded_inputs()
        for given, training in ((target, True), (None, False)):
            try:
                part.train(training)(Coarse(*coarse), source, background, given)
            except ValueError:
                continue
            what = "training" if training else "a missing target"
            raise AssertionError(f"{self.name()} needs the true alpha, so it refuses {what} with a ValueError.")
