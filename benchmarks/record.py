"""Records: all that a benchmark measured, as a JSON file and as rows of a table."""

import json
import os
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from benchmarks.cases import Case, Measured
from benchmarks.memory import Memory
from zoo.measure.environment import commit
from zoo.measure.machine import describe
from zoo.measure.timing import Timing

FORMAT = "zoo-bench-1"
COLUMNS = ("what", "ours", "quartiles", "plain", "ratio", "target", "equal")
NOTHING = "—"


def make_record(
    subject: str, measured: Sequence[Measured], repeats: int, quick: bool, official: str | None = None
) -> dict[str, Any]:
    """The record of one run: plain values, times in seconds, memory in bytes.

    Args:
        subject: what was measured.
        measured: the results, in order.
        repeats: how many were asked for.
        quick: whether everything was small, so that the times mean nothing.
        official: SHA-256 of the official code that was run as the plain one; None where it was our own.
    """
    return {
        "format": FORMAT,
        "subject": subject,
        "official": official,
        "commit": commit(),
        "date": datetime.now(UTC).date().isoformat(),
        "quick": quick,
        "repeats": repeats,
        "machine": describe(),
        "cases": [as_values(each) for each in measured],
    }


def as_values(measured: Measured) -> dict[str, Any]:
    """One case of a record."""
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
    """Median, quartiles and every repeat, in seconds; or the memory, in bytes."""
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
    """What the case should reach."""
    if case.faster is not None:
        return f"≥ {case.faster:g}×"
    return None if case.within is None else f"≤ {duration(case.within)}"


def write_record(record: dict[str, Any], path: Path) -> None:
    """Write the record as JSON. Nothing half-written is left."""
    unfinished = path.with_name(f".{path.name}.{os.getpid()}.unfinished")
    try:
        unfinished.write_text(json.dumps(record, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
        os.replace(unfinished, path)
    finally:
        unfinished.unlink(missing_ok=True)


def row(values: dict[str, Any]) -> list[str]:
    """The cells of a case of a record, one for each of `COLUMNS`."""
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
    """Whether the results are equal, and how far apart they are."""
    if values["equal"] is None:
        return NOTHING
    if not values["equal"]:
        return f"no: {float(values['difference']):.1g}"
    return f"to {values['difference']:.0e}" if values["difference"] else "exactly"


def amount(values: dict[str, Any] | None) -> str:
    """A median duration, or memory."""
    if values is None:
        return NOTHING
    return f"{values['bytes'] / 2**20:,.0f} MiB" if "bytes" in values else duration(values["median"])


def duration(seconds: float) -> str:
    """In the unit that suits it, three digits."""
    unit, size = unit_of(seconds)
    return f"{seconds / size:.3g} {unit}"


def span(low: float, high: float) -> str:
    """From one duration to another."""
    unit, size = unit_of(high)
    return f"{low / size:.3g}–{high / size:.3g} {unit}"


def unit_of(seconds: float) -> tuple[str, float]:
    """The unit that suits a duration, and how long it is."""
    return next(((unit, size) for unit, size in (("s", 1.0), ("ms", 1e-3)) if seconds >= size), ("µs", 1e-6))
