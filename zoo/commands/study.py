"""Run studies: many combinations of parts, run under the same conditions and compared.

`zoo study plan FILE` resolves and builds every row and shows how it differs from the baseline. `run` carries out what
is missing, `status` shows the state of every run, `speed` times the networks, as `run` does at its end, `report`
compares the runs that are done, and `power` says how many more seeds the undecided rows need. `import PLAN --map MAP`
makes a study of published ablation plans. `execute DIR` carries out one run, as engines do.
"""

import argparse
import json
import os
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from zoo.runner.help import Parser, add_json, print_json

if TYPE_CHECKING:
    from collections.abc import Iterable

    from zoo.study.file import Study
    from zoo.study.plan.planner import Plan
    from zoo.study.record import Run
    from zoo.study.report.report import Report


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare `plan`, `run`, `status`, `speed`, `power`, `report`, `import` and `execute`."""
    parser.epilog = "`zoo show study` lists the keys of a study file."
    names = "{plan,run,status,speed,power,report,import,execute}"
    actions = parser.add_subparsers(dest="action", required=True, metavar=names, parser_class=Parser)
    own: Any = {"prefix": "--engine."}
    plan = actions.add_parser("plan", help="resolve, check and build every row; run nothing", **own)
    run_ = actions.add_parser("run", help="carry out what is missing or stale", **own)
    status = actions.add_parser("status", help="show the state of every run, and which ones `run` would repeat", **own)
    speed = actions.add_parser("speed", help="measure frames per second where that was not done yet", **own)
    power = actions.add_parser("power", help="show the smallest detectable difference, and seeds still needed", **own)
    report = actions.add_parser("report", help="compare what is done: tables, intervals and plots", **own)
    for action in (plan, run_, status, speed, power, report):
        action.add_argument("file", metavar="FILE", help="a study file, or a shipped one: studies/bgmv2_refinement")
        action.add_argument("--profile", metavar="NAME", help="a profile of the study, such as smoke, cpu or full")
    for action in (run_, status, speed, power, report):
        action.add_argument(
            "--runs", type=Path, default=Path("studies"), metavar="DIR", help="where studies are (default: studies)"
        )
    add_json(plan, "rows and runs")
    add_json(status, "the state of each run")
    add_json(power, "an entry for each metric and row")
    plan.add_argument("--measure", action="store_true", help="also time a few training steps of each row")
    run_.add_argument(
        "--engine",
        default="Local",
        metavar="NAME",
        help="where runs are carried out, see `zoo list engines` (default: local); --engine.OPTION=VALUE",
    )
    run_.add_argument(
        "--until-decided", action="store_true", help="give the undecided rows one more seed at a time; needs --budget"
    )
    run_.add_argument("--budget", metavar="TIME", help="of --until-decided, such as 45min or 2h")
    run_.add_argument("--max-seeds", type=int, metavar="N", help="of a row, with --until-decided (default: 10)")
    run_.add_argument("--retry-failed", action="store_true", help="also repeat the runs that failed")
    run_.add_argument("--force", action="store_true", help="repeat every run; the old directories are renamed")
    report.add_argument(
        "-o", "--output", type=Path, metavar="DIR", help="where report.* are written (default: the study's folder)"
    )
    plans = actions.add_parser("import", help="make a study of published ablation plans", **own)
    plans.add_argument("plans", nargs="+", type=Path, metavar="PLAN", help="AblationBench's JSON lines or Markdown")
    plans.add_argument(
        "--map", required=True, metavar="MAP", help="from a plan's words to rows; shipped: plans/bgmv2.map"
    )
    plans.add_argument("-o", "--output", required=True, type=Path, metavar="FILE", help="the study file to write")
    plans.add_argument("--force", action="store_true", help="replace an existing file")
    plans.add_argument("--profile", metavar="NAME", help="also build every row, as `plan` does with this profile")
    execute = actions.add_parser("execute", help="carry out one run that `zoo study run` wrote down", **own)
    execute.add_argument("directory", metavar="DIR", help="the run's directory; - takes one a line from standard input")


def run(arguments: argparse.Namespace) -> int:
    """Run the action; the exit code is 0 when every run is done."""
    if arguments.part_options and arguments.action != "run":
        raise ValueError(f"{arguments.part_options[0]}: `zoo study {arguments.action}` has no engine; `run` has.")
    from zoo.media.progress import waiting

    with waiting("Loading PyTorch and Lightning"):
        from zoo.study.file import read_study
        from zoo.study.plan.planner import make_plan
        from zoo.study.run.rounds import with_rounds
    if arguments.action == "execute":
        return _execute(arguments.directory)
    if arguments.action == "import":
        return _import(arguments)
    study = read_study(arguments.file, arguments.profile)
    # Written down with each run, for the processes and machines that carry it out.
    files = (Path(file).resolve() for file in arguments.plugins)
    study = replace(study, plugins=tuple(dict.fromkeys((*study.plugins, *files))))
    if arguments.action != "plan":
        study = with_rounds(study, arguments.runs / study.title)
    if arguments.action == "power":
        from zoo.study.report.power import power_data, show_power

        report = _made_report(study, arguments.runs)
        if arguments.json:
            print_json(power_data(report))
        else:
            show_power(report)
        return 0
    if arguments.action == "status":
        return _status(study, arguments.runs, arguments.json)
    if arguments.action == "speed":
        return _speed(study, arguments.runs)
    if arguments.action == "report":
        return _report(study, arguments.runs, arguments.output)
    if arguments.action == "plan":
        return _plan(make_plan(study), arguments)
    return _run(study, arguments)


def _import(arguments: argparse.Namespace) -> int:
    from zoo.core.errors import ZooError
    from zoo.core.files import write_text, writing
    from zoo.study.plan.planner import about, make_plan, resolve_plan
    from zoo.study.published.mapping import import_plans, read_map
    from zoo.study.published.plans import read_plans

    if arguments.output.exists() and not arguments.force:
        raise ZooError(f"{arguments.output} exists already: pass --force to replace it, or another name with -o.")
    study_map = read_map(arguments.map)
    imported = import_plans(read_plans(arguments.plans), study_map)
    if arguments.plugins and "plugins" not in study_map.study:
        files = [os.path.relpath(file, arguments.output.parent) for file in arguments.plugins]
        imported.text += f"\nplugins: {json.dumps(files)}\n"
    with about(f"the study that the plans become with {study_map.path.name}"):
        study = imported.study(arguments.output, arguments.profile)
        study = replace(study, plugins=(*study.plugins, *(Path(file).resolve() for file in arguments.plugins)))
        plan = make_plan(study) if arguments.profile else resolve_plan(study)
    with writing(arguments.output, "give another name with -o"):
        write_text(arguments.output, imported.text)
    print(*imported.items, *imported.remarks, f"{arguments.output} has {len(plan.rows)} rows.", sep="\n")
    return 0


def _execute(directory: str) -> int:
    if directory == "-":
        from zoo.study.run.execute import execute_each

        execute_each()
        return 0
    from zoo.study.run.execute import execute

    return _failed([execute(Path(directory).resolve())])


def _failed(runs: "Iterable[Run]") -> int:
    """Report the runs that failed; returns 1 if there are any."""
    failed = [run for run in runs if run.status == "failed"]
    for run in failed:
        print(f"zoo study: {run.row}, seed {run.seed} failed: {run.reason}", file=sys.stderr)
    return int(bool(failed))


def _run(study: "Study", arguments: argparse.Namespace) -> int:
    from zoo.study.plan.planner import make_plan
    from zoo.study.record import read_run
    from zoo.study.run.start import make_engine, run_study
    from zoo.study.run.wandb import wandb_loggers

    engine = make_engine(arguments.engine, arguments.part_options)
    if arguments.until_decided != bool(arguments.budget) or (arguments.max_seeds and not arguments.until_decided):
        raise ValueError("--until-decided needs --budget TIME, and --budget and --max-seeds belong to it.")
    if arguments.until_decided:
        from zoo.study.run.rounds import run_until_decided, seconds_of, with_rounds

        budget, most = seconds_of(arguments.budget), arguments.max_seeds or study.most_seeds or 10
        plan = make_plan(study)
        outcome = run_until_decided(plan, arguments.runs, engine, budget, most, arguments.retry_failed)
        study = with_rounds(study, arguments.runs / study.title)
    else:
        plan = make_plan(study)
        outcome = run_study(plan, arguments.runs, engine, arguments.retry_failed, arguments.force)
    if not engine.waits:
        return 0
    _failed(map(read_run, outcome.failed))
    for directory in outcome.unfinished:
        print(f"zoo study: {directory} ended without a result; run the study again to resume it.", file=sys.stderr)
    code = int(not outcome.complete)
    if not outcome.unfinished and study.frames_per_second:
        code |= _speed(study, arguments.runs)
    if outcome.complete and wandb_loggers(plan.baseline.settings):
        _report(study, arguments.runs, None)
    elif outcome.complete:
        _print_next("report", arguments)
    return code


def _plan(plan: "Plan", arguments: argparse.Namespace) -> int:
    from zoo.study.plan.tables import plan_data, show_plan

    seconds = None
    if arguments.measure:
        from zoo.study.run.timing import training_seconds

        seconds = training_seconds(plan)
    if arguments.json:
        print_json(plan_data(plan, seconds))
    else:
        show_plan(plan, seconds)
        _print_next("run", arguments)
    return 0


def _print_next(action: str, arguments: argparse.Namespace) -> None:
    """Print what one does next with the study."""
    profile = f" --profile {arguments.profile}" if arguments.profile else ""
    runs = "" if getattr(arguments, "runs", Path("studies")) == Path("studies") else f" --runs {arguments.runs}"
    print(f"Next: zoo study {action} {arguments.file}{profile}{runs}", file=sys.stderr)


def _status(study: "Study", runs: Path, as_json: bool) -> int:
    from zoo.study.plan.planner import resolve_plan
    from zoo.study.report.tables import show_status, status_data

    plan = resolve_plan(study)
    if not as_json:
        return int(show_status(plan, runs))
    data = status_data(plan, runs)
    print_json(data)
    return int(any(run["state"] == "failed" for run in data["runs"]))


def _speed(study: "Study", runs: Path) -> int:
    from zoo.core.errors import ZooError
    from zoo.study.run.timing import measure_speed

    if not study.sizes:
        raise ZooError(f"the study {study.name} has no sizes of images to time networks on: add `sizes`.")
    failed = measure_speed(study, runs)
    for sentence in failed:
        print(f"zoo study: {sentence}", file=sys.stderr)
    return int(bool(failed))


def _made_report(study: "Study", runs: Path) -> "Report":
    """Return the report of a study, with a note of stale runs, which is also printed."""
    from zoo.study.report.report import make_report
    from zoo.study.run.start import about_age

    report, stale = make_report(study, runs), about_age(study, runs)
    for sentence in stale:
        print(f"zoo study: {sentence}", file=sys.stderr)
    return replace(report, notes=[*stale, *report.notes])


def _report(study: "Study", runs: Path, output: Path | None) -> int:
    from zoo.study.report.forms import write_report
    from zoo.study.report.wandb import upload_report

    report = _made_report(study, runs)
    for entry in report.missing:
        print(f"zoo study: {entry.row}, seed {entry.seed} is not in the report: {entry.reason}", file=sys.stderr)
    files = write_report(report, output or runs / study.title)
    for file in files:
        print(file)
    if (uploaded := upload_report(report, files)) is not None:
        print(uploaded)
    if report.pictures:
        print(f"Next: zoo gallery {runs / study.title}", file=sys.stderr)
    return int(bool(report.missing))
