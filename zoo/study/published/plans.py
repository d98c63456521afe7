"""Ablation plans in AblationBench's format: JSON lines, or Markdown as its site shows them.

{"name": "No refiner", "ablated_part": "refiner", "action": "REMOVE", "replacement": null, "metrics": ["SAD"]}

## Ablation Plan
### No refiner
- **Ablated Part**: refiner
- **Action**: REMOVE
- **Metrics**: SAD, MSE
"""

import ast
import json
import re
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from zoo.core.errors import ZooError
from zoo.core.slot import nearest
from zoo.study.file import TEXT, checked

FIELDS = {
    "name": TEXT,
    "ablated_part": TEXT,
    "action": (Literal["REPLACE", "REMOVE", "ADD"], "REPLACE, REMOVE or ADD"),
    "replacement": (list | dict, "a list, an object or null"),
    "metrics": (list[str], "a list of names"),
}
"""Type of each field of an item, and what an error says that it expects."""


@dataclass(frozen=True)
class Item:
    """One item of a plan.

    Args:
        plan: name of the plan.
        number: position in the plan, from 1.
        name: its title.
        part: what is ablated.
        action: REPLACE, REMOVE or ADD.
        replacements: one text for each; an object as JSON.
        metrics: as the plan names them.

    Example:
        >>> Item("gpt-4o", 2, "Fewer patches", "number of patches", "REPLACE", ("1000",), ("SAD",)).subject
        'gpt-4o 2'
    """

    plan: str
    number: int
    name: str
    part: str
    action: str
    replacements: tuple[str, ...]
    metrics: tuple[str, ...]

    @property
    def subject(self) -> str:
        """Plan and position."""
        return f"{self.plan} {self.number}"


def read_plans(files: Iterable[Path]) -> list[Item]:
    """Return the items of all plans.

    Raises:
        ZooError: a file cannot be read or is not in the format; the message names file, line and field.
    """
    paths = list(dict.fromkeys(files))
    return [item for path, plan in zip(paths, plan_names(paths), strict=True) for item in read_plan(path, plan)]


def plan_names(paths: list[Path]) -> list[str]:
    """Return a short name for each file: its own, without a beginning `PAPER_` that all of them have.

    Example:
        >>> plan_names([Path("bgmv2_gpt-4o.md"), Path("bgmv2_o3-mini.md")])
        ['gpt-4o', 'o3-mini']
    """
    names = [path.stem for path in paths]
    if len(set(names)) < len(names):
        names = [path.with_suffix("").as_posix() for path in paths]
    if len({name.rpartition("_")[0] for name in names}) == 1 < len(names):
        names = [name.rpartition("_")[2] for name in names]
    return names


def read_plan(path: Path, plan: str) -> list[Item]:
    """Return the items of one plan."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not text in UTF-8"
        raise ZooError(f"the plan {path} cannot be read: {reason}.") from error
    entries = json_items(text, path) if text.lstrip()[:1] in ("{", "[") else markdown_items(text, path)
    items = [make_item(entry, plan, number, where) for number, (where, entry) in enumerate(entries, start=1)]
    if not items:
        raise ZooError(f"the plan {path} has no items.")
    return items


def make_item(entry: Any, plan: str, number: int, where: str) -> Item:
    """Return an item of the fields that a file holds for it."""
    fields = checked(entry, where, FIELDS)
    for name in ("name", "ablated_part", "action"):
        if not fields.get(name):
            raise ZooError(f"{where} has no {name}; expected {FIELDS[name][1]}.")
    replacement = fields.get("replacement", [])
    if fields["action"] == "REPLACE" and not replacement:
        raise ZooError(f"{where} has no replacement; expected one or more, since its action is REPLACE.")
    texts = tuple(phrase(value) for value in (replacement if isinstance(replacement, list) else [replacement]))
    metrics = tuple(" ".join(metric.split()) for metric in fields.get("metrics", ()) if metric.strip())
    name, part = (" ".join(fields[key].split()) for key in ("name", "ablated_part"))
    return Item(plan, number, name, part, fields["action"], texts, metrics)


def phrase(value: Any) -> str:
    """Return a replacement as text; an object, also one written as Python does, as JSON.

    Example:
        >>> phrase("{'weight': 0.5}"), phrase(1000)
        ('{"weight": 0.5}', '1000')
    """
    if isinstance(value, str) and value.startswith("{"):
        with suppress(ValueError, SyntaxError):
            value = ast.literal_eval(value)
    return " ".join(value.split()) if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)


def json_items(text: str, path: Path) -> Iterator[tuple[str, Any]]:
    """Yield the place and the fields of each item of JSON lines."""
    for number, line in enumerate(text.splitlines(), start=1):
        if line.strip():
            where = f"the plan {path}, line {number},"
            try:
                yield where, json.loads(line)
            except ValueError as error:
                raise ZooError(f"{where} is no JSON object; expected one a line, with {', '.join(FIELDS)}.") from error


def markdown_items(text: str, path: Path) -> list[tuple[str, dict[str, Any]]]:
    """Return the place and the fields of each item of Markdown, below the heading 'Ablation Plan'."""
    items: list[tuple[str, dict[str, Any]]] = []
    begun, listing = False, False
    for number, raw in enumerate(text.splitlines(), start=1):
        line = re.sub(r"</?\w[^>]*>", "", raw).strip()  # the site's pages hold HTML
        where = f"the plan {path}, line {number},"
        if not begun:
            begun = bool(re.match(r"\s*(#|<h\d).*Ablation Plan", raw))
        elif line.startswith("### "):
            items.append((where, {"name": line[4:].strip()}))
            listing = False
        elif field := re.fullmatch(r"[-*] +\*\*(.+?):?\*\*:?(.*)", line):
            name = field[1].strip().lower().replace(" ", "_")
            if name not in FIELDS or name == "name":
                known = [own.replace("_", " ").title() for own in FIELDS if own != "name"]
                raise ZooError(f"{where} has the field '{field[1]}'{nearest(field[1], known)}")
            if not items or name in items[-1][1]:
                problem = "before any item '### NAME'" if not items else "a second time in its item"
                raise ZooError(f"{where} has the field '{field[1]}' {problem}.")
            value = field[2].strip()
            listing = name == "replacement"
            lists = {"replacement": [value] if value else [], "metrics": re.split(r",\s*(?![^()]*\))", value)}
            items[-1][1][name] = lists.get(name, value)
        elif listing and (entry := re.fullmatch(r"[-*] +(.+)", line)):
            items[-1][1]["replacement"].append(entry[1])
        elif line:
            raise ZooError(f"{where} holds '{line}'; expected '### NAME', '- **FIELD**: …' or a replacement '- …'.")
    if not begun:
        raise ZooError(f"the plan {path} is neither JSON lines nor Markdown with the heading 'Ablation Plan'.")
    return items
