"""The contract of refiners."""

import torch
from torch import Tensor

from zoo.matting.parts import PATCH, Coarse, Refiner
from zoo.testing.networks import Inputs, NetworkPartContract, check_close, check_shape


class RefinerContract(NetworkPartContract):
    """Contract tests of a refiner: it recomputes the selected patches and no others.

    Example:
        >>> from zoo_plugins.refiners import PatchRefiner
        >>> class TestPatchRefiner(RefinerContract):
        ...     def make(self): return PatchRefiner()
        >>> TestPatchRefiner().test_results_for_pictures_of_any_size()
    """

    slot = "refiners"
    sizes = ((16, 24), (8, 8), (20, 12))
    """Multiples of 4, as the network makes them for a refiner that `refines`."""
    patches: int | None = 5
    """How many patches of each image may be refined at most, in the tests of all parts of networks."""

    def inputs(self, batch: int, size: tuple[int, int]) -> Inputs:
        height, width = size
        small = (height // 4, width // 4)
        alpha, foreground = torch.rand(batch, 1, *small), torch.rand(batch, 3, *small) - 0.5
        error, hidden = torch.rand(batch, 1, *small), torch.rand(batch, 32, *small)
        score = torch.rand(batch, 1, -(-height // PATCH), -(-width // PATCH)) - 0.3
        return alpha, foreground, error, hidden, torch.rand(batch, 3, *size), torch.rand(batch, 3, *size), score

    def compute(self, part: Refiner, inputs: Inputs) -> Inputs:
        return self.refined(part, inputs, self.patches)

    def refined(self, part: Refiner, inputs: Inputs, patches: int | None) -> Inputs:
        """Call the refiner with a limit."""
        *coarse, source, background, score = inputs
        return part(source, background, Coarse(*coarse), score, patches)

    def test_results_for_pictures_of_any_size(self) -> None:
        part = self.prepare()
        for height, width in self.sizes if part.refines else (*self.sizes, (18, 23)):
            for training in (False, True):
                given = self.seeded_inputs(2, (height, width))
                with torch.no_grad():
                    alpha, foreground, cells = self.compute(part.train(training), given)
                check_shape(alpha, (2, 1, height, width), f"{self.name()} gives alpha at the size of the source")
                check_shape(foreground, (2, 3, height, width), f"{self.name()} gives the foreground's three channels")
                check_shape(cells, tuple(given[-1].shape), f"{self.name()} says of each patch whether it was refined")

    def test_refines_the_highest_scores_above_zero_and_no_others(self) -> None:
        part, given = self.prepare(), self.seeded_inputs()
        score = given[-1]
        for patches in (None, 0, 1, 5, score[0].numel()):
            for training in (False, True):
                with torch.no_grad():
                    *_, cells = self.refined(part.train(training), given, patches)
                expected = highest(score, patches) if part.refines else torch.zeros_like(cells)
                assert torch.equal(cells.bool(), expected.bool()), (
                    f"{self.name()} refines the patches whose score is above 0, of more than patches={patches} the "
                    f"highest of each image; it refined {int(cells.sum())}, expected {int(expected.sum())}."
                )

    def test_alpha_alone_is_the_alpha_that_it_gives(self) -> None:
        part, given = self.prepare(), self.seeded_inputs()
        *coarse, source, background, score = given
        for patches in (None, 0, 5):
            with torch.no_grad():
                alone = part.alpha(source, background, Coarse(*coarse), score, patches)
                alpha, _, cells = self.refined(part, given, patches)
            check_close((alpha, cells), alone, f"{self.name()} gives the same alpha and refined patches alone")

    def test_without_a_limit_it_can_be_exported_too(self) -> None:
        self.patches = None
        self.test_can_be_exported()

    def test_every_parameter_gets_a_gradient_when_no_patch_is_selected(self) -> None:
        for patches in (None, 5):
            part = self.prepare().train()
            *given, score = self.seeded_inputs()
            alpha, foreground, cells = self.refined(part, (*given, torch.zeros_like(score)), patches)
            assert not cells.any(), f"{self.name()} refines no patch whose score is 0; it refined {int(cells.sum())}."
            parameters = dict(part.named_parameters())
            if parameters:
                (alpha.sum() + foreground.sum()).backward()
            lacking = [key for key, value in parameters.items() if value.requires_grad and value.grad is None]
            assert not lacking, (
                f"{self.name()} gives each parameter a gradient even where no patch is selected (patches={patches}), "
                f"as DDP needs it; {lacking} got none."
            )


def highest(score: Tensor, patches: int | None) -> Tensor:
    """The patches of score above 0, at most the highest of each image."""
    ranks = score.flatten(1).argsort(1, descending=True).argsort(1).view_as(score)
    return (score > 0) & (ranks < (score[0].numel() if patches is None else patches))
