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

import itertools
import json
import re
from argparse import ArgumentError
from collections.abc import Mapping
from copy import deepcopy
from dataclasses import asdict, dataclass, field, fields
from functools import cache
from pathlib import Path
from typing import Any, Literal

from jsonargparse import ArgumentParser
from jsonargparse.typing import NonNegativeInt, PositiveInt

from zoo.core.differences import Difference
from zoo.core.errors import ZooError
from zoo.core.plain_yaml import read_yaml
from zoo.core.slot import nearest
from zoo.runner.configs import CONFIGS
from zoo.study.record import KEYS, digest, folder_name, measuring

NOISE_FLOOR = "A/A"
"""The row that is the baseline with other seeds: the difference between the two is noise."""


@dataclass(frozen=True)
class Row:
    """One row of the table: what the study file says and, in a plan, what it resolves to.

    Args:
        name: as the table shows it.
        changes: what it changes in the base, by dotted key.
        evaluate_only: whether it is a test-time row, which tests the baseline's checkpoint of the same seed.
        note: shown next to the row.
        published: values of a paper for this row, by metric; shown only where the study has that metric.
        settings: resolved, of `zoo fit`; these and the following are empty until the row is planned.
        differences: of the settings to the baseline's.
        parameters: of the network.
        multiply_adds: of one forward pass for one image, by the name of its size.
        data: which datasets there are, and whether they are synthetic.
        first_stage: resolved settings of the training that it starts from, or None.

    Example:
        >>> Row("a row: β=1/2").folder
        'a_row_β=1_2'
    """

    name: str
    changes: dict[str, Any] = field(default_factory=dict)
    evaluate_only: bool = False
    note: str = ""
    published: dict[str, float] = field(default_factory=dict)
    settings: dict[str, Any] = field(default_factory=dict)
    differences: tuple[Difference, ...] = ()
    parameters: int = 0
    multiply_adds: dict[str, int] = field(default_factory=dict)
    data: dict[str, Any] = field(default_factory=dict)
    first_stage: dict[str, Any] | None = None

    @property
    def folder(self) -> str:
        """The name of its folder in the study's."""
        return folder_name(self.name)


@dataclass(frozen=True)
class Metric:
    """One column of the table: a metric as it is logged (`test/synthetic/sad`), better direction, label and unit."""

    name: str
    direction: Literal["lower", "higher"]
    label: str
    unit: str = ""


@dataclass(frozen=True)
class FirstStage:
    """A training before the rows' own, which then start from its weights; rows that do not differ in it share one.

    What a row changes under a key of `takes` is changed in the first stage too.
    """

    base: tuple[str, ...]
    set: dict[str, Any]
    takes: tuple[str, ...]


@dataclass(frozen=True)
class Robustness:
    """A plot of a metric at ascending severities, `{0: test/still/sad, 2: test/shifted/sad}`; `name` is its axis."""

    name: str
    metrics: dict[float, str]


@dataclass(frozen=True)
class Resources:
    """CPU threads of one run, or None for torch's own choice, and number of GPUs."""

    threads: int | None = None
    gpus: int = 0


@dataclass(frozen=True)
class Study:
    """A study file, with one of its profiles laid over it.

    `file` is where it was read, `profile` the chosen one. The other fields are keys of the file, see `KEYS`.
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
    test_data_differs: bool
    source: str
    plugins: tuple[Path, ...]

    @property
    def measured(self) -> list[str]:
        """The names of all metrics that a run must have."""
        plotted = [name for robustness in self.robustness for name in robustness.metrics.values()]
        return list(dict.fromkeys([*(metric.name for metric in self.metrics), *plotted]))

    def measuring(self, settings: Mapping[str, Any]) -> dict[str, Any]:
        """Return the settings, by dotted key, in which all rows must agree so that their metrics compare."""
        return measuring(settings, self.measured, data=not self.test_data_differs)

    @property
    def title(self) -> str:
        """Name and profile: the study's folder, and the group of its runs elsewhere."""
        return self.name if self.profile is None else f"{self.name}-{self.profile}"

    @property
    def other_seeds(self) -> tuple[int, ...]:
        """As many other seeds, for the A/A baseline."""
        return tuple(max(self.seeds) + 1 + index for index in range(len(self.seeds)))

    def row(self, name: str) -> Row:
        """Return the row of this name."""
        return next(row for row in self.rows if row.name == name)

    def written(self, row: Row) -> str:
        """Return a hash of everything that the file says about a row's settings, without resolving these."""
        own = self.row(self.baseline) if row.name == NOISE_FLOOR else row
        stage = None if self.first_stage is None else asdict(self.first_stage)
        said = [self.base, self.set, stage, own.changes, row.evaluate_only and self.row(self.baseline).changes]
        return digest(json.dumps(said, default=str))


MERGED = ("set", "rows", "metrics", "resources")
"""Keys that a profile adds to; its other keys replace the study's."""


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
    check_keys(content, list(KEYS), where)
    profiles = mapping(content.pop("profiles", {}), f"{where}: profiles")
    if profile is not None:
        if profile not in profiles:
            raise ZooError(f"{where} has no profile '{profile}'{nearest(profile, list(profiles))}")
        content = with_profile(content, mapping(profiles[profile], f"profile '{profile}'"), profile)
    return Study(file=file, profile=profile, **read_fields(content, where, file))


def find(path: str) -> Path:
    """Return the study file: the user's own, or a shipped one."""
    for candidate in (Path(path), CONFIGS / path, CONFIGS / f"{path}.yaml", CONFIGS / "studies" / f"{path}.yaml"):
        if candidate.is_file():
            return candidate
    shipped = sorted(f"studies/{file.stem}" for file in (CONFIGS / "studies").glob("*.yaml"))
    raise ZooError(f"there is no study {path}, neither a file nor a shipped one{nearest(path, shipped)}")


def with_profile(content: dict[str, Any], overlay: dict[str, Any], profile: str) -> dict[str, Any]:
    """Return the study with a profile laid over it: a row that is null there is left out, a list names rows to keep."""
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


def read_fields(content: dict[str, Any], where: str, file: Path) -> dict[str, Any]:
    """Return the fields of `Study` except `file` and `profile`; every error says where.

    Types are checked by jsonargparse, see `checked`.
    """
    for key in ("base", "baseline", "metrics"):
        if not content.get(key):
            raise ZooError(f"{where} has no {key}.")
    name = str(content.get("name", file.stem))
    if not re.fullmatch(r"[\w.-]+", name):
        raise ZooError(
            f"{where} has the name '{name}'; expected letters, digits and _-. only, since a folder has that name."
        )
    rows = read_rows(content, where)
    names = [row.name for row in rows]
    baseline = str(content["baseline"])
    if baseline not in names:
        raise ZooError(f"{where} has the baseline '{baseline}', which is no row{nearest(baseline, names)}")
    if rows[names.index(baseline)].evaluate_only:
        raise ZooError(f"{where} has the baseline '{baseline}' with evaluate_only; expected a row that is trained.")
    if not content.get("source") and any(row.published for row in rows):
        raise ZooError(f"{where} has published values but no source that says where they are from.")
    seeds = content.get("seeds", [0])
    said = f"{where} has the seeds {seeds}; expected a list of different whole numbers from 0."
    if not checked(seeds, list[NonNegativeInt], said) or len(set(seeds)) < len(seeds) or max(seeds) >= 2**32:
        raise ZooError(said)
    sizes = mapping(content.get("sizes"), f"{where}: sizes")
    for size, value in sizes.items():
        said = f"{where} has the size {size}: {value}; expected [height, width] in pixels."
        checked(value, tuple[PositiveInt, PositiveInt], said)
    frames_per_second = flag(content, "frames_per_second", where)
    if frames_per_second and not sizes:
        raise ZooError(f"{where} has frames_per_second but no sizes of images to measure them on.")
    plugins = content.get("plugins", [])
    said = f"{where} has plugins: {plugins}; expected a list of Python files."
    return {
        "name": name,
        "base": read_base(content["base"], file),
        "set": dotted(content.get("set"), f"{where}: set"),
        "baseline": baseline,
        "rows": rows,
        "seeds": tuple(seeds),
        "metrics": read_metrics(content["metrics"], where),
        "resources": read_resources(content.get("resources"), where),
        "noise_floor": flag(content, "noise_floor", where, default=True),
        "sizes": {str(size): tuple(value) for size, value in sizes.items()},
        "frames_per_second": frames_per_second,
        "first_stage": read_first_stage(content.get("first_stage"), f"{where}: first_stage", file),
        "robustness": read_robustness(content.get("robustness"), where),
        "test_data_differs": flag(content, "test_data_differs", where),
        "source": str(content.get("source", "")),
        "plugins": tuple((file.parent / path).resolve() for path in checked(plugins, list[str], said)),
    }


def read_rows(content: dict[str, Any], where: str) -> tuple[Row, ...]:
    """Return the rows and those of the grid; ZooError for two whose folders have one name."""
    rows = []
    for name, entry in mapping(content.get("rows"), f"{where}: rows").items():
        of_row = f"row '{name}'"
        entry = mapping(entry, of_row)
        check_keys(entry, ["changes", "evaluate_only", "note", "published"], of_row)
        published = mapping(entry.get("published"), f"{of_row}: published")
        said = f"{of_row} has the published value {{}}: {{!r}}; expected a number."
        rows.append(
            Row(
                str(name),
                dotted(entry.get("changes"), f"{of_row}: changes"),
                flag(entry, "evaluate_only", of_row),
                str(entry.get("note", "")),
                {str(key): float(checked(value, float, said.format(key, value))) for key, value in published.items()},
            )
        )
    rows += expand(mapping(content.get("grid"), f"{where}: grid"))
    folders: dict[str, str] = {folder_name(NOISE_FLOOR): NOISE_FLOOR}
    for row in rows:
        if row.folder in folders:
            raise ZooError(
                f"{where} has the rows '{folders[row.folder]}' and '{row.name}', whose folders have one name."
            )
        folders[row.folder] = row.name
    return tuple(rows)


def read_metrics(content: Any, where: str) -> tuple[Metric, ...]:
    """Return the columns of the table."""
    metrics = []
    for name, entry in mapping(content, f"{where}: metrics").items():
        of_metric = f"metric '{name}'"
        entry = {"direction": entry} if isinstance(entry, str) else mapping(entry, of_metric)
        check_keys(entry, ["direction", "label", "unit"], of_metric)
        said = f"{of_metric} has the direction {entry.get('direction')!r}; expected lower or higher."
        direction = checked(entry.get("direction"), Literal["lower", "higher"], said)
        label = entry.get("label", str(name).rpartition("/")[2])
        metrics.append(Metric(str(name), direction, str(label), str(entry.get("unit", ""))))
    return tuple(metrics)


def read_resources(content: Any, where: str) -> Resources:
    """Return the threads and GPUs of a run."""
    entry = mapping(content, f"{where}: resources")
    check_keys(entry, [key.name for key in fields(Resources)], f"{where}: resources")
    for key, kind, least in (("threads", PositiveInt, 1), ("gpus", NonNegativeInt, 0)):
        said = f"{where} has resources.{key}={entry.get(key)!r}; expected a whole number from {least}."
        if entry.get(key) is not None:
            checked(entry[key], kind, said)
    return Resources(**entry)


def read_first_stage(content: Any, where: str, file: Path) -> FirstStage | None:
    """Return the first stage; None where the study has none."""
    if content is None:
        return None
    entry = mapping(content, where)
    check_keys(entry, [key.name for key in fields(FirstStage)], where)
    if not entry.get("base"):
        raise ZooError(f"{where} has no base.")
    takes = entry.get("takes", [])
    said = f"{where} has takes: {takes!r}; expected a list of keys, [model.backbone]."
    takes = tuple(checked(takes, list[str], said))
    return FirstStage(read_base(entry["base"], file), dotted(entry.get("set"), f"{where}: set"), takes)


def read_robustness(content: Any, where: str) -> tuple[Robustness, ...]:
    """Return the robustness plots, severities ascending."""
    plots = []
    for name, metrics in mapping(content, f"{where}: robustness").items():
        metrics = mapping(metrics, f"{where}: robustness '{name}'")
        said = f"{where} has robustness '{name}': {metrics}; expected severities with their metrics."
        severities = checked(sorted(metrics, key=str), list[float], said)
        if len(severities) < 2:
            raise ZooError(said)
        plots.append(Robustness(str(name), {float(key): str(metrics[key]) for key in sorted(metrics, key=float)}))
    return tuple(plots)


def read_base(content: Any, file: Path) -> tuple[str, ...]:
    """Return configurations: each next to the study file, otherwise of the working directory or shipped."""
    names = map(str, content if isinstance(content, list) else [content])
    return tuple(str(own) if (own := file.parent / name).is_file() else name for name in names)


def flag(content: Mapping[str, Any], key: str, where: str, default: bool = False) -> bool:
    """Return the value of a key that is true or false."""
    value = content.get(key, default)
    return checked(value, bool, f"{where} has {key}: {value!r}; expected true or false.")


def checked(value: Any, kind: Any, said: str) -> Any:
    """Return the value if jsonargparse accepts it as one of this type; ZooError with the sentence `said` if not.

    Text is never taken for a number or a boolean.
    """
    try:
        parsed = value_parser(kind).parse_object({"value": deepcopy(value)}).value
    except ArgumentError as error:
        raise ZooError(said) from error
    if value is None or (list(parsed) if isinstance(parsed, tuple) else parsed) != value:
        raise ZooError(said)
    return value


@cache
def value_parser(kind: Any) -> ArgumentParser:
    """Return a parser of one value of a type."""
    parser = ArgumentParser(exit_on_error=False)
    parser.add_argument("--value", type=kind)
    return parser


def expand(grid: dict[str, Any]) -> list[Row]:
    """Return a row for each combination of a grid's values, named `patches=0, base_scale=0.25`."""
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
    """Return a value as it is in a row's name; a part by its class and arguments."""
    if isinstance(value, Mapping) and "class_path" in value:
        arguments = ", ".join(f"{name}={called(item)}" for name, item in value.get("init_args", {}).items())
        return f"{value['class_path']}({arguments})" if arguments else str(value["class_path"])
    return str(value)


def dotted(changes: Any, where: str) -> dict[str, Any]:
    """Return changes by dotted key, those of nested mappings too; a part (`class_path`) is one value."""
    result: dict[str, Any] = {}
    for key, value in mapping(changes, where).items():
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


def mapping(value: Any, where: str) -> dict[str, Any]:
    """Return the mapping that belongs here, an empty one for None; ZooError for anything else."""
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise ZooError(f"{where} holds {value!r}; expected names with values.")
    return dict(value)


def check_keys(value: Mapping[str, Any], known: list[str], where: str) -> None:
    """Raise ZooError for the first unknown key."""
    for key in value:
        if key not in known:
            raise ZooError(f"{where} has no key '{key}'{nearest(str(key), known)}")
