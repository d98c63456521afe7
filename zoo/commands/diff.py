"""Compare two runs: what differs in settings, versions, device and data, and what both measured.

A run is named by its folder (`runs/NAME/version_0`, or `STUDY/ROW/seed_0` of a study), by a checkpoint or published
file, or by a name from `zoo pull --list`. Metrics are the last of validation and test, side by side; which one is
better is said where that is known and both measured alike. Exit code 0 when the two were compared, whether they differ
or not.
"""

import argparse
import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from zoo.core.differences import ABSENT, Difference, differences, unequal

if TYPE_CHECKING:
    from zoo.study.report.recorded import Recorded

ABOUT = ("versions", "device", "data")
"""What is on record of a run besides settings and metrics."""


class Pair(NamedTuple):
    """A metric of both runs; None where one did not measure it."""

    name: str
    before: float | None
    after: float | None
    verdict: str
    """`better` or `worse`, of the second run; otherwise why that is not said, or nothing."""

    @property
    def difference(self) -> float | None:
        """Second minus first; None where one is missing."""
        return None if self.before is None or self.after is None else self.after - self.before


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the two runs and `--json`."""
    parser.add_argument("before", metavar="RUN_A", help="a folder, checkpoint, published file or name of weights")
    parser.add_argument("after", metavar="RUN_B", help="what it is compared with, the same kind of thing or another")
    parser.add_argument(
        "--json",
        action="store_true",
        help="print JSON: settings, versions, device, data and metrics, each a list with `a` and `b` in an entry; what "
        "a run does not have is left out",
    )


def run(arguments: argparse.Namespace) -> int:
    """Compare; 0 when both could be read.

    Raises:
        ValueError: in one sentence, why one of them could not.
    """
    from zoo.study.report.recorded import read_recorded

    before, after = read_recorded(arguments.before), read_recorded(arguments.after)
    if arguments.json:
        print(json.dumps(as_data(before, after), indent=2))
    else:
        show(before, after)
    return 0


def settings_of_both(before: "Recorded", after: "Recorded") -> tuple[dict[str, Any], dict[str, Any]]:
    """The settings as far as both runs say them.

    A checkpoint holds some of the trainer's, and its model as it is rebuilt, without `checkpoint` and downloads; where
    a run's folder says null, Lightning chose.
    """
    if before.whole and after.whole:
        return before.settings, after.settings
    from zoo.core.spec import without_downloads

    sides = [side.settings | {"model": without_downloads(side.settings["model"])} for side in (before, after)]
    keys = [key for key in sides[0] if key in sides[1]]
    first, second = ({key: side[key] for key in keys} for side in sides)
    if "trainer" in keys:
        chosen = [
            {name for name, value in side.settings["trainer"].items() if value is not None or not side.whole}
            for side in (before, after)
        ]
        for side in (first, second):
            side["trainer"] = {name: value for name, value in side["trainer"].items() if name in chosen[0] & chosen[1]}
    return first, second


def metrics_of_both(before: "Recorded", after: "Recorded", found: list[Difference]) -> list[Pair]:
    """Every metric that one of the runs has, the first one's first.

    Args:
        found: in which settings they differ.
    """
    names = [*before.metrics, *(name for name in after.metrics if name not in before.metrics)]
    values = ((name, before.metrics.get(name), after.metrics.get(name)) for name in names)
    return [Pair(name, first, second, verdict(name, first, second, found)) for name, first, second in values]


def verdict(name: str, before: float | None, after: float | None, found: list[Difference]) -> str:
    """Whether the second value is better, where that can be said."""
    if before is None or after is None or before == after:
        return ""
    if any(f"{difference.key}.".startswith(f"{place}.") for difference in found for place in places(name)):
        return "measured otherwise"
    lower = lower_is_better(name)
    return "" if lower is None else "better" if (after < before) == lower else "worse"


def places(metric: str) -> list[str]:
    """The keys below which settings decide how a metric is measured, and on what."""
    where, _, rest = metric.partition("/")
    on = {"validation": "data.validation", "test": f"data.test.{rest.rpartition('/')[0]}"}
    return ["model.metrics", *([on[where]] if where in on else [])]


def lower_is_better(metric: str) -> bool | None:
    """Which way a metric is better, by the last word of its name; None where nobody said."""
    from zoo.heads.measures import MEASURES
    from zoo.matting.measures import LOWER_IS_BETTER

    word = metric.rpartition("/")[2]
    if word in MEASURES:
        return not MEASURES[word].higher_is_better
    return True if word in LOWER_IS_BETTER else None


def as_data(before: "Recorded", after: "Recorded") -> dict[str, Any]:
    """The comparison as plain data."""
    first, second = settings_of_both(before, after)
    found = differences(first, second)
    about = {name: entries(unequal(getattr(before, name), getattr(after, name))) for name in ABOUT}
    return {
        "a": {"run": before.place, "kind": before.kind},
        "b": {"run": after.place, "kind": after.kind},
        "settings": entries(found),
        "settings_compared": "all" if before.whole and after.whole else said_by_both(first),
        **about,
        "metrics": [
            {
                "name": pair.name,
                **({"a": pair.before} if pair.before is not None else {}),
                **({"b": pair.after} if pair.after is not None else {}),
                **({"difference": pair.difference} if pair.difference is not None else {}),
                **({"verdict": pair.verdict} if pair.verdict else {}),
            }
            for pair in metrics_of_both(before, after, found)
        ],
    }


def entries(found: list[Difference]) -> list[dict[str, Any]]:
    """Differences as plain data."""
    return [
        {"key": key, **{side: value for side, value in (("a", a), ("b", b)) if value != ABSENT}} for key, a, b in found
    ]


def said_by_both(settings: Mapping[str, Any]) -> list[str]:
    """The keys that were compared."""
    trainer = [f"trainer.{name}" for name in settings.get("trainer", {})]
    return [*(key for key in settings if key != "trainer"), *trainer]


def show(before: "Recorded", after: "Recorded") -> None:
    """Print the comparison."""
    print(f"A  {before.place} ({before.kind})\nB  {after.place} ({after.kind})\n")
    first, second = settings_of_both(before, after)
    found = differences(first, second)
    print_section("settings", [str(difference) for difference in found])
    if not (before.whole and after.whole):
        print(f"  (compared was what both record: {', '.join(said_by_both(first))})")
    for name in ABOUT:
        known = getattr(before, name), getattr(after, name)
        if any(known):
            print_section(name, about_lines(*known))
        else:
            print(f"{name}: neither records any")
    pairs = metrics_of_both(before, after, found)
    if pairs:
        print_metrics(pairs)
    else:
        print("metrics: neither records any; `zoo test --ckpt_path` measures a checkpoint")


def about_lines(before: dict[str, Any], after: dict[str, Any]) -> list[str]:
    """What differs between two records, and what only one of them has."""
    found = unequal(before, after)
    lines = [str(difference) for difference in found if ABSENT not in difference[1:]]
    for side, other in (("A", "after"), ("B", "before")):
        if only := [difference.key for difference in found if getattr(difference, other) == ABSENT]:
            lines.append(f"only {side} records {', '.join(only)}")
    return lines


def print_section(name: str, lines: list[str]) -> None:
    """Print a part of the comparison."""
    print(f"{name}, A → B" if lines else f"{name}: no difference")
    for line in lines:
        print(f"  {line}")


def print_metrics(pairs: list[Pair]) -> None:
    """Print the metrics side by side."""
    from rich.console import Console
    from rich.table import Table

    from zoo.study.report.numbers import number, signed

    table = Table(title="metrics", title_justify="left")
    table.add_column("", overflow="fold")
    for heading in ("A", "B", "B − A"):
        table.add_column(heading, justify="right")
    table.add_column("B is")
    for pair in pairs:
        values = ["missing" if value is None else number(value) for value in (pair.before, pair.after)]
        table.add_row(pair.name, *values, "" if pair.difference is None else signed(pair.difference), pair.verdict)
    Console().print(table)
