"""Compare two runs: differences in settings, versions, device and data, and the metrics of both.

A run is named by its folder (`runs/NAME/version_0`, or `STUDY/ROW/seed_0` of a study), by a checkpoint or published
file, or by a name from `zoo pull --list`. Metrics are the last of validation and test, side by side, with a verdict
where both were measured in the same way. Exit code 0 when the two were compared, whether they differ or not.
"""

import argparse
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from zoo.runner.help import add_json, print_json
from zoo.study.setting_differences import ABSENT, Difference, differences, unequal

if TYPE_CHECKING:
    from zoo.study.recorded import Recorded

SECTIONS = ("versions", "device", "data")
"""Records of a run in addition to settings and metrics."""


class Pair(NamedTuple):
    """A metric of both runs, None where one did not measure it, and the verdict on the second run."""

    name: str
    before: float | None
    after: float | None
    verdict: str

    @property
    def difference(self) -> float | None:
        """Second value minus first; None where one is missing."""
        return None if self.before is None or self.after is None else self.after - self.before

    def to_dict(self) -> dict[str, Any]:
        """Return plain data without what is missing."""
        values = {"a": self.before, "b": self.after, "difference": self.difference, "verdict": self.verdict or None}
        return {"name": self.name} | {key: value for key, value in values.items() if value is not None}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("before", metavar="RUN_A", help="a folder, checkpoint, published file or name of weights")
    parser.add_argument("after", metavar="RUN_B", help="the run to compare with, named in any of these ways")
    add_json(
        parser,
        "settings, versions, device, data and metrics, each a list of entries with `a` and `b`; a value that a run "
        "lacks is left out",
    )


def run(arguments: argparse.Namespace) -> int:
    """Print the comparison; return 0.

    Raises:
        ValueError: one of the runs cannot be read.
    """
    from zoo.study.recorded import read_recorded

    before, after = read_recorded(arguments.before), read_recorded(arguments.after)
    if arguments.json:
        print_json(as_data(before, after))
    else:
        show(before, after)
    return 0


def settings_of_both(before: "Recorded", after: "Recorded") -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the settings of both runs, restricted to those that both record.

    A checkpoint records some of the trainer's settings, and its model without `checkpoint` and downloads. Null in the
    folder of a run means that Lightning chose the value.
    """
    if before.whole and after.whole:
        return before.settings, after.settings
    from zoo.core.spec import without_downloads

    sides = [side.settings | {"model": without_downloads(side.settings["model"])} for side in (before, after)]
    keys = [key for key in sides[0] if key in sides[1]]
    first, second = ({key: side[key] for key in keys} for side in sides)
    if "trainer" in keys:
        recorded = set.intersection(*(
            {name for name, value in side.settings["trainer"].items() if value is not None or not side.whole}
            for side in (before, after)
        ))  # fmt: skip
        for side in (first, second):
            side["trainer"] = {name: value for name, value in side["trainer"].items() if name in recorded}
    return first, second


def metrics_of_both(before: "Recorded", after: "Recorded", changes: list[Difference]) -> list[Pair]:
    """Return every metric that one of the runs has, those of the first run first; `changes` are those of settings."""
    names = [*before.metrics, *(name for name in after.metrics if name not in before.metrics)]
    values = ((name, before.metrics.get(name), after.metrics.get(name)) for name in names)
    return [Pair(name, first, second, verdict(name, first, second, changes)) for name, first, second in values]


def verdict(name: str, before: float | None, after: float | None, changes: list[Difference]) -> str:
    """Return `better` or `worse` for the second value, `measured otherwise`, or nothing where it is unknown."""
    if before is None or after is None or before == after:
        return ""
    if any(f"{change.key}.".startswith(f"{key}.") for change in changes for key in measurement_keys(name)):
        return "measured otherwise"
    lower = lower_is_better(name)
    return "" if lower is None else "better" if (after < before) == lower else "worse"


def measurement_keys(metric: str) -> list[str]:
    """Return the keys of the settings that decide how a metric is measured, and on which data."""
    phase, _, rest = metric.partition("/")
    data = {"validation": "data.validation", "test": f"data.test.{rest.rpartition('/')[0]}"}
    return ["model.metrics", *([data[phase]] if phase in data else [])]


def lower_is_better(metric: str) -> bool | None:
    """Return whether a lower value is better, by the last word of a metric's name; None where it is unknown."""
    from zoo.heads.measures import MEASURES
    from zoo.matting.measures import HIGHER_IS_BETTER, LOWER_IS_BETTER

    word = metric.rpartition("/")[2]
    if word in MEASURES:
        return not MEASURES[word].higher_is_better
    return word in LOWER_IS_BETTER if word in LOWER_IS_BETTER + HIGHER_IS_BETTER else None


def as_data(before: "Recorded", after: "Recorded") -> dict[str, Any]:
    """Return the comparison as plain data."""
    first, second = settings_of_both(before, after)
    changes = differences(first, second)
    return {
        "a": {"run": before.place, "kind": before.kind},
        "b": {"run": after.place, "kind": after.kind},
        "settings": entries(changes),
        "settings_compared": "all" if before.whole and after.whole else compared_keys(first),
        **{name: entries(unequal(getattr(before, name), getattr(after, name))) for name in SECTIONS},
        "metrics": [pair.to_dict() for pair in metrics_of_both(before, after, changes)],
    }


def entries(changes: list[Difference]) -> list[dict[str, Any]]:
    """Return differences as plain data."""
    return [
        {"key": key, **{side: value for side, value in (("a", a), ("b", b)) if value != ABSENT}}
        for key, a, b in changes
    ]


def compared_keys(settings: Mapping[str, Any]) -> list[str]:
    """Return the keys of the settings that were compared."""
    trainer = [f"trainer.{name}" for name in settings.get("trainer", {})]
    return [*(key for key in settings if key != "trainer"), *trainer]


def show(before: "Recorded", after: "Recorded") -> None:
    """Print the comparison."""
    print(f"A  {before.place} ({before.kind})\nB  {after.place} ({after.kind})\n")
    first, second = settings_of_both(before, after)
    changes = differences(first, second)
    print_section("settings", [str(change) for change in changes])
    if not (before.whole and after.whole):
        print(f"  (compared was what both record: {', '.join(compared_keys(first))})")
    for name in SECTIONS:
        records = getattr(before, name), getattr(after, name)
        if any(records):
            print_section(name, section_lines(*records))
        else:
            print(f"{name}: neither records any")
    if pairs := metrics_of_both(before, after, changes):
        print_metrics(pairs)
    else:
        print("metrics: neither records any; `zoo test --ckpt_path` measures a checkpoint")


def section_lines(before: dict[str, Any], after: dict[str, Any]) -> list[str]:
    """Return the differences between two records, and the keys that only one of them has."""
    changes = unequal(before, after)
    lines = [str(change) for change in changes if ABSENT not in change[1:]]
    for side, other in (("A", "after"), ("B", "before")):
        if only := [change.key for change in changes if getattr(change, other) == ABSENT]:
            lines.append(f"only {side} records {', '.join(only)}")
    return lines


def print_section(name: str, lines: list[str]) -> None:
    """Print one section of the comparison."""
    print(f"{name}, A → B" if lines else f"{name}: no difference")
    for line in lines:
        print(f"  {line}")


def print_metrics(pairs: list[Pair]) -> None:
    """Print the metrics side by side."""
    from rich.console import Console
    from rich.table import Table

    from zoo.study.record import number, signed

    table = Table(title="metrics", title_justify="left")
    table.add_column("", overflow="fold")
    for heading in ("A", "B", "B − A"):
        table.add_column(heading, justify="right")
    table.add_column("B is")
    for pair in pairs:
        values = ["missing" if value is None else number(value) for value in (pair.before, pair.after)]
        table.add_row(pair.name, *values, "" if pair.difference is None else signed(pair.difference), pair.verdict)
    Console().print(table)
