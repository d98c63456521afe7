"""The plots of a report as SVG, the same for the same results.

Of many rows only those that differ most from the baseline have a colour and a name; the others are grey.
"""

import io
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from zoo.study.file import NOISE_FLOOR, Metric, Robustness
from zoo.study.record import signed
from zoo.study.report.report import Report
from zoo.study.report.rows import ReportedRow
from zoo.study.report.tables import heading, plotted_metric

NAMED = 8
"""Rows with a colour of their own, in addition to the baseline."""

BASELINE, NOISE, OTHERS = "black", "#7b8190", "#d0d3da"
"""Colours of the baseline, of the A/A baseline, and of rows without one of their own."""


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
    """Return a figure with this many panels, side by side and below one another.

    Args:
        count: of panels.
        columns: the largest number side by side.
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
    """Add one legend for all panels, below them."""
    entries = {
        label: handle for axes in panels for handle, label in zip(*axes.get_legend_handles_labels(), strict=True)
    }
    figure.legend(entries.values(), entries.keys(), loc="outside lower center", ncols=3, fontsize="small")


def plain(text: str) -> str:
    """Return text that matplotlib shows as it is: a dollar sign would begin a formula."""
    return text.replace("$", r"\$")


def svg(figure: Figure) -> str:
    """Return the figure as SVG, without the date, and with names that are the same each time."""
    text = io.StringIO()
    with matplotlib.rc_context({"svg.hashsalt": "zoo"}):
        figure.savefig(text, format="svg", metadata={"Date": None})
    return text.getvalue()


BAND = "#d8dee9"
"""The colour of the A/A baseline's interval."""

LOOKS: dict[str | None, tuple[str, str]] = {
    "better": ("#0072b2", "^"),
    "worse": ("#d55e00", "v"),
    "equivalent": ("#009e73", "s"),
    "undecided": ("#767676", "o"),
    None: ("#4c566a", "o"),
}
"""Colour (Okabe and Ito, for colour-blind readers) and marker of each verdict, and without one."""


def forest_plot(report: Report) -> str | None:
    """Plot each row's difference to the baseline with its interval, a panel per metric; the A/A baseline's is a band.

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
    """Draw one point of the forest plot, hollow where it has no interval."""
    cell = row.cells[metric.name]
    found = cell.difference
    if found is None:
        return
    colour, marker = LOOKS[cell.verdict]
    if found.low is None or found.high is None:
        axes.plot(found.mean, height, marker, color=colour, fillstyle="none", markersize=5)
        return
    if row.name == NOISE_FLOOR:
        axes.axvspan(found.low, found.high, color=BAND, zorder=0)
    axes.hlines(height, found.low, found.high, color=colour)
    axes.plot(found.mean, height, marker, color=colour, markersize=5)


def effect_plot(report: Report) -> str | None:
    """Plot main effects with intervals and the matrix of interactions, a line per metric; None without a design."""
    metrics = [metric for metric in report.study.metrics if report.effects[metric.name]]
    if not metrics:
        return None
    names = list(report.study.components)
    figure, panels = panelled(2 * len(metrics), columns=2, width=4.6, height=1.4 + 0.4 * len(names))
    ticks = [plain(name) for name in names]
    for number, metric in enumerate(metrics):
        left, right = panels[2 * number : 2 * number + 2]
        left.axvline(0, color="black", linewidth=0.8)
        matrix = np.full((len(names), len(names)), np.nan)
        for effect in report.effects[metric.name]:
            found, places = effect.difference, [names.index(name) for name in effect.components]
            sure = found.low is not None and found.high is not None and not found.low <= 0 <= found.high
            if effect.kind == "main effect":
                if found.low is not None and found.high is not None:
                    left.hlines(places[0], found.low, found.high, color=LOOKS[None][0])
                left.plot(found.mean, places[0], "o", color=LOOKS[None][0], fillstyle="full" if sure else "none")
            elif effect.kind == "interaction":
                matrix[places[1], places[0]] = found.mean
                style: dict[str, Any] = {"weight": "bold"} if sure else {"color": "#767676"}
                right.text(
                    places[0], places[1], signed(found.mean), ha="center", va="center", fontsize="small", **style
                )
        left.set_yticks(range(len(names)), ticks)
        left.set_ylim(len(names) - 0.5, -0.5)
        left.set_xlabel(f"{plain(heading(metric, report.study))}\nwith minus without")
        limit = float(np.nanmax(np.abs(matrix), initial=0.0)) or 1.0
        right.imshow(matrix, cmap="PuOr", vmin=-2 * limit, vmax=2 * limit, aspect="auto")
        right.set_xticks(range(len(names)), ticks, rotation=20, ha="right")
        right.set_yticks(range(len(names)), ticks)
        right.set_title("interactions", fontsize="medium")
    return svg(figure)


def learning_curves(report: Report) -> str | None:
    """Plot logged metrics by epoch: thin lines for seeds, a thick one for the mean. None where no run has two."""
    rows = [row for row in report.rows if any(run.curve for run in row.runs.values())]
    if all(len(run.curve) < 2 for row in rows for run in row.runs.values()):
        return None
    logged = {name for row in rows for run in row.runs.values() for epoch in run.curve for name in epoch}
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
    """Draw the mean of one row over the epochs that every seed has, and for a named row also the seeds."""
    curves = [{epoch["epoch"]: epoch[name] for epoch in run.curve if name in epoch} for run in row.runs.values()]
    for curve in curves if style.label else []:
        axes.plot(list(curve), list(curve.values()), color=style.colour, linewidth=0.5, alpha=0.4, zorder=style.order)
    common = sorted(set.intersection(*map(set, curves)))
    means = [sum(curve[epoch] for curve in curves) / len(curves) for epoch in common]
    look: dict[str, Any] = {"color": style.colour, "label": style.label, "zorder": style.order}
    axes.plot(common, means, linewidth=1.8, marker="." if len(common) == 1 else "", **look)


def robustness_curves(report: Report) -> str | None:
    """Plot each trained row's mean ± standard deviation by severity, a panel per kind of severity; None without any."""
    plots = report.study.robustness
    if not plots:
        return None
    styles = Styles(report)
    figure, panels = panelled(len(plots), columns=2, width=5.2, height=3.8)
    for axes, robustness in zip(panels, plots, strict=True):
        for row in report.rows:
            if row.runs and not row.evaluate_only:
                draw_robustness(axes, row, robustness, styles[row])
        axes.set_xticks(list(robustness.metrics))
        axes.set_xlabel(plain(robustness.name))
        axes.set_ylabel(plain(plotted_metric(robustness, report.study)))
    add_legend(figure, panels)
    return svg(figure)


def draw_robustness(axes: Axes, row: ReportedRow, robustness: Robustness, style: Style) -> None:
    """Draw the curve of one row; rows without a name have no deviations, which would hide the others."""
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


NAME_SIZE = 0.4, 0.08
"""Fractions of a panel's width and height that a name takes."""


class Point(NamedTuple):
    """One row in one panel."""

    row: ReportedRow
    cost: float
    quality: float
    deviation: float | None


def quality_against_multiply_adds(report: Report) -> str | None:
    """Plot each metric's mean ± standard deviation against the multiply-adds of the first size; None without a size."""
    size = first_size(report)

    def billions(row: ReportedRow) -> float | None:
        count = None if row.job is None else row.job.multiply_adds.get(size)
        return None if count is None else count / 1e9

    return trade_off(report, billions, f"GMACs {size}", less_is_better=True)


def quality_against_speed(report: Report) -> str | None:
    """Plot each metric's mean ± standard deviation against frames per second of the first size; None where these were
    not measured, or on several devices.
    """
    size = first_size(report)

    def frames(row: ReportedRow) -> float | None:
        return row.speeds[size].frames_per_second if size in row.speeds else None

    return None if len(report.devices) > 1 else trade_off(report, frames, f"FPS {size}", less_is_better=False)


def first_size(report: Report) -> str:
    """Return the name of the study's first size; empty where it has none."""
    return next(iter(report.study.sizes), "")


def trade_off(
    report: Report, cost: Callable[[ReportedRow], float | None], label: str, less_is_better: bool
) -> str | None:
    """Plot a panel per metric; a line joins rows that no other row beats in both. None where no row has a cost."""
    metrics, styles = report.study.metrics, Styles(report)
    rows = [(row, found) for row in report.rows if row.name != NOISE_FLOOR and (found := cost(row)) is not None]
    if not any(row.runs for row, _ in rows):
        return None
    figure, panels = panelled(len(metrics), columns=2, width=5.2, height=3.4)
    for axes, metric in zip(panels, metrics, strict=True):
        points = [
            Point(row, found, cell.mean, cell.deviation)
            for row, found in rows
            if (cell := row.cells[metric.name]).mean is not None
        ]
        for point in points:
            style = styles[point.row]
            look: dict[str, Any] = {"color": style.colour, "label": style.label, "zorder": style.order}
            axes.errorbar(point.cost, point.quality, point.deviation, fmt=style.marker, elinewidth=1, **look)
        draw_front(axes, front(points, less_is_better, metric), styles)
        axes.set_xlabel(plain(label))
        axes.set_ylabel(plain(heading(metric, report.study)))
    add_legend(figure, panels)
    return svg(figure)


def front(points: list[Point], less_is_better: bool, metric: Metric) -> list[Point]:
    """Return the points that no other one beats in cost and quality, the cheapest first."""
    towards = 1 if less_is_better else -1
    better = 1 if metric.direction == "lower" else -1
    best: list[Point] = []
    for point in sorted(points, key=lambda point: (towards * point.cost, better * point.quality)):
        if not best or better * point.quality < better * best[-1].quality:
            best.append(point)
    return best


def draw_front(axes: Axes, points: list[Point], styles: Styles) -> None:
    """Draw the front as a dotted line, with the names of rows that are not in the legend where there is room."""
    axes.plot([p.cost for p in points], [p.quality for p in points], ":", color="#888888", linewidth=1, zorder=0)
    axes.autoscale_view()  # which otherwise waits until the panel is drawn
    to_panel = axes.transLimits.transform  # to fractions of the panel's width and height
    named: list[tuple[float, float]] = []
    width, height = NAME_SIZE
    for point in points:
        x, y = to_panel((point.cost, point.quality))
        if styles[point.row].label is None and all(abs(x - u) > width or abs(y - v) > height for u, v in named):
            named.append((x, y))
            axes.annotate(
                plain(point.row.name),
                (point.cost, point.quality),
                xytext=(-4 if x > 0.5 else 4, -9),
                textcoords="offset points",
                horizontalalignment="right" if x > 0.5 else "left",
                fontsize="x-small",
            )
