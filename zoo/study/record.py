"""Runs and their directories: what a run is to do, its identity, its result and its state. No torch.

    STUDY/ROW/seed_0/
      job.json       what is to be done, and how it differs from the baseline
      config.yaml    resolved settings of `zoo fit` and `zoo test`
      fit/, test/    Lightning's own run directories
      fitted.json    once training has finished
      samples.csv    one line per image of the test sets
      pictures/      the first test samples as images
      result.json    once everything has finished, or has failed

A first stage, which several rows start from, lies in STUDY/first_stage/ROW/seed_0 and is not tested.
"""

import csv
import hashlib
import json
import math
import re
import shlex
import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, fields, replace
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any, Literal

from filelock import FileLock, Timeout

from zoo.core.errors import ZooError
from zoo.core.registry import find_plugin
from zoo.study.setting_differences import flat

JOB, CONFIG, FITTED, SAMPLES, RESULT = "job.json", "config.yaml", "fitted.json", "samples.csv", "result.json"

ROUNDS = "rounds.json"
"""In the study's folder: seeds of each row, where it is run until it is decided."""

FIRST_STAGE, METRICS = "first_stage", "metrics.csv"
"""The folder of the first stages in the study's, and the file of metrics in each of Lightning's run directories."""

ZOO = [sys.executable, "-P", "-c", "import zoo.cli; zoo.cli.run()"]
"""The command line with this Python, which imports nothing from the working directory."""

FORMAT = 1
"""Version of result.json; raised when an older reader could not understand it."""

LOCK, TRAINING_LOCK = ".lock", ".training.lock"
"""Held by the process that carries out a run, and by a process of its own that trains on several devices."""

LOCK_TIMEOUT, PROBE_TIMEOUT = 1.0, 0.1
"""Seconds that a run waits for its lock, which others take for a moment to probe it, and that a probe waits."""

PLACES = ("name", "runs", "ckpt_path", "weights_only", "seed_everything")
"""Settings that say where a run is or how it is read; the seed is a part of its own."""

ON_DISK = {"metric_names": "metrics", "needs": "after", "needs_id": "after_id", "used_threads": "threads"}
"""Keys in job.json and result.json of fields that have another name here."""

KEYS = {
    "name": "of the study and its folder (default: the file's)",
    "base": "a configuration, or a list of them, each over the one before it",
    "set": "changes for all rows, keys as on the command line: {trainer.max_epochs: 2}",
    "rows": "by name: {changes: {KEY: VALUE}, evaluate_only: true to test the baseline's checkpoint,\n"
    "note: shown next to it, published: {METRIC: a paper's value}}",
    "grid": "{KEY: [VALUES]}, a row for each combination",
    "components": "{NAME: {KEY: VALUE}}, what takes each component out; needs `design`",
    "design": "leave-one-out, add-one-in, ladder (in the order listed), factorial (up to 6 components), or\n"
    "{fraction: ROWS}, a regular fraction of a factorial; these two give effects and interactions",
    "exclude": "[NAMES] of the design's rows that cannot be built",
    "baseline": "the row that the others are compared with",
    "seeds": "a list (default: [0]); each row is run with each",
    "noise_floor": "whether the baseline is also run with other seeds, as the row A/A (default: true)",
    "metrics": "{test/SET/METRIC: lower or higher, or {direction: lower, label: SAD, unit: mm}}",
    "margins": "{test/SET/METRIC: 5 % (of the baseline's mean), or 0.5 absolute}, differences that do not matter;\n"
    "with them a row can be equivalent; fix them before anything runs",
    "expected": "{WHAT IS KNOWN: {row: NAME, than: NAME (default: the baseline), metric: test/SET/METRIC or fps/SIZE,\n"
    "verdict: better, worse, equivalent or not one of them, why: …, source: …}}, which the report checks",
    "sizes": "{NAME: [height, width]} of images for which multiply-adds are counted",
    "frames_per_second": "true: also time the networks on images of these sizes, after all runs",
    "first_stage": "{base: …, set: …, takes: [model.backbone]}, a training that the rows start from; rows that\n"
    "do not differ in the keys of `takes` share it",
    "robustness": "{AXIS: {SEVERITY: test/SET/METRIC}}, a plot of a metric at several severities",
    "test_data_differs": "true: rows may be measured on other images; only means of whole runs are compared",
    "resources": "{threads: 1, gpus: 0} of one run",
    "source": "of the published values",
    "plugins": "a list of Python files with parts, relative to the study file",
    "profiles": "{NAME: keys that are laid over the study by --profile NAME}; there, a key or a row that is\n"
    "null is left out, and `rows: [NAMES]` keeps these",
}
"""Keys of a study file."""


def documented_keys() -> str:
    """Return the keys of a study file with their meaning, as text."""
    lines = [f"  {key:<19}{text.replace(chr(10), chr(10) + ' ' * 21)}" for key, text in KEYS.items()]
    return "\n".join(["keys of a study file:", *lines])


State = Literal["missing", "begun", "running", "failed", "stale", "done"]


@dataclass(frozen=True)
class Run:
    """One row with one seed: what is to be done and, once it has finished, what came of it.

    Fields before `status` are in job.json, those before `directory` in result.json.

    Args:
        study, row, seed: title of the study, name of the row, and the seed.
        pair: index of the seed in the study's list; runs of one index are compared with one another.
        id: see `run_id`.
        evaluate_only: whether the baseline's checkpoint is tested instead of training.
        first_stage: whether it is only trained, for other runs to start from.
        needs: directory, relative to the study's, of the run whose checkpoint is tested or started from.
        needs_id: the id of that run.
        metric_names: of the metrics that the result must have.
        differences: what the row changes compared with the baseline, `[key, before, after]` each.
        note, parameters, multiply_adds, data: as in `Row`.
        plugins: Python files with parts.
        threads, gpus: as in `Resources`.
        settings_hash: of config.yaml without the seed and the places.
        written: hash of everything that the study file says about the row, see `Study.written`.
        margins: of the metrics, as text, when the run was planned.
        status: `done`, `failed`, `stale` where the result belongs to another id, `planned` where there is none.
        reason: why it failed, one sentence.
        checkpoint: the tested checkpoint, relative to the study's directory.
        metrics: each metric of the test sets and of the last validation.
        curve: the means that training and validation logged, a dict per epoch.
        samples: number of images in `samples.csv`.
        seconds: of `fit` and `test`; of a resumed `fit` only of its last part.
        resumed_at: the epoch that the last part began with, or None.
        peak_memory: bytes, of the device in training (of this process on a CPU); None where it was not measured.
        device, used_threads: where it ran.
        versions: of packages, and the commit where there is one.
        directory: of the run; relative to the study's in a plan, absolute for an engine.
        settings: resolved settings of a planned run.
        after: directories of the runs that must have finished before this one begins.

    Example:
        >>> run = Run("small", "by error", seed=0, directory=Path("studies/small/by_error/seed_0"), threads=2)
        >>> run.line
        'zoo study execute studies/small/by_error/seed_0'
        >>> run.folder, run.trains, run.status
        ('by_error/seed_0', True, 'planned')
    """

    study: str
    row: str
    seed: int
    pair: int = 0
    id: str = ""
    evaluate_only: bool = False
    first_stage: bool = False
    needs: str | None = None
    needs_id: str | None = None
    note: str = ""
    metric_names: list[str] = field(default_factory=list)
    differences: list[list[Any]] = field(default_factory=list)
    parameters: int = 0
    multiply_adds: dict[str, int] = field(default_factory=dict)
    data: dict[str, Any] = field(default_factory=dict)
    plugins: list[str] = field(default_factory=list)
    threads: int | None = None
    gpus: int = 0
    settings_hash: str = ""
    written: str = ""
    margins: dict[str, str] = field(default_factory=dict)
    status: Literal["planned", "stale", "done", "failed"] = "planned"
    reason: str = ""
    checkpoint: str | None = None
    metrics: dict[str, float] = field(default_factory=dict)
    curve: list[dict[str, float]] = field(default_factory=list)
    samples: int = 0
    seconds: dict[str, float] = field(default_factory=dict)
    resumed_at: int | None = None
    peak_memory: int | None = None
    device: str = ""
    used_threads: int | None = None
    versions: dict[str, str] = field(default_factory=dict)
    directory: Path = Path()
    settings: dict[str, Any] = field(default_factory=dict)
    after: tuple[Path, ...] = ()

    @property
    def command(self) -> list[str]:
        """The command that carries it out in a process of its own, with this Python.

        It ends with exit code 0, or 1 after a failure; either way the result is in the directory.
        """
        return [*ZOO, "study", "execute", str(self.directory)]

    @property
    def line(self) -> str:
        """The command as a user types it."""
        return shlex.join(["zoo", "study", "execute", str(self.directory)])

    @property
    def title(self) -> str:
        """Row and seed, for messages."""
        return f"{self.row}{', first stage' if self.first_stage else ''}, seed {self.seed}"

    @property
    def trains(self) -> bool:
        """Whether it trains anything."""
        return self.first_stage or not self.evaluate_only

    @property
    def folder(self) -> str:
        """Its directory, relative to the study's."""
        place = f"{folder_name(self.row)}/seed_{self.seed}"
        return f"{FIRST_STAGE}/{place}" if self.first_stage else place

    @property
    def study_directory(self) -> Path:
        """The study's directory."""
        return self.directory.parents[2 if self.first_stage else 1]

    def job_data(self) -> dict[str, Any]:
        """Return the content of job.json."""
        return {ON_DISK.get(name, name): getattr(self, name) for name in JOB_FIELDS}

    def result_data(self) -> dict[str, Any]:
        """Return the content of result.json."""
        outcome = {ON_DISK.get(name, name): getattr(self, name) for name in RESULT_FIELDS}
        return {"format": FORMAT, "job": self.job_data(), **outcome}


NAMES = [each.name for each in fields(Run)]
JOB_FIELDS = NAMES[: NAMES.index("status")]
RESULT_FIELDS = NAMES[NAMES.index("status") : NAMES.index("directory")]


def folder_name(name: str) -> str:
    """Return a row's name as a folder: what is awkward in paths or shells becomes `_`."""
    return re.sub(r"[^\w.=+-]+", "_", name).strip("_") or "_"


def read_job(directory: Path) -> Run:
    """Return the run that a directory's job.json describes, without its result; ZooError where there is none."""
    try:
        content = json.loads((directory / JOB).read_text(encoding="utf-8"))
        return replace(run_of_job(content), directory=directory)
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise ZooError(
            f"{directory} holds no readable {JOB}: expected a directory that `zoo study run` made."
        ) from error


def run_of_job(content: Mapping[str, Any]) -> Run:
    """Return the run of a job's plain data; TypeError for a key that does not belong there, KeyError for a missing
    one.
    """
    content = {"margins": {}, **content}  # which runs of older versions lack
    named = {name: content[ON_DISK.get(name, name)] for name in JOB_FIELDS}
    if len(content) != len(named):
        raise TypeError("unknown keys")
    return Run(**named)


def read_run(directory: Path) -> Run:
    """Return the run of a directory, with its result where there is one for its id.

    Raises:
        ZooError: there is no readable job.json, or the result is damaged or written by a newer version.
    """
    job, result = read_job(directory), read_result(directory)
    if result is None:
        return job
    if result.id != job.id:
        return replace(job, status="stale")
    return replace(job, **{name: getattr(result, name) for name in RESULT_FIELDS})


def read_result(directory: Path) -> Run | None:
    """Return the run as result.json describes it, whatever job.json says by now; None where there is no result.

    Raises:
        ZooError: it is damaged, or written by a newer version.
    """
    file = directory / RESULT
    if not file.is_file():
        return None
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
        written = content["format"]
        if written > FORMAT:
            raise ZooError(f"{file} has format {written}, this version reads up to {FORMAT}: upgrade ablation-zoo.")
        outcome = {name: content[key] for name in RESULT_FIELDS if (key := ON_DISK.get(name, name)) in content}
        return replace(run_of_job(content["job"]), directory=directory, **outcome)
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        if isinstance(error, ZooError):
            raise
        raise ZooError(f"{file} is damaged: delete it, and `zoo study run` makes it again.") from error


def all_runs(study: Path) -> Iterator[Path]:
    """Yield the folder `ROW/seed_N` of every run in a study's folder.

    Folders that were moved aside have a dot in their names and are left out.
    """
    for file in sorted(study.glob(f"*/seed_*/{JOB}")):
        if "." not in file.parent.name:
            yield file.parent


def state(directory: Path, expected: str | None = None) -> State:
    """Return the state of a run.

    Args:
        directory: of the run.
        expected: the id that its result should have; None takes that of its own job.
    """
    if not (directory / JOB).is_file():
        return "missing"
    job = read_job(directory)
    if is_held(directory):  # before all else: a directory that another process writes to must not be moved aside
        return "running"
    if expected is not None and job.id != expected:
        return "stale"
    status = read_run(directory).status
    if status == "planned":
        return "begun" if checkpoints(directory) else "missing"
    return status


@contextmanager
def held(directory: Path, lock: str = LOCK) -> Iterator[bool]:
    """Lock a run's directory against other processes; yields False where another one holds it.

    A process that dies lets go of its lock.
    """
    own = FileLock(directory / lock, timeout=LOCK_TIMEOUT)
    try:
        own.acquire()
    except Timeout:
        yield False
        return
    try:
        yield lock == TRAINING_LOCK or not is_locked(directory / TRAINING_LOCK)
    finally:
        own.release()


def is_held(directory: Path) -> bool:
    """Return whether some process is carrying out this run."""
    return is_locked(directory / LOCK) or is_locked(directory / TRAINING_LOCK)


def is_locked(file: Path) -> bool:
    """Return whether a process holds a lock file."""
    if not file.is_file():
        return False
    try:
        with FileLock(file, timeout=PROBE_TIMEOUT):
            return False
    except Timeout:
        return True
    except OSError:  # of a disk that is read-only, where nothing is carried out
        return False


def checkpoints(directory: Path) -> list[Path]:
    """Return the last checkpoint of each part of a run's training, newest last."""
    return [file for path in versions_of(directory / "fit") if (file := path / "checkpoints" / "last.ckpt").is_file()]


def versions_of(directory: Path) -> list[Path]:
    """Return Lightning's run directories in a folder, oldest first."""
    return sorted(directory.glob("version_*"), key=lambda path: int(path.name.removeprefix("version_")))


def fitted(directory: Path) -> dict[str, Any] | None:
    """Return the content of fitted.json; None while training has not finished."""
    file = directory / FITTED
    return json.loads(file.read_text(encoding="utf-8")) if file.is_file() else None


def learning_curve(directory: Path) -> list[dict[str, float]]:
    """Return the means that training and validation logged, a dict per epoch.

    Where a part of the training was repeated after an interruption, its repetition counts.
    """
    epochs: dict[int, dict[str, float]] = {}
    for path in versions_of(directory / "fit"):
        for line in logged_lines(path):
            epochs.setdefault(int(line["epoch"]), {}).update(line)
    return [epochs[epoch] for epoch in sorted(epochs)]


def tested(directory: Path) -> dict[str, float]:
    """Return the metrics that the last test logged."""
    lines = [line for path in versions_of(directory / "test") for line in logged_lines(path)]
    return {name: value for line in lines for name, value in line.items() if name.startswith("test/")}


def logged_lines(directory: Path) -> Iterator[dict[str, float]]:
    """Yield every line of the metrics file of one of Lightning's run directories, without empty cells."""
    file = directory / METRICS
    if file.is_file():
        with file.open(encoding="utf-8", newline="") as stream:
            for line in csv.DictReader(stream):
                yield {name: float(value) for name, value in line.items() if value}


def run_id(settings: Mapping[str, Any], seed: int, needs: str | None = None) -> str:
    """Return the id of a run, 16 hexadecimal digits: a hash of everything that its result follows from.

    That is the resolved settings, the seed, the files of the data, the version of this package and of each distribution
    that a part is from, and the content of plugin files. This package's source code is not read: the commit is recorded
    in each result, and `zoo study run --force` runs again.

    Args:
        settings: resolved.
        seed: of the run.
        needs: id of the run whose checkpoint this one tests or starts from.
    """
    from zoo.core.nested import class_names

    parts = [settings["model"], settings.get("data")]
    plugins = [find_plugin(name) for name in sorted(set(class_names(parts)))]
    content = {
        "settings": {key: value for key, value in settings.items() if key not in PLACES},
        "seed": seed,
        "after": needs,
        "data": data_files(parts),
        "versions": {plugin.distribution: plugin.version for plugin in plugins if not plugin.file}
        | {"ablation-zoo": version("ablation-zoo")},
        "plugin files": {plugin.name: content_hash(Path(plugin.file)) for plugin in plugins if plugin.file},
    }
    return digest(json.dumps(content))  # not sorted: the order of stages and augmentations counts


def measuring(settings: Mapping[str, Any], metrics: Iterable[str], data: bool = True) -> dict[str, Any]:
    """Return the settings that these metrics are measured by, by dotted key.

    Args:
        settings: resolved.
        metrics: as they are logged; `test/small/sad` is measured on `data.test.small`.
        data: whether the images belong to them.

    Example:
        >>> settings = {"trainer": {"limit_test_batches": 4}, "model": {"metrics": "rvm"}, "data": {"test": {"a": 1}}}
        >>> measuring(settings, ["test/a/sad"])
        {'trainer.limit_test_batches': 4, 'model.metrics': 'rvm', 'data.test.a': 1}
    """
    read = {"model.metrics"}
    for name in metrics:
        stage, *sets, _ = name.split("/")
        read |= {f"trainer.limit_{'val' if stage == 'validation' else stage}_batches"}
        read |= {".".join(["data", stage, *sets])} if data else set()
    return {key: value for key, value in flat(settings) if any(f"{key}.".startswith(f"{name}.") for name in read)}


def settings_hash(settings: Mapping[str, Any]) -> str:
    """Return a hash of settings, wherever the run is and whatever its seed."""
    return digest(json.dumps({key: value for key, value in settings.items() if key not in PLACES}))


def digest(text: str) -> str:
    """Return 16 hexadecimal digits of SHA-256."""
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def data_files(settings: Any) -> dict[str, str]:
    """Return every file or folder that settings name by a path with a slash, with a hash of its content.

    A `cache` is left out, since it fills as it is used.
    """
    named = (text for text in texts(settings) if "/" in text and Path(text).exists())
    return {text: content_hash(Path(text)) for text in named}


def texts(settings: Any) -> Iterator[str]:
    """Yield every text in plain data, except those called `cache`."""
    if isinstance(settings, Mapping):
        settings = [value for key, value in settings.items() if key != "cache"]
    if isinstance(settings, list):
        for value in settings:
            yield from texts(value)
    elif isinstance(settings, str):
        yield settings


@cache
def content_hash(path: Path) -> str:
    """Return a hash of a file's content, since all weights of one network have one size; of a folder, of the names and
    sizes of all files in it.
    """
    if path.is_file():
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()[:16]
    files = sorted(file for file in path.rglob("*") if file.is_file())
    return digest("\n".join(f"{file.relative_to(path)} {file.stat().st_size}" for file in files))


def p_value(p: float) -> str:
    """Return `p = 0.012`, or `p < 0.001`."""
    return "p < 0.001" if p < 0.001 else f"p = {p:.3f}"


def signed(value: float) -> str:
    """Return a number with its sign, three digits."""
    return f"+{number(value, 3)}" if value > 0 else number(value, 3)


def number(value: float, digits: int = 4) -> str:
    """Return a number with this many significant digits, without an exponent where it is of common size."""
    if value == 0 or not math.isfinite(value):
        return f"{value:g}".replace("-0", "0")
    magnitude = int(f"{value:.{digits - 1}e}".partition("e")[2])  # after rounding: 0.99999 is 1.000
    text = f"{value:.{max(0, digits - 1 - magnitude)}f}" if -4 <= magnitude < 6 else f"{value:.{digits - 1}e}"
    return text.replace("-", "−", 1) if value < 0 else text


def duration(seconds: float) -> str:
    """Return `45 s`, `12 min` or `3.5 h`."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
