"""Checks that a part gives what its slot promises; each raises a `ZooError` that names the class and its file."""

import traceback
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from zoo.core.errors import ZooError, explain, on_purpose
from zoo.core.parts import Backbone
from zoo.core.spec import Part, place_of


def check_output(part: Part, output: Any, expected: Sequence[Sequence[int | None]], promise: str) -> None:
    """Check the shapes of a part's output, one or several tensors; None stands for any size. Compilers skip this.

    Example:
        >>> from zoo_plugins.selectors import TopK
        >>> check_output(TopK(), torch.zeros(1, 1, 8, 8), [(1, 1, None, None)], "a score (B, 1, h, w)")
    """
    if torch.compiler.is_compiling() or torch.jit.is_tracing():
        return
    outputs = output if isinstance(output, list | tuple) else [output]
    shapes = [tuple(each.shape) if isinstance(each, Tensor) else type(each).__name__ for each in outputs]
    if len(shapes) != len(expected) or not all(
        len(shape) == len(sizes) and all(size in (None, own) for size, own in zip(sizes, shape, strict=True))
        for sizes, shape in zip(expected, shapes, strict=True)
    ):
        raise ZooError(f"{place_of(type(part))} returned {', '.join(map(str, shapes))}; its slot promises {promise}.")


def explain_with_part(error: BaseException) -> str:
    """Return `explain(error)`, and the plugin in whose code it was raised unless a part says itself what is wrong."""
    text, name = explain(error), raising_part(error)
    complete = (text.endswith(".") and on_purpose(error)) or isinstance(on_purpose(error), ZooError)
    return text if complete or not name else f"{text.rstrip('.')}. It was raised in {name}."


def raising_part(error: BaseException | None) -> str:
    """Return the innermost plugin, with its file, in the tracebacks of an error and its causes; empty without one."""
    name = ""
    while error is not None:
        owners = [frame.f_locals.get("self") for frame, _ in traceback.walk_tb(error.__traceback__)]
        parts = [type(owner) for owner in owners if isinstance(owner, Part)]
        name = next((place_of(cls) for cls in reversed(parts) if not cls.__module__.startswith("zoo.")), name)
        error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    return name


def check_built(backbone: Backbone, strides: Sequence[int]) -> None:
    """Check `channels` and `strides` of a backbone that was built for these strides."""
    channels, own = (getattr(backbone, name, None) for name in ("channels", "strides"))
    if not isinstance(channels, Sequence) or len(channels) != len(strides) or list(own or ()) != list(strides):
        raise ZooError(
            f"{place_of(type(backbone))} has channels {channels} and strides {own} after build; its slot promises "
            f"strides {list(strides)}, which it was asked for, and a number of channels for each."
        )


def check_features(backbone: Backbone, image: Tensor, features: Any, count: int | None = None) -> None:
    """Check the features of an image, of the first strides or of all; sizes may be rounded either way."""
    if torch.compiler.is_compiling() or torch.jit.is_tracing():
        return
    features = features if isinstance(features, list | tuple) else [features]
    expected: list[Sequence[int | None]] = []
    for position, stride in enumerate(backbone.strides[:count]):
        feature = features[position] if position < len(features) else None
        sizes = [-(-side // stride) for side in image.shape[-2:]]
        if isinstance(feature, Tensor) and feature.ndim == 4:
            sizes = [own if abs(own - side) <= 1 else side for own, side in zip(feature.shape[-2:], sizes, strict=True)]
        expected.append((image.shape[0], backbone.channels[position], *sizes))
    promise = ", ".join(str(tuple(shape)) for shape in expected)
    check_output(backbone, features, expected, f"features of {promise}, finest first")
