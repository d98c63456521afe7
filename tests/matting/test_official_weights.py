"""Official weights: every key has its place, the outputs are the official ones, and a file that does not fit says so.

`bgmv2_keys.json.gz` lists the official networks' weights and their shapes. `bgmv2_outputs.npz` holds values of the
official networks' outputs, made once with the official code on the weights and pictures that `drawn` and `picture`
give, at a base scale of 1/4:

- `NAME/patches` and `NAME/threshold`: k and the threshold, chosen in a gap of the error map so that rounding does not
  change the selection;
- `NAME/MODE/KERNEL`: alpha and foreground, (2, 4, 5, 13), at `FULL_POINTS`;
- `NAME/MODE/KERNEL/rows` and `/columns`: how many patches are refined in each row and column of patches;
- `NAME/coarse`: coarse alpha, coarse foreground and error, (2, 5, 4, 10), at `COARSE_POINTS`.
"""

import gzip
import json
import math
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from zoo_plugins.selectors import AllPatches, Threshold, TopK

import zoo
from zoo.core.errors import ZooError
from zoo.core.parts import Backbone
from zoo.matting.official_weights import official_to_ours, to_network
from zoo.training.module import TrainingModule

HERE = Path(__file__).parent
KEYS: dict[str, dict[str, list[int]]] = json.loads(gzip.decompress((HERE / "bgmv2_keys.json.gz").read_bytes()))
PARAMETERS = {"resnet50": 40_247_703, "resnet101": 59_239_831, "mobilenetv2": 5_006_839}
FULL_POINTS = (..., slice(5, None, 29), slice(3, None, 53))
COARSE_POINTS = (..., slice(2, None, 9), slice(1, None, 17))


def drawn(key: str, shape: list[int]) -> Tensor:
    """The weight of an official key: uniform numbers from a generator seeded by the key's CRC-32, in a range that keeps
    activations near one."""
    uniform = torch.rand(shape, generator=torch.Generator().manual_seed(zlib.crc32(key.encode())))
    output_layer = "conv4." in key and not key.startswith("backbone.")
    if key.endswith("num_batches_tracked"):
        return torch.tensor(0)
    if key.endswith("running_var"):
        return 0.5 + uniform
    if len(shape) == 4:
        return (2 * uniform - 1) * (3 if output_layer else 1) * math.sqrt(3 / math.prod(shape[1:]))
    if key.endswith(".weight"):
        return 0.8 + 0.4 * uniform
    return uniform if output_layer else 0.2 * uniform - 0.1


def picture(key: str) -> Tensor:
    return torch.rand(2, 3, 128, 640, generator=torch.Generator().manual_seed(zlib.crc32(key.encode())))


def official_weights(name: str, kernel_size: int = 3) -> dict[str, Tensor]:
    shapes = KEYS[name]
    if kernel_size == 1:
        kernels = [key for key, shape in shapes.items() if key.startswith("refiner.conv") and len(shape) == 4]
        shapes = shapes | {key: [*shapes[key][:2], 1, 1] for key in kernels}
    return {key: drawn(key, shape) for key, shape in shapes.items()}


def saved(content: Any, folder: Path, name: str = "official.pth") -> str:
    torch.save(content, folder / name)
    return str(folder / name)


def on_meta(name: str, **arguments: Any) -> TrainingModule:
    with torch.device("meta"):
        return zoo.create_model(f"bgmv2_{name}", **arguments)


def kernel(size: int) -> dict[str, Any]:
    return {"class_path": "PatchRefiner", "init_args": {"kernel_size": size}}


@pytest.mark.parametrize("name", PARAMETERS)
def test_parameter_counts_are_the_official_ones(name: str) -> None:
    network = on_meta(name).network
    assert sum(parameter.numel() for parameter in network.parameters()) == PARAMETERS[name]


@pytest.mark.parametrize(("size", "count"), [(3, 15_444), (1, 1_812)])
def test_refiner_has_the_official_parameter_count(size: int, count: int) -> None:
    network = on_meta("mobilenetv2", refiner=kernel(size)).network
    assert sum(parameter.numel() for parameter in network.refiner.parameters()) == count


@pytest.mark.parametrize("name", PARAMETERS)
def test_every_official_weight_has_one_place_of_its_shape(name: str) -> None:
    renamed = [(official_to_ours(key), tuple(shape)) for key, shape in KEYS[name].items()]
    ours = {key: tuple(value.shape) for key, value in on_meta(name).network.state_dict().items()}
    assert len(renamed) == len(ours)
    assert dict(renamed) == ours


CASES = [("mobilenetv2", 3), ("mobilenetv2", 1), ("resnet50", 3), ("resnet50", 1), ("resnet101", 3)]


@pytest.mark.parametrize(("name", "kernel_size"), CASES)
def test_official_weights_give_the_official_outputs(name: str, kernel_size: int, tmp_path: Path) -> None:
    path = saved(official_weights(name, kernel_size), tmp_path)
    network = zoo.create_model(f"bgmv2_{name}", checkpoint=path, refiner=kernel(kernel_size)).eval().network
    Path(path).unlink()  # a quarter of a gigabyte
    with np.load(HERE / "bgmv2_outputs.npz") as official:
        selectors = {
            "sampling": TopK(int(official[f"{name}/patches"])),
            "thresholding": Threshold(float(official[f"{name}/threshold"])),
            "full": AllPatches(),
        }
        for mode, selector in selectors.items():
            key = f"{name}/{mode}/{kernel_size}"
            if key not in official:
                continue
            network.selector = selector
            with torch.no_grad():
                output = network(picture("source"), picture("background"))
            assert_close(torch.cat([output.alpha, output.foreground], 1)[FULL_POINTS], official[key])
            coarse = torch.cat([output.coarse_alpha, output.coarse_foreground, output.error], 1)
            assert_close(coarse[COARSE_POINTS], official[f"{name}/coarse"])
            if mode == "full":
                assert output.refined.all()
            else:
                np.testing.assert_array_equal(output.refined[:, 0].sum(2), official[f"{key}/rows"])
                np.testing.assert_array_equal(output.refined[:, 0].sum(1), official[f"{key}/columns"])


def assert_close(result: Tensor, official: np.ndarray) -> None:
    np.testing.assert_allclose(result, official, rtol=0, atol=1e-4)


def deeplab(name: str) -> dict[str, Any]:
    """A DeepLabV3 training file: the base network with another head and three input channels, in its own key layout."""
    weights = {}
    for key, shape in KEYS[name].items():
        if key.startswith("aspp."):
            weights[key.replace("aspp.", "classifier.classifier.0.")] = drawn(key, shape)
        elif key.startswith("backbone."):
            first = key in ("backbone.conv1.weight", "backbone.features.0.0.weight")
            parts = key.split(".")
            if parts[1] == "features":
                parts[1] = "low_level_features" if int(parts[2]) < 4 else "high_level_features"
            weights[".".join(parts)] = drawn(key, [shape[0], 3, *shape[2:]] if first else shape)
    for head, shape in {
        "1.weight": [256, 256, 3, 3],
        "2.weight": [256],
        "4.weight": [21, 256, 1, 1],
        "4.bias": [21],
    }.items():
        weights[f"classifier.classifier.{head}"] = drawn(head, shape)
    return {
        "cur_itrs": 30_000,
        "model_state": weights,
        "optimizer_state": {"state": {}, "param_groups": []},
        "best_score": 0.7,
    }


@pytest.mark.parametrize("name", ["mobilenetv2", "resnet50"])
def test_deeplab_weights_initialise_backbone_and_aspp(name: str, tmp_path: Path) -> None:
    fresh = zoo.create_model(f"bgmv2_{name}").network.state_dict()
    path = saved(deeplab(name), tmp_path, "best_deeplabv3.pth")
    network = zoo.create_model(f"bgmv2_{name}", checkpoint=path).network
    Path(path).unlink()
    for official, shape in KEYS[name].items():
        key = official_to_ours(official)
        loaded = network.state_dict()[key]
        if key in ("backbone.model.conv1.weight", "backbone.model.conv_stem.weight"):
            # The source gets the response that it had alone, whatever the background.
            image = drawn(official, [shape[0], 3, *shape[2:]])
            assert torch.equal(loaded, torch.cat([image, torch.zeros_like(image)], 1))
        elif key.startswith(("decoder.", "refiner.")):
            assert torch.equal(loaded, fresh[key]), key
        else:
            assert torch.equal(loaded, drawn(official, shape)), key


def test_deeplab_initialisation_says_once_what_starts_fresh(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level("INFO"):
        zoo.create_model("bgmv2_mobilenetv2", checkpoint=saved(deeplab("mobilenetv2"), tmp_path, "deeplab.pth"))
    told = [record.getMessage() for record in caplog.records if "fresh" in record.getMessage()]
    assert told == ["deeplab.pth has no weights for decoder, refiner: starting fresh there."]


def test_weights_of_another_backbone_are_an_error_that_lists_them(tmp_path: Path) -> None:
    path = saved(official_weights("mobilenetv2"), tmp_path)
    with pytest.raises(
        ZooError, match=r"does not fit this model: missing backbone\.model\.conv1\.weight; .* and \d+ more\."
    ):
        zoo.create_model("bgmv2_resnet50", checkpoint=path)


def test_official_weights_without_one_layer_are_an_error_that_names_it(tmp_path: Path) -> None:
    weights = official_weights("mobilenetv2")
    del weights["decoder.conv2.weight"], weights["backbone.features.3.conv.2.weight"]
    weights["decoder.conv1.weight"] = weights["decoder.conv1.weight"][:64]
    with pytest.raises(ZooError) as error:
        zoo.create_model("bgmv2_mobilenetv2", checkpoint=saved(weights, tmp_path))
    message = str(error.value)
    assert "missing decoder.conv2.weight" in message
    assert "missing backbone.model.blocks.1.1.conv_pwl.weight" in message
    assert "decoder.conv1.weight has shape (64, 288, 3, 3), expected (128, 288, 3, 3)" in message


def test_a_kernel_of_another_size_is_an_error(tmp_path: Path) -> None:
    path = saved(official_weights("mobilenetv2"), tmp_path)
    with pytest.raises(ZooError, match=r"refiner\.conv1\.weight has shape \(24, 42, 3, 3\), expected \(24, 42, 1, 1\)"):
        zoo.create_model("bgmv2_mobilenetv2", checkpoint=path, refiner=kernel(1))


@pytest.mark.parametrize(
    "key", ["backbone.features.18.0.weight", "backbone.features.2.conv.7.weight", "backbone.features.x", "head.weight"]
)
def test_a_layer_that_the_network_does_not_have_keeps_its_name(key: str) -> None:
    assert official_to_ours(key) == key


def test_names_that_are_the_networks_own_are_never_changed() -> None:
    state = {"backbone.layer1.weight": torch.zeros(1), "backbone.conv1.weight": torch.ones(1)}
    assert list(to_network(state, own={"backbone.layer1.weight"})) == [
        "backbone.layer1.weight",
        "backbone.model.conv1.weight",
    ]


class OfficialLookingBackbone(Backbone):
    """A stranger's backbone whose layers are called as torchvision calls its own."""

    def build(self, in_channels: int, strides: Sequence[int]) -> None:
        self.conv1 = nn.Conv2d(in_channels, 8, 3, 2, 1)
        self.layer1, self.layer2, self.layer3 = (nn.Conv2d(8, 8, 3, 2, 1) for _ in range(3))
        self.channels, self.strides = [8] * 4, list(strides)

    def forward(self, image: Tensor) -> list[Tensor]:
        features = [self.conv1(image)]
        for layer in (self.layer1, self.layer2, self.layer3):
            features.append(layer(features[-1]))
        return features


def test_own_weights_of_a_backbone_with_official_looking_names_load(tmp_path: Path) -> None:
    trained = zoo.create_model("bgmv2_mobilenetv2", backbone=OfficialLookingBackbone())
    nn.init.constant_(trained.network.backbone.conv1.weight, 0.25)
    for content in ({"state_dict": trained.state_dict()}, trained.network.state_dict()):
        path = saved(content, tmp_path)
        loaded = zoo.create_model("bgmv2_mobilenetv2", backbone=OfficialLookingBackbone(), checkpoint=path)
        assert (loaded.network.backbone.conv1.weight == 0.25).all()
