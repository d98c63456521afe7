"""Hints made from the true alpha, in training and in evaluation."""

from typing import Any

import pytest
import torch
from torch import Tensor
from zoo_plugins.augmentations.guides import AlphaGuide, GuideBlur, GuideGrowth, GuideHoles, GuideShift, grown
from zoo_plugins.datasets.synthetic import SyntheticMattes

from zoo.core.seeding import RandomStream
from zoo.matting.compose import apply_augmentations, augment_together
from zoo.matting.data import EvaluationSamples, EvaluationSet, TrainingSamples, collate
from zoo.matting.parts import MattingAugmentation, MattingBatch
from zoo.training.sampling import SampleKey

FLAWS: dict[str, Any] = {
    "growth": lambda **settings: GuideGrowth(growth=(0.1, 0.2), **settings),
    "shrinking": lambda **settings: GuideGrowth(growth=(-0.2, -0.1), **settings),
    "blur": lambda **settings: GuideBlur(radius=0.5, **settings),
    "holes": lambda **settings: GuideHoles("foreground", fraction=0.5, **settings),
    "islands": lambda **settings: GuideHoles("background", fraction=0.5, **settings),
    "shift": lambda **settings: GuideShift(translate=0.2, **settings),
}


def batch_with(hint: Tensor | None, count: int = 4) -> MattingBatch:
    image, alpha = torch.rand(count, 3, 40, 56), torch.zeros(count, 1, 40, 56)
    alpha[:, :, 10:30, 20:40] = 1
    return MattingBatch(image, image, alpha, image, seed=torch.arange(count), hint=alpha if hint is None else hint)


def spoilt(step: MattingAugmentation, batch: MattingBatch) -> Tensor:
    hint = step(batch, RandomStream(batch.seed, "step")).hint
    assert hint is not None
    return hint


@pytest.mark.parametrize("name", FLAWS)
def test_a_flaw_spoils_the_hint_alone_and_is_switched_off_by_probability(name: str) -> None:
    batch = batch_with(None)
    assert FLAWS[name](probability=0.0)(batch, RandomStream(batch.seed, "step")) is batch
    after = FLAWS[name](probability=1.0)(batch, RandomStream(batch.seed, "step"))
    assert (after.hint != batch.hint).flatten(1).any(1).all()
    assert after._replace(hint=None) == batch._replace(hint=None)


@pytest.mark.parametrize("name", FLAWS)
def test_a_missing_hint_stays_missing(name: str) -> None:
    unknown, step = torch.full((4, 1, 40, 56), 0.5), FLAWS[name](probability=1.0)
    torch.testing.assert_close(spoilt(step, batch_with(unknown)), unknown)
    without = batch_with(None)._replace(hint=None)
    assert step(without, RandomStream(without.seed, "step")).hint is None


def test_growth_and_shrinking_move_the_outline_by_their_length() -> None:
    square = torch.zeros(2, 1, 9, 9)
    square[:, :, 3:6, 3:6] = 1
    assert grown(square, [1, -1]).sum((1, 2, 3)).tolist() == [25, 1]
    batch = batch_with(None)
    assert spoilt(GuideGrowth(1.0, growth=(2 / 56, 2 / 56)), batch).sum() == 4 * 24 * 24
    assert spoilt(GuideGrowth(1.0, growth=(-2 / 56, -2 / 56)), batch).sum() == 4 * 16 * 16


def test_holes_lie_in_the_foreground_and_islands_in_the_background() -> None:
    batch = batch_with(None)
    inside, change = batch.alpha > 0.5, {side: spoilt(GuideHoles(side, 1.0, 0.5), batch) for side in
                                         ("foreground", "background")}  # fmt: skip
    assert torch.equal(change["foreground"][~inside], torch.zeros(4 * (40 * 56 - 400)))
    assert torch.equal(change["background"][inside], torch.ones(4 * 400))


def test_some_samples_get_their_alpha_and_the_others_no_hint() -> None:
    batch = batch_with(None, count=200)._replace(hint=None)
    hints = spoilt(AlphaGuide(0.7), batch)
    given = (hints == batch.alpha).flatten(1).all(1)
    assert 0.6 < given.float().mean() < 0.8
    assert torch.equal(hints[~given], torch.full_like(hints[~given], 0.5))
    assert AlphaGuide(0.0)(batch, RandomStream(batch.seed, "step")).hint is None


STEPS = {"guide": AlphaGuide(0.8), "growth": GuideGrowth(), "blur": GuideBlur(), "holes": GuideHoles("foreground", 0.5)}


def test_the_hint_depends_on_seed_epoch_and_sample_alone() -> None:
    def hints(epoch: int, *samples: int) -> Tensor:
        dataset = TrainingSamples(SyntheticMattes(count=3, size=32), canvas=32, seed=1)
        batch = collate([dataset[SampleKey(epoch, sample)] for sample in samples])
        augmented = apply_augmentations(batch, STEPS, crop=(24, 25))
        together = augment_together(batch, batch.seed.tolist(), STEPS, (24, 24))  # as on accelerators
        torch.testing.assert_close(augmented.hint, together.hint)
        assert augmented.hint.shape == augmented.alpha.shape
        return augmented.hint

    first = hints(0, 0, 1, 2)
    assert torch.equal(first[1:2], hints(0, 1))
    assert not torch.equal(first, hints(1, 0, 1, 2))


def test_without_steps_there_is_no_hint() -> None:
    dataset = SyntheticMattes(count=1, size=32)
    batch = collate([TrainingSamples(dataset, canvas=32, seed=1)[SampleKey(0, 0)]])
    assert apply_augmentations(batch, {}).hint is None
    assert EvaluationSamples(EvaluationSet(dataset))[0].hint is None


def test_an_evaluation_set_has_the_same_hints_in_every_run(monkeypatch: pytest.MonkeyPatch) -> None:
    dataset, results = SyntheticMattes(count=2, size=32), []
    for seed in ("1", "2"):
        monkeypatch.setenv("PL_GLOBAL_SEED", seed)
        results.append([EvaluationSamples(EvaluationSet(dataset, hint=STEPS))[index].hint for index in range(2)])
    assert all(map(torch.equal, *results))
    assert results[0][0].shape == (1, 32, 32)
    with pytest.raises(ValueError, match="steps GuideBlur of an evaluation set make no hint: begin with AlphaGuide"):
        EvaluationSamples(EvaluationSet(dataset, hint={"blur": GuideBlur()}))[0]
