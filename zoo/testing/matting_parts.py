"""Contracts of the parts of matting networks: guides, contexts, error maps, patch selectors, refiners."""

import torch
from torch import Tensor

from zoo.matting.parts import PATCH, Coarse, Context, ErrorMap, Guide, PatchSelector, Refiner
from zoo.testing.networks import Inputs, NetworkPartContract, check_close, check_shape
from zoo.testing.parts import run_seed


class GuideContract(NetworkPartContract):
    """Contract tests of a guide: a mask in [0, 1] for images of any size, or none at all.

    Example:
        >>> from zoo_plugins.guides import MaskGuide
        >>> class TestMaskGuide(GuideContract):
        ...     def make(self): return MaskGuide()
        >>> TestMaskGuide().test_a_mask_for_images_of_any_size()
    """

    slot = "guides"
    sizes = ((32, 48), (33, 47), (8, 12))

    @property
    def exported(self) -> bool:  # type: ignore[override]
        """Whether there is anything to export."""
        return type(self.make()).channels > 0

    def inputs(self, batch: int, size: tuple[int, int]) -> Inputs:
        images = torch.rand(batch, 3, *size), torch.rand(batch, 1, *size)
        return images if type(self.make()).needs_hint else images[:1]

    def compute(self, part: Guide, inputs: Inputs) -> Inputs:
        mask = part(*inputs)
        return () if mask is None else (mask,)

    def test_a_mask_for_images_of_any_size(self) -> None:
        part = self.prepare()
        assert part.channels in (0, 1), f"{self.name()}.channels is 1, or 0 for no mask; got {part.channels}."
        for size in self.sizes:
            source, hint = self.seeded_inputs(2, size)[0], torch.rand(2, 1, *size, dtype=torch.double)
            for inputs in ((source, hint),) if part.needs_hint else ((source,), (source, hint)):
                masks = self.evaluate(part, inputs)
                assert len(masks) == part.channels, f"{self.name()} gives {part.channels} masks; got {len(masks)}."
                for mask in masks:
                    got = tuple(mask.shape)
                    assert mask.ndim == 4 and got[:2] == (2, 1), (  # noqa: PT018
                        f"{self.name()} gives a mask (B, 1, h, w); got shape {got} for images of {size}."
                    )
                    assert 0 <= mask.min() <= mask.max() <= 1, f"{self.name()}'s mask lies in [0, 1]."

    def test_half_precision_will_do(self) -> None:
        for dtype in (torch.bfloat16, torch.float16):
            masks = self.evaluate(self.prepare().to(dtype), tuple(image.to(dtype) for image in self.seeded_inputs()))
            assert all(mask.isfinite().all() for mask in masks), f"{self.name()} computes in {dtype}."

    def test_what_needs_a_hint_refuses_its_absence(self) -> None:
        part = self.prepare()
        if part.needs_hint:
            try:
                part(self.seeded_inputs()[0])
            except ValueError:
                return
            raise AssertionError(f"{self.name()} needs a hint, so it refuses its absence with a ValueError.")

    def test_keeps_nothing_in_checkpoints(self) -> None:
        part = self.prepare()
        saved = [*part.state_dict(), *(name for name, _ in part.named_parameters())]
        assert not saved, f"{self.name()} is not trained and saves nothing: make {saved} non-persistent buffers."


class ContextContract(NetworkPartContract):
    """Contract tests of a context: features of the same size, for features of any size.

    Example:
        >>> from zoo_plugins.contexts import NoContext
        >>> class TestNoContext(ContextContract):
        ...     def make(self): return NoContext(width=8)
        >>> TestNoContext().test_features_of_the_same_size()
    """

    slot = "contexts"
    in_channels = 6
    sizes = ((6, 9), (1, 1), (5, 4))
    """Heights and widths of the backbone's coarsest features."""

    def build(self, part: Context) -> None:
        part.build(self.in_channels)

    def inputs(self, batch: int, size: tuple[int, int]) -> Inputs:
        return (torch.rand(batch, self.in_channels, *size),)

    def compute(self, part: Context, inputs: Inputs) -> Inputs:
        return (part(*inputs),)

    def test_features_of_the_same_size(self) -> None:
        part = self.prepare()
        for size in self.sizes:
            (features,) = self.evaluate(part, self.seeded_inputs(2, size))
            check_shape(
                features, (2, part.channels, *size), f"{self.name()} gives `channels` features of the same size"
            )

    def test_the_spec_is_the_same_once_built(self) -> None:
        part, built = self.make(), self.prepare()
        assert built.spec == part.spec, f"{self.name()}'s spec does not depend on what it was built for; {built.spec}."


class ErrorMapContract(NetworkPartContract):
    """Contract tests of an error map: values ≥ 0 in one channel, for images of any size.

    Example:
        >>> from zoo_plugins.error_maps import AlphaUncertainty
        >>> class TestAlphaUncertainty(ErrorMapContract):
        ...     def make(self): return AlphaUncertainty()
        >>> TestAlphaUncertainty().test_a_map_for_images_of_any_size()
    """

    slot = "error_maps"

    @property
    def trains(self) -> bool:  # type: ignore[override]
        """Whether training is possible: not for a map that reads the true alpha."""
        return not type(self.make()).needs_target

    def inputs(self, batch: int, size: tuple[int, int]) -> Inputs:
        return (*random_inputs(batch, size), torch.rand(batch, 1, *size))

    def compute(self, part: ErrorMap, inputs: Inputs) -> Inputs:
        *coarse, source, background, target = inputs
        return (part(Coarse(*coarse), source, background, target if part.needs_target else None),)

    def test_a_map_for_images_of_any_size(self) -> None:
        part = self.prepare()
        for size in self.sizes:
            (error,) = self.evaluate(part, self.seeded_inputs(2, size))
            got = tuple(error.shape)
            assert error.ndim == 4 and got[:2] == (2, 1), (  # noqa: PT018
                f"{self.name()} gives a map (B, 1, h, w); got shape {got} for images of {size}."
            )
            assert error.isfinite().all(), f"{self.name()}'s map is finite."
            assert error.min() >= 0, f"{self.name()}'s map is never negative; got {error.min():.3g}."

    def test_says_whether_it_needs_the_background(self) -> None:
        part = self.prepare()
        if part.needs_background:
            return
        *coarse, source, _, target = self.seeded_inputs()
        try:
            with torch.no_grad():
                part(Coarse(*coarse), source, None, target if part.needs_target else None)
        except Exception as error:
            raise AssertionError(
                f"{self.name()}.needs_background is False, so it does without a background; {error!r}."
            ) from error

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
        for truth, training in ((target, True), (None, False)):
            try:
                part.train(training)(Coarse(*coarse), source, background, truth)
            except ValueError:
                continue
            use = "training" if training else "a missing target"
            raise AssertionError(f"{self.name()} needs the true alpha, so it refuses {use} with a ValueError.")


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
        depends = not torch.equal(*(self.evaluate(part, (one,))[0] for one in (error, 1 - error.flip(-1))))
        assert depends == part.uses_error, (
            f"{self.name()}.uses_error says whether the score depends on the error map, so that a map without "
            f"information can be refused; it is {part.uses_error}, but it does{'' if depends else ' not'} depend."
        )


class RefinerContract(NetworkPartContract):
    """Contract tests of a refiner: it recomputes the selected patches and no others.

    Example:
        >>> from zoo_plugins.refiners import PatchRefiner
        >>> class TestPatchRefiner(RefinerContract):
        ...     def make(self): return PatchRefiner()
        >>> TestPatchRefiner().test_results_for_images_of_any_size()
    """

    slot = "refiners"
    sizes = ((16, 24), (8, 8), (20, 12))
    """Multiples of 4, to which the network pads for a refiner that `refines`."""
    patches: int | None = 5
    """Largest number of refined patches per image, in the tests of all parts of networks."""

    def inputs(self, batch: int, size: tuple[int, int]) -> Inputs:
        return (*random_inputs(batch, size), torch.rand(batch, 1, *(-(-side // PATCH) for side in size)) - 0.3)

    def compute(self, part: Refiner, inputs: Inputs) -> Inputs:
        return self.refine(part, inputs, self.patches)

    def refine(self, part: Refiner, inputs: Inputs, patches: int | None) -> Inputs:
        """Call the refiner with a limit on the patches."""
        *coarse, source, background, score = inputs
        return part(source, background, Coarse(*coarse), score, patches)

    def test_results_for_images_of_any_size(self) -> None:
        part = self.prepare()
        for height, width in self.sizes if part.refines else (*self.sizes, (18, 23)):
            for training in (False, True):
                inputs = self.seeded_inputs(2, (height, width))
                with torch.no_grad():
                    alpha, foreground, cells = self.compute(part.train(training), inputs)
                check_shape(alpha, (2, 1, height, width), f"{self.name()} gives alpha at the size of the source")
                check_shape(foreground, (2, 3, height, width), f"{self.name()} gives the foreground's three channels")
                check_shape(cells, tuple(inputs[-1].shape), f"{self.name()} says of each patch whether it was refined")

    def test_refines_the_highest_scores_above_zero_and_no_others(self) -> None:
        part, inputs = self.prepare(), self.seeded_inputs()
        score = inputs[-1]
        for patches in (None, 0, 1, 5, score[0].numel()):
            for training in (False, True):
                with torch.no_grad():
                    *_, cells = self.refine(part.train(training), inputs, patches)
                expected = top_patches(score, patches) if part.refines else torch.zeros_like(cells)
                assert torch.equal(cells.bool(), expected.bool()), (
                    f"{self.name()} refines the patches whose score is above 0, of more than patches={patches} the "
                    f"highest of each image; it refined {int(cells.sum())}, expected {int(expected.sum())}."
                )

    def test_alpha_alone_is_the_alpha_that_it_gives(self) -> None:
        part, inputs = self.prepare(), self.seeded_inputs()
        *coarse, source, background, score = inputs
        for patches in (None, 0, 5):
            with torch.no_grad():
                alone = part.alpha(source, background, Coarse(*coarse), score, patches)
                alpha, _, cells = self.refine(part, inputs, patches)
            check_close((alpha, cells), alone, f"{self.name()} gives the same alpha and refined patches alone")

    def test_without_background_it_computes_or_refuses(self) -> None:
        with run_seed(0):
            part = self.make()
            try:
                part.leave_out_background()
            except ValueError:
                return
            part.double().eval()
        *coarse, source, _, score = self.seeded_inputs()
        results = {}
        for mode in (True, False):  # by a fast path, or by one with gradients
            with torch.inference_mode(mode):
                results[mode] = part(source, None, Coarse(*coarse), score, self.patches)
        check_shape(results[True][0], (2, 1, *self.sizes[0]), f"{self.name()} gives alpha without a background too")
        check_close(results[True], results[False], f"{self.name()}'s paths agree without a background")

    def test_without_a_limit_it_can_be_exported_too(self) -> None:
        self.patches = None
        self.test_can_be_exported()

    def test_every_parameter_gets_a_gradient_when_no_patch_is_selected(self) -> None:
        for patches in (None, 5):
            part = self.prepare().train()
            *others, score = self.seeded_inputs()
            alpha, foreground, cells = self.refine(part, (*others, torch.zeros_like(score)), patches)
            assert not cells.any(), f"{self.name()} refines no patch whose score is 0; it refined {int(cells.sum())}."
            parameters = dict(part.named_parameters())
            if parameters:
                (alpha.sum() + foreground.sum()).backward()
            lacking = [key for key, value in parameters.items() if value.requires_grad and value.grad is None]
            assert not lacking, (
                f"{self.name()} gives each parameter a gradient even where no patch is selected (patches={patches}), "
                f"as DDP needs it; {lacking} got none."
            )


def random_inputs(batch: int, size: tuple[int, int]) -> Inputs:
    """Return the four coarse maps at a quarter of the size, source and background."""
    small = [max(side // 4, 1) for side in size]
    alpha, foreground = torch.rand(batch, 1, *small), torch.rand(batch, 3, *small) - 0.5
    error, hidden = torch.rand(batch, 1, *small), torch.rand(batch, 32, *small)
    return alpha, foreground, error, hidden, torch.rand(batch, 3, *size), torch.rand(batch, 3, *size)


def top_patches(score: Tensor, patches: int | None) -> Tensor:
    """Return a mask of the patches with a score above 0, of each image at most the `patches` highest."""
    ranks = score.flatten(1).argsort(1, descending=True).argsort(1).view_as(score)
    return (score > 0) & (ranks < (score[0].numel() if patches is None else patches))
