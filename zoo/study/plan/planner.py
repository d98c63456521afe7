"""The plan of a study: every row resolved, compared and built before anything runs.

A comparison is fair when a row differs from the baseline in what it names and in nothing else. So rows that change a
key they did not name, rows that are the same, metrics that nobody measures and parts that do not fit are refused here.
"""

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from zoo.core.differences import Difference, differences, flat, unnamed
from zoo.core.errors import ZooError
from zoo.core.registry import get_slot
from zoo.core.slots import nearest
from zoo.study.file import NOISE_FLOOR, FirstStage, Row, Study
from zoo.study.plan.cost import Cost, measure
from zoo.study.plan.resolve import Resolver, changed, make_data
from zoo.study.record import PLACES, digest, run_id

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
    "trainer.limit_train_batches",
    "trainer.gradient_clip_val",
    "trainer.gradient_clip_algorithm",
    "trainer.accumulate_grad_batches",
)
"""Keys that only training reads: a row that needs no training would silently be the baseline."""

FIRST_STAGE = "first_stage"
"""The folder of the first stages, in the study's."""


class PlannedRow(NamedTuple):
    """One row, resolved.

    `settings` are those of `zoo fit`, `differences` those against the baseline; `first_stage` are the settings of what
    is trained before, None where nothing is.
    """

    row: Row
    settings: dict[str, Any]
    differences: list[Difference]
    cost: Cost
    data: dict[str, Any]
    first_stage: dict[str, Any] | None


class PlannedRun(NamedTuple):
    """One row with one seed, or its first stage.

    `after` is the run whose checkpoint it tests, if it is evaluate_only, or whose weights its training starts from.
    """

    planned: PlannedRow
    settings: dict[str, Any]
    seed: int
    pair: int
    id: str
    after: "PlannedRun | None"
    first_stage: bool = False

    @property
    def trains(self) -> bool:
        """Whether there is something to train in it."""
        return self.first_stage or not self.planned.row.evaluate_only

    @property
    def folder(self) -> str:
        """Its directory, relative to the study's."""
        place = f"{self.planned.row.folder}/seed_{self.seed}"
        return f"{FIRST_STAGE}/{place}" if self.first_stage else place


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
        """Every run; one that needs another's checkpoint comes after it."""
        rows = [(planned, self.study.seeds) for planned in sorted(self.rows, key=lambda row: row is not self.baseline)]
        if self.study.noise_floor:
            noise = self.baseline._replace(row=Row(NOISE_FLOOR, note="the baseline with other seeds"))
            rows.append((noise, tuple(other_seeds(self.study.seeds))))
        runs: dict[tuple[str, int], PlannedRun] = {}
        stages: dict[str, PlannedRun] = {}
        for planned, seeds in rows:
            for pair, seed in enumerate(seeds):
                after = (
                    runs[self.study.baseline, seed]
                    if planned.row.evaluate_only
                    else self._first_stage(planned, seed, pair, stages)
                )
                runs[planned.row.name, seed] = self._run(planned, planned.settings, seed, pair, after)
        return [*stages.values(), *runs.values()]

    def _first_stage(
        self, planned: PlannedRow, seed: int, pair: int, known: dict[str, PlannedRun]
    ) -> PlannedRun | None:
        """The first stage that a row starts from: a known one if it is the same, otherwise one more."""
        if planned.first_stage is None:
            return None
        stage = self._run(planned, planned.first_stage, seed, pair)._replace(first_stage=True)
        return known.setdefault(stage.id, stage)

    def _run(
        self, planned: PlannedRow, settings: dict[str, Any], seed: int, pair: int, after: PlannedRun | None = None
    ) -> PlannedRun:
        identity = run_id(settings, seed, after.id if after else None)
        return PlannedRun(planned, settings, seed, pair, identity, after)


def make_plan(study: Study) -> Plan:
    """Resolve, check and build every row.

    Raises:
        ZooError: something that would make a run fail or a comparison unfair; the message names the row.
        PluginError: a plugin file cannot be used.
    """
    resolver = Resolver(study.plugins)
    start = resolve_base(study, resolver)
    settings = {row.name: resolve_row(row, start, resolver) for row in study.rows}
    refuse_equal_rows(study.rows, settings)
    stages = resolve_first_stages(study, resolver)
    baseline = settings[study.baseline]
    data = describe_data(settings)
    costs = build_networks(settings, study.sizes)
    rows = [
        PlannedRow(
            row,
            settings[row.name],
            differences(baseline, settings[row.name]),
            costs[row.name],
            data[row.name],
            stages.get(row.name),
        )
        for row in study.rows
    ]
    check_metrics(study, rows)
    check_first_stages(rows)
    plan = Plan(study, tuple(rows))
    for planned in rows:
        if planned.row.evaluate_only:
            check_evaluate_only(planned, plan.baseline)
    return plan


def resolve_base(stage: Study | FirstStage, resolver: Resolver, where: str = "") -> dict[str, Any]:
    """The settings that all rows begin with, or their first stages."""
    with about(f"{where}base {', '.join(stage.base)}"):
        base = resolver.files(stage.base)
    with about(f"{where}set"):
        resolved = resolver.settings(changed(base, stage.set))
        refuse_unnamed(unnamed(base, resolved, stage.set))
    return resolved


def resolve_first_stages(study: Study, resolver: Resolver) -> dict[str, dict[str, Any]]:
    """The settings of the first stage of each row that is trained; a row changes there what the first stage takes."""
    if study.first_stage is None:
        return {}
    start = resolve_base(study.first_stage, resolver, "first_stage: ")
    stages = {}
    for row in study.rows:
        if not row.evaluate_only:
            taken = {key: value for key, value in row.changes.items() if is_under(key, study.first_stage.takes)}
            with about(f"first stage of row '{row.name}'"):
                stages[row.name] = resolver.settings(changed(start, taken)) if taken else start
    return stages


def is_under(key: str, takes: Iterable[str]) -> bool:
    """Whether a dotted key is one of these, or below one."""
    return any(f"{key}.".startswith(f"{taken}.") for taken in takes)


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
            raise ZooError(f"{self.what}: {error}") from error


def refuse_unnamed(hidden: list[Difference]) -> None:
    """ValueError for a difference under no key that was named: it would hide in the comparison."""
    if hidden:
        raise ValueError(
            f"it changes {hidden[0].key} from {hidden[0].before} to {hidden[0].after} without naming it: name that key "
            "too, with the value that is meant."
        )


def refuse_equal_rows(rows: tuple[Row, ...], settings: Mapping[str, dict[str, Any]]) -> None:
    """ZooError for two rows that would be the same runs."""
    seen: dict[str, str] = {}
    for row in rows:
        key = f"{row.evaluate_only} {settings_hash(settings[row.name])}"
        if key in seen:
            raise ZooError(
                f"the rows '{seen[key]}' and '{row.name}' have equal settings: remove one, or let it change something."
            )
        seen[key] = row.name


def build_networks(settings: Mapping[str, dict[str, Any]], sizes: Mapping[str, tuple[int, int]]) -> dict[str, Cost]:
    """For each row what its network costs; equal ones are built once."""
    counts: dict[str, dict[str, int]] = {}
    known: dict[str, Cost] = {}
    result = {}
    for name, resolved in settings.items():
        key = json.dumps(resolved["model"])
        if key not in known:
            known[key] = build_network(f"row '{name}'", resolved, sizes, counts)
        result[name] = known[key]
    return result


def build_network(
    what: str,
    settings: dict[str, Any],
    sizes: Mapping[str, tuple[int, int]],
    counts: dict[str, dict[str, int]] | None = None,
) -> Cost:
    """Build a network and try it, without memory; errors say of `what` it is. For `counts` see `measure`."""
    with about(what):
        try:
            return measure(settings["model"], sizes, counts)
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
    synthetic = [get_slot("datasets").get(name).synthetic for name in found.values()]
    return {"datasets": found, "synthetic": "all" if all(synthetic) else "some" if any(synthetic) else "none"}


def check_metrics(study: Study, rows: list[PlannedRow]) -> None:
    """ZooError for a metric that some row would not measure."""
    for planned in rows:
        with about(f"row '{planned.row.name}'"):
            try:
                measured = planned.cost.module.metric_names(planned.data["module"])
            except NotImplementedError as error:
                raise ValueError(str(error)) from error
        for name in study.measured:
            if planned.row.evaluate_only and name.startswith("validation/"):
                raise ZooError(f"row '{planned.row.name}' needs no training, so it has no {name}: compare test sets.")
            if name not in measured:
                raise ZooError(f"row '{planned.row.name}' does not measure '{name}'{nearest(name, sorted(measured))}")


def check_first_stages(rows: list[PlannedRow]) -> None:
    """ZooError for a first stage that cannot be built, or whose weights do not fit the row that starts from them."""
    known: dict[str, Cost] = {}
    for planned in rows:
        if planned.first_stage is None:
            continue
        key = json.dumps(planned.first_stage["model"])
        if key not in known:
            known[key] = build_network(f"first stage of row '{planned.row.name}'", planned.first_stage, {})
        own, before = planned.cost.shapes, known[key].shapes
        parts = {part_of(name) for name in before}
        for name in [*own, *before]:
            # A part that the first stage lacks as a whole begins afresh.
            if own.get(name) != before.get(name) and (name in before or part_of(name) in parts):
                raise ZooError(
                    f"row '{planned.row.name}' cannot start from its first stage: {name} is {own.get(name, 'absent')} "
                    f"here and {before.get(name, 'absent')} there; add the key that changes it to first_stage.takes."
                )


def part_of(name: str) -> str:
    """The part of a network that a weight belongs to: `network.refiner` of `network.refiner.conv1.weight`."""
    return ".".join(name.split(".")[:2])


def check_evaluate_only(planned: PlannedRow, baseline: PlannedRow) -> None:
    """ZooError for a row that cannot, or need not, test the baseline's checkpoint."""
    name = planned.row.name
    if not planned.differences:
        raise ZooError(f"row '{name}' is evaluate_only and changes nothing: remove it, it is the baseline.")
    for difference in planned.differences:
        if is_under(difference.key, ONLY_TRAINING):
            raise ZooError(
                f"row '{name}' is evaluate_only but changes {difference.key}, which only training reads: let it train."
            )
    own, trained = planned.cost.shapes, baseline.cost.shapes
    for key in [*own, *trained]:
        if own.get(key) != trained.get(key):
            raise ZooError(
                f"row '{name}' cannot test the baseline's checkpoint: {key} is {own.get(key, 'absent')} here and "
                f"{trained.get(key, 'absent')} there; let it train."
            )


def settings_hash(settings: Mapping[str, Any]) -> str:
    """A hash of what the settings say, wherever the run is and whatever its seed."""
    return digest(json.dumps({key: value for key, value in settings.items() if key not in PLACES}))


def other_seeds(seeds: tuple[int, ...]) -> Iterator[int]:
    """As many other seeds."""
    return (max(seeds) + 1 + index for index in range(len(seeds)))
