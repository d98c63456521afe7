"""The table by attribute: every head once for each of its attributes, none averaged away."""

import math

import pytest
import torch

from zoo.heads.metrics import AttributeRow, attribute_table


def test_one_row_for_each_value() -> None:
    values = {"nme": torch.tensor([1.0, 3.0, 8.0]), "landmark_nme": torch.full((3,), torch.nan)}
    attributes = [{"pose": "front", "occlusions": "False"}, {"pose": "front"}, {"pose": "sided"}]
    assert attribute_table(values, attributes) == [
        AttributeRow("occlusions", "False", 1, 0, {"nme": 1.0}),
        AttributeRow("pose", "front", 2, 0, {"nme": 2.0}),
        AttributeRow("pose", "sided", 1, 0, {"nme": 8.0}),
    ]


def test_unusable_predictions_are_counted_beside_the_mean() -> None:
    values = {"nme": torch.tensor([1.0, torch.inf, torch.inf])}
    rows = attribute_table(values, [{"pose": "front"}, {"pose": "front"}, {"pose": "atypical"}])
    atypical, front = rows
    assert (front.heads, front.unusable, front.means) == (2, 1, {"nme": 1.0})
    assert (atypical.heads, atypical.unusable) == (1, 1)
    assert math.isnan(atypical.means["nme"])


def test_heads_without_attributes_are_in_no_row() -> None:
    assert attribute_table({"nme": torch.tensor([1.0, 2.0])}, [None, {}]) == []


def test_a_value_too_many_is_refused() -> None:
    with pytest.raises(ValueError, match="nme has 2 values for 1 heads"):
        attribute_table({"nme": torch.zeros(2)}, [{"pose": "front"}])
