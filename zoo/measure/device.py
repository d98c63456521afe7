"""Choice of the device that a command computes on."""

import torch
from torch import nn


def choose_device(name: str) -> torch.device:
    """Return the device of this name; `auto` is the fastest available one.

    Raises:
        ValueError: this machine has no such device.

    Example:
        >>> choose_device("cpu")
        device(type='cpu')
    """
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else "cpu"
    try:
        device = torch.device(name)
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError, NotImplementedError) as error:  # depends on how torch was built
        raise ValueError(
            f"the device '{name}' cannot be used here; expected auto, cpu or a device that this machine has."
        ) from error
    return device


def device_of(model: object) -> torch.device:
    """Return the device of a model's parameters; the CPU for a callable without parameters.

    Example:
        >>> device_of(torch.nn.Linear(1, 1, device="meta"))
        device(type='meta')
    """
    parameter = next(model.parameters(), None) if isinstance(model, nn.Module) else None
    return torch.device("cpu") if parameter is None else parameter.device
