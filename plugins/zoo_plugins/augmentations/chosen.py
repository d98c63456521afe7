"""Which pictures of which samples a step changes."""

from collections.abc import Callable, Sequence
from typing import Any, Literal

from torch import Tensor

from zoo.matting.parts import MattingBatch

Side = Literal["foreground", "background"]

PICTURES: dict[str, tuple[str, ...]] = {"foreground": ("foreground", "alpha"), "background": ("background",)}
"""The pictures that belong to a side and move together."""


def change_chosen(
    batch: MattingBatch, pictures: Sequence[str], chosen: Tensor, change: Callable[[Tensor], Tensor]
) -> MattingBatch:
    """The batch with `change` applied to the chosen samples of these pictures; the given tensors are not touched.

    Args:
        batch: the batch.
        pictures: names of its fields.
        chosen: (B,) booleans on the CPU.
        change: (n, C, H, W) → a new tensor of that shape, for the n chosen samples in their order.
    """
    if not chosen.any():
        return batch
    everyone = bool(chosen.all())  # then nothing needs to be taken out and put back
    changed: dict[str, Any] = {}
    for name in pictures:
        images = getattr(batch, name)
        if everyone:
            changed[name] = change(images)
        else:
            changed[name] = images.clone()
            changed[name][chosen] = change(images[chosen])
    return batch._replace(**changed)


def check_side(part: object, side: str) -> None:
    """ValueError unless `side` names a side of the batch."""
    if side not in PICTURES:
        raise ValueError(f"{type(part).__name__}(side={side!r}): expected 'foreground' or 'background'.")


def check_range(part: object, low: float, high: float, **arguments: float) -> None:
    """ValueError naming the first argument that is not within [low, high]."""
    for name, value in arguments.items():
        if not low <= value <= high:
            raise ValueError(f"{type(part).__name__}({name}={value}): expected a number from {low} to {high}.")


def check_limits(part: object, smallest: float, **arguments: Sequence[float]) -> None:
    """ValueError naming the first argument that is not a pair `smallest` ≤ low ≤ high."""
    for name, value in arguments.items():
        if len(value) != 2 or not smallest <= value[0] <= value[1]:
            raise ValueError(
                f"{type(part).__name__}({name}={list(value)}): expected low and high, {smallest} <= low <= high."
            )
