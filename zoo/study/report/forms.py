"""A report as CSV, Markdown, LaTeX and HTML files; the page needs no other files."""

import csv
import io
import re
from base64 import b64encode
from html import escape
from pathlib import Path

import numpy as np

from zoo.core.files import write_text, writing
from zoo.media.images import write_image
from zoo.media.progress import waiting
from zoo.study.report.pictures import PicturedSample, jpeg, sheet
from zoo.study.report.plots import (
    effect_plot,
    forest_plot,
    learning_curves,
    quality_against_multiply_adds,
    quality_against_speed,
    robustness_curves,
)
from zoo.study.report.report import Report
from zoo.study.report.rows import VERDICTS, ReportedRow
from zoo.study.report.statistics import Difference
from zoo.study.report.tables import Table, tables

SHEET = "samples.png"
"""The file with sample pictures, next to the report."""


def to_markdown(report: Report) -> str:
    """Return headings, pipe tables, notes, and a link to the sample pictures where there are some."""
    parts = [f"# {markdown_text(report.title)}", markdown_text(report.headline)]
    for table in tables(report):
        alignment = ["---"] * table.left + ["---:"] * (len(table.header) - table.left)
        header, *lines = ([markdown_text(cell) for cell in line] for line in [table.header, *table.lines])
        parts += [
            f"## {markdown_text(table.title)}",
            "\n".join(f"| {' | '.join(line)} |" for line in [header, alignment, *lines]),
        ]
    if report.pictures:
        parts += ["## Sample pictures", f"![source, ground truth and outputs of some rows]({SHEET})"]
    parts += ["## Notes", "\n".join(f"- {markdown_text(note)}" for note in report.notes)]
    return "\n\n".join(parts) + "\n"


def markdown_text(text: str) -> str:
    """Return text that Markdown shows as it is, on one line."""
    return re.sub(r"([\\`*_|]|<(?! )|(?<=\])\()", r"\\\1", " ".join(text.split()))


WIDE = 90
"""A table with more letters in its longest line is shrunk to the width of the text."""


def to_latex(report: Report) -> str:
    r"""Return one `table` after another, for `\usepackage{booktabs,graphicx}`; notes as comments."""
    said = [report.title, report.headline, *report.notes, r"needs \usepackage{booktabs,graphicx}"]
    comments = "\n".join(f"% {' '.join(note.split())}" for note in said)
    return "\n\n".join([comments, *(table_latex(table, report.title) for table in tables(report))]) + "\n"


def table_latex(table: Table, title: str) -> str:
    """Return one table, with the report's title in its caption."""
    columns = "l" * table.left + "r" * (len(table.header) - table.left)
    header, *lines = (" & ".join(map(latex_text, cells)) + r" \\" for cells in [table.header, *table.lines])
    lines = [
        rf"\begin{{tabular}}{{{columns}}}",
        r"\toprule",
        header,
        r"\midrule",
        *lines,
        r"\bottomrule",
        r"\end{tabular}",
    ]
    widths = [max(map(len, column)) for column in zip(table.header, *table.lines, strict=True)]
    if sum(widths) > WIDE:
        lines = [r"\resizebox{\linewidth}{!}{%", *lines[:-1], lines[-1] + "}"]
    caption = latex_text(f"{title}. {table.title}.")
    return "\n".join([r"\begin{table}", r"\centering", rf"\caption{{{caption}}}", *lines, r"\end{table}"])


SIGNS = r"~^|<>≤≥≈↓↑→←±−×·°²³µμΔ–—…"
COMMANDS = r"""\textasciitilde{} \textasciicircum{} \textbar{} $<$ $>$ $\leq$ $\geq$ $\approx$ $\downarrow$ $\uparrow$
$\rightarrow$ $\leftarrow$ $\pm$ $-$ $\times$ $\cdot$ $^\circ$ $^2$ $^3$ $\mu$ $\mu$ $\Delta$ -- --- \ldots{}"""
LATEX = {"\\": r"\textbackslash{}"} | dict(zip(SIGNS, COMMANDS.split(), strict=True))
LATEX |= {sign: f"\\{sign}" for sign in "&%$#_{}"}


def latex_text(text: str) -> str:
    """Return text that LaTeX shows as it is; a bracket first in a cell would be an argument of the line before."""
    shown = "".join(LATEX.get(sign, sign) for sign in " ".join(text.split()))
    return f"{{}}{shown}" if shown.startswith(("[", "*")) else shown


STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; max-width: 75rem; margin: 2rem auto; padding: 0 1rem; color: #222;
  background: #fff; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
th, td { padding: .3rem .7rem; text-align: right; white-space: nowrap; border-bottom: 1px solid #ddd; }
th.text, td.text { text-align: left; white-space: normal; }
thead th { border-bottom: 2px solid #222; }
img { max-width: 100%; }
.better { color: #0072b2; font-weight: 600; } .worse { color: #d55e00; font-weight: 600; }
.confirmed { color: #0072b2; font-weight: 600; } .contradicted { color: #d55e00; font-weight: 600; }
.equivalent { color: #00684a; } .undecided { color: #767676; font-style: italic; }
.caution { font-weight: 600; border-left: .3rem solid #d55e00; padding-left: .7rem; }
.tiles { display: flex; flex-wrap: wrap; gap: .5rem; }
.tiles figure { margin: 0; width: 10rem; font-size: 12px; line-height: 1.3; }
.tiles img { width: 100%; }
.wide th { cursor: pointer; } .wide th[aria-sort="ascending"]::after { content: " ▴"; }
.wide th[aria-sort="descending"]::after { content: " ▾"; }
@media print {
  body { font-size: 9pt; max-width: none; margin: 0; padding: 0; } th, td { padding: .15rem .4rem; }
  .wide { overflow: visible; } h2 { break-after: avoid; } tr, figure { break-inside: avoid; }
  * { print-color-adjust: exact; -webkit-print-color-adjust: exact; }
}
"""

SORTING = """
const number = text => parseFloat(text.replace("−", "-").replaceAll(",", ""));
const last = (a, b) => isNaN(a) - isNaN(b); // what has no value
for (const head of document.querySelectorAll(".wide th")) head.onclick = () => {
  const body = head.closest("table").tBodies[0], sign = head.ariaSort === "ascending" ? -1 : 1;
  const text = line => line.cells[head.cellIndex].textContent, value = line => number(text(line));
  const words = head.cellIndex === 0 || [...body.rows].every(line => isNaN(value(line)));
  const order = words
    ? (a, b) => sign * text(a).localeCompare(text(b))
    : (a, b) => last(value(a), value(b)) || sign * (value(a) - value(b));
  body.append(...[...body.rows].sort(order));
  for (const other of head.parentNode.cells) other.removeAttribute("aria-sort");
  head.ariaSort = sign > 0 ? "ascending" : "descending";
};
"""
"""A click on a column's head sorts the table by it; the page reads the same without."""

COLOURED = (*VERDICTS, "confirmed", "contradicted")

COLOURS = "The baseline is black; of many rows those that differ most from it are named, the others are grey."
TRADE_OFF = f"Mean ± standard deviation over seeds; the dotted line joins rows that no other beats in both. {COLOURS}"

EFFECTS = "Left: main effects, the metric with a component minus without it, and their 95 % intervals; right: "
EFFECTS += "interactions of two, grey where the interval contains zero. Aliased ones are named in the table."

FOREST = "Points are mean differences, lines their 95 % intervals, hollow points have none; blue triangles pointing up "
FOREST += "are better, orange ones pointing down worse, green squares equivalent, grey points undecided; "
FOREST += "the grey band is the A/A baseline."

PLOTS = (
    ("Differences to the baseline", FOREST, forest_plot),
    ("Effects of components", EFFECTS, effect_plot),
    ("Quality against multiply-adds", TRADE_OFF, quality_against_multiply_adds),
    ("Quality against frames per second", TRADE_OFF, quality_against_speed),
    ("Robustness", f"Mean ± standard deviation over seeds of the rows that were trained. {COLOURS}", robustness_curves),
    ("Learning curves", f"Thin lines are seeds, thick lines their mean. {COLOURS}", learning_curves),
)


def to_html(report: Report) -> str:
    """Return the page."""
    title = escape(report.title)
    parts = [
        "<!DOCTYPE html>",
        '<html lang="en">',
        f'<head><meta charset="utf-8"><title>{title}</title><style>{STYLE}</style></head>',
        f"<body><h1>{title}</h1>",
        f"<p{' class=caution' if report.warning else ''}>{escape(report.headline)}</p>",
        *map(table_html, tables(report)),
        *(figure_html(name, caption, picture) for name, caption, draw in PLOTS if (picture := draw(report))),
        pictures_html(report.pictures),
        "<h2>Notes</h2>",
        f"<ul>{''.join(f'<li>{escape(note)}</li>' for note in report.notes)}</ul>",
        f"<script>{SORTING}</script></body></html>",
    ]
    return "\n".join(parts) + "\n"


def table_html(table: Table) -> str:
    """Return a heading and a table."""
    texts = ["text"] * table.left + [""] * (len(table.header) - table.left)
    header = "".join(
        f'<th scope="col" class="{kind}">{escape(cell)}</th>' for kind, cell in zip(texts, table.header, strict=True)
    )
    cells = [
        [
            f'<td class="{f"{kind} {cell}" if cell in COLOURED else kind}">{escape(cell)}</td>'
            for kind, cell in zip(texts, line, strict=True)
        ]
        for line in table.lines
    ]
    if table.intervals and any(table.intervals):
        header += "<th></th>"
        cells = [[*line, f"<td>{bar}</td>"] for line, bar in zip(cells, bars(table.intervals), strict=True)]
    lines = "\n".join(f"<tr>{''.join(line)}</tr>" for line in cells)
    return (
        f'<h2>{escape(table.title)}</h2>\n<div class="wide"><table><thead><tr>{header}</tr></thead>\n'
        f"<tbody>{lines}</tbody></table></div>"
    )


def bars(intervals: list[tuple[float, float, float, float] | None]) -> list[str]:
    """Return each interval as a small drawing, all on one scale: a line at zero, the margin as a band."""
    width, middle = 220, 8
    ends = [end for interval in intervals if interval for end in (*interval, -interval[3])]
    low, high = min(0.0, *ends), max(0.0, *ends)

    def x(value: float) -> str:
        return f"{4 + (width - 8) * (value - low) / (high - low or 1):.1f}"

    drawn = []
    for interval in intervals:
        if interval is None:
            drawn.append("")
            continue
        start, mean, end, margin = interval
        band = float(x(margin)) - float(x(-margin))
        drawn.append(
            f'<svg width="{width}" height="16"><rect x="{x(-margin)}" width="{band:.1f}" height="16" fill="#e5e9f0"/>'
            f'<path d="M{x(0)} 0V16" stroke="#999"/><path d="M{x(start)} {middle}H{x(end)}" stroke="#222"/>'
            f'<circle cx="{x(mean)}" cy="{middle}" r="3.5" fill="#222"/></svg>'
        )
    return drawn


def figure_html(name: str, caption: str, picture: str) -> str:
    """Return a heading and an SVG picture, embedded as an image so that names inside two pictures cannot collide."""
    data = b64encode(picture.encode()).decode()
    return (
        f'<h2>{escape(name)}</h2>\n<figure><img alt="{escape(name)}" src="data:image/svg+xml;base64,{data}">'
        f"<figcaption>{escape(caption)}</figcaption></figure>"
    )


def pictures_html(pictured: list[PicturedSample]) -> str:
    """Return the sample pictures; nothing where there are none."""
    if not pictured:
        return ""
    parts = [
        "<h2>Sample pictures</h2>",
        "<p>The first images of the test sets: inputs, ground truth, and the output of each row with its first seed; "
        "of many rows those that differ most from the baseline.</p>",
    ]
    for sample in pictured:
        tiles = "\n".join(
            f'<figure><img alt="{escape(name)}" src="data:image/jpeg;base64,{b64encode(jpeg(tile)).decode()}">'
            f"<figcaption>{escape(name)}</figcaption></figure>"
            for name, tile in sample.tiles.items()
        )
        parts.append(f'<h3>{escape(sample.title)}</h3>\n<div class="tiles">{tiles}</div>')
    return "\n".join(parts)


def to_csv(report: Report) -> str:
    """Return `csv_lines` as a file; every number with all its digits, empty where there is none."""
    lines = csv_lines(report)
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, [*lines[0]], lineterminator="\n")
    writer.writeheader()
    writer.writerows(lines)
    return text.getvalue()


def csv_lines(report: Report) -> list[dict[str, object]]:
    """Return a line for each row and metric, for each row and severity of the robustness plots, and for each effect of
    a component, all with the same columns.
    """
    lines = [
        {**labels(row), "metric": metric.name, "better": metric.direction, **measured(row, metric.name)}
        for row in report.rows
        for metric in report.study.metrics
    ]
    lines += [
        {**labels(row), "metric": name, **measured(row, name), "robustness": robustness.name, "severity": severity}
        for robustness in report.study.robustness
        for row in report.rows
        if not row.evaluate_only
        for severity, name in robustness.metrics.items()
    ]
    costs = {row.name: cost(row, list(report.study.sizes)) for row in report.rows}
    lines = [line | costs[str(line["row"])] for line in lines]
    lines += [
        {
            "metric": name,
            "effect": effect.kind,
            "of": effect.name,
            "p_holm": effect.corrected,
            **interval(effect.difference),
        }
        for name, effects in report.effects.items()
        for effect in effects
    ]
    empty = dict.fromkeys(column for line in lines for column in line)
    return [empty | line for line in lines]


def labels(row: ReportedRow) -> dict[str, object]:
    """Return the columns that name a line's row and the number of its seeds."""
    return {
        "row": row.name,
        "marks": "; ".join(row.marks),
        "data": None if row.job is None else row.job.data["synthetic"] + " synthetic",
        "seeds": len(row.runs),
        "seeds_missing": len(row.seeds) - len(row.runs),
    }


def measured(row: ReportedRow, name: str) -> dict[str, object]:
    """Return one metric of a row; `significant` only where there is a p-value."""
    cell = row.cells[name]
    found = cell.difference
    return {
        "mean": cell.mean,
        "sd": cell.deviation,
        "published": row.published.get(name),
        **interval(found),
        "p_holm": cell.corrected,
        "significant": None if cell.corrected is None else cell.significant,
        "margin": cell.margin,
        "p_equivalent": found and found.p_equal,
        "verdict": cell.verdict,
    }


def interval(found: Difference | None) -> dict[str, object]:
    """Return a difference with its interval, and what that was resampled over."""
    return {
        "difference": found and found.mean,
        "low": found and found.low,
        "high": found and found.high,
        "p": found and found.p,
        "interval_over": found and found.over,
        "pairs_of_seeds": found.seeds if found else 0,
        "pictures": found.pictures if found else 0,
    }


def cost(row: ReportedRow, sizes: list[str]) -> dict[str, object]:
    """Return the costs of a row's network and runs."""
    known: dict[str, object] = {"parameters": None if row.job is None else row.job.parameters}
    for size in sizes:
        known[f"multiply_adds_{size}"] = None if row.job is None else row.job.multiply_adds.get(size)
    for size in sizes:
        speed = row.speeds.get(size)
        known[f"fps_{size}"] = speed and speed.frames_per_second
        known[f"fps_{size}_lower_quartile"] = speed and 1 / max(speed.quartiles)
        known[f"fps_{size}_upper_quartile"] = speed and 1 / min(speed.quartiles)
        known[f"fps_{size}_device"] = speed and speed.device
    return known | {
        "seconds_fit": row.seconds("fit"),
        "seconds_test": row.seconds("test"),
        "peak_memory_bytes": row.peak_memory,
    }


FORMS = {"report.csv": to_csv, "report.md": to_markdown, "report.tex": to_latex, "report.html": to_html}


@waiting("Drawing the report")
def write_report(report: Report, folder: Path) -> list[Path]:
    """Write `report.csv`, `.md`, `.tex` and `.html`, and `samples.png` where there are sample pictures; returns the
    paths.

    Raises:
        ZooError: the folder cannot be written.
    """
    texts = {folder / name: form(report) for name, form in FORMS.items()}
    with writing(folder, "choose another folder with --output"):
        for file, text in texts.items():
            write_text(file, text)
        pictures = [write_image(folder / SHEET, np.asarray(sheet(report.pictures)))] if report.pictures else []
    return [*texts, *pictures]
