"""Designs: the rows of a study that lists components instead of rows.

A component is named with the changes that take it out (or swap it). A design chooses which combinations are run: a row
for each, named by what it lacks, `without a, b`, or by what it has where that is shorter, `only c`.
"""

import itertools
import string
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pyDOE3 import fracfact, fracfact_by_res

from zoo.core.errors import ZooError

DESIGNS = ("leave-one-out", "add-one-in", "ladder", "factorial")

MOST_COMPONENTS, MOST_IN_FRACTION = 6, 12
"""Components of a factorial (64 rows), and of a fraction of one."""

RESOLUTION = 4
"""The least resolution of a fraction: main effects are then not aliased with one another or with two-factor
interactions.
"""

ALL, NONE = "all components", "no components"


def combinations(names: list[str], design: Any, where: str) -> list[tuple[str, ...]]:
    """Return the rows of a design, each as the names of the components that it leaves out.

    Args:
        names: of the components.
        design: `factorial`, `leave-one-out`, `add-one-in`, `ladder` or `{"fraction": ROWS}`.
        where: what an error message calls the study.

    Raises:
        ZooError: no such design, or too many components or too few rows for it.

    Example:
        >>> combinations(["a", "b"], "ladder", "the study")
        [('a', 'b'), ('b',), ()]
    """
    every = tuple(names)
    if isinstance(design, Mapping) and list(design) == ["fraction"]:
        levels = fraction(len(names), design["fraction"], where)
        return [tuple(name for name, level in zip(names, row, strict=True) if level < 0) for row in levels[::-1]]
    if design == "leave-one-out":
        return [(), *((name,) for name in names)]
    if design == "add-one-in":
        return [every, *(tuple(other for other in names if other != name) for name in names)]
    if design == "ladder":
        return [every[count:] for count in range(len(names) + 1)]
    if design != "factorial":
        raise ZooError(f"{where} has the design {design!r}; expected {', '.join(DESIGNS)} or {{fraction: ROWS}}.")
    if len(names) > MOST_COMPONENTS:
        raise ZooError(
            f"{where} has a factorial of {len(names)} components, {2 ** len(names)} rows; expected at most "
            f"{MOST_COMPONENTS}: write `design: {{fraction: ROWS}}`."
        )
    return [out for count in range(len(names) + 1) for out in itertools.combinations(names, count)]


def fraction(components: int, rows: Any, where: str) -> NDArray[np.float64]:
    """Return the levels (rows, components), 1 with and -1 without, of a regular fraction of the best resolution.

    Raises:
        ZooError: it does not exist, or would alias main effects.
    """
    if not 3 < components <= MOST_IN_FRACTION:
        raise ZooError(f"{where} has a fraction of {components} components; expected 4 to {MOST_IN_FRACTION}.")
    letters = string.ascii_lowercase[: components - 1]
    found = [fracfact(f"{' '.join(letters)} {letters}")]  # half of all, with the best resolution there is
    for wanted in range(components - 1, RESOLUTION - 1, -1):
        found.append(fracfact_by_res(components, wanted))
    sound = {len(levels): levels for levels in reversed(found) if resolution(levels) >= RESOLUTION}
    if rows not in sound:
        raise ZooError(
            f"{where} has a fraction of {rows} rows for {components} components: it does not exist, or it aliases main "
            f"effects; expected {' or '.join(map(str, sorted(sound)))}."
        )
    return sound[rows]


def resolution(levels: NDArray[np.float64]) -> int:
    """Return the length of the shortest word of the defining relation, columns + 1 for a full factorial.

    Example:
        >>> resolution(fracfact("a b c abc"))
        4
    """
    rows, columns = levels.shape
    for length in range(1, columns + 1):
        for word in itertools.combinations(range(columns), length):
            if abs(levels[:, word].prod(axis=1).sum()) == rows:
                return length
    return columns + 1


def row_name(out: tuple[str, ...], names: list[str]) -> str:
    """Return the name of the row without these components.

    Example:
        >>> row_name(("b",), ["a", "b", "c"]), row_name(("a", "b"), ["a", "b", "c"])
        ('without b', 'only c')
    """
    if not out:
        return ALL
    if len(out) == len(names):
        return NONE
    if len(out) <= len(names) / 2:
        return f"without {', '.join(out)}"
    return f"only {', '.join(name for name in names if name not in out)}"


def check_overlap(components: Mapping[str, Mapping[str, Any]], where: str) -> None:
    """Raise ZooError for a component without changes, or two that change one key: a combination has one value."""
    for name, changes in components.items():
        if not changes:
            raise ZooError(f"{where} has the component '{name}' without changes; expected what takes it out.")
    for (one, own), (other, others) in itertools.combinations(components.items(), 2):
        for key, another in itertools.product(own, others):
            if f"{key}.".startswith(f"{another}.") or f"{another}.".startswith(f"{key}."):
                raise ZooError(
                    f"{where} has the components '{one}' and '{other}', which overlap: both change "
                    f"{max(key, another, key=len)}; make one component of them, or let each change keys of its own."
                )
