"""Plans and states as tables on the screen."""

from pathlib import Path

from rich.console import Console
from rich.table import Table
from rich.text import Text

from zoo.study.file import NOISE_FLOOR, Row, Study
from zoo.study.plan import Plan, PlannedRow, other_seeds, settings_hash
from zoo.study.results import read_result, state


def show_plan(plan: Plan, seconds: dict[str, float] | None = None) -> None:
    """Print each row: how it differs from the baseline, what its network costs, and how long its training takes.

    Args:
        plan: of the study.
        seconds: of one training by its settings' hash, where they were estimated.
    """
    study = plan.study
    table = Table(title=study.title, title_justify="left")
    table.add_column("row")
    table.add_column("against the baseline", overflow="fold")
    table.add_column("parameters", justify="right")
    for size in study.sizes:
        table.add_column(f"GMACs {size}", justify="right")
    if seconds is not None:
        table.add_column("training", justify="right")
    for planned in plan.rows:
        cost = planned.cost
        cells: list[str | Text] = [planned.row.name, Text(told(planned, plan)), f"{cost.parameters / 1e6:.2f} M"]
        cells += [f"{cost.multiply_adds[size] / 1e9:.2f}" for size in study.sizes]
        if seconds is not None:
            cells.append("—" if planned.row.evaluate_only else duration(seconds[settings_hash(planned.settings)]))
        table.add_row(*cells)
    console = Console()
    console.print(table)
    runs = plan.runs()
    trained = [run for run in runs if run.trains]
    stages = sum(run.first_stage for run in runs)
    said = f"{len(runs)} runs with {len(study.seeds)} seeds, {len(trained)} trainings"
    said += f", {stages} of them first stages" if stages else ""
    said += f", {len(study.seeds)} the baseline with other seeds" if study.noise_floor else ""
    console.print(f"{said}.", highlight=False)
    if seconds is not None:
        total = sum(seconds[settings_hash(run.settings)] for run in trained)
        console.print(f"About {duration(total)} of training, one run at a time.", highlight=False)


def told(planned: PlannedRow, plan: Plan) -> str:
    """What a row's second column says."""
    lines = [str(difference) for difference in planned.differences]
    if planned.row.name == plan.study.baseline:
        lines.append("the baseline")
    if planned.row.evaluate_only:
        lines.append("tests the baseline's checkpoint")
    elif planned.first_stage not in (None, plan.baseline.first_stage):
        lines.append("a first stage of its own")
    if planned.row.note:
        lines.append(planned.row.note)
    return "\n".join(lines)


def duration(seconds: float) -> str:
    """`45 s`, `12 min`, `3.5 h`."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def show_status(study: Study, root: Path) -> bool:
    """Print what is the matter with each run; returns whether one failed. Nothing is resolved or built."""
    table = Table(title=study.title, title_justify="left")
    table.add_column("row")
    table.add_column("seeds", overflow="fold")
    reasons = []
    counts: dict[str, int] = {}
    rows = [(row, study.seeds) for row in study.rows]
    if study.noise_floor:
        rows.append((Row(NOISE_FLOOR), tuple(other_seeds(study.seeds))))
    for row, seeds in rows:
        states = []
        for seed in seeds:
            directory = root / study.title / row.folder / f"seed_{seed}"
            found = state(directory)
            counts[found] = counts.get(found, 0) + 1
            states.append(f"{seed} {found}")
            if found == "failed" and (result := read_result(directory)) is not None:
                reasons.append(f"{row.name}, seed {seed} failed: {result.reason}")
        table.add_row(row.name, ", ".join(states))
    console = Console()
    console.print(table)
    console.print(", ".join(f"{count} {found}" for found, count in sorted(counts.items())), highlight=False)
    for reason in reasons:
        console.print(reason, highlight=False, markup=False)
    return bool(reasons)
