"""Curves of a report: learning by epoch, and metrics by severity."""

from typing import Any

from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from zoo.study.file import Robustness
from zoo.study.plots import Style, Styles, add_legend, panelled, plain, svg
from zoo.study.report import Report
from zoo.study.rows import ReportedRow
from zoo.study.tables import plotted_metric


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
    styles = Styles(report)
    figure, panels = panelled(len(names), columns=2, width=5.2, height=3.2)
    for axes, name in zip(panels, names, strict=True):
        for row in rows:
            draw_learning(axes, row, name, styles[row])
        axes.set_xlabel("epoch")
        axes.set_ylabel(plain(name))
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    add_legend(figure, panels)
    return svg(figure)


def draw_learning(axes: Axes, row: ReportedRow, name: str, style: Style) -> None:
    """The mean of one row over the epochs that every seed has, and where it has a name also the seeds."""
    curves = [{epoch["epoch"]: epoch[name] for epoch in run.result.curve if name in epoch} for run in row.runs.values()]
    for curve in curves if style.label else []:
        axes.plot(list(curve), list(curve.values()), color=style.colour, linewidth=0.5, alpha=0.4, zorder=style.order)
    common = sorted(set.intersection(*map(set, curves)))
    means = [sum(curve[epoch] for curve in curves) / len(curves) for epoch in common]
    look: dict[str, Any] = {"color": style.colour, "label": style.label, "zorder": style.order}
    axes.plot(common, means, linewidth=1.8, marker="." if len(common) == 1 else "", **look)


def robustness_curves(report: Report) -> str | None:
    """Each trained row's mean ± standard deviation by severity, a panel a kind of severity; None where there is no
    kind.
    """
    plots = report.study.robustness
    if not plots:
        return None
    styles = Styles(report)
    figure, panels = panelled(len(plots), columns=2, width=5.2, height=3.8)
    for axes, robustness in zip(panels, plots, strict=True):
        for row in report.rows:
            if row.trained and row.runs:
                draw_robustness(axes, row, robustness, styles[row])
        axes.set_xticks(list(robustness.metrics))
        axes.set_xlabel(plain(robustness.name))
        axes.set_ylabel(plain(plotted_metric(robustness, report.study)))
    add_legend(figure, panels)
    return svg(figure)


def draw_robustness(axes: Axes, row: ReportedRow, robustness: Robustness, style: Style) -> None:
    """The curve of one row; rows without a name have no deviations, which would hide the others."""
    cells = [row.cells[name] for name in robustness.metrics.values()]
    axes.errorbar(
        list(robustness.metrics),
        [cell.mean or 0.0 for cell in cells],  # never None where a run is done
        yerr=[cell.deviation or 0.0 for cell in cells] if style.label else None,
        color=style.colour,
        marker=style.marker,
        markersize=4,
        capsize=2,
        label=style.label,
        zorder=style.order,
    )
