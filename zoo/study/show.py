"""Plans and states as tables on the screen."""

import math
from pathlib import Path

from rich.console import Console
from rich.table import Table
from rich.text import Text

from zoo.study.file import NOISE_FLOOR, Row, Study
from zoo.study.plan import FIRST_STAGE, Plan, PlannedRow, other_seeds, settings_hash
from zoo.study.results import all_jobs, read_result, state


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
            known = math.nan if planned.row.evaluate_only else seconds[settings_hash(planned.settings)]
            cells.append("—" if math.isnan(known) else duration(known))
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
        times = [seconds[settings_hash(run.settings)] for run in trained]
        told_of = [time for time in times if not math.isnan(time)]
        said = f"About {duration(sum(told_of))} of training, one run at a time"
        untold = len(times) - len(told_of)
        said += f", without {untold} whose epochs are too short to tell." if untold else "."
        console.print(said, highlight=False)


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
    folder = root / study.title
    rows = [(row.name, folder / row.folder, study.seeds) for row in study.rows]
    if study.noise_floor:
        rows.append((NOISE_FLOOR, folder / Row(NOISE_FLOOR).folder, tuple(other_seeds(study.seeds))))
    reasons = []
    counts: dict[str, int] = {}
    for name, place, seeds in [*first_stages(folder), *rows]:
        states = []
        for seed in seeds:
            directory = place / f"seed_{seed}"
            found = state(directory)
            counts[found] = counts.get(found, 0) + 1
            states.append(f"{seed} {found}")
            if found == "failed" and (result := read_result(directory)) is not None:
                reasons.append(f"{name}, seed {seed} failed: {result.reason}")
        table.add_row(name, ", ".join(states))
    console = Console()
    console.print(table)
    console.print(", ".join(f"{count} {found}" for found, count in sorted(counts.items())), highlight=False)
    for reason in reasons:
        console.print(reason, highlight=False, markup=False)
    return bool(reasons)


def first_stages(folder: Path) -> list[tuple[str, Path, tuple[int, ...]]]:
    """The first stages that were begun, as rows of `show_status`: which there will be, only a plan knows."""
    seeds: dict[str, list[int]] = {}
    for _, job in all_jobs(folder / FIRST_STAGE):
        seeds.setdefault(job.row, []).append(job.seed)
    return [
        (f"{name}, first stage", folder / FIRST_STAGE / Row(name).folder, tuple(sorted(found)))
        for name, found in seeds.items()
    ]
