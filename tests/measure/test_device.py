"""Devices: the one that is named, or one sentence; and where a model is."""

import pytest
import torch
from torch import nn

from zoo.measure.device import choose_device, device_of


def test_a_device_that_is_not_there_is_named() -> None:
    assert choose_device("cpu").type == "cpu"
    with pytest.raises(ValueError, match="'gpu9' cannot be used here; expected auto, cpu"):
        choose_device("gpu9")


def test_a_model_is_where_its_parameters_are() -> None:
    assert device_of(nn.Linear(1, 1, device="meta")).type == "meta"
    assert device_of(torch.sin).type == "cpu"
