"""States of runs and reports as tables."""

import math
from collections import Counter
from pathlib import Path
from typing import Any, NamedTuple

from rich.console import Console
from rich.table import Table as ScreenTable

from zoo.core.errors import ZooError
from zoo.study.file import Metric, Robustness, Study
from zoo.study.plan.planner import Plan
from zoo.study.plan.tables import NONE
from zoo.study.record import (
    duration,
    number,
    p_value,
    read_run,
    signed,
    state,
)
from zoo.study.report.report import Report, make_report
from zoo.study.report.rows import Cell, ReportedRow
from zoo.study.report.statistics import Difference, Over
from zoo.study.run.start import about_stale
from zoo.study.run.timing import Speed

ARROWS = {"lower": "↓", "higher": "↑"}


class Table(NamedTuple):
    """Text in rows and columns; the first `left` columns are aligned on the left, the others on the right.

    A page shows the interval of each line, as `(low, mean, high, margin)`, next to it.
    """

    title: str
    header: list[str]
    lines: list[list[str]]
    left: int = 1
    intervals: list[tuple[float, float, float, float] | None] | None = None


def tables(report: Report) -> list[Table]:
    """Return the tables that every form shows, in their order."""
    first, *further = (verdicts(report, metric) for metric in report.study.metrics)
    effects = [effect_table(report, metric) for metric in report.study.metrics if report.effects[metric.name]]
    made = [first, *truth_tables(report), values(report), *further, *effects, costs(report)]
    made += [robustness_table(report, robustness) for robustness in report.study.robustness]
    if report.missing:
        lines = [[entry.row, str(entry.seed), entry.reason] for entry in report.missing]
        made.append(Table("Runs without a result", ["row", "seed", "reason"], lines, left=3))
    return made


def values(report: Report) -> Table:
    """Return mean ± standard deviation of every metric, next to a paper's values where it has some; the title says
    where runs come from different commits.
    """
    header = ["row", "seeds"]
    lines = [[named(row), seeds(row)] for row in report.rows]
    for metric in report.study.metrics:
        header.append(heading(metric, report.study))
        columns = [[value(row.cells[metric.name]) for row in report.rows]]
        if any(metric.name in row.published for row in report.rows):
            header.append(f"{heading(metric, report.study)}, published")
            papers = [row.published.get(metric.name) for row in report.rows]
            columns.append([NONE if paper is None else number(paper) for paper in papers])
        lines = [[*line, *cells] for line, *cells in zip(lines, *columns, strict=True)]
    commits = {run.versions.get("commit") for row in report.rows for run in row.runs.values()}
    return Table("Results" if len(commits) < 2 else "Results, runs from different commits", header, lines)


def verdicts(report: Report, metric: Metric) -> Table:
    """Return the verdict on each row by one metric: its difference to the baseline, with the interval.

    The title says which axes were resampled where all rows share that and they are not both seeds and images. Without
    any p-value there are no columns of verdicts and p-values.
    """
    cells = [row.cells[metric.name] for row in report.others]
    kinds = {cell.difference.over for cell in cells if cell.difference is not None}
    shared = kinds.pop() if len(kinds) == 1 else "seeds and pictures"
    judged = any(cell.verdict for cell in cells)
    lines = [
        [row.name, *interval_cells(cell.difference, shared)] for row, cell in zip(report.others, cells, strict=True)
    ]
    header = ["row", "difference", "95 % interval"]
    if judged:
        header = [*header[:1], "verdict", *header[1:], "p"]
        for line, cell in zip(lines, cells, strict=True):
            line.insert(1, cell.verdict or NONE)
            line.append(NONE if cell.corrected is None else p_value(cell.corrected) + "*" * cell.significant)
    intervals = [
        None
        if (d := cell.difference) is None or d.low is None or d.high is None
        else (d.low, d.mean, d.high, cell.margin or 0)
        for cell in cells
    ]
    name = "" if report.study.baseline == "baseline" else f", {report.study.baseline}"
    title = f"{heading(metric, report.study)}, differences to the baseline{name}"
    over = "" if shared == "seeds and pictures" else f" ({'no interval' if shared == 'nothing' else shared})"
    return Table(title + over, header, lines, 1 + judged, intervals)


def effect_table(report: Report, metric: Metric) -> Table:
    """Return the effects of the design's components on one metric."""
    effects = report.effects[metric.name]
    shared = effects[0].difference.over
    lines = [
        [e.kind, e.name, *interval_cells(e.difference, shared), NONE if e.corrected is None else p_value(e.corrected)]
        for e in effects
    ]
    over = "" if shared == "seeds and pictures" else f" ({shared})"
    title = f"Effects of components on {heading(metric, report.study)}, with minus without{over}"
    return Table(title, ["effect", "of", "difference", "95 % interval", "p"], lines, 2)


def truth_tables(report: Report) -> list[Table]:
    """Return the table of known truths, where the study names some."""
    labels = {metric.name: heading(metric, report.study) for metric in report.study.metrics}
    lines = [
        [
            expected.name,
            truth.outcome,
            f"{expected.row} against {expected.than}",
            truth.verdict or NONE,
            labels.get(expected.metric, expected.metric),
            f"{expected.why} ({expected.source})" if expected.source else expected.why,
            *interval_cells(truth.difference, "seeds and pictures"),
        ]
        for truth in report.truths
        for expected in [truth.expected]
    ]
    header = ["known truth", "outcome", "compared", "verdict", "by", "why", "difference", "95 % interval"]
    return [Table("Known truths", header, lines, left=6)] if lines else []


def interval_cells(found: Difference | None, shared: Over) -> list[str]:
    """Return the cells of a difference and its interval, with as many digits as the interval carries.

    The resampled axes follow where they are not the shared ones.
    """
    if found is None:
        return [NONE, NONE]
    if found.low is None or found.high is None:
        return [signed(found.mean), NONE]
    half = (found.high - found.low) / 2
    digits = 1 - math.floor(math.log10(half)) if half > 0 else 99
    shown = [found.mean, found.low, found.high]
    mean, low, high = (f"{x:+.{max(0, digits)}f}".replace("-", "−") if digits < 6 else signed(x) for x in shown)
    return [mean, f"[{low}, {high}]" + (f" ({found.over})" if found.over != shared else "")]


def costs(report: Report) -> Table:
    """Return the costs of the rows' networks and runs; frames per second only where they were measured."""
    sizes = list(report.study.sizes)
    timed = [size for size in sizes if any(size in row.speeds for row in report.rows)]
    header = ["row", "parameters", *(f"GMACs {size}" for size in sizes), *(f"FPS {size}" for size in timed)]
    staged = any(row.first_stage_seconds is not None for row in report.rows)
    header += [*(["first stage, shared"] if staged else []), "training", "test", "peak memory"]
    lines = []
    for row in report.rows:
        line = [row.name, NONE if row.job is None else f"{row.job.parameters / 1e6:.2f} M"]
        counted = {} if row.job is None else row.job.multiply_adds
        line += [f"{counted[size] / 1e9:.2f}" if size in counted else NONE for size in sizes]
        line += [frames_per_second(row.speeds.get(size)) for size in timed]
        times = [*([row.first_stage_seconds] if staged else []), row.seconds("fit"), row.seconds("test")]
        line += [NONE if seconds is None else duration(seconds) for seconds in times]
        line.append(NONE if row.peak_memory is None else f"{row.peak_memory / 2**20:,.0f} MiB")
        lines.append(line)
    return Table("Costs: median time of one run, largest peak memory", header, lines)


def robustness_table(report: Report, robustness: Robustness) -> Table:
    """Return a metric at each severity, of the rows that were trained."""
    header = ["row", *(f"{severity:g}" for severity in robustness.metrics)]
    lines = [
        [row.name, *(value(row.cells[name]) for name in robustness.metrics.values())]
        for row in report.rows
        if not row.evaluate_only
    ]
    return Table(f"{plotted_metric(robustness, report.study)} by {robustness.name}", header, lines)


def heading(metric: Metric, study: Study) -> str:
    """Return a metric's label, unit and better direction; with its test set where another metric has the same label."""
    several = sum(other.label == metric.label for other in study.metrics) > 1
    label = f"{metric.label} {metric.name.rpartition('/')[0].removeprefix('test/')}" if several else metric.label
    return label + unit_and_direction(metric)


def plotted_metric(robustness: Robustness, study: Study) -> str:
    """Return the heading of a metric that is measured at several severities, without a test set."""
    measured = next(iter(robustness.metrics.values())).rpartition("/")[2]
    alike = (metric for metric in study.metrics if metric.name.rpartition("/")[2] == measured)
    metric = next(alike, None)
    return measured if metric is None else metric.label + unit_and_direction(metric)


def unit_and_direction(metric: Metric) -> str:
    """Return ` (%) ↑`."""
    return (f" ({metric.unit}) " if metric.unit else " ") + ARROWS[metric.direction]


def named(row: ReportedRow) -> str:
    """Return a row's name with its marks."""
    return f"{row.name} ({'; '.join(row.marks)})" if row.marks else row.name


def seeds(row: ReportedRow) -> str:
    """Return the number of seeds in a row's mean, and of missing ones."""
    absent = len(row.seeds) - len(row.runs)
    return f"{len(row.runs)} of {len(row.seeds)}: {absent} missing" if absent else str(len(row.seeds))


def value(cell: Cell) -> str:
    """Return `12.34 ± 0.56`."""
    if cell.mean is None:
        return NONE
    return number(cell.mean) if cell.deviation is None else f"{number(cell.mean)} ± {number(cell.deviation, 2)}"


def frames_per_second(speed: Speed | None) -> str:
    """Return `24.1 [23.8, 24.2]`: median and quartiles."""
    if speed is None:
        return NONE
    slower, faster = sorted(1 / seconds for seconds in speed.quartiles)
    return f"{number(speed.frames_per_second, 3)} [{number(slower, 3)}, {number(faster, 3)}]"


def status_data(plan: Plan, root: Path) -> dict[str, Any]:
    """Return the state of each run as `zoo study run` sees it, as plain data."""
    folder = (root / plan.study.title).resolve()
    runs = []
    for run in plan.runs():
        found = state(folder / run.folder, run.id)
        reason = read_run(folder / run.folder).reason if found == "failed" else None
        runs.append(
            {"row": run.row, "seed": run.seed, "first_stage": run.first_stage, "state": found, "reason": reason}
        )
    return {"study": plan.study.title, "folder": folder, "runs": runs}


def show_status(plan: Plan, root: Path) -> bool:
    """Print the state of each run as `zoo study run` sees it, the verdicts, and the folder; returns whether a run
    failed.
    """
    folder = (root / plan.study.title).resolve()
    states: dict[str, list[str]] = {}
    reasons = []
    counts: Counter[str] = Counter()
    for run in plan.runs():
        found = state(folder / run.folder, run.id)
        counts[found] += 1
        states.setdefault(run.title.rpartition(", seed ")[0], []).append(f"{run.seed} {found}")
        if found == "failed":
            reasons.append(f"{run.title} failed: {read_run(folder / run.folder).reason}")
    table = ScreenTable(title=plan.study.title, title_justify="left")
    table.add_column("row")
    table.add_column("seeds", overflow="fold")
    try:
        report = make_report(plan.study, root)
    except ZooError:  # nothing to judge yet
        report = None
    metrics = [] if report is None else plan.study.metrics
    for metric in metrics:
        table.add_column(heading(metric, plan.study))
    judged = {} if report is None else {row.name: row for row in report.rows}
    for name, seeds_ in states.items():
        own = judged.get(name)
        shown = [(own and own.cells[metric.name].verdict) or NONE for metric in metrics]
        table.add_row(name, ", ".join(seeds_), *shown)
    if report is not None:
        reasons.append(report.headline)
    console = Console()
    console.print(table)
    reasons += about_stale(plan, root)
    console.print(", ".join(f"{count} {found}" for found, count in sorted(counts.items())), highlight=False)
    print(f"In {folder}.", *reasons, sep="\n")
    return counts["failed"] > 0
