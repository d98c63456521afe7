"""The tables of a report, as text in rows and columns; how they are written is not their business."""

from typing import NamedTuple

from zoo.study.file import Metric, Robustness, Study
from zoo.study.numbers import number, p_value, signed
from zoo.study.report import Report
from zoo.study.rows import Cell, ReportedRow
from zoo.study.show import duration
from zoo.study.speed import Speed

NONE = "—"
"""Stands where there is no value."""

ARROWS = {"lower": "↓", "higher": "↑"}


class Table(NamedTuple):
    """Text in rows and columns; the first `left` columns are aligned on the left, the others on the right."""

    title: str
    header: list[str]
    lines: list[list[str]]
    left: int = 1


def tables(report: Report) -> list[Table]:
    """The tables that every form shows, in their order."""
    made = [values(report), differences(report), costs(report)]
    made += [robustness_table(report, robustness) for robustness in report.study.robustness]
    if report.missing:
        lines = [[entry.row, str(entry.seed), entry.reason] for entry in report.missing]
        made.append(Table("Runs without a result", ["row", "seed", "reason"], lines, left=3))
    return made


def values(report: Report) -> Table:
    """Mean ± standard deviation of every metric; beside those that a paper has for one of the rows, what it has."""
    header = ["row", "seeds"]
    lines = [[named(row), seeds(row)] for row in report.rows]
    for metric in report.study.metrics:
        header.append(heading(metric, report.study))
        columns = [[value(row.cells[metric.name]) for row in report.rows]]
        if any(metric.name in row.published for row in report.rows):
            header.append(f"{heading(metric, report.study)}, published")
            columns.append([published(row, metric) for row in report.rows])
        lines = [[*line, *cells] for line, *cells in zip(lines, *columns, strict=True)]
    return Table("Results", header, lines)


def differences(report: Report) -> Table:
    """Difference of every metric to the baseline's."""
    metrics = report.study.metrics
    header = ["row", *(heading(metric, report.study) for metric in metrics)]
    lines = [[named(row), *(difference(row.cells[metric.name]) for metric in metrics)] for row in report.others]
    name = "" if report.study.baseline == "baseline" else f", {report.study.baseline}"
    return Table(f"Differences to the baseline{name}", header, lines)


def costs(report: Report) -> Table:
    """What the rows' networks and runs cost; frames a second only where they were measured."""
    sizes = list(report.study.sizes)
    timed = [size for size in sizes if any(size in row.speeds for row in report.rows)]
    header = ["row", "parameters", *(f"GMACs {size}" for size in sizes), *(f"FPS {size}" for size in timed)]
    staged = any(row.first_stage is not None for row in report.rows)
    header += [*(["first stage, shared"] if staged else []), "training", "test", "peak memory"]
    lines = []
    for row in report.rows:
        line = [row.name, NONE if row.job is None else f"{row.job.parameters / 1e6:.2f} M"]
        counted = {} if row.job is None else row.job.multiply_adds
        line += [f"{counted[size] / 1e9:.2f}" if size in counted else NONE for size in sizes]
        line += [frames_per_second(row.speeds.get(size)) for size in timed]
        times = [*([row.first_stage] if staged else []), row.seconds("fit"), row.seconds("test")]
        line += [NONE if seconds is None else duration(seconds) for seconds in times]
        line.append(NONE if row.peak_memory is None else f"{row.peak_memory / 2**20:,.0f} MiB")
        lines.append(line)
    return Table("Costs: median time of one run, largest peak memory", header, lines)


def robustness_table(report: Report, robustness: Robustness) -> Table:
    """A metric at each severity, of the rows that were trained."""
    header = ["row", *(f"{severity:g}" for severity in robustness.metrics)]
    lines = [
        [row.name, *(value(row.cells[name]) for name in robustness.metrics.values())]
        for row in report.rows
        if row.trained
    ]
    return Table(f"{plotted_metric(robustness, report.study)} by {robustness.name}", header, lines)


def heading(metric: Metric, study: Study) -> str:
    """A metric's label, unit and better direction; with its test set where another metric has the same label."""
    several = sum(other.label == metric.label for other in study.metrics) > 1
    label = f"{metric.label} {metric.name.rpartition('/')[0].removeprefix('test/')}" if several else metric.label
    return label + unit_and_direction(metric)


def plotted_metric(robustness: Robustness, study: Study) -> str:
    """The heading of a metric that is measured at several severities, without a test set."""
    measured = next(iter(robustness.metrics.values())).rpartition("/")[2]
    alike = (metric for metric in study.metrics if metric.name.rpartition("/")[2] == measured)
    metric = next(alike, None)
    return measured if metric is None else metric.label + unit_and_direction(metric)


def unit_and_direction(metric: Metric) -> str:
    """` (%) ↑`."""
    return (f" ({metric.unit}) " if metric.unit else " ") + ARROWS[metric.direction]


def named(row: ReportedRow) -> str:
    """A row's name with its marks."""
    return f"{row.name} ({'; '.join(row.marks)})" if row.marks else row.name


def seeds(row: ReportedRow) -> str:
    """How many seeds are in a row's mean, and how many are missing."""
    absent = row.wanted - len(row.runs)
    return f"{len(row.runs)} of {row.wanted}: {absent} missing" if absent else str(row.wanted)


def value(cell: Cell) -> str:
    """`12.34 ± 0.56`."""
    if cell.mean is None:
        return NONE
    return number(cell.mean) if cell.deviation is None else f"{number(cell.mean)} ± {number(cell.deviation, 2)}"


def published(row: ReportedRow, metric: Metric) -> str:
    """What a paper has for a row."""
    return number(row.published[metric.name]) if metric.name in row.published else NONE


def difference(cell: Cell) -> str:
    """`−1.2 [−2.0, −0.4], p = 0.012*`, and what was resampled where it was not both seeds and pictures."""
    found = cell.difference
    if found is None:
        return NONE
    text = signed(found.mean)
    if found.low is None or found.high is None:
        return f"{text} (no interval)"
    text += f" [{signed(found.low)}, {signed(found.high)}]"
    if cell.corrected is not None:
        text += f", {p_value(cell.corrected)}{'*' if cell.significant else ''}"
    return text if found.over == "seeds and pictures" else f"{text} ({found.over})"


def frames_per_second(speed: Speed | None) -> str:
    """`24.1 [23.8, 24.2]`: median and quartiles."""
    if speed is None:
        return NONE
    slower, faster = sorted(1 / seconds for seconds in speed.quartiles)
    return f"{number(speed.frames_per_second, 3)} [{number(slower, 3)}, {number(faster, 3)}]"
