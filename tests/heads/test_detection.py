"""Boxes of heads: the largest first, doubtful ones marked, an image on its side named, a portrait taken whole."""

import numpy as np
import pytest
from skimage import data
from zoo_plugins.detectors import FrontalCascade

from zoo.heads.detection import find_head_boxes, overlap
from zoo.heads.parts import Detector, FoundHead


class Fixed(Detector):
    """Finds what it is told."""

    def __init__(self, heads: list[tuple[tuple[float, float, float, float], float]]) -> None:
        self.heads = heads

    def find(self, image: np.ndarray) -> list[FoundHead]:
        return [FoundHead(box, score) for box, score in self.heads]


def test_the_astronauts_head_is_found_around_her_face() -> None:
    (found,) = find_head_boxes(data.astronaut())
    x, y, width, height = found.box
    assert found.how == "found by BlazeFace"
    assert 0.9 < found.score <= 1
    assert 150 < x < 185
    assert 265 < x + width < 300
    assert 15 < y < 60  # in her hair
    assert 165 < y + height < 210  # her chin


def test_the_largest_of_several_comes_first_and_doubtful_ones_are_left_out() -> None:
    small, large, doubtful = (0.0, 0.0, 10.0, 10.0), (20.0, 20.0, 40.0, 40.0), (0.0, 0.0, 90.0, 90.0)
    image = np.zeros((100, 100, 3), np.uint8)
    boxes = find_head_boxes(image, Fixed([(small, 0.95), (large, 0.9), (doubtful, 0.6)]))
    assert [found.box for found in boxes] == [large, small]
    (only,) = find_head_boxes(image, Fixed([(doubtful, 0.6), (small, 0.55)]), rotations=False)
    assert (only.box, only.how, only.score) == (doubtful, "perhaps found by Fixed", 0.6)


@pytest.mark.parametrize("detector", [None, FrontalCascade()], ids=["BlazeFace", "FrontalCascade"])
@pytest.mark.parametrize(("rotation", "degrees"), [(1, 90), (2, 180), (3, 270)])
def test_an_image_on_its_side_scores_nothing_and_says_so(
    rotation: int, degrees: int, detector: Detector | None
) -> None:
    (found,) = find_head_boxes(np.rot90(data.astronaut(), rotation).copy(), detector)
    assert found.how.endswith(f"a face appears when it is rotated by {degrees}° clockwise")
    assert found.score == 0


def test_a_portrait_without_a_face_is_taken_whole_and_a_landscape_refused() -> None:
    (found,) = find_head_boxes(np.zeros((120, 100, 3), np.uint8))
    assert (found.box, found.score) == ((0, 0, 100, 120), 0)
    assert found.how.startswith("taken to fill the picture")
    with pytest.raises(ValueError, match="no face was found in the image of 300×120 pixels"):
        find_head_boxes(np.zeros((120, 300, 3), np.uint8))


def test_boxes_apart_do_not_overlap() -> None:
    assert overlap((0, 0, 2, 2), (5, 5, 2, 2)) == 0
    assert overlap((0, 0, 2, 2), (0, 0, 2, 2)) == 1
