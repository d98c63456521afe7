"""Effects of the components of a factorial or a fraction of one, as linear contrasts of the rows.

A contrast adds the matrices (seeds, images) of all rows with one weight each, so that it has the same bootstrap
interval as the difference of two rows. An effect is positive where the metric is larger with the component.
"""

import itertools
import math
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from zoo.core.seeding import derive_seed
from zoo.study.file import Study
from zoo.study.report.rows import ReportedRow
from zoo.study.report.statistics import Difference, holm, paired_difference
from zoo.study.report.verdicts import common_values

Kind = Literal["main effect", "interaction", "Shapley value", "whole effect"]


@dataclass(frozen=True)
class Effect:
    """One effect on one metric.

    Args:
        kind: a main effect is the mean with a component minus the mean without it; an interaction of two is half the
            difference between one's effect with and without the other; Shapley values add up to the whole effect.
        name: of the components; those that a fraction cannot tell apart are joined by `=`.
        components: whose effect it is; of aliases the first ones.
        difference: with its interval.
        corrected: the p-value after Holm's correction over the effects, or over the Shapley values, of the metric.
    """

    kind: Kind
    name: str
    components: tuple[str, ...]
    difference: Difference
    corrected: float | None = None


def estimate_effects(study: Study, rows: list[ReportedRow], metric: str) -> tuple[list[Effect], str | None]:
    """Return the effects on a metric, and a sentence where there are none or rows are missing.

    Without some rows of the design the effects are estimated by least squares, under the assumption that no three
    components interact.
    """
    if not study.factorial:
        return [], None
    designed = [row for row in rows if row.out is not None]
    present = [row for row in designed if row.runs]
    names = list(study.components)
    levels = np.array([[-1.0 if name in (row.out or ()) else 1.0 for name in names] for row in present])
    found = contrasts(levels.reshape(-1, len(names)), names)
    values = common_values(present, metric, study.test_data_differs) if found else None
    if values is None or not values.matrices[0].size:
        return [], f"Effects on {metric} cannot be estimated: too few rows of the design have comparable results."
    stacked = np.stack(values.matrices) - values.matrices[0]  # weights add up to zero; equal rows give exactly zero
    effects = []
    for kind, name, components, weights in found:
        seed = derive_seed("bootstrap", study.title, kind, name, metric)
        difference = paired_difference(np.tensordot(weights, stacked, 1), values.by_image, seed)
        effects.append(Effect(kind, name, components, difference))
    for kinds in (("main effect", "interaction"), ("Shapley value",)):
        family = {
            str(i): e.difference.p for i, e in enumerate(effects) if e.kind in kinds and e.difference.p is not None
        }
        for index, corrected in holm(family).items():
            effects[int(index)] = replace(effects[int(index)], corrected=corrected)
    if len(present) == len(designed) and not study.excluded:
        return effects, None
    return effects, f"Effects on {metric} are estimated without some rows, as if no three components interacted."


def contrasts(
    levels: NDArray[np.float64], names: list[str]
) -> list[tuple[Kind, str, tuple[str, ...], NDArray[np.float64]]]:
    """Return kind, name, components and the weights of the rows of each effect; none where there are too few rows.

    Args:
        levels: (rows, components), 1 with and -1 without.
        names: of the components.
    """
    columns: dict[tuple[str, ...], NDArray[np.float64]] = {}
    aliases: dict[tuple[str, ...], list[str]] = {}
    for count in (1, 2):
        for chosen in itertools.combinations(range(len(names)), count):
            column = levels[:, chosen].prod(axis=1)
            components = tuple(names[index] for index in chosen)
            same = next((other for other, known in columns.items() if np.array_equal(known, column)), None)
            aliases.setdefault(same or components, []).append(" × ".join(components))
            columns.setdefault(same or components, column)
    model = np.stack([np.ones(len(levels)), *columns.values()], axis=1)
    if np.linalg.matrix_rank(model) < model.shape[1]:
        return []
    solved = 2 * np.linalg.pinv(model)[1:]
    found: list[tuple[Kind, str, tuple[str, ...], NDArray[np.float64]]] = [
        ("main effect" if len(key) == 1 else "interaction", " = ".join(aliases[key]), key, weights)
        for key, weights in zip(columns, solved, strict=True)
    ]
    if len(levels) == 2 ** len(names):
        found += [("Shapley value", name, (name,), shapley(levels, index)) for index, name in enumerate(names)]
        whole = (levels == 1).all(1).astype(float) - (levels == -1).all(1)
        found.append(("whole effect", "all components", tuple(names), whole))
    return found


def shapley(levels: NDArray[np.float64], index: int) -> NDArray[np.float64]:
    """Return the weights of the rows of a full factorial in the Shapley value of a component.

    Example:
        >>> shapley(np.array([[1, 1], [1, -1], [-1, 1], [-1, -1]]), 0).tolist()
        [0.5, 0.5, -0.5, -0.5]
    """
    count = levels.shape[1]
    others = (levels == 1).sum(1) - (levels[:, index] == 1)
    weights = [math.factorial(n) * math.factorial(count - n - 1) / math.factorial(count) for n in others]
    return np.array(weights) * levels[:, index]
