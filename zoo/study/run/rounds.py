"""Running a study until its rows are decided: one more seed at a time, for the rows that are not.

`rounds.json` in the study's folder says how many seeds each row has, so that a study that was cut resumes, and reports
know how often it was looked at.
"""

import json
import math
import re
import statistics
import time
from dataclasses import replace
from pathlib import Path

from zoo.core.errors import ZooError
from zoo.core.files import write_json
from zoo.study.file import NOISE_FLOOR, Study
from zoo.study.parts import Engine
from zoo.study.plan.planner import Plan
from zoo.study.record import ROUNDS, all_runs, duration, read_run, state
from zoo.study.report.report import make_report
from zoo.study.report.statistics import ENOUGH_SEEDS
from zoo.study.run.start import Outcome, run_study
from zoo.study.run.timing import training_seconds

UNITS = {"s": 1, "min": 60, "h": 3600}


def seconds_of(text: str) -> float:
    """Return a duration in seconds.

    Example:
        >>> seconds_of("1.5h")
        5400.0
    """
    found = re.fullmatch(r"(\d+(?:\.\d+)?)\s*(s|min|h)", text.strip())
    if not found:
        raise ZooError(f"got --budget {text}; expected a duration with its unit: 90s, 45min or 2h.")
    return float(found[1]) * UNITS[found[2]]


def run_until_decided(
    plan: Plan, root: Path, engine: Engine, budget: float, max_seeds: int, retry_failed: bool = False
) -> Outcome:
    """Carry out runs in rounds until each row is decided on the first metric or has all seeds, or time is up.

    Args:
        plan: of the study.
        root: the folder that the study's folder is in.
        engine: where runs are carried out.
        budget: seconds; no round begins that would probably end later.
        max_seeds: of a row.
        retry_failed: whether to repeat runs that failed before.

    Raises:
        ZooError: the engine does not wait, too few seeds, a budget of less than one run, or another limit before.
    """
    begun = time.monotonic()
    if not engine.waits:
        raise ZooError("--until-decided needs the results of each round: choose an engine that waits, such as local.")
    least = max(ENOUGH_SEEDS, len(plan.study.seeds))
    if max_seeds < least:
        raise ZooError(f"got --max-seeds {max_seeds}; expected at least {least}: there is no verdict with fewer.")
    folder = root / plan.study.title
    study = with_rounds(plan.study, folder)
    if study.most_seeds not in (0, max_seeds):
        raise ZooError(
            f"got --max-seeds {max_seeds}, but the study was begun with {study.most_seeds}, which its levels of "
            "significance follow from: keep it, or begin in another --runs."
        )
    counts = dict(study.counts) or dict.fromkeys(names_of(study), 1)
    while True:
        study = replace(study, counts=counts, most_seeds=max_seeds)
        plan = replace(plan, study=study)
        pending = sum(state(folder / run.folder, run.id) not in ("done", "failed") for run in plan.runs())
        needed = pending * seconds_of_one(plan, folder) if pending else 0.0
        left = budget - (time.monotonic() - begun)
        if needed > left:
            one = needed / pending
            if one > budget:
                raise ZooError(f"got a budget of {duration(budget)}, less than one run, about {duration(one)}.")
            print(f"The next round needs about {duration(needed)}, and {duration(max(0.0, left))} are left.")
            return outcome_of(plan, folder)
        folder.mkdir(parents=True, exist_ok=True)
        write_json(folder / ROUNDS, {"format": 1, "max_seeds": max_seeds, "seeds": counts})
        outcome = run_study(plan, root, engine, retry_failed)
        if not outcome.complete:
            return outcome
        report = make_report(study, root)
        metric = study.metrics[0].name
        open_rows = {row.name for row in report.others if row.cells[metric].verdict in (None, "undecided")}
        more = {name: count + (name in open_rows and count < max_seeds) for name, count in counts.items()}
        more[study.baseline] = max(more.values())
        print(report.headline)
        if more == counts:
            return outcome
        counts = more


def seconds_of_one(plan: Plan, folder: Path) -> float:
    """Return about how long one run takes: the median of those that are done, otherwise the baseline's training."""
    done = [sum(run.seconds.values()) for path in all_runs(folder) if (run := read_run(path)).status == "done"]
    if done:
        return statistics.median(done)
    baseline = replace(plan, study=replace(plan.study, noise_floor=False), rows=(plan.baseline,))
    times = [value for value in training_seconds(baseline).values() if not math.isnan(value)]
    return max(times, default=0.0)


def outcome_of(plan: Plan, folder: Path) -> Outcome:
    """Return the runs without a result, those of a round that did not begin included."""
    states = {folder / run.folder: state(folder / run.folder, run.id) for run in plan.runs()}
    return Outcome([path for path, found in states.items() if found == "failed"], [])


def names_of(study: Study) -> list[str]:
    """Return the names of the rows that get seeds, the A/A baseline's last."""
    return [*(row.name for row in study.rows), *([NOISE_FLOOR] if study.noise_floor else [])]


def with_rounds(study: Study, folder: Path) -> Study:
    """Return the study with as many seeds of each row as `--until-decided` gave it.

    Args:
        study: as its file says; returned unchanged where no row was given more.
        folder: of its runs, with `rounds.json`.

    Raises:
        ZooError: rounds.json is damaged.
    """
    file = folder / ROUNDS
    if not file.is_file():
        return study
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
        counts = {str(name): int(count) for name, count in content["seeds"].items()}
        if study.baseline in counts:  # older files do not name the A/A baseline, which had the baseline's number
            counts.setdefault(NOISE_FLOOR, min(counts[study.baseline], len(study.seeds)))
        counts = {name: counts.get(name, 1) for name in names_of(study)}
        return replace(study, counts=counts, most_seeds=int(content["max_seeds"]))
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise ZooError(f"{file} is damaged: delete it, and `zoo study run` begins its rounds again.") from error
