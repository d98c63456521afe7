"""The plots of a report, as SVG text that is the same for the same results."""

import io
from collections.abc import Sequence

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from zoo.study.file import NOISE_FLOOR, Metric
from zoo.study.report import Report, ReportedRow
from zoo.study.tables import heading

NEUTRAL, MARKED, NOISE = "#4c566a", "#b3261e", "#d8dee9"
"""Colours of differences, of those that are significant, and of the noise floor's interval."""

COLUMNS = 2
"""Plots side by side."""


def forest_plot(report: Report) -> str | None:
    """Each row's difference to the baseline with its interval, a panel a metric; the noise floor's interval is a band.

    None where nothing can be compared.
    """
    metrics = report.study.metrics
    rows = [row for row in reversed(report.others) if any(cell.difference for cell in row.cells.values())]
    if not rows:
        return None
    figure, panels = panelled(len(metrics), height=1.2 + 0.3 * len(rows))
    for axes, metric in zip(panels, metrics, strict=True):
        axes.axvline(0, color="black", linewidth=0.8)
        for height, row in enumerate(rows):
            draw_difference(axes, height, row, metric)
        axes.set_yticks(range(len(rows)), [shown(row.name) for row in rows])
        axes.set_ylim(-0.6, len(rows) - 0.4)
        axes.set_xlabel(f"{shown(heading(metric, metrics))}, row minus baseline")
    return svg(figure)


def draw_difference(axes: Axes, height: int, row: ReportedRow, metric: Metric) -> None:
    """One point of the forest plot, hollow where it has no interval."""
    cell = row.cells[metric.name]
    found = cell.difference
    if found is None:
        return
    colour = MARKED if cell.significant else NEUTRAL
    if found.low is None or found.high is None:
        axes.plot(found.mean, height, "o", color=colour, fillstyle="none")
        return
    if row.name == NOISE_FLOOR:
        axes.axvspan(found.low, found.high, color=NOISE, zorder=0)
    axes.hlines(height, found.low, found.high, color=colour)
    axes.plot(found.mean, height, "o", color=colour)


def quality_against_cost(report: Report) -> str | None:
    """Each metric's mean ± standard deviation against the multiply-adds of the first size; None where no size is
    counted.
    """
    metrics, sizes = report.study.metrics, list(report.study.sizes)
    rows = [row for row in report.rows if row.runs and row.name != NOISE_FLOOR]
    if not sizes or any(row.job is None or sizes[0] not in row.job.multiply_adds for row in rows):
        return None
    figure, panels = panelled(len(metrics), height=3.2)
    for axes, metric in zip(panels, metrics, strict=True):
        for row in rows:
            cell = row.cells[metric.name]
            if row.job is None or cell.mean is None:
                continue
            axes.errorbar(
                row.job.multiply_adds[sizes[0]] / 1e9,
                cell.mean,
                yerr=cell.deviation,
                fmt="s" if row.name == report.study.baseline else "o",
                color=colour_of(row, report),
                label=shown(row.name),
            )
        axes.set_xlabel(f"GMACs {shown(sizes[0])}")
        axes.set_ylabel(shown(heading(metric, metrics)))
    add_legend(figure, panels[0])
    return svg(figure)


def learning_curves(report: Report) -> str | None:
    """What training and validation logged by epoch, a thin line a seed and a thick one their mean; None where nothing
    was.
    """
    rows = [row for row in report.rows if any(run.result.curve for run in row.runs.values())]
    logged = {name for row in rows for run in row.runs.values() for epoch in run.result.curve for name in epoch}
    measured = [f"validation/{metric.name.rpartition('/')[2]}" for metric in report.study.metrics]
    names = [name for name in dict.fromkeys(["train/loss", "validation/loss", *measured]) if name in logged]
    if not names:
        return None
    figure, panels = panelled(len(names), height=3.2)
    for axes, name in zip(panels, names, strict=True):
        for row in rows:
            draw_curves(axes, row, name, colour_of(row, report))
        axes.set_xlabel("epoch")
        axes.set_ylabel(shown(name))
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    add_legend(figure, panels[0])
    return svg(figure)


def draw_curves(axes: Axes, row: ReportedRow, name: str, colour: Sequence[float]) -> None:
    """The curves of one row; the mean is over epochs that every seed has."""
    curves = [{epoch["epoch"]: epoch[name] for epoch in run.result.curve if name in epoch} for run in row.runs.values()]
    for curve in curves:
        axes.plot(list(curve), list(curve.values()), color=colour, linewidth=0.6, alpha=0.5)
    common = sorted(set.intersection(*map(set, curves)))
    means = [sum(curve[epoch] for curve in curves) / len(curves) for epoch in common]
    axes.plot(common, means, color=colour, linewidth=1.8, marker=".", label=shown(row.name))


def panelled(count: int, height: float) -> tuple[Figure, list[Axes]]:
    """A figure with this many panels of this height in inches, side by side and below one another."""
    columns = min(count, COLUMNS)
    lines = -(-count // columns)
    figure = Figure(figsize=(5.2 * columns, height * lines), layout="constrained")
    grid = figure.subplots(lines, columns, squeeze=False).flatten()
    for axes in grid[count:]:
        axes.remove()
    return figure, list(grid[:count])


def add_legend(figure: Figure, axes: Axes) -> None:
    """One legend for all panels, below them."""
    figure.legend(*axes.get_legend_handles_labels(), loc="outside lower center", ncols=3, fontsize="small")


def colour_of(row: ReportedRow, report: Report) -> Sequence[float]:
    """A row's colour, the same in all plots."""
    colours = matplotlib.colormaps["tab20"]
    return colours([other.name for other in report.rows].index(row.name) % colours.N)


def shown(text: str) -> str:
    """Text that matplotlib shows as it is: a dollar sign would begin a formula."""
    return text.replace("$", r"\$")


def svg(figure: Figure) -> str:
    """The figure as SVG, without the date, and with names that are the same each time."""
    text = io.StringIO()
    with matplotlib.rc_context({"svg.hashsalt": "zoo"}):
        figure.savefig(text, format="svg", metadata={"Date": None})
    return text.getvalue()
