"""Hooks of a training module for studies and exporters; a task overrides those that it supports."""

import math
from collections.abc import Mapping
from inspect import Parameter, signature
from typing import Any

import numpy as np
from torch import Tensor, nn

from zoo.core.errors import ZooError
from zoo.training.data import DataModule


class StudyHooks:
    """Hooks for studies: inputs for timing, metric names for planning, tiles for reports."""

    def example(self, height: int, width: int) -> tuple[Tensor, ...]:
        """Return inputs of `forward` for one image of this size, on torch's current default device."""
        raise NotImplementedError(f"{type(self).__name__} cannot be studied: it does not implement example.")

    def drawn_example(self, height: int, width: int) -> tuple[Tensor, ...]:
        """Return a rendered image as inputs of `forward`, on the CPU: a network's time may depend on the image."""
        return self.example(height, width)

    def metric_names(self, data: DataModule) -> set[str]:
        """Return the names of all metrics that validation and test log for this data, such as `test/one/sad`.

        For intervals over images, `test_step` also returns `{"samples": [{"sad": value}, …]}`, one entry per sample.
        """
        raise NotImplementedError(f"{type(self).__name__} cannot be studied: it does not implement metric_names.")

    def test_tiles(self, batch: Any, output: Any, count: int, side: int) -> list[dict[str, np.ndarray]]:
        """Return tiles that a report shows of the first `count` samples of a test batch; by default none.

        Args:
            batch: a test batch.
            output: what `test_step` returned as `{"output": output, …}` for it.
            count: the number of samples.
            side: the longest side of a tile, in pixels.

        Returns:
            Named tiles for each sample, uint8 (h, w, 3). The last is this network's own result; those before it are
            the same for every network.
        """
        return []


class ExportHooks:
    """Hooks for exporters: valid image sizes, and differences between outputs."""

    size_step = 1
    """In an exported network of dynamic size, image sides are multiples of this many pixels."""
    square = False
    """Whether images are square."""
    network: nn.Module

    def input_names(self) -> tuple[str, ...]:
        """Return the arguments of the network's `forward` that an exported file takes: those that are required."""
        parameters = signature(self.network.forward).parameters.values()
        return tuple(each.name for each in parameters if each.default is Parameter.empty)

    def fit_size(self, size: tuple[int, int] | None) -> tuple[int, int]:
        """Prepare the network for images of one size and return this size.

        Args:
            size: height and width; None for the size that it was trained on.

        Raises:
            ZooError: the network cannot take the size, or none is known.
        """
        if size is None:
            raise ZooError(f"{type(self).__name__} does not say which size it was trained on: give one with --size.")
        return size

    def output_differences(
        self, inputs: tuple[Tensor, ...], expected: Mapping[str, Tensor], got: Mapping[str, Tensor]
    ) -> dict[str, float]:
        """Return, for each output, the largest difference between `expected` and `got` (see `largest_difference`)."""
        return {name: largest_difference(value, got[name]) for name, value in expected.items()}


def largest_difference(expected: Tensor, got: Tensor) -> float:
    """Return the largest difference of two tensors, relative to numbers above 1; infinite for unequal shapes or NaNs.

    Example:
        >>> import torch
        >>> largest_difference(torch.tensor([0.0, 10.0]), torch.tensor([0.0, 11.0]))
        0.1
    """
    if expected.shape != got.shape:
        return math.inf
    expected, got = expected.double(), got.double()
    difference = (expected - got).abs() / expected.abs().clamp(min=1)
    return difference.max().nan_to_num(math.inf).item() if difference.numel() else 0.0
