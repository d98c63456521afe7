"""Study files: what is compared, with what, and how often.

    name: where-to-refine
    base: matting/quickstart                # a configuration, or several that follow one another
    set: {trainer.max_epochs: 2}            # changes for all rows
    baseline: by error
    seeds: [0, 1, 2]
    metrics: {test/synthetic/sad: lower}
    rows:
      by error: {}
      at random: {changes: {model.selector: {class_path: RandomPatches, init_args: {patches: 500}}}}

Keys are typed as on the command line (`model.selector.patches`); nested mappings are the same keys. Naming a class
replaces the whole slot: no argument is carried over from the class before it.
"""

import hashlib
import itertools
import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any, Literal

from zoo.core.errors import ZooError
from zoo.core.slots import nearest
from zoo.core.strict_yaml import read_yaml
from zoo.runner.configs import CONFIGS

NOISE_FLOOR = "A/A"
"""The row that is the baseline with other seeds: what differs between the two is noise."""


@dataclass(frozen=True)
class Row:
    """One row of the table.

    Args:
        name: as the table shows it.
        changes: what it changes in the base, by dotted key.
        evaluate_only: it needs no training and tests the baseline's checkpoint of the same seed.
        note: shown beside the row.
        published: what a paper prints for this row, by metric; shown only where the study has that metric.
    """

    name: str
    changes: dict[str, Any] = field(default_factory=dict)
    evaluate_only: bool = False
    note: str = ""
    published: dict[str, float] = field(default_factory=dict)

    @property
    def folder(self) -> str:
        """The name as a folder: what is awkward in paths or shells becomes `_`."""
        return re.sub(r"[^\w.=+-]+", "_", self.name).strip("_") or "_"


@dataclass(frozen=True)
class Metric:
    """One column of the table.

    Args:
        name: as it is logged, `test/synthetic/sad`.
        direction: what is better.
        label, unit: as the table shows it.
    """

    name: str
    direction: Literal["lower", "higher"]
    label: str
    unit: str = ""


@dataclass(frozen=True)
class FirstStage:
    """A training before the rows' own, which then start from its weights; rows that do not differ in it share one.

    Args:
        base: configurations, each over the one before it.
        set: changes for all rows, by dotted key.
        takes: keys: what a row changes under one of them is changed in the first stage too.
    """

    base: tuple[str, ...]
    set: dict[str, Any]
    takes: tuple[str, ...]


@dataclass(frozen=True)
class Robustness:
    """How a metric changes with the severity of something.

    Args:
        name: of the plot's axis, `shift of the background in pixels`.
        metrics: the metric measured at each severity, ascending: `{0: test/still/sad, 2: test/shifted/sad}`.
    """

    name: str
    metrics: dict[float, str]


@dataclass(frozen=True)
class Resources:
    """What one run gets.

    Args:
        threads: of the CPU; None leaves torch's own choice.
        gpus: how many.
    """

    threads: int | None = None
    gpus: int = 0


@dataclass(frozen=True)
class Study:
    """A study file, with one of its profiles laid over it.

    Args:
        file: where it was read.
        name: of the study.
        profile: the chosen profile, or None.
        base: configurations, each over the one before it.
        set: changes for all rows, by dotted key.
        baseline: the row that the others are compared with.
        rows: in the table's order.
        seeds: of the runs; each row is run with each.
        metrics: in the table's order.
        resources: what one run gets.
        noise_floor: whether the baseline is also run with as many other seeds, as the row `A/A`.
        sizes: pictures, by name (height, width), for which multiply-adds are counted.
        frames_per_second: whether each architecture is timed on pictures of these sizes once all runs are over.
        first_stage: what is trained before, or None.
        robustness: the plots of it.
        source: where the published values are from.
        plugins: Python files with parts that the rows use.
    """

    file: Path
    name: str
    profile: str | None
    base: tuple[str, ...]
    set: dict[str, Any]
    baseline: str
    rows: tuple[Row, ...]
    seeds: tuple[int, ...]
    metrics: tuple[Metric, ...]
    resources: Resources
    noise_floor: bool
    sizes: dict[str, tuple[int, int]]
    frames_per_second: bool
    first_stage: FirstStage | None
    robustness: tuple[Robustness, ...]
    source: str
    plugins: tuple[Path, ...]

    @property
    def measured(self) -> list[str]:
        """The names of all metrics that a run must have."""
        plotted = [name for robustness in self.robustness for name in robustness.metrics.values()]
        return list(dict.fromkeys([*(metric.name for metric in self.metrics), *plotted]))

    @property
    def title(self) -> str:
        """Name and profile: the study's folder, and the group of its runs elsewhere."""
        return self.name if self.profile is None else f"{self.name}-{self.profile}"

    def row(self, name: str) -> Row:
        """The row of this name."""
        return next(row for row in self.rows if row.name == name)

    def written(self, row: Row) -> str:
        """A hash of all that the file says of a row's settings; reading more than the file, a plan would take long."""
        own = self.row(self.baseline) if row.name == NOISE_FLOOR else row
        stage = None if self.first_stage is None else asdict(self.first_stage)
        said = [self.base, self.set, stage, own.changes, row.evaluate_only and self.row(self.baseline).changes]
        return hashlib.sha256(json.dumps(said, default=str).encode()).hexdigest()[:16]


KEYS = [
    "name",
    "base",
    "set",
    "baseline",
    "rows",
    "grid",
    "seeds",
    "metrics",
    "resources",
    "noise_floor",
    "sizes",
    "frames_per_second",
    "first_stage",
    "robustness",
    "source",
    "plugins",
    "profiles",
]
MERGED = ("set", "rows", "metrics", "resources")
"""What a profile adds to; what else it has stands in place of the study's."""


def read_study(path: str, profile: str | None = None) -> Study:
    """Read a study file, or a shipped one by its short name (`studies/bgmv2_refinement`).

    Raises:
        ZooError: no such file or profile, an unknown key, or a value that cannot be right.
    """
    file = find(path)
    try:
        content = read_yaml(file)
    except (ValueError, OSError) as error:
        raise ZooError(str(error)) from error
    where = f"the study {file.name}"
    content = mapping(content, where)
    check_keys(content, KEYS, where)
    profiles = mapping(content.pop("profiles", {}), f"{where}: profiles")
    if profile is not None:
        if profile not in profiles:
            raise ZooError(f"{where} has no profile '{profile}'{nearest(profile, list(profiles))}")
        content = with_profile(content, mapping(profiles[profile], f"profile '{profile}'"), profile)
    return Study(file=file, profile=profile, **Reader(where, file).read(content))


def find(path: str) -> Path:
    """The study file: the user's own, or a shipped one."""
    for candidate in (Path(path), CONFIGS / path, CONFIGS / f"{path}.yaml", CONFIGS / "studies" / f"{path}.yaml"):
        if candidate.is_file():
            return candidate
    shipped = sorted(f"studies/{file.stem}" for file in (CONFIGS / "studies").glob("*.yaml"))
    raise ZooError(f"there is no study {path}, neither a file nor a shipped one{nearest(path, shipped)}")


def with_profile(content: dict[str, Any], overlay: dict[str, Any], profile: str) -> dict[str, Any]:
    """The study with a profile laid over it: a row that is null there is left out, a list of rows are those to keep."""
    check_keys(overlay, [key for key in KEYS if key not in ("name", "profiles")], f"profile '{profile}'")
    result = content | {key: value for key, value in overlay.items() if key not in MERGED}
    for key in MERGED:
        if key not in overlay:
            continue
        below = mapping(content.get(key), key)
        if key == "rows" and isinstance(overlay[key], list):
            for name in overlay[key]:
                if name not in below:
                    raise ZooError(f"profile '{profile}' keeps the row '{name}'{nearest(str(name), list(below))}")
            result[key] = {name: below[name] for name in overlay[key]}
        elif key == "set":
            result[key] = dotted(below, "set") | dotted(overlay[key], "set")
        else:
            above = mapping(overlay[key], f"profile '{profile}': {key}")
            left_out = [name for name, entry in above.items() if entry is None]
            result[key] = {name: entry for name, entry in (below | above).items() if name not in left_out}
    return result


class Reader:
    """Turns a study file's plain data into a `Study`'s fields; every complaint says where."""

    def __init__(self, where: str, file: Path) -> None:
        self.where = where
        self.file = file

    def read(self, content: dict[str, Any]) -> dict[str, Any]:
        """The fields of `Study`, but for `file` and `profile`."""
        for key in ("base", "baseline", "metrics"):
            if not content.get(key):
                raise self.error(f"has no {key}")
        rows = self.rows(content)
        baseline = str(content["baseline"])
        if baseline not in {row.name for row in rows}:
            raise self.error(
                f"has the baseline '{baseline}', which is no row", nearest(baseline, [r.name for r in rows])
            )
        if next(row for row in rows if row.name == baseline).evaluate_only:
            raise self.error(f"has the baseline '{baseline}' with evaluate_only; somebody must be trained")
        if not content.get("source") and any(row.published for row in rows):
            raise self.error("has published values but no source that says where they are from")
        return {
            "name": self.name(content),
            "base": self.base(content["base"]),
            "set": dotted(content.get("set"), f"{self.where}: set"),
            "baseline": baseline,
            "rows": rows,
            "seeds": self.seeds(content.get("seeds", [0])),
            "metrics": self.metrics(content["metrics"]),
            "resources": self.resources(content.get("resources")),
            "noise_floor": self.flag(content.get("noise_floor", True), "noise_floor"),
            "sizes": self.sizes(content.get("sizes")),
            "frames_per_second": self.frames_per_second(content),
            "first_stage": self.first_stage(content.get("first_stage")),
            "robustness": self.robustness(content.get("robustness")),
            "source": str(content.get("source", "")),
            "plugins": self.plugins(content.get("plugins", [])),
        }

    def name(self, content: dict[str, Any]) -> str:
        name = str(content.get("name", self.file.stem))
        if not re.fullmatch(r"[\w.-]+", name):
            raise self.error(f"has the name '{name}'; expected letters, digits and _-. only, since a folder bears it")
        return name

    def rows(self, content: dict[str, Any]) -> tuple[Row, ...]:
        given = mapping(content.get("rows"), f"{self.where}: rows")
        rows = [self.row(str(name), entry) for name, entry in given.items()]
        rows += expand(mapping(content.get("grid"), f"{self.where}: grid"))
        folders: dict[str, str] = {Row(NOISE_FLOOR).folder: NOISE_FLOOR}
        for row in rows:
            if row.folder in folders:
                raise self.error(f"has the rows '{folders[row.folder]}' and '{row.name}', whose folders have one name")
            folders[row.folder] = row.name
        return tuple(rows)

    def row(self, name: str, entry: Any) -> Row:
        where = f"row '{name}'"
        entry = mapping(entry, where)
        check_keys(entry, [key.name for key in fields(Row) if key.name != "name"], where)
        return Row(
            name,
            dotted(entry.get("changes"), f"{where}: changes"),
            self.flag(entry.get("evaluate_only", False), f"evaluate_only of {where}"),
            str(entry.get("note", "")),
            self.published(entry.get("published"), where),
        )

    def published(self, given: Any, where: str) -> dict[str, float]:
        values = mapping(given, f"{where}: published")
        for name, value in values.items():
            if type(value) not in (int, float):
                raise ZooError(f"{where} has the published value {name}: {value!r}; expected a number.")
        return {str(name): float(value) for name, value in values.items()}

    def seeds(self, given: Any) -> tuple[int, ...]:
        usable = isinstance(given, list) and given and all(type(seed) is int and 0 <= seed < 2**32 for seed in given)
        if not usable or len(set(given)) < len(given):
            raise self.error(f"has the seeds {given}; expected a list of different whole numbers from 0")
        return tuple(given)

    def metrics(self, given: Any) -> tuple[Metric, ...]:
        metrics = []
        for name, entry in mapping(given, f"{self.where}: metrics").items():
            entry = {"direction": entry} if isinstance(entry, str) else mapping(entry, f"metric '{name}'")
            check_keys(entry, ["direction", "label", "unit"], f"metric '{name}'")
            if entry.get("direction") not in ("lower", "higher"):
                got = entry.get("direction")
                raise ZooError(f"metric '{name}' has the direction {got!r}; expected lower or higher.")
            label = entry.get("label", str(name).rpartition("/")[2])
            metrics.append(Metric(str(name), entry["direction"], str(label), str(entry.get("unit", ""))))
        return tuple(metrics)

    def resources(self, given: Any) -> Resources:
        entry = mapping(given, f"{self.where}: resources")
        check_keys(entry, ["threads", "gpus"], f"{self.where}: resources")
        for key, least in (("threads", 1), ("gpus", 0)):
            if entry.get(key) is not None and (type(entry[key]) is not int or entry[key] < least):
                raise self.error(f"has resources.{key}={entry[key]!r}; expected a whole number from {least}")
        return Resources(**entry)

    def sizes(self, given: Any) -> dict[str, tuple[int, int]]:
        sizes = mapping(given, f"{self.where}: sizes")
        for name, size in sizes.items():
            if not isinstance(size, list) or len(size) != 2 or not all(type(s) is int and s > 0 for s in size):
                raise self.error(f"has the size {name}: {size}; expected [height, width] in pixels")
        return {str(name): (height, width) for name, (height, width) in sizes.items()}

    def frames_per_second(self, content: dict[str, Any]) -> bool:
        wanted = self.flag(content.get("frames_per_second", False), "frames_per_second")
        if wanted and not content.get("sizes"):
            raise self.error("has frames_per_second but no sizes of pictures to measure them on")
        return wanted

    def first_stage(self, given: Any) -> FirstStage | None:
        if given is None:
            return None
        where = f"{self.where}: first_stage"
        entry = mapping(given, where)
        check_keys(entry, [key.name for key in fields(FirstStage)], where)
        if not entry.get("base"):
            raise ZooError(f"{where} has no base.")
        takes = entry.get("takes", [])
        if not isinstance(takes, list):
            raise ZooError(f"{where} has takes: {takes!r}; expected a list of keys, [model.backbone].")
        return FirstStage(self.base(entry["base"]), dotted(entry.get("set"), f"{where}: set"), tuple(map(str, takes)))

    def robustness(self, given: Any) -> tuple[Robustness, ...]:
        plots = []
        for name, metrics in mapping(given, f"{self.where}: robustness").items():
            metrics = mapping(metrics, f"{self.where}: robustness '{name}'")
            if len(metrics) < 2 or not all(type(severity) in (int, float) for severity in metrics):
                raise self.error(f"has robustness '{name}': {metrics}; expected severities with their metrics")
            ascending = sorted(metrics.items(), key=lambda entry: float(entry[0]))
            plots.append(Robustness(str(name), {float(severity): str(metric) for severity, metric in ascending}))
        return tuple(plots)

    def base(self, given: Any) -> tuple[str, ...]:
        return tuple(self.beside(str(name)) for name in (given if isinstance(given, list) else [given]))

    def plugins(self, given: Any) -> tuple[Path, ...]:
        if not isinstance(given, list):
            raise self.error(f"has plugins: {given}; expected a list of Python files")
        return tuple((self.file.parent / str(path)).resolve() for path in given)

    def beside(self, name: str) -> str:
        """A configuration beside the study file, otherwise one from here or a shipped one."""
        return str(self.file.parent / name) if (self.file.parent / name).is_file() else name

    def flag(self, given: Any, key: str) -> bool:
        if not isinstance(given, bool):
            raise self.error(f"has {key}: {given!r}; expected true or false")
        return given

    def error(self, said: str, ending: str = ".") -> ZooError:
        return ZooError(f"{self.where} {said}{ending}")


def expand(grid: dict[str, Any]) -> list[Row]:
    """A row for each combination of a grid's values, named `patches=0, base_scale=0.25`."""
    choices = dotted(grid, "grid")
    for key, values in choices.items():
        if not isinstance(values, list) or not values:
            raise ZooError(f"grid has {key}: {values!r}; expected a list of values.")
    if not choices:
        return []
    rows = []
    for values in itertools.product(*choices.values()):
        changes = dict(zip(choices, values, strict=True))
        names = [f"{key.rpartition('.')[2]}={called(value)}" for key, value in changes.items()]
        rows.append(Row(", ".join(names), changes))
    return rows


def called(value: Any) -> str:
    """A value in a row's name; a part by its class and arguments."""
    if isinstance(value, Mapping) and "class_path" in value:
        arguments = ", ".join(f"{name}={called(item)}" for name, item in value.get("init_args", {}).items())
        return f"{value['class_path']}({arguments})" if arguments else str(value["class_path"])
    return str(value)


def dotted(given: Any, where: str) -> dict[str, Any]:
    """Changes by dotted key, those of nested mappings too; a part (`class_path`) is one value."""
    result: dict[str, Any] = {}
    for key, value in mapping(given, where).items():
        if not isinstance(key, str) or not all(key.split(".")):
            raise ZooError(f"{where} has the key {key!r}; expected one as typed, model.selector.patches.")
        key = ".".join(part for part in key.split(".") if part != "init_args") or key
        inner = {key: value}
        if isinstance(value, Mapping) and value and "class_path" not in value:
            inner = {f"{key}.{name}": item for name, item in dotted(value, where).items()}
        for name, item in inner.items():
            if name in result:
                raise ZooError(f"{where} has '{name}' twice.")
            result[name] = item
    return result


def mapping(given: Any, where: str) -> dict[str, Any]:
    """The mapping that belongs here; nothing counts as an empty one."""
    if given is None:
        return {}
    if not isinstance(given, dict):
        raise ZooError(f"{where} holds {given!r}; expected names with values.")
    return dict(given)


def check_keys(given: Mapping[str, Any], known: list[str], where: str) -> None:
    """ZooError names the first key that nobody reads."""
    for key in given:
        if key not in known:
            raise ZooError(f"{where} has no key '{key}'{nearest(str(key), known)}")
