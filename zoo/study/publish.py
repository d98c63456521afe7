"""A report in all its forms, as files."""

from pathlib import Path

from zoo.core.run import write_text
from zoo.study.file import StudyError
from zoo.study.html import to_html
from zoo.study.report import Report
from zoo.study.tables import to_csv, to_latex, to_markdown

FORMS = {"report.csv": to_csv, "report.md": to_markdown, "report.tex": to_latex, "report.html": to_html}


def write_report(report: Report, folder: Path) -> list[Path]:
    """Write `report.csv`, `.md`, `.tex` and `.html`, each whole or not at all; returns their paths.

    Raises:
        StudyError: the folder cannot be written.
    """
    texts = {folder / name: form(report) for name, form in FORMS.items()}
    try:
        for file, text in texts.items():
            write_text(file, text)
    except OSError as error:
        raise StudyError(
            f"{folder} cannot be written ({error.strerror or error}): choose another folder with --output."
        ) from error
    return list(texts)
