"""A report as one CSV file, for further computing."""

import csv
import io

from zoo.study.report import Report
from zoo.study.rows import ReportedRow


def to_csv(report: Report) -> str:
    """A line for each row and metric, then one for each row and severity of the robustness plots; every number with all
    its digits, empty where there is none.
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
        if row.trained
        for severity, name in robustness.metrics.items()
    ]
    costs = {row.name: cost(row, list(report.study.sizes)) for row in report.rows}
    columns = dict.fromkeys(column for line in lines for column in line)
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, [*columns, *costs[report.baseline.name]], lineterminator="\n")
    writer.writeheader()
    writer.writerows(line | costs[str(line["row"])] for line in lines)
    return text.getvalue()


def labels(row: ReportedRow) -> dict[str, object]:
    """Which row a line is about, and how much of it is there."""
    return {
        "row": row.name,
        "marks": "; ".join(row.marks),
        "data": None if row.job is None else row.job.data["synthetic"] + " synthetic",
        "seeds": len(row.runs),
        "seeds_missing": row.wanted - len(row.runs),
    }


def measured(row: ReportedRow, name: str) -> dict[str, object]:
    """One metric of a row; `significant` only where there is a p-value."""
    cell = row.cells[name]
    found = cell.difference
    return {
        "mean": cell.mean,
        "sd": cell.deviation,
        "published": row.published.get(name),
        "difference": found and found.mean,
        "low": found and found.low,
        "high": found and found.high,
        "p": found and found.p,
        "p_holm": cell.corrected,
        "significant": None if cell.corrected is None else cell.significant,
        "interval_over": found and found.over,
        "pairs_of_seeds": found.seeds if found else 0,
        "pictures": found.pictures if found else 0,
    }


def cost(row: ReportedRow, sizes: list[str]) -> dict[str, object]:
    """What a row's network and runs cost."""
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
