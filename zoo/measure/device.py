"""Which device a command computes on."""

import torch
from torch import nn


def choose_device(name: str) -> torch.device:
    """The device of this name; `auto` is the fastest there is.

    Raises:
        ValueError: no such device here.
    """
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else "cpu"
    try:
        device = torch.device(name)
        torch.empty(0, device=device)
    except (
        RuntimeError,
        AssertionError,
        NotImplementedError,
    ) as error:  # what torch raises depends on how it was built
        raise ValueError(
            f"the device '{name}' cannot be used here; expected auto, cpu or a device that this machine has."
        ) from error
    return device


def device_of(model: object) -> torch.device:
    """Where the parameters of a model are; the CPU for a callable that has none."""
    parameter = next(model.parameters(), None) if isinstance(model, nn.Module) else None
    return torch.device("cpu") if parameter is None else parameter.device
