"""Crops: picture and places move together, there and back; and where heads are found without annotations."""

from collections.abc import Sequence

import pytest
import torch
from torch import Tensor
from zoo_plugins.head_models import ProceduralHead

from zoo.heads.crop import Crop, check_box, crop_head, place_crop
from zoo.heads.mesh import HeadModel, HeadParams
from zoo.heads.parts import HeadPicture
from zoo.heads.rotation import FRONTAL, matrix_to_6d

CROPS = [Crop(0, 0, 100, 51, 64), Crop(7, 31, 40, 90, 128), Crop(3, 5, 64, 64, 64), Crop(0, 9, 300, 217, 256)]


@pytest.fixture(scope="module")
def head_model() -> HeadModel:
    return ProceduralHead()


def blob(height: int, width: int, x: float, y: float) -> Tensor:
    """A picture (3, H, W) with one soft spot about a place."""
    across, down = torch.arange(width) + 0.5 - x, torch.arange(height) + 0.5 - y
    return torch.exp(-(across.square()[None, :] + down.square()[:, None]) / 18).expand(3, -1, -1)


def middle_of(image: Tensor) -> tuple[float, float]:
    """x, y of a picture's centre of mass."""
    mass = image[0] / image[0].sum()
    places = [torch.arange(side) + 0.5 for side in (image.shape[2], image.shape[1])]
    return float(mass.sum(0) @ places[0]), float(mass.sum(1) @ places[1])


def frontal_head(head_model: HeadModel, image: Tensor) -> HeadPicture:
    """A head about 140 pixels high in the middle of a picture of 300×200."""
    params = HeadParams(
        shape=torch.zeros(1, 300),
        expression=torch.zeros(1, 100),
        jaw=torch.zeros(1, 3),
        rotation=matrix_to_6d(torch.tensor(FRONTAL))[None],
        translation=torch.tensor([[0.0, -1 / 3, 0.0]]),
        scale=torch.tensor([[2.5]]),
    )
    projected = head_model.project(params, image_size=300)[0]
    corner, end = projected.amin(0), projected.amax(0)
    return HeadPicture(
        image=image,
        box=torch.cat([corner, end - corner]),
        vertices=head_model.vertices(params, rotated=False)[0],
        projected=projected,
        rotation=torch.tensor(FRONTAL),
        attributes={"pose": "front"},
        name="anna",
    )


# Where the crop lies


def test_the_longer_side_fills_the_square_and_padding_is_halved_the_odd_pixel_at_the_end() -> None:
    crop = Crop(0, 0, 100, 51, 64)
    assert crop.resized == (64, 33)
    assert crop.padding == (0, 15)
    square = crop.cut(torch.ones(3, 60, 120))
    assert square.shape == (3, 64, 64)
    assert square[0, :, 30].nonzero().flatten().tolist() == list(range(15, 48))


@pytest.mark.parametrize(
    ("extension", "expected"),
    [
        (0.0, (100, 60, 40, 80)),
        (0.25, (90, 40, 60, 120)),
        ([0.5, 0, 0, 0], (80, 60, 60, 80)),
        ([0, 0.5, 0, 0], (100, 20, 40, 120)),
        ([0, 0, 0.5, 0], (100, 60, 60, 80)),
        ([0, 0, 0, 0.5], (100, 60, 40, 120)),
        (3.0, (0, 0, 260, 300)),
    ],
)
def test_extension_moves_each_side_outwards_up_to_the_edge(
    extension: Sequence[float] | float, expected: tuple[int, int, int, int]
) -> None:
    assert place_crop((100, 60, 40, 80), (300, 400), 64, extension)[:4] == expected


def test_a_box_over_the_edge_is_trimmed() -> None:
    assert place_crop((-30, 250, 80, 90), (300, 400), 64)[:4] == (0, 250, 50, 50)
    assert place_crop((399.5, 0, 50, 50), (300, 400), 64)[:4] == (399, 0, 1, 50)
    assert place_crop((-49.5, 0, 49.7, 50), (300, 400), 64)[:4] == (0, 0, 1, 50)
    assert place_crop((390, 0, 50, 50), (300, 400), 64, extension=-0.25)[:4] == (399, 12, 1, 25)


@pytest.mark.parametrize(
    ("box", "reason"),
    [
        ((400, 10, 50, 50), "lies outside the image, which is 400×300"),
        ((-50, 10, 50, 50), "lies outside"),
        ((10, 300, 50, 50), "lies outside"),
        ((10, 10, 0, 50), "is empty"),
        ((10, 10, 50, -5), "is empty"),
        ((10, 10, float("nan"), 50), "expected four numbers"),
        ((10, 10, 50), "expected four numbers"),
    ],
)
def test_boxes_that_hold_no_head_are_refused(box: tuple[float, ...], reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        check_box(box, (300, 400))


# Pictures and places


@pytest.mark.parametrize("crop", CROPS)
def test_the_picture_moves_as_places_do(crop: Crop) -> None:
    place = torch.tensor([crop.left + 0.4 * crop.width, crop.top + 0.6 * crop.height])
    square = crop.cut(blob(240, 320, *place.tolist()))
    assert middle_of(square) == pytest.approx(crop.from_image(place).tolist(), abs=0.3)


@pytest.mark.parametrize("crop", CROPS)
def test_places_come_back(crop: Crop) -> None:
    places = 300 * torch.rand(20, 2, generator=torch.Generator().manual_seed(0))
    assert torch.allclose(crop.to_image(crop.from_image(places)), places, atol=1e-3)


@pytest.mark.parametrize("crop", CROPS)
def test_parameters_come_back(crop: Crop, head_model: HeadModel) -> None:
    params = head_model.split(0.2 * torch.randn(2, 413, generator=torch.Generator().manual_seed(0)))
    in_crop = head_model.project(params, crop.size)
    in_picture = head_model.project(crop.params_in_image(params), crop.size)
    assert torch.allclose(in_picture, crop.to_image(in_crop), atol=1e-2)


def test_fine_detail_is_averaged_not_skipped() -> None:
    lines = torch.zeros(3, 160, 160)
    lines[:, :, ::8] = 1
    square = Crop(0, 0, 160, 160, 20).cut(lines)
    assert torch.allclose(square[:, :, 2:-2], torch.tensor(1 / 8), atol=1e-3)


def test_bytes_stay_bytes() -> None:
    assert Crop(0, 0, 30, 20, 64).cut(torch.full((3, 40, 40), 200, dtype=torch.uint8)).unique().tolist() == [0, 200]


# Samples


def test_a_sample_holds_everything_in_pixels_of_its_crop(head_model: HeadModel) -> None:
    picture = frontal_head(head_model, torch.zeros(3, 200, 300, dtype=torch.uint8))
    sample = crop_head(picture, head_model, 128, extension=0.1)
    assert sample.image.shape == (3, 128, 128)
    assert sample.image.dtype == torch.uint8
    corner, end = sample.projected.amin(0), sample.projected.amax(0)
    assert torch.allclose(sample.box, torch.cat([corner, end - corner]), atol=1e-3)
    assert sample.box[2:].max() == pytest.approx(128 / 1.2, abs=1.0)
    assert torch.allclose(head_model.landmarks(sample.projected[None])[0] / 128, sample.landmarks, atol=1e-5)
    assert sample.visible.tolist() == [1.0] * 68
    assert (sample.name, sample.attributes) == (["anna"], [{"pose": "front"}])


def test_landmarks_in_the_padding_are_not_visible(head_model: HeadModel) -> None:
    picture = frontal_head(head_model, torch.zeros(3, 200, 300, dtype=torch.uint8))
    x, y, width, height = picture.box.tolist()
    left_half = picture._replace(box=torch.tensor([x, y, width / 2, height]))
    sample = crop_head(left_half, head_model, 128, extension=0.0)
    landmarks = sample.landmarks * 128
    shown = 128 * 0.5 * width / height
    assert 0 < sample.visible.sum() < 68
    assert torch.equal(sample.visible > 0, landmarks[:, 0] < 64 + shown / 2)
    assert (landmarks[sample.visible == 0, 0] < 128).any()  # though inside the square
