"""Quality against what it costs: multiply-adds, and frames a second."""

from collections.abc import Callable
from typing import NamedTuple

from matplotlib.axes import Axes

from zoo.study.file import NOISE_FLOOR, Metric
from zoo.study.plots import Styles, add_legend, panelled, plain, svg
from zoo.study.report import Report
from zoo.study.rows import ReportedRow
from zoo.study.tables import heading

ROOM = 0.4, 0.08
"""Shares of a panel's width and height that a name takes."""


class Point(NamedTuple):
    """One row in one panel."""

    row: ReportedRow
    cost: float
    quality: float
    deviation: float | None


def quality_against_multiply_adds(report: Report) -> str | None:
    """Each metric's mean ± standard deviation against the multiply-adds of the first size; None where no size is
    counted.
    """
    size = first_size(report)

    def billions(row: ReportedRow) -> float | None:
        count = None if row.job is None else row.job.multiply_adds.get(size)
        return None if count is None else count / 1e9

    return trade_off(report, billions, f"GMACs {size}", less_is_better=True)


def quality_against_speed(report: Report) -> str | None:
    """Each metric's mean ± standard deviation against frames a second of the first size; None where these were not
    measured, or on several devices.
    """
    size = first_size(report)

    def frames(row: ReportedRow) -> float | None:
        return row.speeds[size].frames_per_second if size in row.speeds else None

    return None if len(report.devices) > 1 else trade_off(report, frames, f"FPS {size}", less_is_better=False)


def first_size(report: Report) -> str:
    """The name of the study's first size; empty where it has none."""
    return next(iter(report.study.sizes), "")


def trade_off(
    report: Report, cost: Callable[[ReportedRow], float | None], label: str, less_is_better: bool
) -> str | None:
    """A panel a metric; rows that no other row beats in both are joined by a line. None where no row has a cost."""
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
            draw_point(axes, point, styles)
        draw_front(axes, front(points, less_is_better, metric), styles)
        axes.set_xlabel(plain(label))
        axes.set_ylabel(plain(heading(metric, report.study)))
    add_legend(figure, panels)
    return svg(figure)


def draw_point(axes: Axes, point: Point, styles: Styles) -> None:
    """A row with its deviation."""
    style = styles[point.row]
    axes.errorbar(
        point.cost,
        point.quality,
        yerr=point.deviation,
        fmt=style.marker,
        color=style.colour,
        label=style.label,
        elinewidth=1,
        zorder=style.order,
    )


def front(points: list[Point], less_is_better: bool, metric: Metric) -> list[Point]:
    """The points that no other one beats in cost and quality, from the cheapest on."""
    towards = 1 if less_is_better else -1
    better = 1 if metric.direction == "lower" else -1
    best: list[Point] = []
    for point in sorted(points, key=lambda point: (towards * point.cost, better * point.quality)):
        if not best or better * point.quality < better * best[-1].quality:
            best.append(point)
    return best


def draw_front(axes: Axes, points: list[Point], styles: Styles) -> None:
    """The front as a dotted line; those of its rows that the legend does not name are named here, where there is room
    for it.
    """
    axes.plot([p.cost for p in points], [p.quality for p in points], ":", color="#888888", linewidth=1, zorder=0)
    axes.autoscale_view()  # which otherwise waits until the panel is drawn
    to_panel = axes.transLimits.transform  # to shares of the panel's width and height
    named: list[tuple[float, float]] = []
    for point in points:
        x, y = to_panel((point.cost, point.quality))
        if styles[point.row].label is None and all(abs(x - u) > ROOM[0] or abs(y - v) > ROOM[1] for u, v in named):
            named.append((x, y))
            axes.annotate(
                plain(point.row.name),
                (point.cost, point.quality),
                xytext=(-4 if x > 0.5 else 4, -9),
                textcoords="offset points",
                horizontalalignment="right" if x > 0.5 else "left",
                fontsize="x-small",
            )
