"""Records of benchmarks, as JSON files and as rows of a table."""

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from benchmarks.cases import Case, Measured, Memory
from zoo.core.files import write_text
from zoo.measure.environment import commit
from zoo.measure.machine import describe_machine
from zoo.measure.timing import Timing

FORMAT = "zoo-bench-1"
COLUMNS = ("what", "ours", "quartiles", "plain", "ratio", "target", "equal")
NOTHING = "—"


def make_record(
    subject: str, measured: Sequence[Measured], repeats: int, quick: bool, official: str | None = None
) -> dict[str, Any]:
    """Return the record of one benchmark as plain data, durations in seconds, memory in bytes.

    Args:
        subject: one of `benchmarks.SUBJECTS`.
        measured: the cases, in order.
        repeats: requested number.
        quick: whether the sizes were small, so that the durations mean nothing.
        official: SHA-256 of the official code that ran as the plain code; None where the plain code was ours.
    """
    return {
        "format": FORMAT,
        "subject": subject,
        "official": official,
        "commit": commit(),
        "date": datetime.now(UTC).date().isoformat(),
        "quick": quick,
        "repeats": repeats,
        "machine": describe_machine(),
        "cases": [as_values(each) for each in measured],
    }


def as_values(measured: Measured) -> dict[str, Any]:
    """Return one case of a record."""
    case, difference = measured.case, measured.difference
    return {
        "name": case.name,
        "setting": case.setting,
        "fast": measured_values(measured.fast),
        "plain": measured_values(measured.plain),
        "ratio": measured.ratio,
        "target": target(case),
        "reached": measured.reached,
        "equal": measured.equal,
        "difference": str(difference) if difference == float("inf") else difference,  # JSON has no infinity
        "tolerance": case.tolerance if case.plain else None,
    }


def measured_values(measured: Timing | Memory | None) -> dict[str, Any] | None:
    """Return median, quartiles and every repeat in seconds, or the memory in bytes."""
    if measured is None:
        return None
    if isinstance(measured, Memory):
        return {"bytes": measured.bytes}
    return {
        "median": measured.median,
        "quartiles": list(measured.quartiles),
        "seconds": measured.seconds,
        "calls": measured.calls,
    }


def target(case: Case) -> str | None:
    """Return the target of a case as text."""
    if case.faster is not None:
        return f"≥ {case.faster:g}×"
    return None if case.within is None else f"≤ {duration(case.within)}"


def write_record(record: dict[str, Any], path: Path) -> None:
    """Write the record as JSON, atomically."""
    write_text(path, json.dumps(record, indent=1, ensure_ascii=False) + "\n")


def row(values: dict[str, Any]) -> list[str]:
    """Return the table cells of a case of a record, one for each of `COLUMNS`."""
    fast, plain = values["fast"], values["plain"]
    return [
        f"{values['name']}, {values['setting']}",
        amount(fast),
        span(*fast["quartiles"]) if fast and "quartiles" in fast else NOTHING,
        amount(plain),
        f"{values['ratio']:.3g}×" if values["ratio"] else NOTHING,
        (values["target"] or NOTHING) + {True: " ✓", False: " ✗", None: ""}[values["reached"]],
        equality(values),
    ]


def equality(values: dict[str, Any]) -> str:
    """Return the cell that says whether the results are equal, and how much they differ."""
    if values["equal"] is None:
        return NOTHING
    if not values["equal"]:
        return f"no: {float(values['difference']):.1g}"
    return f"to {values['difference']:.0e}" if values["difference"] else "exactly"


def amount(values: dict[str, Any] | None) -> str:
    """Return a median duration or a memory size as text."""
    if values is None:
        return NOTHING
    return f"{values['bytes'] / 2**20:,.0f} MiB" if "bytes" in values else duration(values["median"])


def duration(seconds: float) -> str:
    """Return a duration with three digits and a suitable unit."""
    unit, size = unit_of(seconds)
    return f"{seconds / size:.3g} {unit}"


def span(low: float, high: float) -> str:
    """Return a range of durations as text."""
    unit, size = unit_of(high)
    return f"{low / size:.3g}–{high / size:.3g} {unit}"


def unit_of(seconds: float) -> tuple[str, float]:
    """Return the unit that suits a duration, and its length in seconds."""
    return next(((unit, size) for unit, size in (("s", 1.0), ("ms", 1e-3)) if seconds >= size), ("µs", 1e-6))
