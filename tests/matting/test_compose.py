"""From cut-outs and backgrounds to training batches: canvas, crop, order of the steps, compositing."""

from typing import Any

import pytest
import torch
from torch import Tensor
from zoo_plugins.augmentations.blur import BoxBlur, Sharpen
from zoo_plugins.augmentations.capture import BackgroundAffine, SensorNoise, Shadow
from zoo_plugins.augmentations.colour import BackgroundJitter, ColourJitter
from zoo_plugins.augmentations.geometry import HorizontalFlip, RandomAffine

from zoo.core.parts import Augmentation
from zoo.core.seeding import RandomStream
from zoo.matting.compose import apply_augmentations, augment_together, composite, fit_canvas
from zoo.matting.parts import MattingBatch


class Add(Augmentation):
    """Adds a drawn amount to one picture, and notes it."""

    def __init__(self, phase: str, picture: str, log: list[tuple[str, float]] | None = None) -> None:
        super().__init__()
        self.phase, self.picture, self.log = phase, picture, log  # type: ignore[assignment]

    def forward(self, batch: Any, draws: RandomStream) -> Any:
        amount = draws.uniform(0.1, 0.2)
        if self.log is not None:
            self.log.append((self.picture, float(amount[0])))
        return batch._replace(**{self.picture: getattr(batch, self.picture) + amount.view(-1, 1, 1, 1)})


def make_batch(seeds: list[int], size: int = 16) -> MattingBatch:
    generator = torch.Generator().manual_seed(0)
    pictures = [torch.rand(len(seeds), channels, size, size, generator=generator) for channels in (3, 1, 3)]
    return MattingBatch(pictures[0], pictures[0], pictures[1], pictures[2], seed=torch.tensor(seeds))


def cropped_to(batch: MattingBatch, sides: tuple[int, ...]) -> MattingBatch:
    """The batch without augmentations, cropped to a random size."""
    return apply_augmentations(batch, {}, crop=sides)


def test_composite_by_hand() -> None:
    foreground = torch.tensor([1.0, 0.5, 0.0]).view(1, 3, 1, 1).expand(1, 3, 1, 3)
    background = torch.tensor([0.0, 0.5, 1.0]).view(1, 3, 1, 1).expand(1, 3, 1, 3)
    alpha = torch.tensor([0.0, 0.25, 1.0]).view(1, 1, 1, 3)
    expected = torch.tensor([[0.0, 0.25, 1.0], [0.5, 0.5, 0.5], [1.0, 0.75, 0.0]]).view(1, 3, 1, 3)
    torch.testing.assert_close(composite(foreground, alpha, background), expected)


# Canvas


def test_a_matte_lies_whole_in_the_middle_of_its_canvas() -> None:
    canvas = fit_canvas(torch.ones(1, 9, 16), 32, "inside")
    assert canvas.shape == (1, 32, 32)
    assert torch.equal(canvas[0, 7:25], torch.ones(18, 32))
    assert canvas.sum() == 18 * 32


@pytest.mark.parametrize("size", [(9, 16), (16, 9), (8, 8), (100, 7), (1, 300)])
def test_a_background_covers_its_canvas(size: tuple[int, int]) -> None:
    assert torch.equal(fit_canvas(torch.ones(3, *size), 32, "cover"), torch.ones(3, 32, 32))


def test_a_background_is_cut_in_the_middle() -> None:
    stripes = torch.arange(16.0).expand(3, 8, 16)
    assert torch.equal(fit_canvas(stripes, 8, "cover")[0, 0], torch.arange(4.0, 12.0))


def test_the_canvas_keeps_the_type_of_the_picture() -> None:
    white = torch.full((3, 7, 5), 255, dtype=torch.uint8)
    canvas = fit_canvas(white, 12, "cover")
    assert canvas.dtype == torch.uint8
    assert canvas.min() == 255


def test_bad_pictures_and_words_are_refused() -> None:
    with pytest.raises(ValueError, match="0x4 pixels"):
        fit_canvas(torch.ones(3, 4, 0), 8, "cover")
    with pytest.raises(ValueError, match="'stretch': expected 'inside'"):
        fit_canvas(torch.ones(3, 4, 4), 8, "stretch")  # type: ignore[arg-type]


def test_bytes_shrink_as_floats_do() -> None:
    picture = torch.randint(0, 256, (3, 37, 53), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    for image in (picture, picture.permute(1, 2, 0).contiguous().permute(2, 0, 1)):  # as files have them, too
        canvas = fit_canvas(image, 20, "inside")
        assert (canvas.float() - fit_canvas(picture.float(), 20, "inside")).abs().max() <= 1


# Crop


def test_crops_are_multiples_of_four_within_the_range_and_sides_are_independent() -> None:
    sizes = [cropped_to(make_batch([seed], size=8), (12, 36)).alpha.shape[2:] for seed in range(300)]
    heights, widths = ({size[axis] for size in sizes} for axis in (0, 1))
    assert heights == widths == {12, 16, 20, 24, 28, 32}
    assert len(set(sizes)) == 36


def test_one_crop_for_the_batch_drawn_by_its_first_sample() -> None:
    alone, batch = make_batch([7]), make_batch([7, 8, 9])
    cropped = cropped_to(batch, (8, 16))
    assert cropped.alpha.shape[2:] == cropped_to(alone, (8, 16)).alpha.shape[2:]
    assert (
        cropped.source.shape == cropped.background.shape == cropped.foreground.shape == (3, 3, *cropped.alpha.shape[2:])
    )
    assert all(torch.equal(a, b) for a, b in zip(cropped[:4], cropped_to(batch, (8, 16))[:4], strict=True))


def test_the_crop_resizes_to_cover_and_keeps_the_middle() -> None:
    ramp = torch.linspace(-1, 1, 65)[:-1] + 1 / 64
    picture = ramp.expand(1, 1, 64, 64)
    batch = make_batch([0], size=64)._replace(alpha=picture)
    seed = next(
        s for s in range(99) if cropped_to(batch._replace(seed=torch.tensor([s])), (16, 64)).alpha.shape[2] == 60
    )
    alpha = cropped_to(batch._replace(seed=torch.tensor([seed])), (16, 64)).alpha
    height, width = alpha.shape[2:]
    assert width < height
    covered = (torch.arange(60) + 0.5) / 60 * 2 - 1
    left = (60 - width) // 2
    torch.testing.assert_close(alpha[0, 0, 0], covered[left : left + width], rtol=0, atol=1e-5)


@pytest.mark.parametrize("sides", [(3, 8), (16, 16), (8,), (32, 16)])
def test_an_empty_range_of_crops_is_refused(sides: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="expected two whole numbers"):
        cropped_to(make_batch([1]), sides)


# Order of the steps


def test_phases_run_in_their_order_whatever_the_order_of_the_names() -> None:
    log: list[tuple[str, float]] = []
    steps = {
        "late": Add("captured", "source", log),
        "middle": Add("scene", "source", log),
        "first": Add("canvas", "background", log),
        "second": Add("canvas", "foreground", log),
    }
    batch = make_batch([3])
    result = apply_augmentations(batch, steps)
    late, middle, first, second = (float(RandomStream([3], name).uniform(0.1, 0.2)) for name in steps)
    assert log == [("background", first), ("foreground", second), ("source", middle), ("source", late)]
    expected = composite(batch.foreground + second, batch.alpha, batch.background + first + middle) + late
    torch.testing.assert_close(result.source, expected)
    torch.testing.assert_close(result.background, batch.background + first)


def test_removing_a_step_leaves_the_draws_of_the_others() -> None:
    with_all: list[tuple[str, float]] = []
    without: list[tuple[str, float]] = []
    steps = {"a": ("canvas", "background"), "b": ("canvas", "foreground"), "c": ("captured", "source")}
    apply_augmentations(make_batch([5, 6]), {name: Add(*step, with_all) for name, step in steps.items()}, (8, 16))
    del steps["a"]
    apply_augmentations(make_batch([5, 6]), {name: Add(*step, without) for name, step in steps.items()}, (8, 16))
    assert [added for added in with_all if added[0] != "background"] == without


@pytest.mark.parametrize("size", [16, 33])
@pytest.mark.parametrize("crop", [None, (8, 16)])
@pytest.mark.parametrize("type_of_image", [torch.float32, torch.uint8])
def test_one_sample_after_the_other_is_the_batch_at_once(
    crop: tuple[int, int] | None, type_of_image: Any, size: int
) -> None:
    steps = {
        "affine": RandomAffine("foreground"),
        "flip": HorizontalFlip("background"),
        "blur": BoxBlur("foreground", probability=0.5),
        "sharpen": Sharpen("background", probability=0.5),
        "colour": ColourJitter("background"),
        "shadow": Shadow(probability=0.5),
        "exposure": BackgroundJitter(probability=0.5),
        "noise": SensorNoise(probability=0.5),
        "camera": BackgroundAffine(probability=0.5),
    }
    batch = make_batch([5, 6, 7, 8], size)
    if type_of_image == torch.uint8:
        batch = MattingBatch(*((255 * picture).byte() for picture in batch[:4]), seed=batch.seed)
    result = apply_augmentations(batch, steps, crop)
    cropped = None if crop is None else (result.alpha.shape[2], result.alpha.shape[3])
    expected = augment_together(batch, batch.seed.tolist(), steps, cropped)
    for picture, other in zip(result[:4], expected[:4], strict=True):
        torch.testing.assert_close(picture, other, rtol=0, atol=2e-6)


def test_without_steps_the_source_is_the_plain_composite() -> None:
    batch = make_batch([1, 2])._replace(trimap=torch.zeros(2, 1, 16, 16))
    result = apply_augmentations(batch, {})
    assert torch.equal(result.source, composite(batch.foreground, batch.alpha, batch.background))
    assert torch.equal(result.background, batch.background)
    assert result.trimap is None


def test_the_source_is_composited_after_the_crop() -> None:
    result = apply_augmentations(make_batch([1, 2]), {}, crop=(8, 16))
    assert torch.equal(result.source, composite(result.foreground, result.alpha, result.background))
    assert result.source.shape[2] % 4 == 0


def test_mixed_precision_does_not_reach_the_pixels() -> None:
    class Multiply(Augmentation):
        phase = "canvas"

        def forward(self, batch: Any, draws: RandomStream) -> Any:
            return batch._replace(foreground=batch.foreground @ torch.eye(16))

    batch = make_batch([1])
    with torch.autocast("cpu", dtype=torch.bfloat16):
        result = apply_augmentations(batch, {"multiply": Multiply()})
    assert torch.equal(result.foreground, batch.foreground)


def test_a_batch_without_seeds_and_an_unknown_phase_are_refused() -> None:
    with pytest.raises(ValueError, match="seed=None"):
        apply_augmentations(make_batch([1])._replace(seed=None), {})
    with pytest.raises(ValueError, match="augmentation 'odd' has phase 'before'"):
        apply_augmentations(make_batch([1]), {"odd": Add("before", "source")})


def test_an_augmentation_that_names_no_phase_is_refused() -> None:
    class Phaseless(Augmentation):
        def forward(self, batch: Any, random: RandomStream) -> Any:
            return batch

    with pytest.raises(ValueError, match="augmentation 'odd' has phase None"):
        apply_augmentations(make_batch([1]), {"odd": Phaseless()})


def test_whole_recipe_does_not_touch_the_given_batch() -> None:
    batch = make_batch([1, 2])
    before: list[Tensor] = [picture.clone() for picture in batch[:4]]
    apply_augmentations(batch, {"a": Add("canvas", "background"), "b": Add("scene", "source")}, (8, 16))
    assert all(torch.equal(now, then) for now, then in zip(batch[:4], before, strict=True))
