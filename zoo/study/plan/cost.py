"""The cost of a row's network, and whether it runs at all, without computing anything: on torch's meta device."""

import json
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import torch
from torch.utils.flop_counter import FlopCounterMode

from zoo.core.spec import Spec, build, without_downloads
from zoo.training.module import TrainingModule

ONLY_TRAINING = ("losses", "learning_rates", "schedule", "optimizer", "frozen")
"""Arguments of a training module that its forward pass does not depend on."""

CHECKED = (256, 256)
"""Height and width of the image that a network is tried with where no size is named."""


@dataclass(frozen=True)
class Cost:
    """A module before it is trained, and what it costs.

    Args:
        module: built, in evaluation mode.
        parameters: number of all parameters of the network.
        multiply_adds: of one forward pass for one image, by the name of its size.
    """

    module: TrainingModule
    parameters: int
    multiply_adds: dict[str, int]

    @cached_property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        """The shape of each weight and buffer that a checkpoint holds."""
        return {name: tuple(value.shape) for name, value in self.module.state_dict().items()}


def network_spec(spec: Spec) -> Spec:
    """Return the spec of a module without arguments that only training reads."""
    kept = {key: value for key, value in without_downloads(spec)["init_args"].items() if key not in ONLY_TRAINING}
    return {"class_path": spec["class_path"], "init_args": kept}


def measure(spec: Spec, sizes: Mapping[str, tuple[int, int]], known: dict[str, dict[str, int]] | None = None) -> Cost:
    """Build a module and try one forward pass for each size; nothing is downloaded.

    A part that cannot do without values is built and tried on the CPU instead, with zeros.

    Args:
        spec: of the module.
        sizes: height and width by name.
        known: multiply-adds by `network_spec`, which are not counted again; what is counted is added.

    Raises:
        ValueError, RuntimeError: the parts do not fit one another.
    """
    known = {} if known is None else known
    key = json.dumps(network_spec(spec))
    for device in ("meta", "cpu"):
        try:
            with torch.device(device):
                module = build(without_downloads(spec)).eval()
                if key not in known:
                    known[key] = {name: multiply_adds(module, *size) for name, size in (sizes or {"": CHECKED}).items()}
        except RuntimeError:
            if device == "cpu":
                raise
        else:
            break
    parameters = sum(parameter.numel() for parameter in module.network.parameters())
    return Cost(module, parameters, {name: known[key][name] for name in sizes})


def multiply_adds(module: TrainingModule, height: int, width: int) -> int:
    """Return the multiply-adds of one forward pass for one image, in convolutions and matrix products.

    Work that depends on the image counts at its most: `patches` patches where there is such a bound, otherwise the
    whole image.
    """
    for part in module.modules():
        if hasattr(part, "static_shapes"):
            # No shape may depend on values: on the meta device there are none.
            part.static_shapes = True  # type: ignore[assignment]
    with warnings.catch_warnings(), torch.no_grad(), FlopCounterMode(display=False) as counter:
        warnings.simplefilter("ignore")  # about a size that is only counted
        module(*module.example(height, width))
    return counter.get_total_flops() // 2
