"""How small a difference a study can detect, and how many more seeds its undecided rows need."""

from typing import Any

from rich.console import Console
from rich.table import Table as ScreenTable
from scipy.stats import t

from zoo.study.file import NOISE_FLOOR
from zoo.study.record import number, signed
from zoo.study.report.report import Report
from zoo.study.report.rows import SIGNIFICANT
from zoo.study.report.statistics import Difference
from zoo.study.report.tables import NONE, heading

POWER = 0.8
"""The probability with which a difference is to be found."""

MOST_SEEDS = 100


def quantiles(found: Difference, seeds: int, level: float) -> float:
    """Return how many standard errors a mean must lie from a bound to be told from it, with probability `POWER`."""
    freedom = (min(seeds, found.pictures) if found.pictures > 1 else seeds) - 1
    return float(t.ppf(1 - level, freedom) + t.ppf(POWER, freedom))


def expected_error(found: Difference, seeds: int) -> float:
    """Return the standard error that is to be expected with so many seeds, as the report's test computes it."""
    assert found.spread is not None
    by_seed, by_image, rest = found.spread
    images = max(1, found.pictures)
    return float((by_seed / seeds + by_image / images + (2 if images > 1 else 1) * rest / (seeds * images)) ** 0.5)


def detectable(found: Difference, seeds: int, rows: int = 1) -> float:
    """Return the smallest difference that is significant with probability `POWER`, corrected for so many rows."""
    return quantiles(found, seeds, SIGNIFICANT / 2 / rows) * expected_error(found, seeds)


def seeds_needed(found: Difference, margin: float | None, rows: int = 1) -> int | None:
    """Return the least number of seeds that would decide a row whose true difference is the one found; None where
    `MOST_SEEDS` would not: more images, or a wider margin, may.
    """
    for seeds in range(max(3, found.seeds + 1), MOST_SEEDS + 1):
        inside = abs(found.mean) + quantiles(found, seeds, SIGNIFICANT) * expected_error(found, seeds)
        if detectable(found, seeds, rows) <= abs(found.mean) or (margin is not None and inside <= margin):
            return seeds
    return None


def power_data(report: Report) -> list[dict[str, Any]]:
    """Return what each row can tell by each metric, and how many more seeds it needs, as plain data."""
    rows = [row for row in report.others if row.name != NOISE_FLOOR]
    entries = []
    for metric in report.study.metrics:
        for row in rows:
            cell = row.cells[metric.name]
            found = cell.difference
            entry: dict[str, Any] = {
                "metric": metric.name,
                "row": row.name,
                "verdict": cell.verdict,
                "difference": found and found.mean,
            }
            if found is not None and found.spread is not None:
                needed = seeds_needed(found, cell.margin, len(rows))
                open_ = cell.verdict in (None, "undecided")
                more = None if needed is None else needed - found.seeds
                entry |= {
                    "detectable": detectable(found, max(3, found.seeds), len(rows)),
                    "variance": dict(zip(("seed", "image", "rest"), found.spread, strict=True)),
                    "more_seeds": more if open_ else 0,
                }
            entries.append(entry)
    return entries


def show_power(report: Report) -> None:
    """Print, for each metric, what each row can tell and how many more seeds it needs."""
    console = Console()
    rows = [row for row in report.others if row.name != NOISE_FLOOR]
    for metric in report.study.metrics:
        table = ScreenTable(title=heading(metric, report.study), title_justify="left")
        header = ("row", "verdict", "difference", "detectable", "variance by seed / image / rest", "more seeds")
        for column in header:
            table.add_column(column, justify="left" if column in header[:2] else "right", overflow="fold")
        for row in rows:
            cell = row.cells[metric.name]
            found = cell.difference
            if found is None or found.spread is None:
                table.add_row(row.name, NONE, NONE if found is None else signed(found.mean), NONE, NONE, NONE)
                continue
            total = sum(found.spread) or 1.0
            needed = seeds_needed(found, cell.margin, len(rows))
            more = f"over {MOST_SEEDS - found.seeds}" if needed is None else str(needed - found.seeds)
            table.add_row(
                row.name,
                cell.verdict or NONE,
                signed(found.mean),
                number(detectable(found, max(3, found.seeds), len(rows)), 2),
                " / ".join(f"{100 * part / total:.0f} %" for part in found.spread),
                more if cell.verdict in (None, "undecided") else "0",
            )
        console.print(table)
    print(
        f"Detectable: the smallest difference that is significant with probability {POWER:.0%}, corrected for "
        f"{len(rows)} rows, with the seeds there are and at least 3. More seeds: to decide a row whose true difference "
        "is the one found. One seed alone says nothing about either."
    )
