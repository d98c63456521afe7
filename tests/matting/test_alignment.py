"""Alignment undoes a small movement of the camera and falls back with a message; other places are told apart."""

import numpy as np
import pytest
from skimage import data
from skimage.transform import ProjectiveTransform, SimilarityTransform, resize, warp

from zoo.matting.alignment import align_background, is_same_place, same_place_score


@pytest.fixture(scope="module")
def places():
    """Photographs of different things, 360 × 640."""
    return {name: to_picture(getattr(data, name)()) for name in ("coffee", "brick", "grass", "coins", "rocket")}


def to_picture(photograph):
    photograph = photograph if photograph.ndim == 3 else np.stack([photograph] * 3, axis=2)
    return np.rint(resize(photograph[:, :, :3], (360, 640), anti_aliasing=True) * 255).astype(np.uint8)


def with_person(place, share=0.35):
    """The place with a photograph before its middle, that hides this share."""
    source, width = place.copy(), round(640 * share)
    person = resize(data.astronaut(), (360, width), anti_aliasing=True)
    left = (640 - width) // 2
    source[:, left : left + width] = np.rint(person * 255)
    return source


def moved(place, movement):
    return np.rint(warp(place, movement, mode="edge", order=1) * 255).astype(np.uint8)


def difference(a, b, inside):
    return np.abs(a[inside].astype(int) - b[inside]).mean()


SMALL_MOVEMENT = SimilarityTransform(translation=(9, -6), rotation=0.02, scale=1.02)
BESIDE_THE_PERSON = np.s_[30:-30, 30:190]


def test_a_small_movement_is_undone(places):
    place = places["coffee"]
    background = moved(place, SMALL_MOVEMENT)
    aligned = align_background(with_person(place), background)
    assert aligned.message is None
    before = difference(background, place, BESIDE_THE_PERSON)
    assert difference(aligned.background, place, BESIDE_THE_PERSON) < before / 4
    assert (align_background(with_person(place), background).background == aligned.background).all()


def test_16_bits_stay_16_bits_and_highlights_highlights(places):
    place = places["coffee"]
    background, source = moved(place, SMALL_MOVEMENT), with_person(place)
    deep, bright = (image.astype(np.float32) / 255 for image in (background, source))
    deep[100:140, 100:140] = 1.75
    aligned = align_background(bright, deep).background
    expected = align_background(source, np.rint(deep.clip(0, 1) * 255).astype(np.uint8)).background
    assert aligned.dtype == np.float32
    assert aligned.max() == pytest.approx(1.75)
    assert (np.abs(aligned.clip(0, 1) * 255 - expected) < 0.51).mean() > 0.99  # all but the edge of the highlight
    assert len(np.unique(aligned)) > 10_000
    still = align_background(bright, deep, unless_below=1000).background
    assert still is deep


def test_what_the_background_does_not_cover_comes_from_the_source(places):
    source = with_person(places["coffee"])
    background = np.ascontiguousarray(places["coffee"][:, 40:])
    aligned = align_background(source, background)
    assert aligned.message is None
    assert aligned.background.shape == source.shape
    assert (aligned.background[:, :38] == source[:, :38]).all()
    assert difference(aligned.background, places["coffee"], np.s_[:, 45:]) < 2


def test_a_background_of_another_size_is_brought_to_the_source(places):
    half = np.ascontiguousarray(places["coffee"].reshape(180, 2, 320, 2, 3).mean(axis=(1, 3)).astype(np.uint8))
    aligned = align_background(with_person(places["coffee"]), half)
    assert aligned.message is None
    assert difference(aligned.background, places["coffee"], np.s_[4:-4, 4:-4]) < 8


@pytest.mark.parametrize("other", ["brick", "plain"])
def test_another_place_is_left_as_it_is_with_a_message(places, other):
    background = places["brick"] if other == "brick" else np.full((360, 640, 3), 180, np.uint8)
    aligned = align_background(with_person(places["coffee"]), background)
    assert aligned.background is background
    assert "was not aligned" in aligned.message
    assert "\n" not in aligned.message


def test_an_implausible_movement_is_refused(places):
    upside_down = np.ascontiguousarray(places["coffee"][::-1, ::-1])
    far = moved(places["coffee"], ProjectiveTransform(np.array([[1.0, 0, 260], [0, 1, 0], [0, 0, 1]])))
    for background in (upside_down, far):
        aligned = align_background(places["coffee"], background)
        assert aligned.background is background
        assert aligned.message is not None


def test_the_same_place_is_known_behind_a_person(places):
    for name, place in places.items():
        noisy = place.astype(float) + np.random.default_rng(0).normal(0, 3, place.shape)
        brighter = (255 * (noisy.clip(0, 255) / 255) ** 0.85).astype(np.uint8)
        for background in (place, brighter, moved(place, SimilarityTransform(translation=(7, 5)))):
            assert is_same_place(with_person(place, 0.6), background), name


def test_other_places_are_told_apart(places):
    for name, place in places.items():
        for other, background in places.items():
            if name != other:
                assert not is_same_place(with_person(place), background), (name, other)


def test_plain_walls_are_compared_by_colour(places):
    grey, red = np.full((360, 640, 3), 180, np.uint8), np.full((360, 640, 3), (190, 30, 20), np.uint8)
    assert is_same_place(with_person(grey), grey)
    assert not is_same_place(grey, red)
    assert same_place_score(grey, grey) == 1


def test_a_background_that_already_fits_is_not_resampled(places):
    aligned = align_background(with_person(places["coffee"]), places["coffee"])
    assert aligned.background is places["coffee"]
    assert "fits better" in aligned.message
