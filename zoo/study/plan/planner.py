"""The plan of a study: every row resolved, compared and built before anything runs.

A comparison is fair when a row differs from the baseline in what it names and in nothing else. So rows that change a
key they did not name, rows that are the same, metrics that nobody measures and parts that do not fit are refused here.
"""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

from lightning.pytorch.utilities.model_helpers import is_overridden

from zoo.core.errors import ZooError
from zoo.core.promises import raising_part
from zoo.core.registry import get_slot
from zoo.core.slot import nearest
from zoo.core.spec import build
from zoo.media.progress import tracked, waiting
from zoo.study.file import NOISE_FLOOR, FirstStage, Row, Study
from zoo.study.plan.cost import Cost, measure
from zoo.study.plan.resolve import Resolver, changed
from zoo.study.record import Run, run_id, settings_hash
from zoo.study.setting_differences import differences, flat, unequal, unnamed
from zoo.training.data import DataModule
from zoo.training.module import TrainingModule

Made = TypeVar("Made")

Shape = tuple[int, ...]

LIMITS = ("max_epochs", "max_steps", "limit_train_batches")
ONLY_TRAINING = {
    "model": ("losses", "learning_rates", "schedule", "optimizer", "frozen"),
    "data": ("train", "augmentations", "order", "batch_size"),
    "trainer": (*LIMITS, "gradient_clip_val", "gradient_clip_algorithm", "accumulate_grad_batches"),
}
"""Keys that only training reads: a row that needs no training would silently be the baseline."""


@dataclass(frozen=True)
class Plan:
    """A study that can be run; the baseline is one of the rows, the A/A baseline is not."""

    study: Study
    rows: tuple[Row, ...]

    @property
    def baseline(self) -> Row:
        """The row that the others are compared with."""
        return next(row for row in self.rows if row.name == self.study.baseline)

    def runs(self) -> list[Run]:
        """Return every run; one that needs another's checkpoint comes after it."""
        baseline_first = sorted(self.rows, key=lambda row: row.name != self.study.baseline)
        rows = [(row, self.study.seeds_of(row.name)) for row in baseline_first]
        if self.study.noise_floor:
            noise = replace(self.baseline, name=NOISE_FLOOR, note="the baseline with other seeds", published={})
            rows.append((noise, self.study.seeds_of(NOISE_FLOOR)))
        runs: dict[tuple[str, int], Run] = {}
        stages: dict[str, Run] = {}
        for row, seeds in rows:
            for pair, seed in enumerate(seeds):
                needed = None
                if row.evaluate_only:
                    needed = runs[self.study.baseline, seed]
                elif row.first_stage is not None:
                    stage = self._run(row, seed, pair, first_stage=True)
                    needed = stages.setdefault(stage.id, stage)
                runs[row.name, seed] = self._run(row, seed, pair, needed)
        return [*stages.values(), *runs.values()]

    def _run(self, row: Row, seed: int, pair: int, needed: Run | None = None, first_stage: bool = False) -> Run:
        settings = (row.first_stage if first_stage else row.settings) or {}
        resources = self.study.resources
        run = Run(
            study=self.study.title,
            row=row.name,
            seed=seed,
            pair=pair,
            id=run_id(settings, seed, needed.id if needed else None),
            evaluate_only=row.evaluate_only,
            first_stage=first_stage,
            needs=needed.folder if needed else None,
            needs_id=needed.id if needed else None,
            note=row.note,
            metric_names=[] if first_stage else self.study.measured,
            differences=[list(difference) for difference in row.differences],
            parameters=row.parameters,
            multiply_adds=row.multiply_adds,
            data=row.data,
            plugins=[str(path) for path in self.study.plugins],
            threads=resources.threads,
            gpus=resources.gpus,
            settings_hash=settings_hash(settings),
            written=self.study.written(row),
            margins={name: str(margin) for name, margin in self.study.margins.items()},
            settings=settings,
        )
        return replace(run, directory=Path(run.folder))


def resolve_plan(study: Study) -> Plan:
    """Resolve every row without building it, which is enough to say which runs there are.

    Raises:
        ZooError: settings that cannot be resolved, or do not compare; the message names the row.
        PluginError: a plugin file cannot be used.
    """
    with waiting("Reading the study"):
        resolver = Resolver(study.plugins)
        start = resolve_base(study, resolver)
    settings = {}
    for row in tracked(study.rows, len(study.rows), "Resolving rows"):
        with about(row.subject):
            settings[row.name] = resolve_changes(start, row.changes, resolver)
    refuse_equal_rows(study.rows, settings)
    check_measuring(study, settings)
    stages = resolve_first_stages(study, resolver)
    return Plan(
        study,
        tuple(replace(row, settings=settings[row.name], first_stage=stages.get(row.name)) for row in study.rows),
    )


def make_plan(study: Study) -> Plan:
    """Resolve, check and build every row.

    Raises:
        ZooError: something that would make a run fail or a comparison unfair; the message names the row.
        PluginError: a plugin file cannot be used.
    """
    resolved = resolve_plan(study)
    settings = {row.name: row.settings for row in resolved.rows}
    subjects = {row.name: row.subject for row in resolved.rows}
    modules = each_once(settings, "data", lambda row: build(row["data"]), subjects)
    counts: dict[str, dict[str, int]] = {}
    networks = each_once(settings, "model", lambda row: build_network(row, study.sizes, counts), subjects)
    rows = tuple(
        replace(
            row,
            differences=tuple(differences(settings[study.baseline], row.settings)),
            parameters=networks[row.name].parameters,
            multiply_adds=networks[row.name].multiply_adds,
            data=datasets(row.settings["data"]),
        )
        for row in resolved.rows
    )
    for row in rows:
        check_metrics(row, study.measured, networks[row.name].module, modules[row.name])
    check_first_stages(rows, networks)
    for row in rows:
        if not row.evaluate_only:
            with about(row.subject):
                networks[row.name].module.check_trainable()
        else:
            check_evaluate_only(row, networks[row.name].shapes, networks[study.baseline].shapes)
    return Plan(study, rows)


def resolve_base(stage: Study | FirstStage, resolver: Resolver, where: str = "") -> dict[str, Any]:
    """Return the settings that all rows, or their first stages, begin with."""
    with about(f"{where}base {', '.join(stage.base)}"):
        base = resolver.files(stage.base)
    with about(f"{where}set"):
        return resolve_changes(base, stage.set, resolver)


def resolve_changes(start: dict[str, Any], changes: dict[str, Any], resolver: Resolver) -> dict[str, Any]:
    """Return changed settings; ValueError for a difference under no named key: it would hide in the comparison."""
    if not changes:
        return start
    resolved = resolver.settings(changed(start, changes), start)
    if hidden := unnamed(start, resolved, changes):
        raise ValueError(
            f"it changes {hidden[0].key} from {hidden[0].before} to {hidden[0].after} without naming it: name that key "
            "too, with the value that is meant."
        )
    return resolved


def resolve_first_stages(study: Study, resolver: Resolver) -> dict[str, dict[str, Any]]:
    """Return the settings of the first stage of each row that is trained: there, a row changes only keys of `takes`."""
    if study.first_stage is None:
        return {}
    start = resolve_base(study.first_stage, resolver, "first_stage: ")
    stages = {}
    for row in study.rows:
        if not row.evaluate_only:
            taken = {key: value for key, value in row.changes.items() if is_under(key, study.first_stage.takes)}
            with about(f"first stage of row '{row.name}'"):
                stages[row.name] = resolver.settings(changed(start, taken), start) if taken else start
    return stages


def is_under(key: str, takes: Iterable[str]) -> bool:
    """Return whether a dotted key is one of these, or below one."""
    return any(f"{key}.".startswith(f"{taken}.") for taken in takes)


@contextmanager
def about(subject: str) -> Iterator[None]:
    """Let errors inside the block begin with their subject."""
    try:
        yield
    except (ValueError, LookupError, OSError) as error:
        raise ZooError(f"{subject}: {error}") from error


def refuse_equal_rows(rows: tuple[Row, ...], settings: Mapping[str, dict[str, Any]]) -> None:
    """Raise ZooError for two rows that would be the same runs."""
    seen: dict[str, str] = {}
    for row in rows:
        key = f"{row.evaluate_only} {settings_hash(settings[row.name])}"
        if key in seen:
            raise ZooError(
                f"the rows '{seen[key]}' and '{row.name}' have equal settings: remove one, or let it change something."
            )
        seen[key] = row.name


def check_measuring(study: Study, settings: Mapping[str, dict[str, Any]]) -> None:
    """Raise ZooError for a row that changes what is measured: its values would share a column with other ones."""
    own = {name: study.measuring(row) for name, row in settings.items()}
    for name, row in own.items():
        for difference in unequal(own[study.baseline], row):
            declare = " or declare `test_data_differs: true`" if difference.key.startswith("data.") else ""
            raise ZooError(
                f"row '{name}' changes what is measured, {difference}, so it does not compare with the baseline: "
                f"change it for all rows, in `set`,{declare or ' or make another study'}."
            )


def each_once(
    settings: Mapping[str, dict[str, Any]],
    key: str,
    make: Callable[[dict[str, Any]], Made],
    subjects: Mapping[str, str],
) -> dict[str, Made]:
    """Return what `make` makes of each row's settings; rows with equal `settings[key]` share one result.

    Args:
        settings: by row.
        key: `model` or `data`.
        make: called with one row's settings.
        subjects: what an error message calls each row.
    """
    known: dict[str, Made] = {}
    result = {}
    for name, row in tracked(settings.items(), len(settings), f"Building {key}"):
        text = json.dumps(row[key])
        if text not in known:
            with about(subjects[name]):
                known[text] = make(row)
        result[name] = known[text]
    return result


def build_network(
    settings: dict[str, Any], sizes: Mapping[str, tuple[int, int]], counts: dict[str, dict[str, int]]
) -> Cost:
    """Build a network and try it, without memory; for `counts` see `measure`."""
    try:
        return measure(settings["model"], sizes, counts)
    except (RuntimeError, TypeError) as error:
        first = (str(error).strip().splitlines() or [type(error).__name__])[0]
        place = f" in {name}" if (name := raising_part(error)) else ""
        raise ValueError(f"its network does not run: {first.rstrip('.')}{place}.") from error


def datasets(settings: dict[str, Any]) -> dict[str, Any]:
    """Return the datasets by where they are used, and whether all, some or none are synthetic."""
    found = {
        key.removeprefix("data.").removesuffix(".dataset"): value
        for key, value in flat(settings, "data")
        if key.endswith(".dataset")
    }
    synthetic = [get_slot("datasets").get(name).synthetic for name in found.values()]
    return {"datasets": found, "synthetic": "all" if all(synthetic) else "some" if any(synthetic) else "none"}


def check_metrics(row: Row, names: Iterable[str], module: TrainingModule, data: DataModule) -> None:
    """Raise ZooError for a metric that a row would not measure."""
    with about(row.subject):
        try:
            measured = module.metric_names(data)
        except NotImplementedError as error:
            raise ValueError(str(error)) from error
        if not is_overridden("test_step", module):
            raise ValueError(f"{type(module).__name__} cannot be studied: it does not implement test_step.")
    for name in names:
        if row.evaluate_only and name.startswith("validation/"):
            raise ZooError(f"row '{row.name}' needs no training, so it has no {name}: compare test sets.")
        if name not in measured:
            raise ZooError(f"row '{row.name}' does not measure '{name}'{nearest(name, sorted(measured))}")


def check_first_stages(rows: Iterable[Row], networks: Mapping[str, Cost]) -> None:
    """Raise ZooError for a first stage that cannot be built, or whose weights do not fit its row."""
    settings = {row.name: row.first_stage for row in rows if row.first_stage is not None}
    subjects = {row.name: f"first stage of {row.subject}" for row in rows}
    stages = each_once(settings, "model", lambda stage: build_network(stage, {}, {}), subjects)
    for name, stage in stages.items():
        own, before = networks[name].shapes, stage.shapes
        parts = {part_of(key) for key in before}
        for key in [*own, *before]:
            # A part that the first stage lacks as a whole begins afresh.
            if own.get(key) != before.get(key) and (key in before or part_of(key) in parts):
                raise ZooError(
                    f"row '{name}' cannot start from its first stage: {key} is {own.get(key, 'absent')} "
                    f"here and {before.get(key, 'absent')} there; add the key that changes it to first_stage.takes."
                )


def part_of(name: str) -> str:
    """Return the part of a network that a weight belongs to: `network.refiner` of `network.refiner.conv1.weight`."""
    return ".".join(name.split(".")[:2])


def check_evaluate_only(row: Row, own: Mapping[str, Shape], trained: Mapping[str, Shape]) -> None:
    """Raise ZooError for a row that cannot, or need not, test the baseline's checkpoint.

    Args:
        row: a test-time row.
        own, trained: shapes of the weights of its network and of the baseline's.
    """
    if not row.differences:
        raise ZooError(f"row '{row.name}' is evaluate_only and changes nothing: remove it, it is the baseline.")
    for difference in row.differences:
        if is_under(difference.key, (f"{section}.{key}" for section, keys in ONLY_TRAINING.items() for key in keys)):
            raise ZooError(
                f"row '{row.name}' is evaluate_only but changes {difference.key}, which only training reads: let it "
                "train."
            )
    for key in [*own, *trained]:
        if own.get(key) != trained.get(key):
            raise ZooError(
                f"row '{row.name}' cannot test the baseline's checkpoint: {key} is {own.get(key, 'absent')} here and "
                f"{trained.get(key, 'absent')} there; let it train."
            )
