"""The report as one more W&B run of the study's group, where the study's runs are logged there.

It has the lines of `report.csv` as a table, the page, the plots and the sample pictures, and all files as an artifact.
The report does not depend on it: an error becomes one sentence.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from zoo.runner.wandb import has_wandb_key
from zoo.study.record import digest
from zoo.study.report.forms import PLOTS, csv_lines
from zoo.study.report.report import Report
from zoo.study.run.execute import read_settings
from zoo.study.run.wandb import described, session, wandb_loggers

JOB_TYPE = "report"
PROJECT = "ablation-zoo"
"""The project where the configuration names none."""


def upload_report(report: Report, files: Sequence[Path]) -> str | None:
    """Log a report to W&B, offline where its server cannot be reached or there is no key.

    Args:
        report: of a study; its baseline's configuration says whether and where it is logged.
        files: of the report, as `write_report` wrote them; those of W&B are written next to them.

    Returns:
        Where it is, or why it was not uploaded, one sentence; None where the study is not logged to W&B.
    """
    logger = baseline_logger(report)
    if logger is None:
        return None
    try:
        return log(report, files, logger)
    except Exception as error:  # a report that is written must not fail because of a server
        return f"W&B: the report was not uploaded ({described(error)})."


def baseline_logger(report: Report) -> dict[str, Any] | None:
    """Return the arguments of the W&B logger of the baseline's runs; None where they have none."""
    for run in report.baseline.runs.values():
        for logger in wandb_loggers(read_settings(run.directory)):
            return logger.get("init_args") or {}
    return None


def log(report: Report, files: Sequence[Path], logger: dict[str, Any]) -> str:
    """Log a report as a W&B run; returns where it is."""
    import wandb

    results = sorted(run.id for row in report.rows for run in row.runs.values())
    variables = {
        "WANDB_RUN_GROUP": report.study.title,
        "WANDB_JOB_TYPE": JOB_TYPE,
        "WANDB_RUN_ID": digest(" ".join([JOB_TYPE, *results])),  # the same results have the same report
        "WANDB_SILENT": "true",
    }
    offline = logger.get("offline") or not has_wandb_key()
    with session(variables, offline):
        named = {key: logger[key] for key in ("project", "entity") if logger.get(key) not in (None, "lightning_logs")}
        with wandb.init(**{"project": PROJECT, **named}, name=report.title, dir=files[0].parent) as run:
            run.log(contents(report, files))
            artifact = wandb.Artifact(f"{report.study.title}-report", type=JOB_TYPE)
            for file in files:
                artifact.add_file(str(file))
            run.log_artifact(artifact)
            if run.url:
                return f"W&B: the report is at {run.url}."
            return f"W&B: the report was logged offline; `wandb sync {Path(run.dir).parent}` uploads it."


def contents(report: Report, files: Sequence[Path]) -> dict[str, Any]:
    """Return everything that the W&B run shows, by name."""
    import wandb

    lines = csv_lines(report)
    shown: dict[str, Any] = {"table": wandb.Table(columns=[*lines[0]], data=[[*line.values()] for line in lines])}
    for file in files:
        if file.suffix == ".html":
            shown["page"] = wandb.Html(file.read_text(encoding="utf-8"))
        elif file.suffix == ".png":
            shown[file.stem] = wandb.Image(str(file))
    return shown | {f"plots/{name}": wandb.Html(svg) for name, _, draw in PLOTS if (svg := draw(report))}
