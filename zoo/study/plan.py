"""The plan of a study: every row resolved, compared and built before anything runs.

A comparison is fair when a row differs from the baseline in what it names and in nothing else. So rows that change a
key they did not name, rows that are the same, metrics that nobody measures and parts that do not fit are refused here.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from zoo.core.registry import nearest
from zoo.study.cost import Cost, measure
from zoo.study.file import NOISE_FLOOR, Row, Study, StudyError
from zoo.study.identity import PLACES, digest, run_id
from zoo.study.resolve import Resolver, make_data
from zoo.study.settings import Difference, changed, differences, flat, unnamed

ONLY_TRAINING = (
    "model.losses",
    "model.learning_rates",
    "model.schedule",
    "data.train",
    "data.augmentations",
    "data.order",
    "data.batch_size",
    "trainer.max_epochs",
    "trainer.max_steps",
    "trainer.gradient_clip_val",
    "trainer.accumulate_grad_batches",
)
"""Keys that only training reads: a row that needs no training would silently be the baseline."""


class PlannedRow(NamedTuple):
    """One row, resolved.

    `settings` are those of `zoo fit`, `differences` those against the baseline.
    """

    row: Row
    settings: dict[str, Any]
    differences: list[Difference]
    cost: Cost
    data: dict[str, Any]


class PlannedRun(NamedTuple):
    """One row with one seed; `after` is the run whose checkpoint it tests."""

    planned: PlannedRow
    seed: int
    pair: int
    id: str
    after: "PlannedRun | None"

    @property
    def folder(self) -> str:
        """Its directory, relative to the study's."""
        return f"{self.planned.row.folder}/seed_{self.seed}"


@dataclass(frozen=True)
class Plan:
    """A study that can be run; the baseline is one of the rows, the noise floor is not."""

    study: Study
    rows: tuple[PlannedRow, ...]

    @property
    def baseline(self) -> PlannedRow:
        """The row that the others are compared with."""
        return next(planned for planned in self.rows if planned.row.name == self.study.baseline)

    def runs(self) -> list[PlannedRun]:
        """Every run; one that tests another's checkpoint comes after it."""
        seeds = list(enumerate(self.study.seeds))
        trained = [self._run(self.baseline, seed, pair) for pair, seed in seeds]
        runs = list(trained)
        for planned in self.rows:
            if planned.row.evaluate_only:
                runs += [self._run(planned, seed, pair, trained[pair]) for pair, seed in seeds]
            elif planned is not self.baseline:
                runs += [self._run(planned, seed, pair) for pair, seed in seeds]
        if self.study.noise_floor:
            noise = self.baseline._replace(row=Row(NOISE_FLOOR, note="the baseline with other seeds"))
            runs += [self._run(noise, seed, pair) for pair, seed in enumerate(other_seeds(self.study.seeds))]
        return runs

    def _run(self, planned: PlannedRow, seed: int, pair: int, after: PlannedRun | None = None) -> PlannedRun:
        identity = run_id(planned.settings, seed, after.id if after else None)
        return PlannedRun(planned, seed, pair, identity, after)


def make_plan(study: Study) -> Plan:
    """Resolve, check and build every row.

    Raises:
        StudyError: something that would make a run fail or a comparison unfair; the message names the row.
        PluginError: a plugin file cannot be used.
    """
    resolver = Resolver(study.plugins)
    start = resolve_base(study, resolver)
    settings = {row.name: resolve_row(row, start, resolver) for row in study.rows}
    refuse_equal_rows(study.rows, settings)
    baseline = settings[study.baseline]
    data = describe_data(settings)
    rows = [
        PlannedRow(
            row,
            settings[row.name],
            differences(baseline, settings[row.name]),
            build_row(row, settings[row.name], study.sizes),
            data[row.name],
        )
        for row in study.rows
    ]
    check_metrics(study, rows)
    plan = Plan(study, tuple(rows))
    for planned in rows:
        if planned.row.evaluate_only:
            check_evaluate_only(planned, plan.baseline)
    return plan


def resolve_base(study: Study, resolver: Resolver) -> dict[str, Any]:
    """The settings that all rows begin with."""
    with about(f"base {', '.join(study.base)}"):
        base = resolver.files(study.base)
    with about("set"):
        resolved = resolver.settings(changed(base, study.set))
        refuse_unnamed(unnamed(base, resolved, study.set))
    return resolved


def resolve_row(row: Row, start: Mapping[str, Any], resolver: Resolver) -> dict[str, Any]:
    """The settings of a row."""
    with about(f"row '{row.name}'"):
        resolved = resolver.settings(changed(start, row.changes))
        refuse_unnamed(unnamed(start, resolved, row.changes))
    return resolved


class about:
    """Errors inside the block say what they are about."""

    def __init__(self, what: str) -> None:
        self.what = what

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: Any, error: BaseException | None, traceback: Any) -> None:
        if isinstance(error, ValueError | LookupError | OSError):
            raise StudyError(f"{self.what}: {error}") from error


def refuse_unnamed(hidden: list[Difference]) -> None:
    """ValueError for a difference under no key that was named: it would hide in the comparison."""
    if hidden:
        raise ValueError(
            f"it changes {hidden[0].key} from {hidden[0].before} to {hidden[0].after} without naming it: name that key "
            "too, with the value that is meant."
        )


def refuse_equal_rows(rows: tuple[Row, ...], settings: Mapping[str, dict[str, Any]]) -> None:
    """StudyError for two rows that would be the same runs."""
    seen: dict[str, str] = {}
    for row in rows:
        key = f"{row.evaluate_only} {settings_hash(settings[row.name])}"
        if key in seen:
            raise StudyError(
                f"the rows '{seen[key]}' and '{row.name}' have equal settings: remove one, or let it change something."
            )
        seen[key] = row.name


def build_row(row: Row, settings: dict[str, Any], sizes: Mapping[str, tuple[int, int]]) -> Cost:
    """Build a row's network and try it, in milliseconds and without memory."""
    with about(f"row '{row.name}'"):
        try:
            return measure(settings["model"], sizes)
        except (RuntimeError, TypeError) as error:
            first = (str(error).strip().splitlines() or [type(error).__name__])[0]
            raise ValueError(f"its network does not run: {first.rstrip('.')}.") from error


def describe_data(settings: Mapping[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """For each row what its data is, and what can be measured on it; each data module is made once."""
    known: dict[str, Any] = {}
    result = {}
    for name, resolved in settings.items():
        key = json.dumps(resolved["data"])
        if key not in known:
            with about(f"row '{name}'"):
                known[key] = make_data(resolved["data"])
        result[name] = {"module": known[key], **datasets(resolved["data"])}
    return result


def datasets(settings: dict[str, Any]) -> dict[str, Any]:
    """The datasets by where they are used, and whether all, some or none are synthetic."""
    found = {
        key.removeprefix("data.").removesuffix(".dataset"): value
        for key, value in flat(settings, "data")
        if key.endswith(".dataset")
    }
    synthetic = [value.startswith("Synthetic") for value in found.values()]
    return {"datasets": found, "synthetic": "all" if all(synthetic) else "some" if any(synthetic) else "none"}


def check_metrics(study: Study, rows: list[PlannedRow]) -> None:
    """StudyError for a metric that some row would not measure."""
    for planned in rows:
        with about(f"row '{planned.row.name}'"):
            try:
                measured = planned.cost.module.metric_names(planned.data["module"])
            except NotImplementedError as error:
                raise ValueError(str(error)) from error
        for metric in study.metrics:
            if planned.row.evaluate_only and metric.name.startswith("validation/"):
                raise StudyError(
                    f"row '{planned.row.name}' needs no training, so it has no {metric.name}: compare test sets."
                )
            if metric.name not in measured:
                raise StudyError(
                    f"row '{planned.row.name}' does not measure '{metric.name}'{nearest(metric.name, sorted(measured))}"
                )


def check_evaluate_only(planned: PlannedRow, baseline: PlannedRow) -> None:
    """StudyError for a row that cannot, or need not, test the baseline's checkpoint."""
    name = planned.row.name
    for difference in planned.differences:
        if difference.key.startswith(ONLY_TRAINING):
            raise StudyError(
                f"row '{name}' is evaluate_only but changes {difference.key}, which only training reads: let it train."
            )
    own, trained = planned.cost.shapes, baseline.cost.shapes
    for key in [*own, *trained]:
        if own.get(key) != trained.get(key):
            raise StudyError(
                f"row '{name}' cannot test the baseline's checkpoint: {key} is {own.get(key, 'absent')} here and "
                f"{trained.get(key, 'absent')} there; let it train."
            )


def settings_hash(settings: Mapping[str, Any]) -> str:
    """A hash of what the settings say, wherever the run is and whatever its seed."""
    return digest(json.dumps({key: value for key, value in settings.items() if key not in PLACES}))


def other_seeds(seeds: tuple[int, ...]) -> Iterator[int]:
    """As many other seeds."""
    return (max(seeds) + 1 + index for index in range(len(seeds)))
