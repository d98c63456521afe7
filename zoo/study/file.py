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
from dataclasses import asdict, dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import Any, Literal

from jsonargparse import ArgumentParser
from jsonargparse.typing import NonNegativeInt, PositiveInt

from zoo.core.errors import ZooError
from zoo.core.plain_yaml import read_yaml
from zoo.core.slot import nearest
from zoo.runner.configs import CONFIGS
from zoo.study.design import ALL, DESIGNS, NONE, check_overlap, combinations, row_name
from zoo.study.record import digest, folder_name, measuring
from zoo.study.setting_differences import Difference

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
        out: the components that it lacks; None for a row that belongs to no design.

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
    out: tuple[str, ...] | None = None

    @property
    def subject(self) -> str:
        """Row and name, as an error's message begins; with what to do where a design made the row."""
        hint = "" if self.out is None else f" (of the design; to leave it out: `exclude: [{json.dumps(self.name)}]`)"
        return f"row '{self.name}'{hint}"

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
class Margin:
    """A difference that does not matter: in the metric's unit, or relative to the baseline's mean."""

    value: float
    relative: bool

    def around(self, mean: float) -> float:
        """Return the margin in the metric's unit.

        Example:
            >>> Margin(0.05, relative=True).around(20.0)
            1.0
        """
        return self.value * abs(mean) if self.relative else self.value

    def __str__(self) -> str:
        return f"{100 * self.value:.3g} %" if self.relative else f"{self.value:.3g} absolute"


SPEED = "fps/"
"""Beginning of the name of a speed, `fps/HD`, in a known truth."""


@dataclass(frozen=True)
class Expected:
    """Something known to be true, which the report checks: the verdict on a row, compared with another, by a metric.

    Args:
        name: what is known, a few words.
        row, than: names of the compared rows; `than` is the baseline unless the file says another.
        metric: of the study, or `fps/SIZE`.
        verdict: better, worse or equivalent, or one of these that must not come out: `not better`.
        why: it is known.
        source: of that knowledge.
    """

    name: str
    row: str
    than: str
    metric: str
    verdict: str
    why: str
    source: str = ""


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

    `file` is where it was read, `profile` the chosen one. `counts` and `most_seeds`, the seeds of each row and at most,
    are of a study that is run until it is decided. The other fields are keys of the file, documented in `KEYS`.
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
    margins: dict[str, Margin]
    expected: tuple[Expected, ...]
    resources: Resources
    noise_floor: bool
    sizes: dict[str, tuple[int, int]]
    frames_per_second: bool
    first_stage: FirstStage | None
    robustness: tuple[Robustness, ...]
    test_data_differs: bool
    source: str
    plugins: tuple[Path, ...]
    components: dict[str, dict[str, Any]] = field(default_factory=dict)
    factorial: bool = False
    excluded: tuple[str, ...] = ()
    counts: dict[str, int] = field(default_factory=dict)
    most_seeds: int = 0

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

    def seeds_of(self, name: str) -> tuple[int, ...]:
        """Return the seeds of a row; no other row's are the A/A baseline's, also beyond the file's list."""
        listed, first = self.seeds, max(self.other_seeds) + 1
        if name == NOISE_FLOOR:
            listed, first = self.other_seeds, first + max(0, self.most_seeds - len(self.seeds))
        count = self.counts.get(name, len(listed))
        return (*listed, *range(first, first + count - len(listed)))[:count]

    def row(self, name: str) -> Row:
        """Return the row of this name."""
        return next(row for row in self.rows if row.name == name)

    def written(self, row: Row) -> str:
        """Return a hash of everything that the file says about a row's settings, without resolving these."""
        own = self.row(self.baseline) if row.name == NOISE_FLOOR else row
        stage = None if self.first_stage is None else asdict(self.first_stage)
        said = [self.base, self.set, stage, own.changes, row.evaluate_only and self.row(self.baseline).changes]
        return digest(json.dumps(said, default=str))


TEXT, FLAG, NAMES = (str, "text"), (bool, "true or false"), (dict, "names with values")
CONFIGURATIONS = (str | list[str], "a configuration, or a list of them")

STUDY: dict[str, tuple[Any, str]] = {
    **dict.fromkeys(["name", "baseline", "source"], TEXT),
    **dict.fromkeys(["noise_floor", "frames_per_second", "test_data_differs"], FLAG),
    **dict.fromkeys(
        ["set", "rows", "grid", "components", "metrics", "margins", "expected", "sizes", "first_stage", "robustness"],
        NAMES,
    ),
    "resources": NAMES,
    "base": CONFIGURATIONS,
    "seeds": (list[NonNegativeInt], "a list of different whole numbers from 0"),
    "plugins": (list[str], "a list of Python files"),
    "design": (str | dict, f"{', '.join(DESIGNS)} or {{fraction: ROWS}}"),
    "exclude": (list[str], "a list of names of the design's rows"),
    "profiles": NAMES,
}
"""Type of each key of a study file, and what an error says that it expects; the following are those of its parts."""

PROFILE = {key: expected for key, expected in STUDY.items() if key not in ("name", "profiles")}
PROFILE["rows"] = (dict | list[str], "rows by their names, or a list of names to keep")
ROW = {"changes": NAMES, "evaluate_only": FLAG, "note": TEXT, "published": NAMES}
METRIC = {"direction": (Literal["lower", "higher"], "lower or higher"), "label": TEXT, "unit": TEXT}
EXPECTED = {
    **dict.fromkeys(["row", "than", "metric", "why", "source"], TEXT),
    "verdict": (
        Literal["better", "worse", "equivalent", "not better", "not worse", "not equivalent"],
        "better, worse or equivalent, or not and one of these",
    ),
}
FIRST = {"base": CONFIGURATIONS, "set": NAMES, "takes": (list[str], "a list of keys, [model.backbone]")}
RESOURCES = {
    "threads": (PositiveInt, "a whole number from 1"),
    "gpus": (NonNegativeInt, "a whole number from 0"),
}

DESIGN = ("components", "design", "exclude")

MERGED = ("set", "rows", "metrics", "margins", "resources")
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
    return make_study(content, file, profile)


def make_study(content: Any, file: Path, profile: str | None) -> Study:
    """Return the study that a file holds; `read_study` without reading."""
    where = f"the study {file.name}"
    content = checked(content, where, STUDY)
    profiles = content.pop("profiles", {})
    if profile is not None:
        if profile not in profiles:
            raise ZooError(f"{where} has no profile '{profile}'{nearest(profile, list(profiles))}")
        content = checked(with_profile(content, profiles[profile], profile), where, STUDY)
    return Study(file=file, profile=profile, **read_fields(content, where, file))


def find(path: str) -> Path:
    """Return the study file: the user's own, or a shipped one."""
    for candidate in (Path(path), CONFIGS / path, CONFIGS / f"{path}.yaml", CONFIGS / "studies" / f"{path}.yaml"):
        if candidate.is_file():
            return candidate
    shipped = sorted(f"studies/{file.stem}" for file in (CONFIGS / "studies").glob("*.yaml"))
    raise ZooError(f"there is no study {path}, neither a file nor a shipped one{nearest(path, shipped)}")


def with_profile(content: dict[str, Any], overlay: Any, profile: str) -> dict[str, Any]:
    """Return the study with a profile laid over it: null there leaves a key or a row out, a list names rows to keep."""
    absent = [key for key, entry in overlay.items() if entry is None] if isinstance(overlay, dict) else []
    overlay = checked(overlay, f"profile '{profile}'", PROFILE)
    result = {key: entry for key, entry in (content | overlay).items() if key not in absent}
    for key in set(MERGED) & set(overlay):
        below, above = content.get(key, {}), overlay[key]
        if isinstance(above, list):
            for name in above:
                if name not in below:
                    raise ZooError(f"profile '{profile}' keeps the row '{name}'{nearest(str(name), list(below))}")
            result[key] = {name: below[name] for name in above}
        elif key == "set":
            result[key] = dotted(below, "set") | dotted(above, "set")
        else:
            left_out = [name for name, entry in above.items() if entry is None]
            result[key] = {name: entry for name, entry in (below | above).items() if name not in left_out}
    return result


def read_fields(content: dict[str, Any], where: str, file: Path) -> dict[str, Any]:
    """Return the fields of `Study` except `file` and `profile`; types are checked, and every error says where."""
    components = read_components(content, where)
    if components:
        start = NONE if content["design"] in ("add-one-in", "ladder") else ALL
        content = {"baseline": start} | content
    for key in ("base", "baseline", "metrics"):
        if not content.get(key):
            raise ZooError(f"{where} has no {key}.")
    name = content.get("name", file.stem)
    if not re.fullmatch(r"[\w.-]+", name):
        raise ZooError(
            f"{where} has the name '{name}'; expected letters, digits and _-. only, since a folder has that name."
        )
    rows = read_rows(content, components, where)
    names = [row.name for row in rows]
    baseline = content["baseline"]
    if baseline not in names:
        raise ZooError(f"{where} has the baseline '{baseline}', which is no row{nearest(baseline, names)}")
    if rows[names.index(baseline)].evaluate_only:
        raise ZooError(f"{where} has the baseline '{baseline}' with evaluate_only; expected a row that is trained.")
    if not content.get("source") and any(row.published for row in rows):
        raise ZooError(f"{where} has published values but no source that says where they are from.")
    seeds = content.get("seeds", [0])
    if not seeds or len(set(seeds)) < len(seeds) or max(seeds) >= 2**32:
        raise ZooError(f"{where} has seeds: {seeds}; expected {STUDY['seeds'][1]}.")
    pixels = (tuple[PositiveInt, PositiveInt], "[height, width] in pixels")
    sizes = checked(content.get("sizes"), f"{where}: sizes", dict.fromkeys(content.get("sizes", ()), pixels))
    if content.get("frames_per_second") and not sizes:
        raise ZooError(f"{where} has frames_per_second but no sizes of images to measure them on.")
    metrics = read_metrics(content["metrics"])
    return {
        "name": name,
        "base": read_base(content["base"], file),
        "set": dotted(content.get("set"), f"{where}: set"),
        "baseline": baseline,
        "rows": rows,
        "seeds": tuple(seeds),
        "metrics": metrics,
        "margins": read_margins(content.get("margins", {}), [metric.name for metric in metrics], where),
        "expected": read_expected(content, [*names, NOISE_FLOOR], [metric.name for metric in metrics], sizes, where),
        "resources": Resources(**checked(content.get("resources"), f"{where}: resources", RESOURCES)),
        "noise_floor": content.get("noise_floor", True),
        "sizes": {str(size): tuple(value) for size, value in sizes.items()},
        "frames_per_second": content.get("frames_per_second", False),
        "first_stage": read_first_stage(content.get("first_stage"), f"{where}: first_stage", file),
        "robustness": read_robustness(content.get("robustness", {}), where),
        "test_data_differs": content.get("test_data_differs", False),
        "source": content.get("source", ""),
        "plugins": tuple((file.parent / path).resolve() for path in content.get("plugins", ())),
        "components": components,
        "factorial": content.get("design") not in (None, *DESIGNS[:-1]),
        "excluded": tuple(content.get("exclude", ())),
    }


def read_components(content: dict[str, Any], where: str) -> dict[str, dict[str, Any]]:
    """Return the changes of each component of a design; empty where the study has none."""
    components = {
        str(name): dotted(checked_changes(changes, f"component '{name}'"), f"component '{name}'")
        for name, changes in content.get("components", {}).items()
    }
    if lacking := {"components", "design"} - content.keys() if content.keys() & {*DESIGN} else set():
        raise ZooError(f"{where} has no {min(lacking)}: components, design and exclude belong together.")
    check_overlap(components, where)
    return components


def checked_changes(value: Any, where: str) -> dict[str, Any]:
    """Return changes that are a mapping; ZooError for anything else."""
    if not isinstance(value, dict):
        raise ZooError(f"{where} holds {value!r}; expected {{KEY: VALUE}}, what takes it out.")
    return value


def design_rows(
    content: dict[str, Any], components: dict[str, dict[str, Any]], rows: list[Row], where: str
) -> list[Row]:
    """Return explicit rows and those of the design; a combination that is an explicit row keeps that row's name."""
    names, excluded = list(components), content.get("exclude", [])
    result, known = list(rows), []
    for out in combinations(names, content["design"], where):
        changes = {key: value for name in names if name in out for key, value in components[name].items()}
        row = Row(row_name(out, names), changes, out=out)
        same = next((i for i, own in enumerate(rows) if own.changes == changes and not own.evaluate_only), None)
        known.append(row.name if same is None else rows[same].name)
        if known[-1] in excluded:
            continue
        if same is None:
            result.append(row)
        else:
            result[same] = replace(rows[same], out=out)
    for name in excluded:
        if name not in known:
            raise ZooError(f"{where} excludes '{name}', which is no row of its design{nearest(name, known)}")
    return result


def read_rows(content: dict[str, Any], components: dict[str, dict[str, Any]], where: str) -> tuple[Row, ...]:
    """Return the rows, those of the grid and of the design; ZooError for two whose folders have one name."""
    rows = []
    for name, entry in content.get("rows", {}).items():
        entry = checked(entry, f"row '{name}'", ROW)
        published = entry.get("published", {})
        number = dict.fromkeys(published, (float, "a number"))
        checked(published, f"row '{name}': published", number)
        changes = dotted(entry.get("changes"), f"row '{name}': changes")
        rows.append(Row(str(name), **entry | {"changes": changes, "published": published}))
    rows += expand(content.get("grid", {}))
    rows = design_rows(content, components, rows, where) if components else rows
    folders: dict[str, str] = {folder_name(NOISE_FLOOR): NOISE_FLOOR}
    for row in rows:
        if row.folder in folders:
            raise ZooError(
                f"{where} has the rows '{folders[row.folder]}' and '{row.name}', whose folders have one name."
            )
        folders[row.folder] = row.name
    return tuple(rows)


def read_metrics(content: dict[str, Any]) -> tuple[Metric, ...]:
    """Return the columns of the table."""
    metrics = []
    for name, entry in content.items():
        entry = checked({"direction": entry} if isinstance(entry, str) else entry, f"metric '{name}'", METRIC)
        if "direction" not in entry:
            raise ZooError(f"metric '{name}' has no direction; expected lower or higher.")
        metrics.append(Metric(str(name), **{"label": str(name).rpartition("/")[2], **entry}))
    return tuple(metrics)


def read_margins(content: dict[str, Any], metrics: list[str], where: str) -> dict[str, Margin]:
    """Return the margin of each metric that has one, `5 %` or `0.5 absolute`."""
    margins = {}
    for name, text in content.items():
        if name not in metrics:
            raise ZooError(f"{where} has a margin for '{name}', which is no metric{nearest(str(name), metrics)}")
        found = re.fullmatch(r"(\d+\.?\d*|\.\d+)(?:[eE]-?\d+)?\s*(%|absolute)", str(text))
        value = float(str(text).removesuffix(found[2])) if found else 0.0
        if not found or not value:
            raise ZooError(
                f"{where} has the margin {name}: {text!r}; expected a number above 0 with its unit, '5 %' of the "
                "baseline's mean or '0.5 absolute' in the metric's unit."
            )
        relative = found[2] == "%"
        margins[str(name)] = Margin(value / 100 if relative else value, relative)
    return margins


def read_expected(
    content: dict[str, Any], rows: list[str], metrics: list[str], sizes: Mapping[Any, Any], where: str
) -> tuple[Expected, ...]:
    """Return the known truths; each names its rows, a metric, a verdict and why it is known."""
    speeds = [f"{SPEED}{size}" for size in sizes] if content.get("frames_per_second") else []
    known = {"row": rows, "than": rows, "metric": [*metrics, *speeds]}
    truths = []
    for name, entry in content.get("expected", {}).items():
        here = f"{where}: expected '{name}'"
        entry = {"than": content["baseline"]} | checked(entry, here, EXPECTED)
        if lacking := [key for key in ("row", "metric", "verdict", "why") if key not in entry]:
            raise ZooError(f"{here} has no {lacking[0]}; expected row, metric, verdict and why.")
        for key, names in known.items():
            if entry[key] not in names:
                raise ZooError(f"{here} has {key}: {entry[key]}{nearest(entry[key], names)}")
        truths.append(Expected(str(name), **entry))
    return tuple(truths)


def read_first_stage(content: Any, where: str, file: Path) -> FirstStage | None:
    """Return the first stage; None where the study has none."""
    if content is None:
        return None
    entry = checked(content, where, FIRST)
    if not entry.get("base"):
        raise ZooError(f"{where} has no base.")
    changes = dotted(entry.get("set"), f"{where}: set")
    return FirstStage(read_base(entry["base"], file), changes, tuple(entry.get("takes", ())))


def read_robustness(content: dict[str, Any], where: str) -> tuple[Robustness, ...]:
    """Return the robustness plots, severities ascending."""
    plots = []
    for name, metrics in content.items():
        if not isinstance(metrics, dict) or len(metrics) < 2 or not all(type(key) in (int, float) for key in metrics):
            raise ZooError(f"{where} has robustness '{name}': {metrics}; expected severities with their metrics.")
        plots.append(Robustness(str(name), {float(key): str(metrics[key]) for key in sorted(metrics)}))
    return tuple(plots)


def read_base(content: Any, file: Path) -> tuple[str, ...]:
    """Return configurations: each next to the study file, otherwise of the working directory or shipped."""
    names = content if isinstance(content, list) else [content]
    return tuple(str(own) if (own := file.parent / name).is_file() else name for name in names)


def checked(value: Any, where: str, schema: Mapping[Any, tuple[Any, str]]) -> dict[str, Any]:
    """Return the mapping that belongs here, without null; jsonargparse judges its values.

    Text is never taken for a number or a boolean.

    Args:
        value: read from the file; None is an empty mapping.
        where: beginning of an error's message.
        schema: type and expectation of each key.

    Raises:
        ZooError: no mapping, an unknown key, or a value of another type.
    """
    if not isinstance(value, dict | None):
        raise ZooError(f"{where} holds {value!r}; expected names with values.")
    entry = {key: item for key, item in (value or {}).items() if item is not None}
    for key, item in entry.items():
        if key not in schema:
            raise ZooError(f"{where} has no key '{key}'{nearest(str(key), list(schema))}")
        kind, expected = schema[key]
        try:
            parsed = value_parser(kind).parse_object({"value": deepcopy(item)}).value
        except ArgumentError:
            parsed = None
        if parsed is None or (list(parsed) if isinstance(parsed, tuple) else parsed) != item:
            raise ZooError(f"{where} has {key}: {item!r}; expected {expected}.")
    return entry


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
    for key, value in (changes or {}).items():
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
