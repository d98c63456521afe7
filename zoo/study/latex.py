r"""A report as LaTeX tables, in commands that pdflatex knows too."""

from zoo.study.report import Report
from zoo.study.tables import Table, tables

WIDE = 90
"""Letters in the longest line of a table from which on it is shrunk to the width of the text."""


def to_latex(report: Report) -> str:
    r"""One `table` after another, for `\usepackage{booktabs,graphicx}`; notes as comments."""
    said = [report.title, *report.notes, r"needs \usepackage{booktabs,graphicx}"]
    comments = "\n".join(f"% {' '.join(note.split())}" for note in said)
    return "\n\n".join([comments, *(table_latex(table, report.title) for table in tables(report))]) + "\n"


def table_latex(table: Table, title: str) -> str:
    """One table, with the report's title in its caption."""
    columns = "l" * table.left + "r" * (len(table.header) - table.left)
    lines = [
        rf"\begin{{tabular}}{{{columns}}}",
        r"\toprule",
        line_latex(table.header),
        r"\midrule",
        *map(line_latex, table.lines),
        r"\bottomrule",
        r"\end{tabular}",
    ]
    widths = [max(map(len, column)) for column in zip(table.header, *table.lines, strict=True)]
    if sum(widths) > WIDE:
        lines = [r"\resizebox{\linewidth}{!}{%", *lines[:-1], lines[-1] + "}"]
    caption = latex_text(f"{title}. {table.title}.")
    return "\n".join([r"\begin{table}", r"\centering", rf"\caption{{{caption}}}", *lines, r"\end{table}"])


def line_latex(cells: list[str]) -> str:
    """One line of a table."""
    return " & ".join(map(latex_text, cells)) + r" \\"


LATEX = {
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "|": r"\textbar{}",
    "<": "$<$",
    ">": "$>$",
    "≤": r"$\leq$",
    "≥": r"$\geq$",
    "≈": r"$\approx$",
    "↓": r"$\downarrow$",
    "↑": r"$\uparrow$",
    "→": r"$\rightarrow$",
    "←": r"$\leftarrow$",
    "±": r"$\pm$",
    "−": "$-$",
    "×": r"$\times$",
    "·": r"$\cdot$",
    "°": r"$^\circ$",
    "²": "$^2$",
    "³": "$^3$",
    "µ": r"$\mu$",
    "μ": r"$\mu$",
    "Δ": r"$\Delta$",
    "–": "--",
    "—": "---",
    "…": r"\ldots{}",
    **{sign: f"\\{sign}" for sign in "&%$#_{}"},
}


def latex_text(text: str) -> str:
    """Text that LaTeX shows as it is; a bracket first in a cell would be an argument of the line before."""
    shown = "".join(LATEX.get(sign, sign) for sign in " ".join(text.split()))
    return f"{{}}{shown}" if shown.startswith(("[", "*")) else shown
