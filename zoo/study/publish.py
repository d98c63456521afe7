"""A report in all its forms, as files."""

from pathlib import Path

import numpy as np

from zoo.core.errors import ZooError
from zoo.core.files import write_text
from zoo.media.images import write_image
from zoo.study.html import to_html
from zoo.study.latex import to_latex
from zoo.study.markdown import SHEET, to_markdown
from zoo.study.report import Report
from zoo.study.sample_pictures import sheet
from zoo.study.spreadsheet import to_csv

FORMS = {"report.csv": to_csv, "report.md": to_markdown, "report.tex": to_latex, "report.html": to_html}


def write_report(report: Report, folder: Path) -> list[Path]:
    """Write `report.csv`, `.md`, `.tex` and `.html`, and `samples.png` where there are sample pictures; each whole or
    not at all. Returns their paths.

    Raises:
        ZooError: the folder cannot be written.
    """
    texts = {folder / name: form(report) for name, form in FORMS.items()}
    try:
        for file, text in texts.items():
            write_text(file, text)
        pictures = [write_image(folder / SHEET, np.asarray(sheet(report.pictures)))] if report.pictures else []
    except OSError as error:
        raise ZooError(
            f"{folder} cannot be written ({error.strerror or error}): choose another folder with --output."
        ) from error
    return [*texts, *pictures]
