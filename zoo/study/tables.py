"""The tables of a report, and the forms that they are written in: CSV, Markdown and LaTeX.

The CSV holds every number with all its digits, a line for each row and metric; the others show what a reader needs.
"""

import csv
import io
import math
import re
from typing import NamedTuple

from zoo.study.file import Metric
from zoo.study.report import Cell, Report, ReportedRow
from zoo.study.show import duration
from zoo.study.statistics import Difference

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
    if report.missing:
        lines = [[entry.row, str(entry.seed), entry.reason] for entry in report.missing]
        made.append(Table("Runs without a result", ["row", "seed", "reason"], lines, left=3))
    return made


def values(report: Report) -> Table:
    """Mean ± standard deviation of every metric."""
    metrics = report.study.metrics
    header = ["row", "seeds", *(heading(metric, metrics) for metric in metrics)]
    lines = [[named(row), seeds(row), *(value(row.cells[metric.name]) for metric in metrics)] for row in report.rows]
    return Table("Results", header, lines)


def differences(report: Report) -> Table:
    """Difference of every metric to the baseline's."""
    metrics = report.study.metrics
    header = ["row", *(heading(metric, metrics) for metric in metrics)]
    lines = [[named(row), *(difference(row.cells[metric.name]) for metric in metrics)] for row in report.others]
    return Table(f"Differences to the baseline, {report.study.baseline}", header, lines)


def costs(report: Report) -> Table:
    """What the rows' networks and runs cost."""
    sizes = list(report.study.sizes)
    header = ["row", "parameters", *(f"GMACs {size}" for size in sizes), "training", "test", "peak memory"]
    lines = []
    for row in report.rows:
        line = [row.name, NONE if row.job is None else f"{row.job.parameters / 1e6:.2f} M"]
        counted = {} if row.job is None else row.job.multiply_adds
        line += [f"{counted[size] / 1e9:.2f}" if size in counted else NONE for size in sizes]
        line += [NONE if (time := row.seconds(part)) is None else duration(time) for part in ("fit", "test")]
        line.append(NONE if row.peak_memory is None else f"{row.peak_memory / 2**20:,.0f} MiB")
        lines.append(line)
    return Table("Costs: median time of one run, largest peak memory", header, lines)


def heading(metric: Metric, metrics: tuple[Metric, ...]) -> str:
    """A metric's label, unit and better direction; with its test set where another metric has the same label."""
    several = sum(other.label == metric.label for other in metrics) > 1
    label = f"{metric.label} {metric.name.rpartition('/')[0].removeprefix('test/')}" if several else metric.label
    unit = f" ({metric.unit})" if metric.unit else ""
    return f"{label}{unit} {ARROWS[metric.direction]}"


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


def p_value(p: float) -> str:
    """`p = 0.012`, or `p < 0.001`."""
    return "p < 0.001" if p < 0.001 else f"p = {p:.3f}"


def signed(value: float) -> str:
    """A number with its sign, three digits."""
    return f"+{number(value, 3)}" if value > 0 else number(value, 3)


def number(value: float, digits: int = 4) -> str:
    """A number with this many significant digits, without an exponent where it is of common size."""
    if value == 0 or not math.isfinite(value):
        return f"{value:g}".replace("-0", "0")
    magnitude = int(f"{value:.{digits - 1}e}".partition("e")[2])  # after rounding: 0.99999 is 1.000
    text = f"{value:.{max(0, digits - 1 - magnitude)}f}" if -4 <= magnitude < 6 else f"{value:.{digits - 1}e}"
    return text.replace("-", "−", 1) if value < 0 else text


def to_csv(report: Report) -> str:
    """A line for each row and metric, every number with all its digits; empty where there is none."""
    text = io.StringIO(newline="")
    lines = [csv_line(report, row, metric) for row in report.rows for metric in report.study.metrics]
    writer = csv.DictWriter(text, list(lines[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(lines)
    return text.getvalue()


def csv_line(report: Report, row: ReportedRow, metric: Metric) -> dict[str, object]:
    """One line of the CSV."""
    cell = row.cells[metric.name]
    found = cell.difference or Difference(math.nan, None, None, None, "nothing", 0, 0)
    counted = {} if row.job is None else row.job.multiply_adds
    return {
        "row": row.name,
        "marks": "; ".join(row.marks),
        "metric": metric.name,
        "better": metric.direction,
        "seeds": len(row.runs),
        "seeds_missing": row.wanted - len(row.runs),
        "mean": cell.mean,
        "sd": cell.deviation,
        "difference": None if cell.difference is None else found.mean,
        "low": found.low,
        "high": found.high,
        "p": found.p,
        "p_holm": cell.corrected,
        "interval_over": None if cell.difference is None else found.over,
        "pairs_of_seeds": found.seeds,
        "pictures": found.pictures,
        "data": None if row.job is None else row.job.data["synthetic"] + " synthetic",
        "parameters": None if row.job is None else row.job.parameters,
        **{f"multiply_adds_{size}": counted.get(size) for size in report.study.sizes},
        "seconds_fit": row.seconds("fit"),
        "seconds_test": row.seconds("test"),
        "peak_memory_bytes": row.peak_memory,
    }


def to_markdown(report: Report) -> str:
    """Headings, pipe tables and notes."""
    parts = [f"# {markdown_text(report.title)}"]
    for table in tables(report):
        alignment = ["---"] * table.left + ["---:"] * (len(table.header) - table.left)
        lines = [table.header, alignment, *([markdown_text(cell) for cell in line] for line in table.lines)]
        parts += [f"## {markdown_text(table.title)}", "\n".join(f"| {' | '.join(line)} |" for line in lines)]
    parts += ["## Notes", "\n".join(f"- {markdown_text(note)}" for note in report.notes)]
    return "\n\n".join(parts) + "\n"


def markdown_text(text: str) -> str:
    """Text that Markdown shows as it is, on one line."""
    return re.sub(r"([\\`*_|]|<(?! )|(?<=\])\()", r"\\\1", " ".join(text.split()))


def to_latex(report: Report) -> str:
    r"""One `table` after another, for `\usepackage{booktabs}`; notes as comments."""
    parts = [f"% {' '.join(note.split())}" for note in [report.title, *report.notes]]
    for table in tables(report):
        columns = "l" * table.left + "r" * (len(table.header) - table.left)
        rows = [" & ".join(map(latex_text, line)) + r" \\" for line in table.lines]
        parts += [
            "",
            r"\begin{table}",
            r"\centering",
            rf"\caption{{{latex_text(f'{report.title}. {table.title}.')}}}",
            rf"\begin{{tabular}}{{{columns}}}",
            r"\toprule",
            " & ".join(map(latex_text, table.header)) + r" \\",
            r"\midrule",
            *rows,
            r"\bottomrule",
            r"\end{tabular}",
            r"\end{table}",
        ]
    return "\n".join(parts) + "\n"


LATEX = {
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": "$<$",
    ">": "$>$",
    "↓": r"$\downarrow$",
    "↑": r"$\uparrow$",
    "±": r"$\pm$",
    "−": "$-$",
    "×": r"$\times$",
    "—": "---",
    **{sign: f"\\{sign}" for sign in "&%$#_{}"},
}


def latex_text(text: str) -> str:
    """Text that LaTeX shows as it is; a bracket first in a cell would be an argument of the line before."""
    shown = "".join(LATEX.get(sign, sign) for sign in " ".join(text.split()))
    return f"{{}}{shown}" if shown.startswith("[") else shown
