"""Networks for other programs: ONNX, TorchScript and `torch.export`, each compared with PyTorch before it is kept.

What is exported is the network in evaluation: pictures in, its outputs by name. A head network's mesh is not part of
it, since head models have licences of their own. The batch is dynamic. A *dynamic size* is any multiple of the module's
`size_step`; TorchScript keeps the size that it was traced at.
"""

import importlib.util
import re
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from inspect import Parameter, signature
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.export import Dim, ExportedProgram

from zoo.core.errors import ZooError
from zoo.core.files import replacing
from zoo.training.module import TrainingModule

OPSET = 18
"""Of ONNX: the one that torch's translations are written in, so that nothing is converted."""

TOLERANCE = 1e-3
"""The largest difference from PyTorch, relative to numbers above 1, that is put down to rounding."""

LARGEST = 16384
"""The longest side of a dynamic size, in pixels."""

Outputs = dict[str, Tensor]
Pictures = tuple[Tensor, ...]
Runner = Callable[[Pictures], Outputs]


@dataclass(frozen=True)
class Exported:
    """What was written, and how far it is from PyTorch.

    Args:
        inputs, outputs: their names, in order.
        differences: the largest from PyTorch, by output.
    """

    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    differences: dict[str, float]


@dataclass(frozen=True)
class Graph:
    """What an exporter is given.

    Args:
        network: gives its outputs as a dict.
        example: pictures of a batch of two: of one, exporters believe that it is always one.
        shapes: of each input, its dynamic dimensions.
        inputs, outputs: their names, in order.
    """

    network: nn.Module
    example: Pictures
    shapes: tuple[dict[int, Any], ...]
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]


class Named(nn.Module):
    """A network whose outputs are a dict, without those that it does not have."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, *inputs: Tensor) -> Outputs:
        """The network's inputs → its outputs by name."""
        return {name: value for name, value in self.network(*inputs)._asdict().items() if value is not None}


def export(module: TrainingModule, path: Path, form: str, size: tuple[int, int], dynamic_size: bool) -> Exported:
    """Write the network of a module, and compare the written file with PyTorch.

    Args:
        module: in evaluation mode, on the CPU.
        path: the file to write; nothing is left of it when something goes wrong.
        form: `onnx`, `torchscript` or `torch-export`.
        size: height and width that the network is exported at.
        dynamic_size: whether other sizes are to work as well.

    Raises:
        ZooError: a part cannot be exported in this form, a package is missing, or the file gives other numbers.
    """
    check_request(module, form, size, dynamic_size)
    inputs = input_names(module.network)
    larger = tuple(side + (module.size_step if dynamic_size else 0) for side in size)
    with replacing(path) as temporary, quietly(), torch.no_grad():
        try:
            network = Named(module.network)
            example = tuple(torch.rand(2, *each.shape[1:]) for each in module.example(*size)[: len(inputs)])
            graph = Graph(network, example, dynamic_dimensions(module, dynamic_size), inputs, tuple(network(*example)))
            written = WRITERS[form](graph, temporary)
            # The example's was a batch of two.
            given = [pictures(module, len(inputs), 1, size), pictures(module, len(inputs), 3, larger)]
            pairs = [(network(*each), each, written(each)) for each in given]
        except Exception as error:  # exporters fail in many ways
            raise ZooError(
                f"{culprit(error, module.network)} cannot be exported as {form}{' of dynamic size' * dynamic_size}: "
                f"{first_line(error)}"
            ) from error
        found = [module.output_differences(each, wanted, got) for wanted, each, got in pairs]
        differences = {name: max(difference[name] for difference in found) for name in graph.outputs}
        check_equal(differences, form)
    return Exported(inputs, graph.outputs, differences)


def check_request(module: TrainingModule, form: str, size: tuple[int, int], dynamic_size: bool) -> None:
    """ZooError for what no network can be exported to."""
    if form == "torchscript" and dynamic_size:
        raise ZooError(
            "TorchScript keeps the size that a network was traced at: leave out --dynamic-size and choose one with "
            "--size, or take --format onnx or torch-export."
        )
    if dynamic_size and any(side % module.size_step for side in size):
        raise ZooError(
            f"the size {size[0]}×{size[1]} does not go with --dynamic-size: expected multiples of {module.size_step} "
            "pixels, which are the sizes that the file will take."
        )
    if form == "onnx" and not all(map(importlib.util.find_spec, ("onnx", "onnxscript", "onnxruntime"))):
        raise ZooError(
            "--format onnx needs onnx, onnxscript and onnxruntime, not all of which are installed: pip install "
            "'ablation-zoo[export]'."
        )


def input_names(network: nn.Module) -> tuple[str, ...]:
    """What the network cannot do without, by its forward's signature."""
    parameters = signature(network.forward).parameters.values()
    return tuple(each.name for each in parameters if each.default is Parameter.empty)


def dynamic_dimensions(module: TrainingModule, dynamic_size: bool) -> tuple[dict[int, Any], ...]:
    """The dynamic dimensions of each input: the batch, and height and width where wanted."""
    dimensions: dict[int, Any] = {0: Dim("batch", min=1)}
    if dynamic_size:
        steps = {"min": 1, "max": LARGEST // module.size_step}
        height = module.size_step * Dim("height", **steps)
        dimensions |= {2: height, 3: height if module.square else module.size_step * Dim("width", **steps)}
    return (dimensions,) * len(input_names(module.network))


def pictures(module: TrainingModule, inputs: int, batch: int, size: tuple[int, ...]) -> Pictures:
    """A drawn picture, beside which the rest of the batch is noise."""
    drawn = module.drawn_example(*size)[:inputs]
    return tuple(torch.cat([one, torch.rand(batch - 1, *one.shape[1:])]) for one in drawn)


def write_onnx(graph: Graph, path: Path) -> Runner:
    """Write an ONNX file; it is run by onnxruntime."""
    import onnxruntime

    options: Any = {"verbose": False, "dynamo": True, "opset_version": OPSET}
    options |= {"input_names": graph.inputs, "output_names": graph.outputs}
    program = torch.onnx.export(exported_program(graph), **options)
    assert program is not None
    program.save(str(path))
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])

    def run(inputs: Pictures) -> Outputs:
        given = {name: value.numpy() for name, value in zip(graph.inputs, inputs, strict=True)}
        return dict(zip(graph.outputs, map(torch.from_numpy, session.run(list(graph.outputs), given)), strict=True))

    return run


def write_torchscript(graph: Graph, path: Path) -> Runner:
    """Write a TorchScript archive of the network as it is traced."""
    traced: Any = torch.jit.trace(graph.network, graph.example, strict=False, check_trace=False)
    traced.save(str(path))
    loaded: Any = torch.jit.load(str(path))
    return lambda inputs: loaded(*inputs)


def write_torch_export(graph: Graph, path: Path) -> Runner:
    """Write a program of `torch.export`, which `torch.export.load` reads."""
    torch.export.save(exported_program(graph), path)
    loaded = torch.export.load(path).module()
    return lambda inputs: loaded(*inputs)


WRITERS: dict[str, Callable[[Graph, Path], Runner]] = {
    "onnx": write_onnx,
    "torchscript": write_torchscript,
    "torch-export": write_torch_export,
}


def exported_program(graph: Graph) -> ExportedProgram:
    """The network as a graph of torch's operators."""
    return torch.export.export(
        graph.network,
        graph.example,
        dynamic_shapes={"inputs": graph.shapes},
        strict=False,
        # What it has to assume of sizes is asserted when it runs; a guard would be refused where it cannot be proven.
        prefer_deferred_runtime_asserts_over_guards=True,
    )


def check_equal(differences: dict[str, float], form: str) -> None:
    """ZooError when an output differs from PyTorch's by more than rounding."""
    worst = max(differences, key=lambda name: differences[name])
    if not differences[worst] <= TOLERANCE:
        raise ZooError(
            f"exported as {form}, the network gives another '{worst}' than PyTorch does (off by "
            f"{differences[worst]:.3g}), so nothing was written: a part of it decides in Python what depends on the "
            "picture; choose torch-export, which names the part, or another part."
        )


def culprit(error: Exception, network: nn.Module) -> str:
    """The part of the network that was running when an exporter failed, or whose operation it could not translate."""
    children = {id(module): name for name, child in network.named_children() for module in child.modules()}
    found = None
    for cause in chain(error):
        trace = cause.__traceback__
        while trace is not None:
            found = children.get(id(trace.tb_frame.f_locals.get("self")), found)
            trace = trace.tb_next
    if found is None:
        found = next((name for name, _ in network.named_children() if f"network.{name}" in str(error)), None)
    return "the network" if found is None else f"{type(network.get_submodule(found)).__name__} ({found})"


def chain(error: BaseException) -> Iterator[BaseException]:
    """The error and what led to it, the first cause last."""
    current: BaseException | None = error
    while current is not None:
        yield current
        current = current.__cause__ or current.__context__


def first_line(error: BaseException) -> str:
    """What the first cause says, without the pages that exporters add."""
    *_, cause = chain(error)
    line = re.split(r"\n|(?<=[^.])\. ", str(cause).strip() or type(cause).__name__)[0]
    return line.rstrip(".") + "."


@contextmanager
def quietly() -> Iterator[None]:
    """Without what exporters say to those who develop them."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield
