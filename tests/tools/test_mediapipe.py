"""Converting MediaPipe's networks: parameters are filled in the graph's order, other layers are refused."""

import numpy as np
import pytest
import torch
from zoo_plugins.mediapipe import BlazeNetwork, FaceMesh, padded

from tools.mediapipe import fill


def test_parameters_are_filled_in_order() -> None:
    network = BlazeNetwork()
    values = [np.full(tuple(each.shape), number, np.float32) for number, each in enumerate(network.parameters())]
    fill(network, values)
    assert network.stem.bias[0] == 1
    assert network.blocks[0].depthwise.weight.unique().tolist() == [2]
    with pytest.raises(ValueError, match="layers are not those of the network"):
        fill(network, values[1:])


@pytest.mark.parametrize(("extent", "kernel", "left", "right"), [(8, 3, 0, 1), (9, 3, 1, 1), (128, 5, 1, 2)])
def test_padding_is_tensorflows(extent: int, kernel: int, left: int, right: int) -> None:
    ones = padded(torch.ones(1, 1, extent, extent), kernel, 2)[0, 0, extent // 2]
    assert ones.tolist() == [0] * left + [1] * extent + [0] * right


def test_the_points_of_the_mesh_are_joined_to_the_last_features(tmp_path) -> None:
    backbone = FaceMesh()
    backbone.build(3, (4, 8, 16, 32))
    features = backbone.eval()(torch.rand(2, 3, 192, 192))[-1]
    points = features[:, 128:]
    assert points.shape == (2, 3 * 468, 6, 6)
    assert torch.equal(points, points[..., :1, :1].expand_as(points))
    with pytest.raises(ValueError, match=r"FaceMesh has 3 input channels.*needs 6"):
        FaceMesh().build(6, (4, 8))
