"""What the plots of a report share: panels, colours, a legend, and SVG that is the same for the same results.

Of many rows only those that differ most from the baseline have a colour and a name; the others are grey.
"""

import io
from collections.abc import Sequence
from typing import NamedTuple

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from zoo.study.file import NOISE_FLOOR
from zoo.study.report import Report
from zoo.study.rows import ReportedRow

NAMED = 8
"""Rows with a colour of their own, besides the baseline."""

BASELINE, NOISE, OTHERS = "black", "#7b8190", "#d0d3da"
"""Colours of the baseline, of the noise floor, and of rows without one of their own."""


class Style(NamedTuple):
    """How a row is drawn: `label` names it in the legend, None for a row that has no name there."""

    colour: str
    label: str | None
    marker: str
    order: int


class Styles:
    """How each row of a report is drawn, the same in all plots."""

    def __init__(self, report: Report) -> None:
        palette = [matplotlib.colors.to_hex(colour) for colour in matplotlib.colormaps["tab10"].colors]  # type: ignore[attr-defined]
        palette.remove(matplotlib.colors.to_hex("tab:gray"))
        self.baseline = report.baseline.name
        shown = [row.name for row in report.most_different(NAMED) if row is not report.baseline]
        self.colours = dict(zip(shown, palette, strict=False))

    def __getitem__(self, row: ReportedRow) -> Style:
        if row.name == self.baseline:
            return Style(BASELINE, plain(row.name), "s", 4)
        if row.name == NOISE_FLOOR:
            return Style(NOISE, NOISE_FLOOR, "x", 2)
        if row.name in self.colours:
            return Style(self.colours[row.name], plain(row.name), "o", 3)
        return Style(OTHERS, None, "o", 1)


def panelled(count: int, columns: int, width: float, height: float, share_y: bool = False) -> tuple[Figure, list[Axes]]:
    """A figure with this many panels, side by side and below one another.

    Args:
        count: of panels.
        columns: at most so many side by side.
        width, height: of a panel, inches.
        share_y: whether the panels of a line have one vertical axis.
    """
    columns = min(count, columns)
    lines = -(-count // columns)
    figure = Figure(figsize=(width * columns, height * lines), layout="constrained")
    grid = figure.subplots(lines, columns, squeeze=False, sharey="row" if share_y else "none").flatten()
    for axes in grid[count:]:
        axes.remove()
    return figure, list(grid[:count])


def add_legend(figure: Figure, panels: Sequence[Axes]) -> None:
    """One legend for all panels, below them."""
    entries = {
        label: handle for axes in panels for handle, label in zip(*axes.get_legend_handles_labels(), strict=True)
    }
    figure.legend(entries.values(), entries.keys(), loc="outside lower center", ncols=3, fontsize="small")


def plain(text: str) -> str:
    """Text that matplotlib shows as it is: a dollar sign would begin a formula."""
    return text.replace("$", r"\$")


def svg(figure: Figure) -> str:
    """The figure as SVG, without the date, and with names that are the same each time."""
    text = io.StringIO()
    with matplotlib.rc_context({"svg.hashsalt": "zoo"}):
        figure.savefig(text, format="svg", metadata={"Date": None})
    return text.getvalue()
