"""Export of networks to ONNX, TorchScript and `torch.export`, each file compared with PyTorch before it is kept.

The exported network is in evaluation mode and maps images to its outputs by name. The mesh of a head network is left
out, since head models have their own licences. The batch is dynamic. A *dynamic size* is any multiple of the module's
`size_step`; TorchScript keeps the size at tracing.
"""

import importlib.util
import re
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from inspect import signature
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.export import Dim, ExportedProgram

from zoo.core.distributions import install_command
from zoo.core.errors import ZooError
from zoo.core.files import replacing
from zoo.training.module import TrainingModule

OPSET = 18
"""Opset of ONNX, the one of torch's translations, so that none is converted."""

TOLERANCE = 1e-3
"""Largest difference from PyTorch that counts as rounding, relative for numbers above 1."""

LONGEST_SIDE = 16384
"""Longest side of a dynamic size, in pixels."""

Outputs = dict[str, Tensor]
Images = tuple[Tensor, ...]
Runner = Callable[[Images], Outputs]


@dataclass(frozen=True)
class Exported:
    """Names of inputs and outputs of a written file, in order, and each output's largest difference from PyTorch."""

    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    differences: dict[str, float]


@dataclass(frozen=True)
class Graph:
    """Input of an exporter.

    Args:
        network: returns its outputs as a dict.
        example: images in a batch of two, since exporters take a batch of one for a constant.
        shapes: dynamic dimensions of each input.
        inputs, outputs: their names, in order.
    """

    network: nn.Module
    example: Images
    shapes: tuple[dict[int, Any], ...]
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]


class DictOutputs(nn.Module):
    """Network of the named inputs, with its outputs as a dict, without those that are None."""

    def __init__(self, network: nn.Module, names: tuple[str, ...]) -> None:
        super().__init__()
        self.network, self.names = network, names

    def forward(self, *inputs: Tensor) -> Outputs:
        """Return the network's outputs by name."""
        output = self.network(**dict(zip(self.names, inputs, strict=True)))
        return {name: value for name, value in output._asdict().items() if value is not None}


def export(module: TrainingModule, path: Path, form: str, size: tuple[int, int], dynamic_size: bool) -> Exported:
    """Write the network of a module and compare the written file with PyTorch.

    Args:
        module: in evaluation mode, on the CPU.
        path: the file to write; it is written atomically.
        form: `onnx`, `torchscript` or `torch-export`.
        size: height and width at export.
        dynamic_size: whether the file must also take other sizes.

    Raises:
        ZooError: a part cannot be exported in this form, a package is missing, or the outputs of the file differ.
    """
    check_request(module, form, size, dynamic_size)
    inputs = module.input_names()
    larger = tuple(side + (module.size_step if dynamic_size else 0) for side in size)
    with replacing(path) as temporary, without_warnings(), torch.no_grad():
        try:
            network = DictOutputs(module.network, inputs)
            example = tuple(torch.rand(2, *each.shape[1:]) for each in chosen(module, module.example(*size)))
            graph = Graph(network, example, dynamic_dimensions(module, dynamic_size), inputs, tuple(network(*example)))
            written = WRITERS[form](graph, temporary)
            # Other batch sizes than the example's.
            samples = [sample_images(module, 1, size), sample_images(module, 3, larger)]
            results = [(images, network(*images), written(images)) for images in samples]
        except Exception as error:  # exporters fail in many ways
            target = form + " of dynamic size" * dynamic_size
            raise ZooError(
                f"{failing_part(error, module.network)} cannot be exported as {target}: {root_message(error)}"
            ) from error
        measured = [module.output_differences(*result) for result in results]
        differences = {name: max(difference[name] for difference in measured) for name in graph.outputs}
        check_equal(differences, form)
    return Exported(inputs, graph.outputs, differences)


def check_request(module: TrainingModule, form: str, size: tuple[int, int], dynamic_size: bool) -> None:
    """Raise ZooError for a form and size that no network can be exported to."""
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
            "--format onnx needs onnx, onnxscript and onnxruntime, not all of which are installed: "
            f"{install_command('export')}."
        )


def chosen(module: TrainingModule, example: Images) -> Images:
    """Return those inputs that an exported file takes; `example` has all, in the order of the network's arguments."""
    named = dict(zip(signature(module.network.forward).parameters, example, strict=False))
    return tuple(named[name] for name in module.input_names())


def dynamic_dimensions(module: TrainingModule, dynamic_size: bool) -> tuple[dict[int, Any], ...]:
    """Return the dynamic dimensions of each input: the batch and, for a dynamic size, height and width."""
    dimensions: dict[int, Any] = {0: Dim("batch", min=1)}
    if dynamic_size:
        steps = {"min": 1, "max": LONGEST_SIDE // module.size_step}
        height = module.size_step * Dim("height", **steps)
        dimensions |= {2: height, 3: height if module.square else module.size_step * Dim("width", **steps)}
    return (dimensions,) * len(module.input_names())


def sample_images(module: TrainingModule, batch: int, size: tuple[int, ...]) -> Images:
    """Return a batch of one rendered image and noise."""
    rendered = chosen(module, module.drawn_example(*size))
    return tuple(torch.cat([image, torch.rand(batch - 1, *image.shape[1:])]) for image in rendered)


def write_onnx(graph: Graph, path: Path) -> Runner:
    """Write an ONNX file and return a function that runs it with onnxruntime."""
    import onnxruntime

    options: Any = {"verbose": False, "dynamo": True, "opset_version": OPSET}
    options |= {"input_names": graph.inputs, "output_names": graph.outputs}
    program = torch.onnx.export(exported_program(graph), **options)
    assert program is not None
    program.save(str(path))
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])

    def run(inputs: Images) -> Outputs:
        feed = {name: value.numpy() for name, value in zip(graph.inputs, inputs, strict=True)}
        return dict(zip(graph.outputs, map(torch.from_numpy, session.run(list(graph.outputs), feed)), strict=True))

    return run


def write_torchscript(graph: Graph, path: Path) -> Runner:
    """Write a TorchScript archive of the traced network and return a function that runs it."""
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
    """Return the network as a graph of torch's operators."""
    return torch.export.export(
        graph.network,
        graph.example,
        dynamic_shapes={"inputs": graph.shapes},
        strict=False,
        # Assumptions about sizes are asserted at run time, since guards that cannot be proven are refused.
        prefer_deferred_runtime_asserts_over_guards=True,
    )


def check_equal(differences: dict[str, float], form: str) -> None:
    """Raise ZooError if an output differs from PyTorch's by more than rounding."""
    worst = max(differences, key=lambda name: differences[name])
    if not differences[worst] <= TOLERANCE:
        raise ZooError(
            f"exported as {form}, the network gives another '{worst}' than PyTorch does (off by "
            f"{differences[worst]:.3g}), so nothing was written: a part of it decides in Python what depends on the "
            "image; choose torch-export, which names the part, or another part."
        )


def failing_part(error: Exception, network: nn.Module) -> str:
    """Return the part of the network that was running when an exporter failed, or that it could not translate."""
    children = {id(module): name for name, child in network.named_children() for module in child.modules()}
    part = None
    for cause in causes(error):
        trace = cause.__traceback__
        while trace is not None:
            part = children.get(id(trace.tb_frame.f_locals.get("self")), part)
            trace = trace.tb_next
    if part is None:
        part = next((name for name, _ in network.named_children() if f"network.{name}" in str(error)), None)
    return "the network" if part is None else f"{type(network.get_submodule(part)).__name__} ({part})"


def causes(error: BaseException) -> Iterator[BaseException]:
    """Yield the error and its causes, the first cause last."""
    current: BaseException | None = error
    while current is not None:
        yield current
        current = current.__cause__ or current.__context__


def root_message(error: BaseException) -> str:
    """Return the first sentence of the root cause's message: exporters append pages of advice to it."""
    *_, cause = causes(error)
    line = re.split(r"\n|(?<=[^.])\. ", str(cause).strip() or type(cause).__name__)[0]
    return line.rstrip(".") + "."


@contextmanager
def without_warnings() -> Iterator[None]:
    """Suppress warnings in the block, which exporters address to their developers."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield
