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


@pytest.mark.parametrize(
    ("height", "width", "side", "expected"),
    [
        (1080, 1920, 384, 1 / 4),
        (2160, 3840, 384, 1 / 8),
        (1080, 1920, 64, 1 / 16),
        (128, 128, 64, 1 / 2),
        (64, 64, 512, 1 / 2),
    ],
    ids=["HD as in the paper", "4K as in the paper", "trained small", "as trained", "smaller than trained"],
)
def test_the_picture_is_brought_to_the_trained_size(model, height, width, side, expected) -> None:
    assert fitting_scale(model.network, height, width, side) == expected


def test_a_narrow_picture_is_never_reduced_to_nothing(model) -> None:
    scale = fitting_scale(model.network, 4, 4000, 8)
    assert 4 * scale >= 1


def test_without_a_refiner_the_whole_picture_may_be_seen() -> None:
    base = zoo.create_model("bgmv2_mobilenetv2", refiner="NoRefiner", base_scale=1.0)
    assert fitting_scale(base.network, 500, 500, 512) == 1


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
