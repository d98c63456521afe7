"""A map from the words of plans to the rows of a study, and the study file that it makes of them.

study:                       # a study file without rows, as in the written file
  name: refinement
  base: matting/quickstart
  baseline: baseline
  metrics:
    test/synthetic/sad: {direction: lower}
  profiles:
    smoke:
      set: {trainer.limit_train_batches: 1}
rows:
  baseline: {changes: {}}
  no refiner: {changes: {model.refiner: NoRefiner}, profiles: {smoke: null}}   # no row of the profile smoke
items:                       # regular expressions, searched in an item's words; the first that fits counts
  - {part: refinement network, action: REMOVE, rows: no refiner}
  - {part: patch selection, replacement: learned, reason: there is no such selector}
metrics:                     # of plans: those of the study by their last word, or a reason
  SAD: sad
  resolution: {reason: it is not measured}
"""

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from copy import deepcopy
from dataclasses import dataclass, field, replace
from pathlib import Path
from textwrap import dedent
from typing import Any, Literal

import yaml

from zoo.core.errors import ZooError
from zoo.core.plain_yaml import DUMPER, LOADER, StrictLoader, read_yaml
from zoo.core.slot import nearest
from zoo.runner.configs import CONFIGS, shipped
from zoo.study.file import NAMES, PROFILE, ROW, STUDY, TEXT, Study, called, checked, dotted, make_study
from zoo.study.published.plans import Item

MAP = {"study": NAMES, "rows": NAMES, "items": (list, "a list of {part: TEXT, rows: NAMES}"), "metrics": NAMES}
RULE = {
    "part": TEXT,
    "action": (Literal["REPLACE", "REMOVE", "ADD"], "REPLACE, REMOVE or ADD"),
    "replacement": TEXT,
    "rows": (str | list[str], "a row, or a list of rows"),
    "reason": TEXT,
}
SPEED = "frames_per_second"
NOTES = "The notes of rows name the plans that asked for them, with the number of the item."


@dataclass(frozen=True)
class Rule:
    """What an item of a plan becomes: rows, or a reason why it cannot be expressed."""

    part: str
    action: str | None = None
    replacement: str | None = None
    rows: tuple[str, ...] = ()
    reason: str = ""

    def fits(self, item: Item, replacement: str | None) -> bool:
        """Return whether the expressions are found in an item, and in one of its replacements where it has some.

        Example:
            >>> item = Item("a", 1, "Backbone", "the backbone", "REPLACE", ("ResNet-101",), ())
            >>> Rule("backbone", replacement="resnet.?101").fits(item, "ResNet-101")
            True
        """
        if self.action not in (None, item.action) or (self.replacement is None) != (replacement is None):
            return False
        return found(self.part, item.part) and found(self.replacement or "", replacement or "")


@dataclass(frozen=True)
class StudyMap:
    """A map: the text of its study, its rows by name, its rules in their order, and the plans' metrics."""

    path: Path
    text: str
    study: dict[str, Any]
    rows: dict[str, dict[str, Any]]
    rules: tuple[Rule, ...]
    metrics: dict[str, tuple[str, ...] | str]


@dataclass
class Imported:
    """What plans become: the text of a study file, and what it has of them.

    Args:
        text: of the study file.
        items: a line for each item, with its rows.
        whole: number of items that are executable with all their replacements.
        partly: number of items that are executable with some of them.
        asked: the items that asked for each row.
        refused: what cannot be expressed, with reasons.
        unmeasured: metrics that are not measured, with reasons.
    """

    text: str = ""
    items: list[str] = field(default_factory=list)
    whole: int = 0
    partly: int = 0
    asked: dict[str, dict[str, None]] = field(default_factory=dict)
    refused: list[str] = field(default_factory=list)
    unmeasured: list[str] = field(default_factory=list)

    def study(self, file: Path, profile: str | None) -> Study:
        """Return the study that is in the text, as read from a file that is not there yet."""
        try:
            content = yaml.load(self.text, StrictLoader)
        except yaml.YAMLError as error:
            raise ZooError(f"no study can be made of it: {' '.join(str(error).split())}.") from error
        return make_study(content, file, profile)

    @property
    def remarks(self) -> list[str]:
        """The share of executable items and what cannot be expressed, as lines."""
        lines = [self.share]
        for title, entries in (("Not executable:", self.refused), ("Not measured:", self.unmeasured)):
            lines += [title, *(f"  {entry}" for entry in entries)] if entries else []
        return lines

    @property
    def share(self) -> str:
        """How many items are executable, as a sentence."""
        more = f", and {self.partly} in part" if self.partly else ""
        return f"{self.whole} of {len(self.items)} items are executable ({self.whole / len(self.items):.0%}){more}."


def found(expression: str, text: str) -> bool:
    """Return whether a regular expression is found in a text, upper and lower case alike."""
    return re.search(expression, text, re.IGNORECASE) is not None


def read_map(name: str) -> StudyMap:
    """Read a map, or a shipped one by its short name (`plans/bgmv2.map`).

    Raises:
        ZooError: no such file, an unknown key, row or metric, or an expression that cannot be read.

    Example:
        >>> read_map("plans/bgmv2.map").rows["no ASPP"]
        {'changes': {'model.context': 'NoContext'}}
    """
    path = shipped(name)
    if not path.is_file():
        own = sorted(f"plans/{file.stem}" for file in (CONFIGS / "plans").glob("*.yaml"))
        raise ZooError(f"there is no map {name}, neither a file nor a shipped one{nearest(name, own)}")
    try:
        content = read_yaml(path)
    except (ValueError, OSError) as error:
        raise ZooError(str(error)) from error
    where = f"the map {path.name}"
    content = checked(content, where, MAP)
    for key in ("study", "rows", "items"):
        if not content.get(key):
            raise ZooError(f"{where} has no {key}.")
    study = checked(content["study"], f"{where}: study", STUDY)
    profiles = study.get("profiles", {})
    profiles = {name: checked(own, f"{where}: profile '{name}'", PROFILE) for name, own in profiles.items()}
    if any("rows" in part for part in (study, *profiles.values())):
        raise ZooError(f"{where} has rows in its study; expected them under its own key rows.")
    rows = {str(key): read_row(entry, f"{where}: row '{key}'", profiles) for key, entry in content["rows"].items()}
    if study.get("baseline") not in rows:
        raise ZooError(f"{where} has the baseline {study.get('baseline')!r}, which is no row of it.")
    rules = tuple(read_rule(entry, f"{where}: item {n}", rows) for n, entry in enumerate(content["items"], start=1))
    metrics = {}
    for expression, entry in content.get("metrics", {}).items():
        check_expression(str(expression), f"{where}: metric '{expression}'")
        metrics[str(expression)] = read_metric(entry, f"{where}: metric '{expression}'", (study, *profiles.values()))
    return StudyMap(path, study_text(path), study, rows, rules, metrics)


def read_row(entry: Any, where: str, profiles: Mapping[str, Any]) -> dict[str, Any]:
    """Return a row, with the profiles in which it differs."""
    row = checked(entry, where, {**ROW, "profiles": NAMES})
    for name, own in row.get("profiles", {}).items():
        if name not in profiles:
            raise ZooError(f"{where} has the profile '{name}', which its study has not{nearest(name, list(profiles))}")
        checked(own, f"{where}: profile '{name}'", ROW)
    return row


def read_rule(entry: Any, where: str, rows: Mapping[str, Any]) -> Rule:
    """Return a rule; each row that it names must be there."""
    rule = checked(entry, where, RULE)
    if "part" not in rule or ("rows" in rule) == ("reason" in rule):
        raise ZooError(f"{where} holds {rule}; expected part, and either rows or reason.")
    for key in ("part", "replacement"):
        check_expression(rule.get(key, ""), f"{where}: {key}")
    names = rule.get("rows", [])
    names = [names] if isinstance(names, str) else names
    for name in names:
        if name not in rows:
            raise ZooError(f"{where} names the row '{name}', which is not there{nearest(name, list(rows))}")
    return Rule(**rule | {"rows": tuple(names)})


def check_expression(expression: str, where: str) -> None:
    """Raise ZooError for something that is no regular expression."""
    try:
        re.compile(expression)
    except re.error as error:
        raise ZooError(f"{where} is '{expression}', no regular expression: {error}.") from error


def read_metric(entry: Any, where: str, parts: Iterable[Mapping[str, Any]]) -> tuple[str, ...] | str:
    """Return the metrics of the study that a plan's metric means, or the reason why there is none.

    Args:
        entry: of the map.
        where: beginning of an error's message.
        parts: the study and its profiles.
    """
    if isinstance(entry, dict):
        entry = checked(entry, where, {"reason": TEXT})
        return str(entry.get("reason", "it is not measured"))
    known = {last(name): None for part in parts for name in part.get("metrics", {})} | {SPEED: None}
    names = [str(name) for name in (entry if isinstance(entry, list) else [entry])]
    for name in names:
        if name not in known:
            raise ZooError(f"{where} is '{name}', which the study does not measure{nearest(name, list(known))}")
    return tuple(names)


def last(metric: str) -> str:
    """Return the last word of a metric's name: `sad` of `test/synthetic/sad`."""
    return metric.rpartition("/")[2]


def study_text(path: Path) -> str:
    """Return the text of a map's study with its comments, as it stands in a file of its own."""
    text = path.read_text(encoding="utf-8")
    key, node = next(pair for pair in compose(text).value if pair[0].value == "study")
    if node.flow_style:
        raise ZooError(f"the map {path.name} has its study in braces; expected one key a line.")
    lines = text.splitlines()[key.start_mark.line + 1 : end(node) + 1]
    return dedent("\n".join(lines)) + "\n"


def compose(text: str) -> yaml.MappingNode:
    """Return the nodes of a text that holds a mapping, with their positions."""
    node = yaml.compose(text, LOADER)
    assert isinstance(node, yaml.MappingNode)
    return node


def end(node: yaml.Node) -> int:
    """Return the last line of a node, without the comments behind it."""
    if isinstance(node, yaml.CollectionNode) and not node.flow_style and node.value:
        # An alias has the position of what it stands for, so the line of its key counts too.
        return max(map(end, node.value[-1] if isinstance(node, yaml.MappingNode) else node.value[-1:]))
    return int(node.end_mark.line) - (node.end_mark.column == 0 and node.end_mark.line > node.start_mark.line)


def import_plans(items: list[Item], study_map: StudyMap) -> Imported:
    """Return the study that the items become.

    Raises:
        ZooError: no item can be expressed, or a key of the map's study cannot be extended.

    Example:
        >>> item = Item("gpt-4o", 1, "Coarse only", "refinement network", "REMOVE", (), ("SAD",))
        >>> import_plans([item], read_map("plans/bgmv2.map")).items
        ['gpt-4o 1, Coarse only: no refinement network']
    """
    result = Imported()
    study_map = replace(study_map, rows=dict(study_map.rows))
    measured: set[str] = set()
    for item in items:
        replacements = item.replacements or (None,)
        rules = [apply_rules(item, replacement, study_map) for replacement in replacements]
        result.whole += all(rule.rows for rule in rules)
        result.partly += 0 < sum(bool(rule.rows) for rule in rules) < len(rules)
        rows = dict.fromkeys(name for rule in rules for name in rule.rows or ("not executable",))
        result.items.append(f"{item.subject}, {item.name}: {'; '.join(rows)}")
        for rule, replacement in zip(rules, replacements, strict=True):
            for name in rule.rows:
                result.asked.setdefault(name, {})[item.subject] = None
            if not rule.rows:
                result.refused.append(f"{item.subject}{f', {replacement}' if replacement else ''}: {rule.reason}")
        for metric in item.metrics:
            meaning = next((value for key, value in study_map.metrics.items() if found(key, metric)), None)
            if isinstance(meaning, tuple):
                measured |= set(meaning)
            else:
                reason = f"{metric}: {meaning or f'{study_map.path.name} does not know this metric'}"
                result.unmeasured += [reason] if reason not in result.unmeasured else []
    if not result.asked:
        raise ZooError(f"no item can be expressed with the map {study_map.path.name}: {result.refused[0]}.")
    plans = ", ".join(dict.fromkeys(item.plan for item in items))
    made = [f"Made by `zoo study import` with {study_map.path.name} of the plans {plans}.", NOTES, *result.remarks]
    header = "".join(f"# {line}\n" for line in made)
    result.text = f"{header}\n{with_rows(study_map, result.asked, measured)}"
    return result


def apply_rules(item: Item, replacement: str | None, study_map: StudyMap) -> Rule:
    """Return the first rule that fits, or one that says that there is none.

    An item that replaces a setting, such as `model.selector`, needs none: its row is added to the map.
    """
    for rule in study_map.rules:
        if rule.fits(item, replacement):
            return rule
    if replacement is not None and re.fullmatch(r"(model|data|trainer)(\.\w+)+", item.part):
        value: Any = replacement
        with suppress(yaml.YAMLError, ValueError):
            value = yaml.load(replacement, StrictLoader)
        name = f"{item.part.rpartition('.')[2]}={called(value)}"
        study_map.rows.setdefault(name, {"changes": {item.part: value}})
        return Rule(item.part, rows=(name,))
    return Rule(item.part, reason=f"{study_map.path.name} does not know '{item.part}'")


def with_rows(study_map: StudyMap, asked: Mapping[str, Iterable[str]], measured: set[str]) -> str:
    """Return the text of the study with the rows that were asked for, without metrics that were not."""
    lines = study_map.text.splitlines()
    root = compose(study_map.text)
    parts = {key.value: node for key, node in root.value}
    nodes = {key.value: node for key, node in parts["profiles"].value} if study_map.study.get("profiles") else {}
    unasked = {
        number
        for part in (root, *nodes.values())
        for key, node in part.value
        if key.value in ("metrics", "margins") and isinstance(node, yaml.MappingNode) and not node.flow_style
        for name, value in node.value
        if measured - {SPEED} and last(name.value) not in measured
        for number in range(name.start_mark.line, end(value) + 1)
    }
    shared = rows_of(study_map, None, asked)
    after = [node for key, node in parts.items() if key != "profiles"]
    inserted: dict[int, list[str]] = {max(map(end, after)): ["", *row_lines(shared)]}
    for name, node in nodes.items():
        own = rows_of(study_map, name, asked)
        changed = {key: own.get(key) for key in {**shared, **own} if own.get(key) != shared.get(key)}
        if changed:
            if not isinstance(node, yaml.MappingNode) or node.flow_style:
                raise ZooError(f"the map {study_map.path.name} has the profile '{name}' in braces; expected keys.")
            inserted[end(node)] = [f"{' ' * node.start_mark.column}{line}" for line in row_lines(changed)]
    result: list[str] = []
    for number, line in enumerate(lines):
        result += [] if number in unasked else [line]
        result += inserted.get(number, [])
    return "\n".join(result) + "\n"


def rows_of(study_map: StudyMap, profile: str | None, asked: Mapping[str, Iterable[str]]) -> dict[str, dict[str, Any]]:
    """Return the rows of a profile; one with the changes of another is merged with it, and each says who asked."""
    result: dict[str, dict[str, Any]] = {}
    names: dict[str, str] = {}
    plans: dict[str, dict[str, None]] = {}
    baseline = study_map.study["baseline"]
    for name in sorted(study_map.rows, key=lambda row: row != baseline):
        row = study_map.rows[name]
        entry = row.get("profiles", {}).get(profile, {key: value for key, value in row.items() if key in ROW})
        if entry is None or "changes" not in entry or (name not in asked and name != baseline):
            continue
        changes = dotted(entry["changes"], f"the map {study_map.path.name}: row '{name}'")
        same = names.setdefault(
            json.dumps([changes, entry.get("evaluate_only", False)], sort_keys=True, default=str), name
        )
        result.setdefault(same, deepcopy(entry))
        plans.setdefault(same, {}).update(dict.fromkeys(asked.get(name, ())))
    for name, entry in result.items():
        if plans[name]:
            note = f"asked for by {', '.join(plans[name])}"
            entry["note"] = f"{entry['note']}; {note}" if "note" in entry else note
    return result


def row_lines(rows: Mapping[str, Any]) -> Iterator[str]:
    """Yield the lines of the key `rows`, one for each row."""

    class Plain(DUMPER):  # type: ignore[misc, valid-type]
        def ignore_aliases(self, data: Any) -> bool:
            return True

    yield "rows:"
    for name, entry in rows.items():
        form: Any = {"default_flow_style": True, "sort_keys": False, "width": 10**9, "allow_unicode": True}
        text = yaml.dump({name: entry}, Dumper=Plain, **form)
        yield f"  {text.strip()[1:-1]}"
