"""Runs as they are written down: what is to be done, and what came of it."""

import ast
import csv
import fcntl
import hashlib
import importlib.util
import json
import os
import sys
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from functools import cache
from pathlib import Path
from typing import IO, Any, Literal

from zoo.core.errors import ZooError
from zoo.core.registry import find_plugin
from zoo.core.spec import class_names

JOB, CONFIG, FITTED, SAMPLES, RESULT = "job.json", "config.yaml", "fitted.json", "samples.csv", "result.json"


@dataclass(frozen=True)
class Job:
    """One row with one seed.

    Args:
        study: the study's title.
        row: the row's name.
        seed: of the run.
        pair: place of the seed in the study's list: runs of one place are compared with one another.
        id: see `zoo.study.identity`.
        evaluate_only: whether the baseline's checkpoint is tested instead of training.
        first_stage: whether it is only trained, for other runs to start from.
        after: directory, relative to the study's, of the run whose checkpoint is tested or started from.
        after_id: the id of that run.
        note: of the row.
        metrics: names of those that the result must have.
        differences: what the row changes against the baseline, `[key, before, after]` each.
        parameters: of the network.
        multiply_adds: of one picture by the name of its size.
        data: which datasets there are, and whether they are synthetic.
        plugins: Python files with parts.
        threads: of the CPU, or None.
        gpus: how many.
        settings_hash: of config.yaml without the seed and the places.
        written: hash of what the study file said of the row, see `Study.written`.
    """

    study: str
    row: str
    seed: int
    pair: int
    id: str
    evaluate_only: bool
    first_stage: bool
    after: str | None
    after_id: str | None
    note: str
    metrics: list[str]
    differences: list[list[Any]]
    parameters: int
    multiply_adds: dict[str, int]
    data: dict[str, Any]
    plugins: list[str]
    threads: int | None
    gpus: int
    settings_hash: str
    written: str

    def to_dict(self) -> dict[str, Any]:
        """As plain data."""
        return asdict(self)


def read_job(directory: Path) -> Job:
    """The job of a run's directory; ZooError where there is none."""
    try:
        return Job(**json.loads((directory / JOB).read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError) as error:
        raise ZooError(
            f"{directory} holds no readable {JOB}: expected a directory that `zoo study run` made."
        ) from error


def study_directory(directory: Path, job: Job) -> Path:
    """The study's directory, from that of one of its runs."""
    return directory.parents[2 if job.first_stage else 1]


FORMAT = 1
"""Version of result.json; raised when an older reader could not understand it."""

LOCK = ".lock"

METRICS = "metrics.csv"
"""What Lightning logs, in each of its run directories."""

GLANCE = 1.0
"""Seconds that a run waits for those who look whether its directory is held."""

State = Literal["missing", "begun", "running", "failed", "stale", "done"]


@dataclass(frozen=True)
class Result:
    """The end of a run; `metrics` and what follows are empty after a failure.

    Args:
        job: what was to be done.
        status: `done`, or `failed`.
        reason: why it failed, one sentence.
        checkpoint: the tested checkpoint, relative to the study's directory.
        metrics: each metric of the test sets and of the last validation.
        curve: what was logged in training, a dict an epoch.
        samples: how many pictures `samples.csv` has.
        seconds: of `fit` and `test`; of a resumed `fit` only of its last part.
        resumed_at: the epoch that the last part began with, or None.
        peak_memory: bytes, of the device in training (of this process on a CPU); None where it was not measured.
        device, threads: where it ran.
        versions: of packages, and the commit where there is one.
    """

    job: Job
    status: Literal["done", "failed"]
    reason: str = ""
    checkpoint: str | None = None
    metrics: dict[str, float] = field(default_factory=dict)
    curve: list[dict[str, float]] = field(default_factory=list)
    samples: int = 0
    seconds: dict[str, float] = field(default_factory=dict)
    resumed_at: int | None = None
    peak_memory: int | None = None
    device: str = ""
    threads: int | None = None
    versions: dict[str, str] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """As plain data."""
        return {"format": FORMAT, **asdict(self)}


def read_result(directory: Path) -> Result | None:
    """The result in a run's directory; None where there is none yet.

    Raises:
        ZooError: it is damaged, or written by a newer version.
    """
    file = directory / RESULT
    if not file.is_file():
        return None
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
        written = content.pop("format")
        if written > FORMAT:
            raise ZooError(f"{file} has format {written}, this version reads up to {FORMAT}: upgrade ablation-zoo.")
        return Result(**content | {"job": Job(**content["job"])})
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        if isinstance(error, ZooError):
            raise
        raise ZooError(f"{file} is damaged: delete it, and `zoo study run` makes it again.") from error


def state(directory: Path, wanted: str | None = None) -> State:
    """What is the matter with a run.

    Args:
        directory: of the run.
        wanted: the id that its result should have; None takes that of its own job.
    """
    if not (directory / JOB).is_file():
        return "missing"
    job = read_job(directory)
    if is_held(directory):  # before all else: what another process writes into must not be moved aside
        return "running"
    if wanted is not None and job.id != wanted:
        return "stale"
    result = read_result(directory)
    if result is None:
        return "begun" if checkpoints(directory) else "missing"
    return result.status if result.job.id == job.id else "stale"


def all_jobs(study: Path) -> Iterator[tuple[Path, Job]]:
    """Every run's directory below a study's, with its job; those that were moved aside as stale are left out."""
    for file in sorted(study.glob(f"*/seed_*/{JOB}")):
        if "." not in file.parent.name:
            yield file.parent, read_job(file.parent)


def checkpoints(directory: Path) -> list[Path]:
    """The last checkpoint of each part of a run's training, newest last."""
    versions = sorted((directory / "fit").glob("version_*"), key=lambda path: int(path.name.removeprefix("version_")))
    return [path for version in versions if (path := version / "checkpoints" / "last.ckpt").is_file()]


def fitted(directory: Path) -> dict[str, Any] | None:
    """What is known of a training that is over; None while it is not."""
    file = directory / FITTED
    return json.loads(file.read_text(encoding="utf-8")) if file.is_file() else None


def learning_curve(directory: Path) -> list[dict[str, float]]:
    """The means that training and validation logged, a dict an epoch.

    Where a part of the training was repeated after an interruption, its repetition counts.
    """
    epochs: dict[int, dict[str, float]] = {}
    for line in logged(directory / "fit"):
        epochs.setdefault(int(line["epoch"]), {}).update(line)
    return [epochs[epoch] for epoch in sorted(epochs)]


def tested(directory: Path) -> dict[str, float]:
    """What the last test logged."""
    found: dict[str, float] = {}
    for line in logged(directory / "test"):
        found |= {name: value for name, value in line.items() if name.startswith("test/")}
    return found


def logged(directory: Path) -> Iterator[dict[str, float]]:
    """Every line of the metrics files of Lightning's run directories, oldest first."""
    for version in sorted(directory.glob("version_*"), key=lambda path: int(path.name.removeprefix("version_"))):
        yield from logged_lines(version)


def logged_lines(version: Path) -> Iterator[dict[str, float]]:
    """Every line of the metrics file of one of Lightning's run directories, with what it has values for."""
    file = version / METRICS
    if file.is_file():
        with file.open(encoding="utf-8", newline="") as stream:
            for line in csv.DictReader(stream):
                yield {name: float(value) for name, value in line.items() if value}


@contextmanager
def held(directory: Path) -> Iterator[bool]:
    """Hold a run's directory against other processes; gives False where another one holds it. A process that dies lets
    go of it, once those that inherited it are over too.
    """
    with (directory / LOCK).open("w") as file:
        os.set_inheritable(file.fileno(), True)
        until = time.monotonic() + GLANCE
        while not (mine := locked(file, fcntl.LOCK_EX)) and time.monotonic() < until:
            time.sleep(GLANCE / 20)  # somebody who only looks is gone in a moment
        yield mine


def locked(file: IO[str], kind: int) -> bool:
    """Whether the lock could be had; it is held until the file is closed."""
    try:
        fcntl.flock(file, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def is_held(directory: Path) -> bool:
    """Whether some process is carrying out this run."""
    if not (directory / LOCK).is_file():
        return False
    with (directory / LOCK).open() as file:
        return not locked(file, fcntl.LOCK_SH)


PLACES = ("name", "runs", "ckpt_path", "weights_only", "seed_everything")
"""Settings that say where a run is or how it is read; the seed is a part of its own."""

OTHER_ROOTS = ("zoo.runner.lightning",)
"""Modules that shape every run although no part imports them."""


def run_id(settings: Mapping[str, Any], seed: int, after: str | None = None) -> str:
    """The id of a run, 16 hexadecimal digits.

    Args:
        settings: resolved.
        seed: of the run.
        after: id of the run whose checkpoint this one only evaluates.
    """
    content = {
        "settings": {key: value for key, value in settings.items() if key not in PLACES},
        "seed": seed,
        "after": after,
        "data": data_files([settings["model"], settings.get("data")]),
        "code": code_version(frozenset(class_names([settings["model"], settings.get("data")]))),
    }
    return digest(json.dumps(content))  # not sorted: the order of stages and augmentations counts


def digest(text: str) -> str:
    """16 hexadecimal digits of SHA-256."""
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def data_files(settings: Any) -> dict[str, str]:
    """Every file or folder that settings name by a path with a slash, with a hash of what lies there.
    A `cache` is left out, since it fills as it is used.
    """
    found: dict[str, str] = {}
    for text in texts(settings):
        path = Path(text)
        if "/" in text and path.exists():
            found[text] = listing(path)
    return found


def texts(settings: Any) -> Iterator[str]:
    """Every text in plain data, but for those called `cache`."""
    if isinstance(settings, Mapping):
        for key, value in settings.items():
            if key != "cache":
                yield from texts(value)
    elif isinstance(settings, list):
        for value in settings:
            yield from texts(value)
    elif isinstance(settings, str):
        yield settings


@cache
def listing(path: Path) -> str:
    """A hash of a file's content, since all weights of one network have one size; of a folder, of the names and sizes
    of all files in it.
    """
    if path.is_file():
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()[:16]
    files = sorted(file for file in path.rglob("*") if file.is_file())
    return digest("\n".join(f"{file.relative_to(path)} {file.stat().st_size}" for file in files))


@cache
def code_version(classes: frozenset[str]) -> str:
    """A hash of the code behind registered classes: their modules, and all that these import from the same packages, or
    from beside a plugin file.
    """
    plugins = [find_plugin(name) for name in sorted(classes)]
    modules = [plugin.target.partition(":")[0] for plugin in plugins]
    packages = {"zoo"} | {module.split(".")[0] for module in modules}
    beside = {Path(plugin.file).parent for plugin in plugins if plugin.file}
    known: dict[str, str] = {}
    seen: set[str] = set()
    waiting = [*modules, *OTHER_ROOTS]
    while waiting:
        module = waiting.pop()
        if module in seen:
            continue
        seen.add(module)
        file = source_file(module)
        if file is None:
            continue
        package = module if file.name == "__init__.py" else module.rpartition(".")[0]
        known[module], imported = understood(file.read_text(encoding="utf-8"), package)
        for name in imported:
            root = name.split(".")[0]
            if root in packages or (beside and is_in(root, beside)):
                waiting.append(name)
    return digest(json.dumps(known, sort_keys=True))


@cache
def understood(source: str, package: str) -> tuple[str, tuple[str, ...]]:
    """Of the source of a module in a package, a hash of what it does, and what it imports.

    It takes seconds for all modules that a row reaches, of which the rows of a study have most in common.
    """
    tree = ast.parse(source)
    imported = tuple(dict.fromkeys(imports(tree, package)))
    return digest(ast.dump(without_docstrings(tree))), imported


def source_file(module: str) -> Path | None:
    """The Python file of a module; None where it is no module, or has no source."""
    if module in sys.modules:
        name = getattr(sys.modules[module], "__file__", None)
    else:
        try:
            found = importlib.util.find_spec(module)
        except (ModuleNotFoundError, ValueError):
            return None
        name = found.origin if found else None
    return Path(name) if name and name.endswith(".py") else None


def is_in(module: str, folders: Iterable[Path]) -> bool:
    """Whether a module's source is in one of the folders, or is a package there."""
    file = source_file(module)
    return file is not None and (file.parent.parent if file.name == "__init__.py" else file.parent) in folders


def imports(tree: ast.AST, package: str) -> Iterator[str]:
    """The modules that are imported anywhere in a module of a package; what may be a module or a name in one is given
    as both.
    """
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            dots = package.split(".")[: len(package.split(".")) - node.level + 1] if node.level else []
            start = ".".join([*dots, *([node.module] if node.module else [])])
            if start:
                yield start
                yield from (f"{start}.{alias.name}" for alias in node.names)


def without_docstrings(tree: ast.Module) -> ast.Module:
    """The tree without texts that stand alone: docstrings of modules, classes, functions and attributes."""
    for node in ast.walk(tree):
        body: Iterable[ast.stmt] = getattr(node, "body", [])
        if isinstance(body, list):
            kept = [step for step in body if not (isinstance(step, ast.Expr) and is_text(step.value))]
            node.body = kept  # type: ignore[attr-defined]
    return tree


def is_text(node: ast.expr) -> bool:
    """Whether an expression is a text and nothing else."""
    return isinstance(node, ast.Constant) and isinstance(node.value, str)
