"""A plan as a table, and as plain data."""

import math
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from zoo.study.file import Row
from zoo.study.plan.planner import Plan
from zoo.study.record import duration, settings_hash

NONE = "—"
"""The text of a cell without a value."""


def show_plan(plan: Plan, seconds: dict[str, float] | None = None) -> None:
    """Print each row: its differences to the baseline, the cost of its network, and how long its training takes.

    Args:
        plan: of the study.
        seconds: of one training by its settings' hash, where they were estimated.
    """
    study = plan.study
    table = Table(title=study.title, title_justify="left")
    table.add_column("row")
    table.add_column("against the baseline", overflow="fold")
    for heading in ("parameters", *(f"GMACs {size}" for size in study.sizes), *(["training"] if seconds else [])):
        table.add_column(heading, justify="right")
    for row in plan.rows:
        cells: list[str | Text] = [row.name, Text(remarks(row, plan)), f"{row.parameters / 1e6:.2f} M"]
        cells += [f"{row.multiply_adds[size] / 1e9:.2f}" for size in study.sizes]
        if seconds:
            known = math.nan if row.evaluate_only else seconds[settings_hash(row.settings)]
            cells.append(NONE if math.isnan(known) else duration(known))
        table.add_row(*cells)
    console = Console()
    console.print(table)
    runs = plan.runs()
    trained = [run for run in runs if run.trains]
    stages = sum(run.first_stage for run in runs)
    summary = f"{len(runs)} runs with {len(study.seeds)} seeds, {len(trained)} trainings"
    summary += f", {stages} of them first stages" if stages else ""
    summary += f", {len(study.seeds)} the baseline with other seeds" if study.noise_floor else ""
    console.print(f"{summary}.", highlight=False)
    if seconds:
        times = [time for run in trained if not math.isnan(time := seconds[settings_hash(run.settings)])]
        summary = f"About {duration(sum(times))} of training, one run at a time"
        unknown = len(trained) - len(times)
        summary += f", without {unknown} whose epochs are too short to tell." if unknown else "."
        console.print(summary, highlight=False)


def plan_data(plan: Plan, seconds: dict[str, float] | None = None) -> dict[str, Any]:
    """Return a plan as plain data; `seconds` as for `show_plan`."""
    rows = []
    for row in plan.rows:
        estimate = (seconds or {}).get(settings_hash(row.settings), math.nan)
        rows.append(
            {
                "row": row.name,
                "differences": [difference._asdict() for difference in row.differences],
                "baseline": row is plan.baseline,
                "evaluate_only": row.evaluate_only,
                "parameters": row.parameters,
                "multiply_adds": row.multiply_adds,
                "training_seconds": None if row.evaluate_only or math.isnan(estimate) else estimate,
            }
        )
    runs = [{"row": run.row, "seed": run.seed, "first_stage": run.first_stage} for run in plan.runs()]
    return {"study": plan.study.title, "rows": rows, "runs": runs}


def remarks(row: Row, plan: Plan) -> str:
    """Return the second column of a row in a plan."""
    lines = [str(difference) for difference in row.differences]
    if row.name == plan.study.baseline:
        lines.append("the baseline")
    if row.evaluate_only:
        lines.append("tests the baseline's checkpoint")
    elif row.first_stage not in (None, plan.baseline.first_stage):
        lines.append("a first stage of its own")
    return "\n".join([*lines, *([row.note] if row.note else [])])
