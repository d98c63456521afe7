"""Converting MediaPipe's networks: parameters are filled in the graph's order, other layers are refused."""

from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from skimage import data
from zoo_plugins.guides import PersonGuide
from zoo_plugins.mediapipe import BlazeNetwork, FaceMesh, padded

from tools.mediapipe import fill
from zoo.core.spec import without_downloads


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


def test_the_face_mesh_starts_from_its_file_and_from_no_other(tmp_path: Path) -> None:
    trained = FaceMesh()
    trained.build(3, (4, 8, 16, 32))
    weights = {name: value for name, value in trained.state_dict().items() if not name.startswith("norm.")}
    save_file(weights, tmp_path / "mesh.safetensors")
    backbone = FaceMesh(checkpoint=str(tmp_path / "mesh.safetensors"))
    backbone.build(3, (4, 8, 16, 32))
    assert torch.equal(backbone.mesh[-1].weight, trained.mesh[-1].weight)
    assert "checkpoint" not in without_downloads(backbone.spec)["init_args"]
    save_file({"conv.weight": torch.zeros(1)}, tmp_path / "other.safetensors")
    with pytest.raises(ValueError, match=r"other\.safetensors holds no weights of the face mesh; expected a file of"):
        FaceMesh(checkpoint=str(tmp_path / "other.safetensors")).build(3, (4, 8))


def test_the_points_of_the_mesh_are_joined_to_the_last_features() -> None:
    backbone = FaceMesh()
    backbone.build(3, (4, 8, 16, 32))
    features = backbone.eval()(torch.rand(2, 3, 192, 192))[-1]
    points = features[:, 128:]
    assert points.shape == (2, 3 * 468, 6, 6)
    assert torch.equal(points, points[..., :1, :1].expand_as(points))
    with pytest.raises(ValueError, match=r"FaceMesh has 3 input channels.*needs 6"):
        FaceMesh().build(6, (4, 8))


ASTRONAUT = (
    (0, 0, 0.1839, 0.7047, 0.3036, 0, 0, 0),
    (0, 0, 0.5251, 1, 0.6434, 0, 0, 0),
    (0.0005, 0.0305, 0.5991, 1, 0.1605, 0, 0, 0),
    (0.0069, 0.5921, 1, 1, 0.7352, 0.0263, 0, 0),
    (0.4191, 1, 1, 1, 1, 0.5640, 0, 0),
    (0.6290, 1, 1, 1, 0.9657, 0.9001, 0.5904, 0.1187),
    (0.8488, 1, 1, 1, 1, 0.9997, 1, 0.6782),
    (0.8856, 0.9942, 0.9894, 0.9467, 0.9990, 0.9999, 1, 0.7977),
)
"""The mask of the original segmentation for the astronaut, run by ai-edge-litert: means of 8×8 squares."""


def test_the_shipped_segmentation_computes_the_mask_of_the_original() -> None:
    image = torch.from_numpy(data.astronaut().reshape(256, 2, 256, 2, 3).mean((1, 3))).permute(2, 0, 1)[None] / 255
    with torch.no_grad():
        mask = PersonGuide().double()(image)
    squares = torch.nn.functional.avg_pool2d(mask, 32)[0, 0]
    torch.testing.assert_close(squares, torch.tensor(ASTRONAUT, dtype=torch.double), atol=1e-3, rtol=0)
