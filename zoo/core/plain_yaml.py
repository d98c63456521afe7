"""YAML of plain data, by libyaml where PyYAML has it, which takes a tenth of Python's time.

Study files and catalogues are read strictly: a repeated key is an error, and `1e-3` is a number.
"""

import re
from pathlib import Path
from typing import Any

import yaml

LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
DUMPER = getattr(yaml, "CSafeDumper", yaml.SafeDumper)


def from_yaml(text: str) -> Any:
    """Return the plain data of a YAML text; yaml.YAMLError for invalid YAML."""
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
        ValueError: invalid YAML or a repeated key, with its position.
        OSError: the file cannot be read.
    """
    try:
        return yaml.load(path.read_text(encoding="utf-8"), StrictLoader)
    except yaml.YAMLError as error:
        raise ValueError(f"{path} is not usable YAML: {' '.join(str(error).split())}.") from error
    except UnicodeDecodeError as error:
        raise ValueError(f"{path} is not text in UTF-8.") from error
