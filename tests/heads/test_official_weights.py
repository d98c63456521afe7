"""Official DAD-3DNet weights: every key has its place, and the outputs are the official ones.

`dad3dnet_keys.json.gz` lists the official networks' weights and their shapes. `dad3dnet_outputs.npz` holds values of
the official networks' outputs, made once with the official code on the weights and crops that `drawn` and `crops` give:
`NAME/heatmaps` at `HEATMAP_POINTS`, `NAME/landmarks` and `NAME/params`.
"""

import gzip
import json
import math
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from zoo_plugins.backbones import TimmBackbone
from zoo_plugins.fusions import GatedBiFPN
from zoo_plugins.landmark_branches import HeatmapLandmarks

from zoo.heads.mesh import HeadSizes
from zoo.heads.net import HeadNetwork
from zoo.heads.official_weights import official_to_ours, to_network

HERE = Path(__file__).parent
KEYS: dict[str, dict[str, list[int]]] = json.loads(gzip.decompress((HERE / "dad3dnet_keys.json.gz").read_bytes()))
BACKBONES: dict[str, dict[str, Any]] = {
    "resnet50": {"name": "resnet50", "stride_in_first_conv": True},
    "mobilenet_w1": {"name": "mobilenetv1_100", "activation": "relu"},
}
PARAMETERS = {"resnet50": 32_945_617, "mobilenet_w1": 8_709_841}
pytestmark = pytest.mark.filterwarnings("ignore:`torch.jit.*is deprecated")  # official files are of that time
HEATMAP_POINTS = (..., slice(5, None, 13), slice(3, None, 11))


def drawn(key: str, shape: list[int]) -> Tensor:
    """The weight of an official key: uniform numbers from a generator seeded by the key's CRC-32, in a range in which
    activations neither fade nor explode: a plain chain of layers needs larger weights than a residual one."""
    uniform = torch.rand(shape, generator=torch.Generator().manual_seed(zlib.crc32(key.encode())))
    if key.endswith("num_batches_tracked"):
        return torch.tensor(0)
    if key.endswith(("running_var", ".w1", ".w2", "logit_image.3.bias")):
        return 0.5 + uniform
    if len(shape) > 1:
        gain = 1.4 if "w_conv." in key else 0.3 if "logit_image.3." in key else 1
        return (2 * uniform - 1) * gain * math.sqrt(3 / math.prod(shape[1:]))
    if key.endswith(".weight"):
        return 0.8 + 0.4 * uniform
    return 0.2 * uniform - 0.1


def crops() -> Tensor:
    """As the official network gets them: normalised already."""
    return 4 * torch.rand(2, 3, 192, 192, generator=torch.Generator().manual_seed(zlib.crc32(b"crops"))) - 2


def official_weights(name: str) -> dict[str, Tensor]:
    return {key: drawn(key, shape) for key, shape in KEYS[name].items()}


def made(name: str) -> HeadNetwork:
    backbone = TimmBackbone(output_stride=32, **BACKBONES[name])
    return HeadNetwork(backbone, GatedBiFPN(), HeatmapLandmarks(), HeadSizes(shape=300, expression=100))


@pytest.mark.parametrize("name", BACKBONES)
def test_every_official_weight_has_one_place_of_its_shape(name: str) -> None:
    with torch.device("meta"):
        network = made(name)
    assert sum(parameter.numel() for parameter in network.parameters()) == PARAMETERS[name]
    renamed = [(official_to_ours(key), tuple(shape)) for key, shape in KEYS[name].items()]
    ours = {key: tuple(value.shape) for key, value in network.state_dict().items()}
    assert len(renamed) == len(ours)
    assert dict(renamed) == ours


@pytest.mark.parametrize("name", BACKBONES)
def test_official_weights_give_the_official_outputs(name: str) -> None:
    network = made(name).eval()
    network.load_state_dict(to_network(official_weights(name), network.state_dict().keys()))
    with torch.no_grad():
        output = network(crops() * network.std + network.mean)
    with np.load(HERE / "dad3dnet_outputs.npz") as official:
        assert_close(output.heatmaps[HEATMAP_POINTS], official[f"{name}/heatmaps"])
        assert_close(output.landmarks, official[f"{name}/landmarks"])
        assert_close(output.params, official[f"{name}/params"])


def assert_close(result: Tensor, official: np.ndarray) -> None:
    np.testing.assert_allclose(result, official, rtol=0, atol=1e-4)


def test_of_a_checkpoint_of_the_official_training_only_the_network_is_taken() -> None:
    weights = official_weights("mobilenet_w1")
    saved = {f"model.{key}": value for key, value in weights.items()} | {"criterion.flame.faces": torch.zeros(3)}
    assert to_network(saved).keys() == to_network(weights).keys()


def test_names_that_are_the_networks_own_are_never_changed() -> None:
    state = {"head.heatmap.weight": torch.zeros(1), "bifpn.p3.weight": torch.ones(1)}
    assert list(to_network(state, own={"head.heatmap.weight"})) == [
        "head.heatmap.weight",
        "fusion.bifpn.laterals.0.weight",
    ]


@pytest.mark.parametrize(
    "key",
    ["fusion.gate.weight", "encoder.model.stage2.unit1.other.conv.weight", "bifpn.bifpn.0.p7_td.bn.weight", "weight"],
)
def test_a_name_that_is_not_official_stays(key: str) -> None:
    assert official_to_ours(key) == key
