"""Convert MediaPipe's networks from npm packages into safetensors files.

- `blazeface`: the short-range face detector (229 KB), from `@mediapipe/face_mesh`, for `zoo_plugins/weights`;
- `facemesh`: the 468 points of a face (1.2 MB), from the same package, for `FaceMesh(checkpoint=FILE)`;
- `selfie`: the segmentation of people (213 KB), from `@mediapipe/selfie_segmentation`, for `zoo_plugins/weights`.

All are Apache-2.0, The MediaPipe Authors. The converted network is compared with the original, which `ai-edge-litert`
runs. The last layer of `selfie`, which is MediaPipe's own, is compared with NumPy.

    pip install tflite ai-edge-litert
    npm pack @mediapipe/face_mesh@0.4.1657299874
    python tools/mediapipe.py blazeface mediapipe-face_mesh-0.4.1657299874.tgz blazeface.safetensors
    python tools/mediapipe.py facemesh mediapipe-face_mesh-0.4.1657299874.tgz facemesh.safetensors
    npm pack @mediapipe/selfie_segmentation@0.1.1675465747
    python tools/mediapipe.py selfie mediapipe-selfie_segmentation-0.1.1675465747.tgz selfie.safetensors
"""

import argparse
import hashlib
import json
import re
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import save_file
from torch import Tensor, nn
from zoo_plugins.mediapipe import INPUT, MESH_SIDE, MESH_STRIDES, SELFIE_SIDE, BlazeNetwork, FaceMesh, SelfieNetwork

LARGEST_DIFFERENCE = 1e-4
"""Allowed between the original's outputs and ours, relative to the largest output; weights are half precision."""


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("network", choices=["blazeface", "facemesh", "selfie"])
    parser.add_argument("package", type=Path, help="the downloaded tarball")
    parser.add_argument("output", type=Path, help="the safetensors file to write")
    arguments = parser.parse_args()
    if arguments.network == "blazeface":
        network, difference = converted_blazeface(packed_asset(arguments.package, "face_detection_short_range.tflite"))
    elif arguments.network == "selfie":
        with tarfile.open(arguments.package) as archive:
            model = archive.extractfile("package/selfie_segmentation.tflite").read()  # type: ignore[union-attr]
        network, difference = converted_selfie(model)
    else:
        network, difference = converted_facemesh(packed_asset(arguments.package, "face_landmark.tflite"))
    state = {name: value.half().contiguous() for name, value in network.state_dict().items()}
    metadata = {
        "source": f"npm {arguments.package.name}, sha256 {hashlib.sha256(arguments.package.read_bytes()).hexdigest()}",
        "licence": "Apache-2.0, The MediaPipe Authors",
        "network": arguments.network,
    }
    save_file(state, arguments.output, metadata=metadata)
    print(f"Wrote {arguments.output}: its outputs differ from the original's by {difference:.1e} of the largest.")


def converted_blazeface(model: bytes) -> tuple[nn.Module, float]:
    """Return the detector with the file's weights, and its largest relative difference from the original."""
    network = BlazeNetwork().eval()
    fill(network, constants(model))
    return network, compare(model, network.raw, INPUT, (-1.0, 1.0))


def converted_facemesh(model: bytes) -> tuple[nn.Module, float]:
    """Return the backbone with the file's weights, and its largest relative difference from the original."""
    network = FaceMesh()
    network.build(3, MESH_STRIDES)
    del network.norm  # which MediaPipe's network has not
    fill(network.eval(), constants(model, output=0))

    def points(image: Tensor) -> tuple[Tensor, ...]:
        features = network.start(image)
        for stage in network.stages:
            features = stage(features)
        return (network.points(features),)

    return network, compare(model, points, MESH_SIDE, (0.0, 1.0))


def converted_selfie(model: bytes) -> tuple[nn.Module, float]:
    """Return the segmentation with the file's weights, and its largest relative difference from the original."""
    network = SelfieNetwork().eval()
    values = constants(model)
    fill(network, values)

    def features(image: Tensor) -> tuple[Tensor, ...]:
        return (network.features(image).permute(0, 2, 3, 1),)

    difference = compare(without_last_layer(model), features, SELFIE_SIDE, (0.0, 1.0))
    kernel, bias = values[-2:]
    sample = np.random.default_rng(0).uniform(0, 1, (16, 128, 128)).astype(np.float32)
    squares = np.einsum("cyx,chw->hywx", kernel[:, 0], sample).reshape(256, 256) + bias  # each pixel becomes 2×2
    with torch.no_grad():
        own = network.last(torch.from_numpy(sample)).numpy()[0]
    return network, max(difference, float(np.abs(own - squares).max() / np.abs(squares).max()))


def without_last_layer(model: bytes) -> bytes:
    """Return the model up to its last layer, an operator of MediaPipe that no other interpreter knows."""
    import flatbuffers
    from ai_edge_litert import schema_py_generated as schema

    graph = schema.ModelT.InitFromObj(schema.Model.GetRootAs(model, 0))
    subgraph = graph.subgraphs[0]
    last = next(
        number
        for number, each in enumerate(subgraph.operators)
        if graph.operatorCodes[each.opcodeIndex].customCode is not None
    )
    subgraph.outputs = [subgraph.operators[last].inputs[0]]
    subgraph.operators = subgraph.operators[:last]
    builder = flatbuffers.Builder(len(model))
    builder.Finish(graph.Pack(builder), b"TFL3")
    return bytes(builder.Output())


def packed_asset(package: Path, name: str) -> bytes:
    """Return a file of the package's packed assets, whose loader lists where each begins and ends."""
    with tarfile.open(package) as archive:
        members = {Path(member.name).name: member for member in archive.getmembers()}
        loader = next(member for key, member in members.items() if key.endswith("_packed_assets_loader.js"))
        text = archive.extractfile(loader).read().decode()  # type: ignore[union-attr]
        listed = json.loads(re.search(r'"files": (\[[^]]*\])', text)[1])  # type: ignore[index]
        data = members[loader.name.rpartition("/")[2].replace("_loader.js", ".data")]
        assets = archive.extractfile(data).read()  # type: ignore[union-attr]
    place = next(entry for entry in listed if entry["filename"].endswith(name))
    return assets[place["start"] : place["end"]]


def constants(model: bytes, output: int | None = None) -> list[NDArray[np.float32]]:
    """Return weights, biases and slopes in the order of the graph, in torch's layout.

    Args:
        model: the file's content.
        output: number of the output whose layers are wanted; None takes all layers.
    """
    import tflite

    graph = tflite.Model.GetRootAsModel(model, 0)
    subgraph: Any = graph.Subgraphs(0)
    operators = [subgraph.Operators(number) for number in range(subgraph.OperatorsLength())]
    if output is not None:
        needed = {int(subgraph.Outputs(output))}
        for operator in reversed(operators):
            if needed & set(map(int, operator.OutputsAsNumpy())):
                needed |= set(map(int, operator.InputsAsNumpy()))
        operators = [each for each in operators if needed & set(map(int, each.OutputsAsNumpy()))]
    halves: dict[int, int] = {}

    def value(index: int) -> NDArray[np.float32]:
        tensor = subgraph.Tensors(halves.get(index, index))
        kind = np.float16 if tensor.Type() == tflite.TensorType.FLOAT16 else np.float32
        data = graph.Buffers(tensor.Buffer()).DataAsNumpy()
        return data.view(kind).reshape(tensor.ShapeAsNumpy()).astype(np.float32)

    found = []
    for operator in operators:
        code = graph.OperatorCodes(operator.OpcodeIndex())
        kind = max(code.BuiltinCode(), code.DeprecatedBuiltinCode())
        inputs = [int(index) for index in operator.InputsAsNumpy()]
        if kind == tflite.BuiltinOperator.DEQUANTIZE:
            halves[int(operator.OutputsAsNumpy()[0])] = inputs[0]
        elif kind == tflite.BuiltinOperator.CONV_2D:
            found += [value(inputs[1]).transpose(0, 3, 1, 2), value(inputs[2])]
        elif kind in (tflite.BuiltinOperator.DEPTHWISE_CONV_2D, tflite.BuiltinOperator.CUSTOM):  # or transposed
            found += [value(inputs[1]).transpose(3, 0, 1, 2), value(inputs[2])]
        elif kind == tflite.BuiltinOperator.PRELU:
            found.append(value(inputs[1]).reshape(-1))
    return found


def fill(network: nn.Module, values: list[NDArray[np.float32]]) -> None:
    """Give the network's parameters, in their order, the values.

    Raises:
        ValueError: another number of parameters, or other shapes.
    """
    parameters = list(network.parameters())
    if [tuple(each.shape) for each in parameters] != [each.shape for each in values]:
        raise ValueError("the file's layers are not those of the network.")
    for parameter, value in zip(parameters, values, strict=True):
        parameter.data.copy_(torch.from_numpy(value.copy()))


def compare(
    model: bytes, network: Callable[[Tensor], tuple[Tensor, ...]], side: int, limits: tuple[float, float]
) -> float:
    """Return the largest difference from the original on random images, relative to its largest output.

    Raises:
        ValueError: it is above `LARGEST_DIFFERENCE`.
    """
    from ai_edge_litert.interpreter import Interpreter

    original = Interpreter(model_content=model)
    original.allocate_tensors()
    rng = np.random.default_rng(0)
    difference = 0.0
    for _ in range(4):
        image = rng.uniform(*limits, (1, side, side, 3)).astype(np.float32)
        original.set_tensor(original.get_input_details()[0]["index"], image)
        original.invoke()
        with torch.no_grad():
            ours = network(torch.from_numpy(image).permute(0, 3, 1, 2))
        for details, output in zip(original.get_output_details(), ours, strict=False):
            expected = original.get_tensor(details["index"])
            found = output.numpy().reshape(expected.shape)
            difference = max(difference, float(np.abs(found - expected).max() / np.abs(expected).max()))
    if difference > LARGEST_DIFFERENCE:
        raise ValueError(f"the converted network's outputs differ from the original's by {difference:.1e}.")
    return difference


if __name__ == "__main__":
    main()
