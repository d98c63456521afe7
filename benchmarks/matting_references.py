"""What matting networks are timed beside: our own network computed plainly, or the official code, both with the same
weights; and weights that behave.
"""

import copy
import hashlib
import importlib.util
import math
import sys
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

import torch
from torch import Tensor, nn

from zoo.matting.net import MattingNetwork
from zoo.matting.official_weights import official_to_ours

PACKAGE = Path("model") / "__init__.py"
"""Where the official network is in a checkout."""


def plain_copy(network: MattingNetwork) -> MattingNetwork:
    """The network with its weights in torch's own order, as published code has them."""
    return copy.deepcopy(network).to(memory_format=torch.contiguous_format)


def with_gradients(module: Callable[..., Any], *given: Any) -> Any:
    """What a module gives where gradients may flow: then it takes the plain path, which crops each patch from maps of
    the whole picture. (There are none, since nothing asks for them.)
    """
    with torch.enable_grad():
        return module(*given)


def official_matting(
    checkout: Path, backbone: str, network: MattingNetwork, reduction: int, patches: int
) -> Callable[[Tensor, Tensor], tuple[Tensor, ...]]:
    """The official network from a checkout of its repository, with the weights of ours; it gives alpha and foreground
    first.

    Raises:
        ValueError: the folder is no such checkout.
    """
    settings = {"backbone_scale": 1 / reduction, "refine_mode": "sampling", "refine_sample_pixels": 16 * patches}
    return official_network(checkout, "MattingRefine", backbone, network, **settings).eval().requires_grad_(False)


def official_network(checkout: Path, name: str, backbone: str, network: MattingNetwork, **settings: Any) -> Any:
    """A network from a checkout, `MattingBase` or `MattingRefine`, with the weights of ours.

    Raises:
        ValueError: the folder is no such checkout.
    """
    official = getattr(load_package(checkout), name)(backbone, **settings)
    ours = network.state_dict()
    official.load_state_dict({key: ours[official_to_ours(key)] for key in official.state_dict()})
    return official


def load_package(checkout: Path) -> ModuleType:
    """The `model` package of a checkout; nothing of it stays behind under a name that others could import.

    Raises:
        ValueError: the folder is no such checkout.
    """
    file = check_checkout(checkout)
    name = f"official_{uuid.uuid4().hex}"
    spec = importlib.util.spec_from_file_location(name, file, submodule_search_locations=[str(file.parent)])
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        with without_bytecode():
            spec.loader.exec_module(module)
    finally:
        for each in [each for each in sys.modules if each == name or each.startswith(f"{name}.")]:
            del sys.modules[each]
    return module


@contextmanager
def without_bytecode() -> Iterator[None]:
    """Nothing is written beside the modules that are loaded inside the block: the checkout is somebody else's."""
    writes, sys.dont_write_bytecode = sys.dont_write_bytecode, True
    try:
        yield
    finally:
        sys.dont_write_bytecode = writes


def check_checkout(checkout: Path) -> Path:
    """The file of its `model` package.

    Raises:
        ValueError: there is none.
    """
    file = checkout / PACKAGE
    if not file.is_file() or "MattingRefine" not in file.read_text(encoding="utf-8"):
        raise ValueError(
            f"--against {checkout}: expected a checkout of the official BackgroundMattingV2 repository, with its "
            f"network in {PACKAGE}."
        )
    return file


def checkout_digest(checkout: Path) -> str:
    """SHA-256 of the code in its `model` package, so that a record says which code it was."""
    files = sorted(check_checkout(checkout).parent.glob("*.py"))
    return hashlib.sha256(b"".join(file.read_bytes() for file in files)).hexdigest()


@torch.no_grad()
def draw_weights(network: nn.Module, generator: torch.Generator) -> None:
    """Draw every weight, with statistics that keep numbers near 1 all through the network."""
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            bound = math.sqrt(3 / math.prod(module.weight.shape[1:]))
            module.weight.uniform_(-bound, bound, generator=generator)
        elif isinstance(module, nn.BatchNorm2d):
            assert module.running_mean is not None
            assert module.running_var is not None
            module.running_mean.uniform_(-0.1, 0.1, generator=generator)
            module.running_var.uniform_(0.5, 1.5, generator=generator)
            module.weight.uniform_(0.8, 1.2, generator=generator)
            module.bias.uniform_(-0.1, 0.1, generator=generator)


@torch.no_grad()
def answer_to_contours(network: MattingNetwork) -> None:
    """Let the error be large at contours: where source and background differ by more, or less, than around it.

    The decoder's last layer sees both, so that this takes nothing but weights.
    """
    layer = network.decoder.conv4
    assert layer.bias is not None
    edges = torch.full((3, 3), -1 / 8)
    edges[1, 1] = 1
    layer.weight[4] = 0
    layer.weight[4, -6:-3], layer.weight[4, -3:] = edges / 6, -edges / 6
    layer.bias[4] = 0.25
