"""Augmentations of heads: picture and ground truth change alike, each sample by its own draws, and nothing in place."""

import math
from collections.abc import Callable, Sequence

import pytest
import torch
from torch import Tensor
from zoo_plugins.augmentations.heads import (
    HeadAffine,
    HeadColour,
    HeadFlip,
    HeadOcclusion,
    change_chosen,
    colour_matrix,
    mirrored_landmarks,
    recolour,
)
from zoo_plugins.head_models import ProceduralHead

from zoo.core.seeding import RandomStream
from zoo.heads.mesh import HeadModel, HeadParams
from zoo.heads.parts import HeadAugmentation, HeadBatch
from zoo.heads.rotation import angle_between, matrix_from_6d, matrix_from_euler, matrix_to_6d, matrix_to_euler

SIZE = 64
STEPS: dict[str, Callable[..., HeadAugmentation]] = {
    "flip": HeadFlip,
    "affine": HeadAffine,
    "colour": HeadColour,
    "occlusion": HeadOcclusion,
}
CHANGES = {
    "flip": {"image", "vertices", "neutral", "projected", "landmarks", "visible", "rotation", "box"},
    "affine": {"image", "projected", "landmarks", "visible", "rotation", "box"},
    "colour": {"image"},
    "occlusion": {"image"},
}


@pytest.fixture(scope="module")
def head_model() -> HeadModel:
    return ProceduralHead()


def make_params(seeds: Sequence[int]) -> HeadParams:
    """A head for each seed, the same in whatever batch it is; turned, and off the middle of the picture."""
    draws = RandomStream(seeds, "params")
    degrees = torch.stack([draws.uniform(-40, 40) for _ in range(3)], dim=1)
    return HeadParams(
        shape=draws.normal(300),
        expression=draws.normal(100),
        jaw=0.1 * draws.normal(3),
        rotation=matrix_to_6d(matrix_from_euler(degrees)),
        translation=torch.stack([draws.uniform(-0.2, 0.2), draws.uniform(-0.2, 0.2), torch.zeros(len(seeds))], dim=1),
        scale=draws.uniform(4, 6)[:, None],
    )


def make_batch(head_model: HeadModel, seeds: Sequence[int]) -> HeadBatch:
    """Heads as an orthographic camera sees them; each picture has one soft spot, at landmark 8, the chin."""
    params = make_params(seeds)
    vertices = head_model.vertices(params, rotated=False)
    projected = head_model.project(params, SIZE, vertices)
    landmarks = head_model.landmarks(projected)
    corner, end = projected.amin(1), projected.amax(1)
    return HeadBatch(
        image=spots(landmarks[:, 8]),
        vertices=vertices,
        projected=projected,
        landmarks=landmarks / SIZE,
        visible=((landmarks > 0) & (landmarks < SIZE)).all(-1).float(),
        rotation=matrix_from_6d(params.rotation),
        box=torch.cat([corner, end - corner], dim=1),
        attributes=[{"pose": "front"} for _ in seeds],
        neutral=head_model.vertices(params._replace(expression=0 * params.expression), rotated=False),
        name=[str(seed) for seed in seeds],
        seed=torch.tensor(seeds),
    )


def spots(places: Tensor) -> Tensor:
    middles = torch.arange(SIZE) + 0.5
    across, down = (torch.exp(-(middles - places[:, axis, None]).square() / 8) for axis in (0, 1))
    return (across[:, None, :] * down[:, :, None])[:, None].expand(-1, 3, -1, -1)


def middles_of(images: Tensor) -> Tensor:
    """(B, 2) the spots' places."""
    mass = images[:, 0] / images[:, 0].sum((1, 2), keepdim=True)
    middles = torch.arange(SIZE) + 0.5
    return torch.stack([mass.sum(1) @ middles, mass.sum(2) @ middles], dim=1)


def changed(step: HeadAugmentation, head_model: HeadModel, batch: HeadBatch) -> HeadBatch:
    assert batch.seed is not None
    step.build(head_model)
    return step(batch, RandomStream(batch.seed, "step"))


def tensors(batch: HeadBatch) -> dict[str, Tensor]:
    return {name: value for name, value in batch._asdict().items() if isinstance(value, Tensor)}


# Every step


@pytest.mark.parametrize("name", STEPS)
def test_probability_zero_switches_a_step_off(name: str, head_model: HeadModel) -> None:
    batch = make_batch(head_model, [1, 2])
    assert changed(STEPS[name](probability=0), head_model, batch) is batch


@pytest.mark.parametrize("name", STEPS)
def test_a_step_changes_its_own_fields_and_nothing_in_place(name: str, head_model: HeadModel) -> None:
    batch = make_batch(head_model, [1, 2, 3])
    before = {field: value.clone() for field, value in tensors(batch).items()}
    after = changed(STEPS[name](probability=1), head_model, batch)
    assert {field for field in before if getattr(after, field) is not getattr(batch, field)} == CHANGES[name]
    assert all(torch.equal(getattr(batch, field), value) for field, value in before.items())
    assert (after.name, after.attributes) == (batch.name, batch.attributes)


@pytest.mark.parametrize("name", STEPS)
def test_only_chosen_samples_change(name: str, head_model: HeadModel) -> None:
    batch = make_batch(head_model, list(range(12)))
    after = changed(STEPS[name](probability=0.5), head_model, batch)
    same = [torch.equal(old, new) for old, new in zip(batch.image, after.image, strict=True)]
    assert 2 <= sum(same) <= 10


@pytest.mark.parametrize("name", ["flip", "affine"])
def test_the_picture_moves_with_its_landmarks(name: str, head_model: HeadModel) -> None:
    batch = make_batch(head_model, list(range(6)))
    after = changed(STEPS[name](probability=1), head_model, batch)
    whole = (middles_of(batch.image) - batch.landmarks[:, 8] * SIZE).norm(dim=1) < 0.1  # the spot is not cut off
    whole &= ((after.landmarks[:, 8] > 0.1) & (after.landmarks[:, 8] < 0.9)).all(1)
    assert whole.sum() >= 3
    assert torch.allclose(middles_of(after.image)[whole], after.landmarks[whole, 8] * SIZE, atol=0.2)


# Flip


def test_a_mirrored_head_is_the_head_model_at_the_mirrored_pose(head_model: HeadModel) -> None:
    params = make_params([5])
    params = params._replace(shape=0 * params.shape, expression=0 * params.expression, jaw=0 * params.jaw)  # symmetric
    vertices = head_model.vertices(params, rotated=False)
    batch = make_batch(head_model, [5])._replace(
        vertices=vertices,
        projected=head_model.project(params, SIZE, vertices),
        rotation=matrix_from_6d(params.rotation),
    )
    after = changed(HeadFlip(probability=1), head_model, batch)
    pitch, yaw, roll = matrix_to_euler(matrix_from_6d(params.rotation))[0].tolist()
    other_side = matrix_from_euler(torch.tensor([[pitch, -yaw, -roll]]))
    assert torch.allclose(after.rotation, other_side, atol=1e-5)
    assert torch.allclose(after.vertices, vertices, atol=1e-5)
    mirrored_params = params._replace(
        rotation=matrix_to_6d(other_side), translation=params.translation * torch.tensor([-1.0, 1, 1])
    )
    assert torch.allclose(after.projected, head_model.project(mirrored_params, SIZE), atol=1e-3)


def test_box_and_visibility_are_mirrored(head_model: HeadModel) -> None:
    batch = make_batch(head_model, [1, 2])
    right_eye = torch.zeros(2, 68)
    right_eye[:, 36:42] = 1
    after = changed(HeadFlip(probability=1), head_model, batch._replace(visible=right_eye))
    assert torch.allclose(after.box[:, :2], after.projected.amin(1), atol=1e-4)
    assert torch.equal(after.box[:, 2:], batch.box[:, 2:])
    assert after.visible[0].nonzero().flatten().tolist() == list(range(42, 48))


def test_flipping_twice_changes_nothing(head_model: HeadModel) -> None:
    batch = make_batch(head_model, [1, 2])
    step = HeadFlip(probability=1)
    twice = changed(step, head_model, changed(step, head_model, batch))
    for field, value in tensors(batch).items():
        assert torch.allclose(getattr(twice, field).float(), value.float(), atol=1e-4), field


def test_the_mirror_image_exchanges_the_sides_of_the_face() -> None:
    order = mirrored_landmarks()
    pairs = {
        0: 16,
        8: 8,
        17: 26,
        21: 22,
        30: 30,
        31: 35,
        36: 45,
        37: 44,
        39: 42,
        41: 46,
        48: 54,
        51: 51,
        59: 55,
        67: 65,
    }
    assert {place: order[place] for place in pairs} == pairs
    assert [order[other] for other in order] == list(range(68))


def test_a_head_that_knows_no_mirror_is_refused_unless_flips_are_off() -> None:
    class Lopsided(torch.nn.Module):
        name = "lopsided"

        def __init__(self) -> None:
            super().__init__()
            self.register_buffer("mirror", torch.arange(0))

    with pytest.raises(ValueError, match="HeadFlip: the head model 'lopsided' has no table"):
        HeadFlip().build(Lopsided())  # type: ignore[arg-type]
    HeadFlip(probability=0).build(Lopsided())  # type: ignore[arg-type]


# Affine


def test_turning_the_picture_turns_the_head_as_much(head_model: HeadModel) -> None:
    batch = make_batch(head_model, list(range(8)))
    after = changed(HeadAffine(degrees=40, scale=(1, 1), translate=0), head_model, batch)
    angles = angle_between(after.rotation, batch.rotation) * 180 / math.pi
    assert angles.max() > 10
    assert angles.max() <= 40
    middle = torch.tensor([SIZE / 2, SIZE / 2])
    arms, turned_arms = batch.projected[:, 0] - middle, after.projected[:, 0] - middle
    cosines = (arms * turned_arms).sum(1) / arms.norm(dim=1) / turned_arms.norm(dim=1)
    assert torch.allclose(torch.rad2deg(torch.acos(cosines)), angles, atol=0.1)


def test_scale_and_movement_reach_their_limits_and_no_further(head_model: HeadModel) -> None:
    batch = make_batch(head_model, list(range(30)))
    after = changed(HeadAffine(degrees=0, scale=(0.5, 2), translate=0.25), head_model, batch)
    scale = after.box[:, 2:] / batch.box[:, 2:]
    assert torch.allclose(scale[:, 0], scale[:, 1])
    assert 0.5 <= scale.min() < 0.7 < 1.7 < scale.max() <= 2
    corners = after.projected.amin(1)
    assert torch.allclose(after.box[:, :2], corners, atol=1e-2)
    middle = torch.tensor([SIZE / 2, SIZE / 2])
    moved = after.projected[:, 0] - middle - (batch.projected[:, 0] - middle) * scale
    assert 0.2 * SIZE < moved.abs().max() <= 0.25 * SIZE + 1e-3
    assert torch.equal(after.rotation, batch.rotation)


def test_what_leaves_the_picture_is_no_longer_visible_and_nothing_becomes_visible(head_model: HeadModel) -> None:
    batch = make_batch(head_model, list(range(6)))
    batch = batch._replace(visible=batch.visible * (torch.arange(68) % 2))
    after = changed(HeadAffine(scale=(2, 2)), head_model, batch)
    inside = ((after.landmarks > 0) & (after.landmarks < 1)).all(-1)
    assert not inside.all()
    assert torch.equal(after.visible, batch.visible * inside)


# Colour


def pictures() -> Tensor:
    return torch.rand(2, 3, 8, 8, generator=torch.Generator().manual_seed(0)) * 0.4 + 0.3


def test_greys_stay_grey_under_saturation_and_hue() -> None:
    grey = pictures()[:, :1].expand(-1, 3, -1, -1)
    matrix = colour_matrix(torch.tensor([0.5, 1.8]), torch.tensor([0.2, -0.4]))
    assert torch.allclose(recolour(grey, matrix, torch.ones(2)), grey, atol=1e-5)


def test_a_third_of_a_turn_leads_from_red_to_green_to_blue() -> None:
    red = torch.zeros(1, 3, 1, 1)
    red[:, 0] = 1
    matrix = colour_matrix(torch.ones(1), torch.tensor([1 / 3]))
    green = recolour(red, matrix, torch.ones(1))
    assert green.flatten().tolist() == pytest.approx([0, 1, 0], abs=1e-5)
    assert recolour(green, matrix, torch.ones(1)).flatten().tolist() == pytest.approx([0, 0, 1], abs=1e-5)


def test_without_saturation_only_the_luminance_is_left() -> None:
    image = pictures()
    matrix = colour_matrix(torch.zeros(2), torch.zeros(2))
    luminance = (image * torch.tensor([0.299, 0.587, 0.114]).view(3, 1, 1)).sum(1, keepdim=True)
    assert torch.allclose(recolour(image, matrix, torch.ones(2)), luminance.expand_as(image), atol=1e-5)


def test_contrast_draws_away_from_the_mean_luminance() -> None:
    image = pictures()
    identity = torch.eye(3).repeat(2, 1, 1)
    luminance = (image * torch.tensor([0.299, 0.587, 0.114]).view(3, 1, 1)).sum(1).mean((1, 2)).view(2, 1, 1, 1)
    expected = luminance + 1.2 * (image - luminance)
    assert torch.allclose(recolour(image, identity, torch.full((2,), 1.2)), expected, atol=1e-5)


def test_brightness_is_one_factor_a_picture(head_model: HeadModel) -> None:
    batch = make_batch(head_model, list(range(20)))._replace(image=torch.full((20, 3, SIZE, SIZE), 0.5))
    factors = changed(HeadColour(0.4, 0, 0, 0, probability=1), head_model, batch).image / 0.5
    assert torch.allclose(factors, factors[:, :1, :1, :1].expand_as(factors), atol=1e-5)
    assert 0.6 - 1e-5 <= factors.min() < 0.8 < 1.2 < factors.max() <= 1.4 + 1e-5


def test_colours_stay_in_range_and_strengths_of_zero_change_nothing(head_model: HeadModel) -> None:
    batch = make_batch(head_model, [1, 2, 3])._replace(image=torch.rand(3, 3, SIZE, SIZE))
    wild = changed(HeadColour(1, 1, 1, 0.5, probability=1), head_model, batch).image
    assert wild.min() >= 0
    assert wild.max() <= 1
    tame = changed(HeadColour(0, 0, 0, 0, probability=1), head_model, batch).image
    assert torch.allclose(tame, batch.image, atol=1e-5)


# Occlusion


def test_occluders_cover_the_share_that_was_asked_for(head_model: HeadModel) -> None:
    batch = make_batch(head_model, list(range(40)))._replace(image=torch.full((40, 3, SIZE, SIZE), 2.0))
    after = changed(HeadOcclusion(share=(0.1, 0.1), probability=1), head_model, batch).image
    covered = (after != 2).all(1)
    shares = covered.float().mean((1, 2))
    at_the_edge = covered[:, [0, -1]].any((1, 2)) | covered[:, :, [0, -1]].any((1, 2))
    assert (~at_the_edge).sum() > 5
    assert torch.allclose(shares[~at_the_edge], torch.tensor(0.1), atol=0.01)
    assert shares.min() > 0.02
    assert after[covered[:, None].expand_as(after)].max() <= 1


def test_rectangles_and_ellipses_both_occur(head_model: HeadModel) -> None:
    batch = make_batch(head_model, list(range(40)))._replace(image=torch.full((40, 3, SIZE, SIZE), 2.0))
    covered = (changed(HeadOcclusion(share=(0.05, 0.1), probability=1), head_model, batch).image != 2).all(1)
    fill = [mask.float().sum() / (mask.any(0).sum() * mask.any(1).sum()) for mask in covered]
    assert any(share == 1 for share in fill)
    assert any(abs(share - math.pi / 4) < 0.05 for share in fill)


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (lambda: HeadFlip(probability=1.5), r"HeadFlip\(probability=1.5\): expected a number from 0 to 1"),
        (lambda: HeadAffine(scale=(1.1, 0.9)), r"HeadAffine\(scale=\[1.1, 0.9\]\): expected low and high"),
        (lambda: HeadAffine(degrees=-1), r"HeadAffine\(degrees=-1\)"),
        (lambda: HeadColour(hue=0.6), r"HeadColour\(hue=0.6\): expected a number from 0 to 0.5"),
        (lambda: HeadOcclusion(share=(0.5, 0.1)), r"HeadOcclusion\(share="),
    ],
)
def test_arguments_out_of_range_are_named(make: Callable[[], HeadAugmentation], reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        make()


def test_a_change_sees_only_the_chosen_samples(head_model: HeadModel) -> None:
    batch = make_batch(head_model, [1, 2, 3])
    chosen = torch.tensor([True, False, True])
    after = change_chosen(batch, chosen, lambda samples: samples._replace(image=samples.image * 0))
    assert after.image.flatten(1).any(1).tolist() == [False, True, False]
    assert after.vertices is batch.vertices
