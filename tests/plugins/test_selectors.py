"""Patch selectors: the scoring contract, and what each of them selects."""

import pytest
import torch
from torch import Tensor
from zoo_plugins.selectors import AllPatches, GridPatches, NoPatches, RandomPatches, Threshold, TopK

from zoo.matting.parts import PatchSelector, select

SELECTORS = [TopK(5), TopK(5, fixed_count=True), Threshold(0.5), RandomPatches(5), AllPatches(), NoPatches()]


def error_map(batch: int = 2, rows: int = 6, columns: int = 9) -> Tensor:
    return torch.rand(batch, 1, rows, columns, generator=torch.Generator().manual_seed(0))


def selected(selector: PatchSelector, error: Tensor) -> Tensor:
    return select(selector(error), selector.patches)


def test_only_selectors_that_rank_by_error_say_so() -> None:
    assert [selector.uses_error for selector in SELECTORS] == [True, True, True, False, False, False]
    assert [selector.patches for selector in SELECTORS] == [5, 5, None, 5, None, 0]


def test_top_k_selects_the_largest_errors_of_each_image() -> None:
    error = error_map()
    for image, cells in zip(error, selected(TopK(5), error), strict=True):
        assert cells.sum() == 5
        assert image[cells].min() > image[~cells].max()


def test_top_k_leaves_out_patches_without_error() -> None:
    error = torch.zeros(1, 1, 3, 4)
    error[0, 0, 1, 2] = 0.1
    assert selected(TopK(5), error).nonzero().tolist() == [[0, 0, 1, 2]]


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_top_k_with_a_fixed_count_selects_exactly_k_also_without_error(dtype: torch.dtype) -> None:
    error = torch.zeros(2, 1, 3, 4, dtype=dtype)
    error[0, 0, 1, 2] = 0.1
    cells = selected(TopK(5, fixed_count=True), error)
    assert cells.sum((1, 2, 3)).tolist() == [5, 5]
    assert cells[0, 0, 1, 2]


def test_threshold_is_strict_and_has_no_limit() -> None:
    error = torch.tensor([[[[0.25, 0.5, 0.5001], [0.0, 1.0, 0.4999]]]])
    assert selected(Threshold(0.5), error).int().tolist() == [[[[0, 0, 1], [0, 1, 0]]]]


def test_all_and_no_patches() -> None:
    assert selected(AllPatches(), error_map()).all()
    assert not selected(NoPatches(), error_map()).any()


# Random patches


@pytest.mark.parametrize("patches", [0, 1, 17, 54])
@pytest.mark.parametrize("training", [True, False])
def test_random_patches_selects_the_exact_count_in_every_image(patches: int, training: bool) -> None:
    selector = RandomPatches(patches).train(training)
    assert selected(selector, error_map(3)).sum((1, 2, 3)).tolist() == [patches] * 3


def test_random_patches_are_the_same_for_every_image_of_a_size_in_evaluation() -> None:
    selector = RandomPatches(7).eval()
    first, second = selector(error_map(2)), selector(torch.zeros(2, 1, 6, 9))
    assert torch.equal(first, second)
    assert torch.equal(first[0], first[1])
    assert torch.equal(first, RandomPatches(7).eval()(error_map(2)))


def test_random_patches_scores_lie_above_zero_and_up_to_one() -> None:
    for training in (True, False):
        score = RandomPatches().train(training)(torch.zeros(1, 1, 512, 512))
        assert score.min() > 0
        assert score.max() <= 1


def test_another_seed_selects_other_random_patches() -> None:
    error = torch.zeros(1, 1, 40, 40)
    choices = [selected(RandomPatches(400, seed).eval(), error) for seed in range(4)]
    for index, one in enumerate(choices):
        for other in choices[:index]:
            assert 50 < (one & other).sum() < 150  # 100 are expected of two independent choices of 400 among 1600


def test_random_patches_in_evaluation_are_spread_evenly() -> None:
    cells = selected(RandomPatches(1600).eval(), torch.zeros(1, 1, 80, 80))[0, 0].float()
    blocks = cells.view(4, 20, 4, 20).sum((1, 3))  # 100 expected in each, standard deviation 8.4
    assert blocks.min() > 65
    assert blocks.max() < 135
    assert (cells[:-1] * cells[1:]).mean() == pytest.approx(1 / 16, abs=0.012)  # neighbours are independent
    assert (cells[:, :-1] * cells[:, 1:]).mean() == pytest.approx(1 / 16, abs=0.012)


def test_random_patches_differ_between_images_and_steps_in_training() -> None:
    selector, error = RandomPatches(200).train(), torch.zeros(2, 1, 40, 40)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        first, second = selected(selector, error), selected(selector, error)
        torch.manual_seed(0)
        assert torch.equal(selected(selector, error), first)
    assert not torch.equal(first[0], first[1])
    assert not torch.equal(first, second)


@pytest.mark.parametrize(
    ("rows", "columns", "patches", "count"),
    [
        (270, 480, 5000, 4982),
        (6, 9, 5, 5),
        (1, 7, 3, 3),
        (40, 40, 1600, 1600),
        (4, 4, 99, 16),
        (6, 9, 1, 1),
        (6, 9, 0, 0),
    ],
)
def test_grid_patches_are_evenly_spaced_and_as_many_as_fit(rows: int, columns: int, patches: int, count: int) -> None:
    cells = selected(GridPatches(patches), error_map(1, rows, columns))[0, 0]
    assert cells.sum() == count
    for dimension in (0, 1) if count else ():
        steps = cells.any(dimension).nonzero().flatten().diff()
        assert not len(steps) or steps.max() - steps.min() <= 1
        filled = cells.sum(dimension)
        assert set(filled.tolist()) <= {0, int(filled.max())}


@pytest.mark.parametrize("selector", [TopK, RandomPatches, GridPatches])
def test_a_negative_number_of_patches_is_refused(selector: type) -> None:
    with pytest.raises(ValueError, match=rf"{selector.__name__}\(patches=-1\): expected patches ≥ 0\."):
        selector(-1)
