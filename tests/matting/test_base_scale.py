"""The size at which the base network sees a picture follows from what it was trained on."""

import pytest
import torch

import zoo
from zoo.matting.base_scale import fitting_scale, trained_side
from zoo.matting.fast import FastMatting


@pytest.fixture(scope="module")
def model():
    return zoo.create_model(
        "bgmv2_mobilenetv2", backbone={"class_path": "TimmBackbone", "init_args": {"name": "lcnet_050"}}
    ).eval()


def seen(network, height: int, width: int, side: float) -> tuple[int, int]:
    """Return height and width at which the base network sees an image."""
    with torch.no_grad():
        image = torch.zeros(1, 3, height, width)
        return tuple(network.prepare(image, fitting_scale(network, height, width, side)).reduced.shape[-2:])


@pytest.mark.parametrize(
    ("height", "width", "side", "expected"),
    [
        (1080, 1920, 384, (272, 480)),
        (2160, 3840, 384, (272, 480)),
        (1080, 1920, 64, (64, 128)),
        (128, 128, 64, (64, 64)),
        (64, 64, 512, (32, 32)),
        (440, 680, 256, (208, 336)),
        (427, 640, 100, (112, 160)),
        (9, 1000, 384, (6, 496)),
    ],
    ids=[
        "HD, about a quarter as in the paper",
        "4K, about an eighth as in the paper",
        "trained small",
        "as trained",
        "smaller than trained",
        "never more than half",
        "sides that are no multiples",
        "a strip",
    ],
)
def test_the_picture_is_brought_to_the_trained_size_in_whole_steps(model, height, width, side, expected) -> None:
    assert seen(model.network, height, width, side) == expected


def test_sides_are_multiples_of_sixteen_whatever_the_picture(model) -> None:
    for height, width in [(479, 853), (1001, 333), (33, 65), (720, 1279)]:
        assert [side % 16 for side in seen(model.network, height, width, 200)] == [0, 0]


def test_a_narrow_picture_is_never_reduced_to_nothing(model) -> None:
    assert seen(model.network, 4, 4000, 8)[0] >= 1


def test_without_a_refiner_the_whole_picture_may_be_seen() -> None:
    base = zoo.create_model("bgmv2_mobilenetv2", refiner="NoRefiner", base_scale=1.0)
    assert seen(base.network, 512, 512, 512) == (512, 512)
    assert seen(base.network, 500, 500, 512) == (496, 496)


def test_sides_of_their_own_scale_are_checked_like_one(model) -> None:
    with pytest.raises(ValueError, match=r"base_scale=0\.75 with PatchRefiner: refinement starts from half size"):
        model.network.set_base_scale((0.5, 0.75))
    with pytest.raises(ValueError, match="base_scale=0: expected a number in"):
        model.network.set_base_scale((0, 0.5))
    with pytest.raises(ValueError, match=r"base_scale=1\.5: expected a number in"):
        model.network.set_base_scale((0.5, 1.5))


def test_every_picture_gets_its_own_scale(model) -> None:
    fitted = FastMatting(model.network, trained_side=32)
    for side, coarse in ((64, 32), (128, 32), (256, 32)):
        image = torch.rand(1, 3, side, side)
        with torch.no_grad():
            assert fitted(image, image).coarse_alpha.shape[-1] == coarse
    assert fitted.network.base_scale == model.network.base_scale, "the network is not changed"


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        ({"train": {"one": {"canvas": 128, "crop": None}}}, 32),
        ({"train": {"one": {"canvas": 128}, "two": {"canvas": 2048, "crop": [1024, 2048]}}}, 384),
        ({"train": {"one": {"canvas": 128}, "two": {"canvas": 512}}, "order": ["two", "one"]}, 32),
        ({"train": None}, None),
        ({}, None),
    ],
    ids=["canvas", "crops of the last stage", "order", "nothing trained", "no data"],
)
def test_the_trained_size_is_read_from_the_checkpoint_s_record(data, expected) -> None:
    record = {
        "model": {"class_path": "M", "init_args": {"base_scale": 0.25}},
        "data": {"class_path": "D", "init_args": data},
    }
    assert trained_side(record) == expected
