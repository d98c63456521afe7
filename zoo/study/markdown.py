"""A report as Markdown."""

import re

from zoo.study.report import Report
from zoo.study.tables import tables

SHEET = "samples.png"
"""The file with sample pictures, beside the report."""


def to_markdown(report: Report) -> str:
    """Headings, pipe tables, notes, and a link to the sample pictures where there are some."""
    parts = [f"# {markdown_text(report.title)}"]
    for table in tables(report):
        alignment = ["---"] * table.left + ["---:"] * (len(table.header) - table.left)
        header, *lines = ([markdown_text(cell) for cell in line] for line in [table.header, *table.lines])
        parts += [
            f"## {markdown_text(table.title)}",
            "\n".join(f"| {' | '.join(line)} |" for line in [header, alignment, *lines]),
        ]
    if report.pictures:
        parts += ["## Sample pictures", f"![source, truth and results of some rows]({SHEET})"]
    parts += ["## Notes", "\n".join(f"- {markdown_text(note)}" for note in report.notes)]
    return "\n\n".join(parts) + "\n"


def markdown_text(text: str) -> str:
    """Text that Markdown shows as it is, on one line."""
    return re.sub(r"([\\`*_|]|<(?! )|(?<=\])\()", r"\\\1", " ".join(text.split()))
