"""Error maps: their values on small pictures, and who may look at the true alpha."""

import pytest
import torch
from zoo_plugins.error_maps import (
    AlphaUncertainty,
    BackgroundDifference,
    EdgeError,
    NoError,
    OracleError,
    PredictedError,
)

from zoo.matting.parts import Coarse

MAPS = [PredictedError(), AlphaUncertainty(), BackgroundDifference(), OracleError(), NoError()]


def coarse(alpha: list[list[float]]) -> Coarse:
    values = torch.tensor([[alpha]])
    size = values.shape[-2:]
    return Coarse(values, torch.zeros(1, 3, *size), torch.rand(1, 1, *size), torch.zeros(1, 32, *size))


def test_predicted_error_is_the_decoders_channel() -> None:
    given = coarse([[0.0, 0.5]])
    assert torch.equal(PredictedError()(given, torch.rand(1, 3, 4, 8), torch.rand(1, 3, 4, 8)), given.error)


def test_alpha_uncertainty_is_largest_at_one_half() -> None:
    error = AlphaUncertainty()(coarse([[0.0, 0.25, 0.5, 1.0]]), torch.zeros(1), torch.zeros(1))
    assert error.flatten().tolist() == [0.0, 0.75, 1.0, 0.0]


def test_background_difference_is_large_where_alpha_and_picture_disagree() -> None:
    background = torch.zeros(1, 3, 1, 4)
    source = torch.tensor([0.0, 0.0, 0.125, 0.75]).expand(1, 3, 1, 4)
    error = BackgroundDifference(scale=0.25)(coarse([[0.0, 1.0, 0.0, 1.0]]), source, background)
    assert error.flatten().tolist() == [0.0, 1.0, 0.5, 0.0]


def test_edge_error_is_the_gradient_of_the_image_in_each_patch() -> None:
    source = torch.zeros(1, 3, 8, 16)
    source[:, 0, :, 8:] = 3  # a step of 1 in the mean of the channels, whose Sobel gradient is 1/2 on both sides
    error = EdgeError()(coarse([[0.5]]), source, torch.rand(1, 3, 8, 16))
    torch.testing.assert_close(error, torch.tensor([[[[0, 0.125, 0.125, 0]] * 2]]))


def test_background_difference_needs_a_positive_scale() -> None:
    with pytest.raises(ValueError, match=r"BackgroundDifference\(scale=0\): expected a scale above 0\."):
        BackgroundDifference(0)


def test_oracle_error_is_the_mean_true_error_of_each_patch() -> None:
    target = torch.zeros(1, 1, 8, 8)
    target[..., 0, 0:4] = 1  # one row of the first patch, which a resize to one value a patch would not see
    target[..., 5, 6] = 0.8
    error = OracleError().eval()(coarse([[0.0, 0.0], [0.0, 0.0]]), torch.zeros(1), torch.zeros(1), target)
    torch.testing.assert_close(error, torch.tensor([[[[0.25, 0.0], [0.0, 0.05]]]]))


def test_oracle_error_refuses_training_and_a_missing_target() -> None:
    given, picture = coarse([[0.0]]), torch.rand(1, 3, 4, 4)
    with pytest.raises(ValueError, match=r"cannot train.*PredictedError"):
        OracleError().train()(given, picture, picture, torch.rand(1, 1, 4, 4))
    with pytest.raises(ValueError, match=r"needs the true alpha: call the network with target=alpha"):
        OracleError().eval()(given, picture, picture)


def test_maps_say_what_they_know_and_need() -> None:
    assert [error_map.informative for error_map in MAPS] == [True, True, True, True, False]
    assert [error_map.needs_target for error_map in MAPS] == [False, False, False, True, False]
