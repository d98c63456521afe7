"""Plain references of matting networks: our own network without fast paths, or the official code, with equal weights.

Also random weights that keep activations near 1.
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
"""File of the official network in a checkout."""


def plain_copy(network: MattingNetwork) -> MattingNetwork:
    """Return a copy of the network with contiguous weights, as published code has them."""
    return copy.deepcopy(network).to(memory_format=torch.contiguous_format)


def with_gradients(module: Callable[..., Any], *inputs: Any) -> Any:
    """Call a module with gradients enabled, which selects its plain path: it crops each patch from full-size maps.

    No gradient is recorded, since no input requires one.
    """
    with torch.enable_grad():
        return module(*inputs)


def official_matting(
    checkout: Path, backbone: str, network: MattingNetwork, reduction: int, patches: int
) -> Callable[[Tensor, Tensor], tuple[Tensor, ...]]:
    """Return the official network from a checkout, with the weights of ours; its first outputs are alpha, foreground.

    Raises:
        ValueError: the folder is no such checkout.
    """
    settings = {"backbone_scale": 1 / reduction, "refine_mode": "sampling", "refine_sample_pixels": 16 * patches}
    return official_network(checkout, "MattingRefine", backbone, network, **settings).eval().requires_grad_(False)


def official_network(checkout: Path, name: str, backbone: str, network: MattingNetwork, **settings: Any) -> Any:
    """Return `MattingBase` or `MattingRefine` from a checkout, with the weights of ours.

    Raises:
        ValueError: the folder is no such checkout.
    """
    official = getattr(load_package(checkout), name)(backbone, **settings)
    ours = network.state_dict()
    official.load_state_dict({key: ours[official_to_ours(key)] for key in official.state_dict()})
    return official


def load_package(checkout: Path) -> ModuleType:
    """Return the `model` package of a checkout, and leave no trace of it in `sys.modules`.

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
    """Write no bytecode for modules that are loaded inside the block: the checkout is the user's."""
    writes, sys.dont_write_bytecode = sys.dont_write_bytecode, True
    try:
        yield
    finally:
        sys.dont_write_bytecode = writes


def check_checkout(checkout: Path) -> Path:
    """Return the file of a checkout's `model` package.

    Raises:
        ValueError: the folder has none.
    """
    file = checkout / PACKAGE
    if not file.is_file() or "MattingRefine" not in file.read_text(encoding="utf-8"):
        raise ValueError(
            f"--against {checkout}: expected a checkout of the official BackgroundMattingV2 repository, with its "
            f"network in {PACKAGE}."
        )
    return file


def checkout_digest(checkout: Path) -> str:
    """Return the SHA-256 of the code in a checkout's `model` package, for the record."""
    files = sorted(check_checkout(checkout).parent.glob("*.py"))
    return hashlib.sha256(b"".join(file.read_bytes() for file in files)).hexdigest()


@torch.no_grad()
def randomise_weights(network: nn.Module, generator: torch.Generator) -> None:
    """Sample every weight such that activations stay near 1 throughout the network."""
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
def make_errors_follow_contours(network: MattingNetwork) -> None:
    """Set weights that make the predicted error large at contours.

    A contour is where source and background differ by more, or less, than around it. The decoder's last layer receives
    both images, so that its weights suffice.
    """
    layer = network.decoder.conv4
    assert layer.bias is not None
    edges = torch.full((3, 3), -1 / 8)
    edges[1, 1] = 1
    layer.weight[4] = 0
    layer.weight[4, -6:-3], layer.weight[4, -3:] = edges / 6, -edges / 6
    layer.bias[4] = 0.25
