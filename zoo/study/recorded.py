"""Records of runs for `zoo diff`: of a folder, a checkpoint, a published file, or weights in the catalogue.

Nothing is built, and torch is imported only for files that hold tensors.
"""

import json
import math
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from zoo.core.errors import ZooError
from zoo.core.plain_yaml import read_yaml
from zoo.hub.catalogue import Entry
from zoo.hub.pull import catalogue_entry, weights_file
from zoo.study.record import CONFIG, JOB, METRICS, Run, logged_lines, read_run

ENVIRONMENT = "environment.json"

SETTINGS = ("trainer", "model", "data", "name")
"""Keys that every config.yaml has; a file without the last one was cut."""

PLACES = ("name", "runs", "weights_only")
"""Settings that say where a run is, or how its checkpoint is read."""

MEASURED = ("validation/", "test/")
"""Beginnings of the names of metrics; training logs losses of single batches."""


@dataclass(frozen=True)
class Recorded:
    """The record of a run.

    Args:
        place: its folder, file or name, as the user typed it.
        kind: of record, for messages.
        settings: resolved, registered names only.
        whole: whether these are all settings; a checkpoint has those that matter for it, weights those of their model.
        versions: of packages, and the commit where there is one.
        device: where it ran.
        data: information about the data besides the settings.
        metrics: by name, without those that were not measured or are not finite.
    """

    place: str
    kind: str
    settings: dict[str, Any]
    whole: bool
    versions: dict[str, Any] = field(default_factory=dict)
    device: dict[str, Any] = field(default_factory=dict)
    data: dict[str, Any] = field(default_factory=dict)
    metrics: dict[str, float] = field(default_factory=dict)


def read_recorded(place: str) -> Recorded:
    """Return the record of a run.

    Args:
        place: the folder of a run (`runs/NAME/version_N`) or of a study's (`STUDY/ROW/seed_N`), a checkpoint, a
            published file, or a name from `zoo pull --list`.

    Raises:
        ZooError: there is no such run, a file is damaged, or weights are unknown or not available.
    """
    path = Path(place)
    if path.is_dir():
        return of_study(path) if (path / JOB).is_file() else of_folder(path)
    return of_file(place) if path.is_file() else of_weights(place)


def of_folder(folder: Path) -> Recorded:
    """Return a run of `zoo fit`, `validate`, `test` or `predict`."""
    settings, environment = read_settings(folder), read_environment(folder / ENVIRONMENT)
    versions = environment["versions"] | {"plugins": environment["plugins"]}
    if environment["commit"] is not None:
        versions["commit"] = environment["commit"]
    device = {key: environment[key] for key in ("device", "platform")}
    return Recorded(str(folder), "run", settings, True, versions, device, metrics=last_values(folder))


def of_study(folder: Path) -> Recorded:
    """Return a run of a study, with its result if there is one for this run."""
    run, settings = read_run(folder), read_settings(folder)
    device = {"device": run.device, "threads": run.used_threads} if run.device else {}
    data = {"synthetic": run.data.get("synthetic")}
    return Recorded(str(folder), description(run), settings, True, run.versions, device, data, run.metrics)


def description(run: Run) -> str:
    """Return which run of a study it is, and whether it has finished."""
    stage = ", first stage" if run.first_stage else ""
    outcome = {"done": "", "failed": f"; failed: {run.reason}"}.get(run.status, "; not finished")
    return f"row '{run.row}' of {run.study}, seed {run.seed}{stage}{outcome}"


def of_file(path: str) -> Recorded:
    """Return what a checkpoint or published file says about its model."""
    from zoo.weights.checkpoint import EVALUATION_SETTINGS, TRAINING_SETTINGS, record
    from zoo.weights.published import is_safetensors
    from zoo.weights.reading import read

    entry = record(read(path), path)
    trainer = {name: entry["trainer"].get(name) for name in (*EVALUATION_SETTINGS, *TRAINING_SETTINGS)}
    settings = {"seed_everything": entry["seed"], "trainer": trainer, "model": entry["model"]}
    settings |= {"data": entry["data"]} if "data" in entry else {}
    card = entry.get("card", {})
    return Recorded(
        path,
        "published file" if is_safetensors(path) else "checkpoint",
        settings,
        False,
        versions=mapping(entry.get("versions")) | {"parts": sorted(set(map(str, entry["plugins"].values())))},
        data={key: str(card[key]) for key in ("training_data", "licence") if key in card},
        metrics={
            name: float(value)
            for name, value in mapping(card.get("metrics")).items()
            if type(value) in (int, float) and math.isfinite(value)
        },
    )


def of_weights(name: str) -> Recorded:
    """Return weights in the catalogue or on the Hub; a file is pulled only where it alone says which model it holds."""
    if name.startswith("hf://"):
        return replace(of_file(weights_file(name)), place=name, kind="weights")
    entry = catalogue_entry(name)
    if entry is None:
        raise ZooError(
            f"there is no run at {name}, nor are there weights of that name: expected the folder of a run, such as "
            "runs/NAME/version_0, a checkpoint, or a name from `zoo pull --list`."
        )
    if entry.model is None:
        recorded = replace(of_file(weights_file(name)), place=name, kind=f"weights, {entry.catalogue}")
    else:
        from zoo.training.models import named_spec

        settings = {"model": named_spec(entry.model, None, entry.arguments)}
        recorded = Recorded(name, f"weights, {entry.catalogue}", settings, False)
    data = {"training_data": entry.training_data, "licence": str(entry.licence)}
    return replace(recorded, data=recorded.data | data, metrics=recorded.metrics | published(entry))


def published(entry: Entry) -> dict[str, float]:
    """Return the metrics in the catalogue, each by data, preset and metric."""
    return {
        f"{metrics.data}, {metrics.preset}/{name}": float(value)
        for metrics in entry.metrics
        for name, value in metrics.values.items()
    }


def read_settings(folder: Path) -> dict[str, Any]:
    """Return the settings in a run's folder, without the places."""
    file = folder / CONFIG
    if not file.is_file():
        raise ZooError(no_run(folder))
    try:
        settings = read_yaml(file)
    except (ValueError, OSError) as error:
        raise damaged(file) from error
    if not isinstance(settings, dict) or not all(settings.get(key) for key in SETTINGS):
        raise damaged(file)
    if not all(isinstance(settings[key], dict) for key in ("trainer", "model", "data")):
        raise damaged(file)
    return {key: value for key, value in settings.items() if key not in PLACES}


def no_run(folder: Path) -> str:
    """Return the sentence about a folder without config.yaml."""
    inside = sorted(file.parent.name for file in folder.glob(f"*/{CONFIG}"))
    if inside:
        return f"{folder} is no run but holds {', '.join(inside)}: name one of them, such as {folder / inside[0]}."
    return f"{folder} is no run: it has no {CONFIG}; expected a folder such as runs/NAME/version_0 or STUDY/ROW/seed_0."


def read_environment(file: Path) -> dict[str, Any]:
    """Return the content of a run's environment.json."""
    try:
        environment = json.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise ZooError(f"{file.parent} is half-written: it has a {CONFIG} but no {file.name}.") from error
    except (OSError, ValueError, RecursionError) as error:
        raise damaged(file) from error
    kinds: dict[str, Any] = {"versions": dict, "plugins": list, "device": str, "platform": str, "commit": str | None}
    if not isinstance(environment, dict) or not all(
        key in environment and isinstance(environment[key], kind) for key, kind in kinds.items()
    ):
        raise damaged(file)
    return environment


def last_values(folder: Path) -> dict[str, float]:
    """Return the last value of each metric that validation and test logged in a run's folder."""
    file = folder / METRICS
    if not file.is_file():
        return {}
    found: dict[str, float] = {}
    try:
        if file.read_bytes()[-1:] not in (b"\n", b""):  # its last number may lack digits
            raise damaged(file)
        for line in logged_lines(folder):
            found |= {name: value for name, value in line.items() if name.startswith(MEASURED)}
    except (ValueError, TypeError, AttributeError, OSError) as error:
        raise damaged(file) from error
    return {name: value for name, value in found.items() if math.isfinite(value)}


def damaged(file: Path) -> ZooError:
    """Return the error about a file that ends too early, or was changed."""
    return ZooError(
        f"{file} is half-written or damaged: compare a run that wrote all of it, or try again if it is under way."
    )


def mapping(value: Any) -> dict[str, Any]:
    """Return the value if it is a mapping, otherwise an empty one: a published file may come from anywhere."""
    return value if isinstance(value, dict) else {}
