"""YAML of plain data, by libyaml where PyYAML has it, which takes a tenth of Python's time.

Every text is bounded before it is read, since a few lines with aliases can stand for more than the memory holds. Study
files and catalogues are read strictly: a repeated key is an error, and `1e-3` is a number.
"""

import re
from pathlib import Path
from typing import Any

import yaml

LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
DUMPER = getattr(yaml, "CSafeDumper", yaml.SafeDumper)

MAX_DEPTH, MAX_VALUES, MAX_DIGITS = 50, 100_000, 1000
"""Bounds of a text: levels, values with aliases resolved, characters of a number; a configuration has 12, 300, 20."""


def check_bounds(text: str) -> None:
    """Raise yaml.YAMLError for YAML that exceeds the bounds, which is neither built nor resolved for that.

    Example:
        >>> check_bounds("a: [1, 2]")
    """
    counts, names, sizes = [0], [""], dict[str, int]()  # of the open collections, and of the anchored values
    for event in yaml.parse(text, LOADER):
        anchor = getattr(event, "anchor", None) or ""
        if isinstance(event, yaml.CollectionEndEvent):
            inside, anchor = counts.pop(), names.pop()
            sizes[anchor] = inside + 1
            counts[-1] += inside + 1
        elif isinstance(event, yaml.CollectionStartEvent):
            counts.append(0)
            names.append(anchor)
        elif isinstance(event, yaml.AliasEvent) and anchor in names:
            raise yaml.YAMLError(f"*{anchor} contains itself")
        elif isinstance(event, yaml.AliasEvent | yaml.ScalarEvent):
            if isinstance(event, yaml.ScalarEvent):
                sizes[anchor] = 1
                if event.implicit[0] and len(event.value) > MAX_DIGITS and event.value.lstrip("+-.")[:1].isdigit():
                    raise yaml.YAMLError(f"a number has {len(event.value):,} characters, expected at most {MAX_DIGITS}")
            counts[-1] += sizes.get(anchor, 1)
        if len(counts) > MAX_DEPTH or counts[-1] > MAX_VALUES:
            bound = f"{MAX_VALUES:,} values" if counts[-1] > MAX_VALUES else f"{MAX_DEPTH} levels"
            raise yaml.YAMLError(f"it holds more than {bound}, aliases resolved")


def from_yaml(text: str) -> Any:
    """Return the plain data of a YAML text; yaml.YAMLError for invalid YAML."""
    check_bounds(text)
    return yaml.load(text, LOADER)


def to_yaml(data: Any) -> str:
    """Return plain data as YAML, with keys in their order."""
    return yaml.dump(data, Dumper=DUMPER, sort_keys=False)


class StrictLoader(LOADER):  # type: ignore[misc, valid-type]
    """YAML loader for plain data that refuses a repeated key, of which YAML would silently keep the last."""

    def construct_mapping(self, node: Any, deep: bool = False) -> dict[Any, Any]:
        seen: set[Any] = set()
        for key_node, _ in node.value:
            if key_node.tag == "tag:yaml.org,2002:merge":  # keys from `<<: *common` may be overridden
                continue
            key = self.construct_object(key_node, deep=True)
            if key in seen:
                raise yaml.constructor.ConstructorError(None, None, f"'{key}' is given twice", key_node.start_mark)
            seen.add(key)
        return super().construct_mapping(node, deep)


StrictLoader.add_implicit_resolver(
    "tag:yaml.org,2002:float", re.compile(r"^[-+]?\d+(\.\d*)?[eE][-+]?\d+$"), list("-+0123456789")
)


def read_yaml(path: Path) -> Any:
    """Return the content of a YAML file.

    Raises:
        ValueError: invalid YAML or a repeated key, with its position; or it exceeds the bounds.
        OSError: the file cannot be read.
    """
    try:
        text = path.read_text(encoding="utf-8")
        check_bounds(text)
        return yaml.load(text, StrictLoader)
    except UnicodeDecodeError as error:
        raise ValueError(f"{path} is not text in UTF-8.") from error
    except (yaml.YAMLError, ValueError) as error:  # PyYAML raises the latter for a date that does not exist
        raise ValueError(f"{path} is not usable YAML: {' '.join(str(error).split())}.") from error
