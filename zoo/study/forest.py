"""The forest plot of a report: every difference to the baseline, with its interval."""

from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from zoo.study.file import NOISE_FLOOR, Metric
from zoo.study.plots import panelled, plain, svg
from zoo.study.report import Report
from zoo.study.rows import ReportedRow
from zoo.study.tables import heading

NEUTRAL, MARKED, NOISE = "#4c566a", "#b3261e", "#d8dee9"
"""Colours of differences, of those that are significant, and of the noise floor's interval."""


def forest_plot(report: Report) -> str | None:
    """Each row's difference to the baseline with its interval, a panel a metric; the noise floor's interval is a band.

    None where nothing can be compared.
    """
    metrics = report.study.metrics
    rows = [row for row in reversed(report.others) if any(cell.difference for cell in row.cells.values())]
    if not rows:
        return None
    figure, panels = panelled(len(metrics), columns=4, width=3.2, height=1.2 + 0.26 * len(rows), share_y=True)
    for axes, metric in zip(panels, metrics, strict=True):
        axes.axvline(0, color="black", linewidth=0.8)
        for height, row in enumerate(rows):
            draw_difference(axes, height, row, metric)
        axes.set_yticks(range(len(rows)), [plain(row.name) for row in rows])
        axes.set_ylim(-0.6, len(rows) - 0.4)
        axes.grid(axis="y", color="#eeeeee", zorder=-1)
        axes.xaxis.set_major_locator(MaxNLocator(5))
        axes.set_xlabel(f"{plain(heading(metric, report.study))}\nrow minus baseline")
    return svg(figure)


def draw_difference(axes: Axes, height: int, row: ReportedRow, metric: Metric) -> None:
    """One point of the forest plot, hollow where it has no interval."""
    cell = row.cells[metric.name]
    found = cell.difference
    if found is None:
        return
    colour = MARKED if cell.significant else NEUTRAL
    if found.low is None or found.high is None:
        axes.plot(found.mean, height, "o", color=colour, fillstyle="none", markersize=5)
        return
    if row.name == NOISE_FLOOR:
        axes.axvspan(found.low, found.high, color=NOISE, zorder=0)
    axes.hlines(height, found.low, found.high, color=colour)
    axes.plot(found.mean, height, "o", color=colour, markersize=5)
