"""The official augmentation of background matting as parts: geometry, blur, colour, shadows, and camera effects.

Every step works on the whole batch, on its device, changes only the samples that it chose, and is switched off by
`probability: 0`. Defaults are the official code's; where the paper says otherwise, the docstring gives the paper's
value.
"""

from collections.abc import Callable, Sequence
from typing import Any, Literal

from torch import Tensor

from zoo.matting.parts import MattingBatch

Side = Literal["foreground", "background"]

IMAGES: dict[str, tuple[str, ...]] = {"foreground": ("foreground", "alpha"), "background": ("background",)}
"""The fields of the batch that belong to a side and move together."""


def change_chosen(
    batch: MattingBatch, images: Sequence[str], chosen: Tensor, change: Callable[[Tensor], Tensor]
) -> MattingBatch:
    """Return the batch with `change` applied to these images of the chosen samples; its tensors stay unchanged.

    Args:
        batch: the batch.
        images: names of its fields.
        chosen: (B,) booleans on the CPU.
        change: (n, C, H, W) → a new tensor of that shape, for the n chosen samples in their order.

    Example:
        >>> import torch
        >>> batch = MattingBatch(*torch.zeros(2, 2, 3, 1, 1), *torch.zeros(2, 2, 1, 1, 1))
        >>> change_chosen(batch, ["alpha"], torch.tensor([False, True]), lambda alpha: alpha + 1).alpha.flatten()
        tensor([0., 1.])
    """
    if not chosen.any():
        return batch
    everyone = bool(chosen.all())  # then nothing needs to be taken out and put back
    changed: dict[str, Any] = {}
    for name in images:
        image = getattr(batch, name)
        if everyone:
            changed[name] = change(image)
        else:
            changed[name] = image.clone()
            changed[name][chosen] = change(image[chosen])
    return batch._replace(**changed)


def check_side(part: object, side: str) -> None:
    """Raise ValueError unless `side` names a side of the batch.

    Example:
        >>> check_side("any part", "background")
    """
    if side not in IMAGES:
        raise ValueError(f"{type(part).__name__}(side={side!r}): expected 'foreground' or 'background'.")


def check_range(part: object, low: float, high: float, **arguments: float) -> None:
    """Raise ValueError for the first argument that is not within [low, high].

    Example:
        >>> check_range("any part", 0, 1, probability=0.5)
    """
    for name, value in arguments.items():
        if not low <= value <= high:
            raise ValueError(f"{type(part).__name__}({name}={value}): expected a number from {low} to {high}.")


def check_limits(part: object, smallest: float, **arguments: Sequence[float]) -> None:
    """Raise ValueError for the first argument that is not a pair `smallest` ≤ low ≤ high.

    Example:
        >>> check_limits("any part", 0, scale=(0.5, 1.5))
    """
    for name, value in arguments.items():
        if len(value) != 2 or not smallest <= value[0] <= value[1]:
            raise ValueError(
                f"{type(part).__name__}({name}={list(value)}): expected low and high, {smallest} <= low <= high."
            )
