"""Detectors: every face of an image, at several sizes, where it is, with a score; nothing where there is none."""

import numpy as np
import pytest
import torch
from PIL import Image
from skimage import data
from zoo_plugins.detectors import BlazeFace, FrontalCascade, merged, squares_of

from zoo.heads.detection import LOW_SCORE, LYING

ASTRONAUT = (140, 10, 320, 260)
"""A box around the astronaut's head: left, top, right, bottom."""


def astronaut(side: int) -> np.ndarray:
    return np.asarray(Image.fromarray(data.astronaut()).resize((side, side), Image.Resampling.LANCZOS))


@pytest.mark.parametrize("detector", [BlazeFace(), FrontalCascade()], ids=["BlazeFace", "FrontalCascade"])
def test_finds_the_astronauts_head(detector: BlazeFace | FrontalCascade) -> None:
    (head, *_) = detector.find(data.astronaut())
    assert abs(head.roll) < 15
    x, y, width, height = head.box
    left, top, right, bottom = ASTRONAUT
    assert left <= x < x + width <= right
    assert top <= y < y + height <= bottom


@pytest.mark.parametrize(("quarters", "side"), [(1, -1), (3, 1)])
def test_tells_that_a_head_lies_on_its_side(quarters: int, side: int) -> None:
    (head, *_) = BlazeFace().find(np.rot90(data.astronaut(), quarters).copy())
    assert LYING < side * head.roll < 110


def test_finds_several_heads_of_very_different_sizes() -> None:
    image = np.full((600, 900, 3), 120, np.uint8)
    image[:512, :512] = data.astronaut()
    image[300:460, 700:860] = astronaut(160)
    image[40:240, 620:820] = astronaut(200)[:, ::-1]
    found = BlazeFace().find(image)
    middles = sorted(round(head.box[0] + head.box[2] / 2) for head in found if head.score > 0.7)
    assert len(middles) == 3
    assert np.allclose(middles, [224, 732, 769], atol=12)


def test_a_cat_a_rocket_and_a_coffee_have_no_head_that_is_sure() -> None:
    for image in (data.chelsea(), data.rocket(), data.coffee()):
        assert all(head.score < LOW_SCORE for head in BlazeFace().find(image))


def test_a_higher_score_leaves_out_what_is_less_sure() -> None:
    sure = BlazeFace(score=0.3).find(data.astronaut())
    assert len(BlazeFace(score=0.9).find(data.astronaut())) <= len(sure)
    with pytest.raises(ValueError, match=r"BlazeFace\(score=1.5\): expected a number above 0 and at most 1"):
        BlazeFace(score=1.5)


def test_squares_cover_the_image_and_overlap_by_half() -> None:
    squares = [square for square in squares_of(900, 600, smallest=0.25) if square[2] - square[0] == 225]
    covered = np.zeros((600, 900), int)
    for left, top, right, bottom in squares:
        covered[max(top, 0) : bottom, max(left, 0) : right] += 1
    assert covered.min() >= 1
    assert np.median(covered) >= 4


def test_overlapping_boxes_become_their_mean() -> None:
    boxes = torch.tensor([[0.0, 0, 10, 10], [1, 0, 11, 10], [50, 50, 60, 60]])
    faces = merged(boxes, torch.tensor([0.8, 0.8, 0.9]), torch.tensor([5.0, 5.0, -7.0]))
    assert [face[0] for face in faces] == [(50.0, 50.0, 10.0, 10.0), (0.5, 0.0, 10.0, 10.0)]
    assert [face[1:] for face in faces] == [(pytest.approx(0.9), -7.0), (pytest.approx(0.8), 5.0)]
