"""F_Q, annotation consistency: does a head keep its pose when only its crop changes?

No publication defines it; the definition here is the project's own, and every table that shows it says so. Two
predictions for one head under different crops agree when ‖I − R₁R₂ᵀ‖_F ≤ τ. F_Q is the share of pairs that agree; its
AUC, the area under that share as the threshold rises from 0 to τ, also tells how well they agree.
"""

from collections import defaultdict
from collections.abc import Hashable, Sequence
from itertools import combinations
from typing import NamedTuple

import torch
from torch import Tensor

from zoo.heads.metrics.pose import pose_error

TOLERANCE = 0.1
"""τ: an angle of 4.05°."""


class Consistency(NamedTuple):
    """Project-defined: see the module's docstring."""

    f_q: Tensor
    """Share of pairs that agree, 0 to 1; NaN without pairs."""
    auc: Tensor
    """Area under the share of agreeing pairs over thresholds 0 to τ, divided by τ, 0 to 1; NaN without pairs."""
    pairs: int


def annotation_consistency(
    rotations: Tensor, heads: Sequence[Hashable], crops: Sequence[Hashable], tolerance: float = TOLERANCE
) -> Consistency:
    """F_Q (project-defined) of predicted rotations.

    Args:
        rotations: (N, 3, 3); a prediction that is not finite agrees with none.
        heads: N names, equal for one head.
        crops: N names; predictions of one head in equal crops make no pair.
        tolerance: τ, above 0.
    """
    groups: dict[Hashable, list[int]] = defaultdict(list)
    for index, head in enumerate(heads):
        groups[head].append(index)
    pairs = [pair for group in groups.values() for pair in combinations(group, 2) if crops[pair[0]] != crops[pair[1]]]
    if not pairs:
        return Consistency(torch.tensor(torch.nan), torch.tensor(torch.nan), 0)
    first, second = torch.tensor(pairs).T
    apart = pose_error(rotations[first], rotations[second]).frobenius.nan_to_num(nan=torch.inf)
    # Under a threshold lies the share of pairs of at most that norm: a pair of norm d adds the stretch from d to τ.
    return Consistency((apart <= tolerance).double().mean(), (1 - apart / tolerance).clamp(min=0).mean(), len(pairs))
