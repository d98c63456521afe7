"""Plans, states and reports as tables."""

import math
from pathlib import Path
from typing import NamedTuple

from rich.console import Console
from rich.table import Table as ScreenTable
from rich.text import Text

from zoo.study.file import NOISE_FLOOR, Metric, Robustness, Row, Study
from zoo.study.plan.planner import FIRST_STAGE, Plan, PlannedRow, other_seeds, settings_hash
from zoo.study.record import all_jobs, read_result, state
from zoo.study.report.numbers import number, p_value, signed
from zoo.study.report.report import Report
from zoo.study.report.rows import Cell, ReportedRow
from zoo.study.run.timing import Speed

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


def show_plan(plan: Plan, seconds: dict[str, float] | None = None) -> None:
    """Print each row: how it differs from the baseline, what its network costs, and how long its training takes.

    Args:
        plan: of the study.
        seconds: of one training by its settings' hash, where they were estimated.
    """
    study = plan.study
    table = ScreenTable(title=study.title, title_justify="left")
    table.add_column("row")
    table.add_column("against the baseline", overflow="fold")
    table.add_column("parameters", justify="right")
    for size in study.sizes:
        table.add_column(f"GMACs {size}", justify="right")
    if seconds is not None:
        table.add_column("training", justify="right")
    for planned in plan.rows:
        cost = planned.cost
        cells: list[str | Text] = [planned.row.name, Text(told(planned, plan)), f"{cost.parameters / 1e6:.2f} M"]
        cells += [f"{cost.multiply_adds[size] / 1e9:.2f}" for size in study.sizes]
        if seconds is not None:
            known = math.nan if planned.row.evaluate_only else seconds[settings_hash(planned.settings)]
            cells.append("—" if math.isnan(known) else duration(known))
        table.add_row(*cells)
    console = Console()
    console.print(table)
    runs = plan.runs()
    trained = [run for run in runs if run.trains]
    stages = sum(run.first_stage for run in runs)
    said = f"{len(runs)} runs with {len(study.seeds)} seeds, {len(trained)} trainings"
    said += f", {stages} of them first stages" if stages else ""
    said += f", {len(study.seeds)} the baseline with other seeds" if study.noise_floor else ""
    console.print(f"{said}.", highlight=False)
    if seconds is not None:
        times = [seconds[settings_hash(run.settings)] for run in trained]
        told_of = [time for time in times if not math.isnan(time)]
        said = f"About {duration(sum(told_of))} of training, one run at a time"
        untold = len(times) - len(told_of)
        said += f", without {untold} whose epochs are too short to tell." if untold else "."
        console.print(said, highlight=False)


def told(planned: PlannedRow, plan: Plan) -> str:
    """What a row's second column says."""
    lines = [str(difference) for difference in planned.differences]
    if planned.row.name == plan.study.baseline:
        lines.append("the baseline")
    if planned.row.evaluate_only:
        lines.append("tests the baseline's checkpoint")
    elif planned.first_stage not in (None, plan.baseline.first_stage):
        lines.append("a first stage of its own")
    if planned.row.note:
        lines.append(planned.row.note)
    return "\n".join(lines)


def duration(seconds: float) -> str:
    """`45 s`, `12 min`, `3.5 h`."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def show_status(study: Study, root: Path) -> bool:
    """Print what is the matter with each run; returns whether one failed. Nothing is resolved or built."""
    table = ScreenTable(title=study.title, title_justify="left")
    table.add_column("row")
    table.add_column("seeds", overflow="fold")
    folder = root / study.title
    rows = [(row.name, folder / row.folder, study.seeds) for row in study.rows]
    if study.noise_floor:
        rows.append((NOISE_FLOOR, folder / Row(NOISE_FLOOR).folder, tuple(other_seeds(study.seeds))))
    reasons = []
    counts: dict[str, int] = {}
    for name, place, seeds in [*first_stages(folder), *rows]:
        states = []
        for seed in seeds:
            directory = place / f"seed_{seed}"
            found = state(directory)
            counts[found] = counts.get(found, 0) + 1
            states.append(f"{seed} {found}")
            if found == "failed" and (result := read_result(directory)) is not None:
                reasons.append(f"{name}, seed {seed} failed: {result.reason}")
        table.add_row(name, ", ".join(states))
    console = Console()
    console.print(table)
    console.print(", ".join(f"{count} {found}" for found, count in sorted(counts.items())), highlight=False)
    for reason in reasons:
        console.print(reason, highlight=False, markup=False)
    return bool(reasons)


def first_stages(folder: Path) -> list[tuple[str, Path, tuple[int, ...]]]:
    """The first stages that were begun, as rows of `show_status`: which there will be, only a plan knows."""
    seeds: dict[str, list[int]] = {}
    for _, job in all_jobs(folder / FIRST_STAGE):
        seeds.setdefault(job.row, []).append(job.seed)
    return [
        (f"{name}, first stage", folder / FIRST_STAGE / Row(name).folder, tuple(sorted(found)))
        for name, found in seeds.items()
    ]
