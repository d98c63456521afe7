"""Metrics by attribute: for frontal and sided heads, with and without occlusions, and whatever else is known."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import torch
from torch import Tensor


class AttributeRow(NamedTuple):
    """What was measured on the heads that have one value of one attribute."""

    attribute: str
    value: str
    heads: int
    """How many there are."""
    unusable: int
    """How many of them have a prediction that could not be measured; the means are over the others."""
    means: dict[str, float]
    """The mean of each metric that was measured on any of them."""


def attribute_table(values: Mapping[str, Tensor], attributes: Sequence[Mapping[str, str] | None]) -> list[AttributeRow]:
    """One row for each value of each attribute, sorted by both.

    Args:
        values: for each metric one value a head, (N,): NaN where there was nothing to measure, infinite where the
            prediction is unusable.
        attributes: of each of the N heads, as in `HeadBatch`.

    Raises:
        ValueError: not one mapping a head.
    """
    wrong = [name for name, column in values.items() if len(column) != len(attributes)]
    if wrong:
        raise ValueError(
            f"{wrong[0]} has {len(values[wrong[0]])} values for {len(attributes)} heads: expected one a head."
        )
    groups: dict[tuple[str, str], list[int]] = defaultdict(list)
    for index, known in enumerate(attributes):
        for pair in (known or {}).items():
            groups[pair].append(index)
    return [
        _row(attribute, value, len(chosen), {name: column[chosen] for name, column in values.items()})
        for (attribute, value), chosen in sorted(groups.items())
    ]


def mean_of_usable(column: Tensor) -> float | None:
    """The mean of the finite values; NaN where all predictions are unusable, None where nothing was to be measured."""
    measured = column[~column.isnan()].double()
    if not len(measured):
        return None
    usable = measured[measured.isfinite()]
    return float(usable.mean()) if len(usable) else float("nan")


def _row(attribute: str, value: str, count: int, values: Mapping[str, Tensor]) -> AttributeRow:
    unusable = torch.zeros(count, dtype=torch.bool)
    for column in values.values():
        unusable |= column.isinf().cpu()
    means = {name: mean for name, column in values.items() if (mean := mean_of_usable(column)) is not None}
    return AttributeRow(attribute, value, count, int(unusable.sum()), means)
