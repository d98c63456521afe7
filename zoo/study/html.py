"""A report as one HTML page that needs nothing but itself: no scripts, no other files."""

from base64 import b64encode
from html import escape

from zoo.study.curves import learning_curves, robustness_curves
from zoo.study.forest import forest_plot
from zoo.study.report import Report
from zoo.study.sample_pictures import PicturedSample, jpeg
from zoo.study.tables import Table, tables
from zoo.study.trade_offs import quality_against_multiply_adds, quality_against_speed

STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; max-width: 75rem; margin: 2rem auto; padding: 0 1rem; color: #222;
  background: #fff; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
th, td { padding: .3rem .7rem; text-align: right; border-bottom: 1px solid #ddd; }
th:first-child, td:first-child, .text th, .text td { text-align: left; }
thead th { border-bottom: 2px solid #222; }
img { max-width: 100%; }
.tiles { display: flex; flex-wrap: wrap; gap: .5rem; }
.tiles figure { margin: 0; width: 10rem; font-size: 12px; line-height: 1.3; }
.tiles img { width: 100%; }
"""

COLOURS = "The baseline is black; of many rows those that differ most from it are named, the others are grey."
TRADE_OFF = f"Mean ± standard deviation over seeds; the dotted line joins rows that no other beats in both. {COLOURS}"

PLOTS = (
    (
        "Differences to the baseline",
        "Points are mean differences, lines their 95 % intervals, hollow points have none; red is significant after "
        "correction; the grey band is the noise floor.",
        forest_plot,
    ),
    ("Quality against multiply-adds", TRADE_OFF, quality_against_multiply_adds),
    ("Quality against frames a second", TRADE_OFF, quality_against_speed),
    (
        "Robustness",
        "Mean ± standard deviation over seeds of the rows that were trained. " + COLOURS,
        robustness_curves,
    ),
    ("Learning curves", "Thin lines are seeds, thick lines their mean. " + COLOURS, learning_curves),
)


def to_html(report: Report) -> str:
    """The whole page."""
    title = escape(report.title)
    parts = [
        "<!DOCTYPE html>",
        '<html lang="en">',
        f'<head><meta charset="utf-8"><title>{title}</title><style>{STYLE}</style></head>',
        f"<body><h1>{title}</h1>",
        *map(table_html, tables(report)),
        *(figure_html(name, caption, picture) for name, caption, draw in PLOTS if (picture := draw(report))),
        pictures_html(report.pictures),
        "<h2>Notes</h2>",
        f"<ul>{''.join(f'<li>{escape(note)}</li>' for note in report.notes)}</ul>",
        "</body></html>",
    ]
    return "\n".join(parts) + "\n"


def table_html(table: Table) -> str:
    """A heading and a table."""
    kind = ' class="text"' if table.left == len(table.header) else ""
    header = "".join(f'<th scope="col">{escape(cell)}</th>' for cell in table.header)
    lines = "\n".join(f"<tr>{''.join(f'<td>{escape(cell)}</td>' for cell in line)}</tr>" for line in table.lines)
    return (
        f'<h2>{escape(table.title)}</h2>\n<div class="wide"><table{kind}><thead><tr>{header}</tr></thead>\n'
        f"<tbody>{lines}</tbody></table></div>"
    )


def figure_html(name: str, caption: str, picture: str) -> str:
    """A heading and an SVG picture; as an image of its own, so that names inside two pictures cannot collide."""
    data = b64encode(picture.encode()).decode()
    return (
        f'<h2>{escape(name)}</h2>\n<figure><img alt="{escape(name)}" src="data:image/svg+xml;base64,{data}">'
        f"<figcaption>{escape(caption)}</figcaption></figure>"
    )


def pictures_html(pictured: list[PicturedSample]) -> str:
    """The sample pictures; nothing where there are none."""
    if not pictured:
        return ""
    parts = [
        "<h2>Sample pictures</h2>",
        "<p>The first pictures of the test sets: what every network was given, the truth, and each row's result with "
        "its first seed; of many rows those that differ most from the baseline.</p>",
    ]
    for sample in pictured:
        tiles = "\n".join(
            f'<figure><img alt="{escape(name)}" src="data:image/jpeg;base64,{b64encode(jpeg(tile)).decode()}">'
            f"<figcaption>{escape(name)}</figcaption></figure>"
            for name, tile in sample.tiles.items()
        )
        parts.append(f'<h3>{escape(sample.title)}</h3>\n<div class="tiles">{tiles}</div>')
    return "\n".join(parts)
