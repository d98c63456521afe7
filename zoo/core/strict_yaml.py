"""YAML as study files and catalogues are read: a key given twice is an error, and `1e-3` is a number."""

import re
from pathlib import Path
from typing import Any

import yaml

from zoo.core.plain_yaml import LOADER


class StrictLoader(LOADER):  # type: ignore[misc, valid-type]
    """Plain data only, and no key twice: of two rows of one name, YAML would silently keep the last."""

    def construct_mapping(self, node: Any, deep: bool = False) -> dict[Any, Any]:
        seen: set[Any] = set()
        for key_node, _ in node.value:
            if key_node.tag == "tag:yaml.org,2002:merge":  # `<<: *common` brings keys that may be given again
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
    """What a YAML file holds.

    Raises:
        ValueError: it is not YAML, or has a key twice; the message says where.
        OSError: it cannot be read.
    """
    try:
        return yaml.load(path.read_text(encoding="utf-8"), StrictLoader)
    except yaml.YAMLError as error:
        raise ValueError(f"{path} is not usable YAML: {' '.join(str(error).split())}.") from error
    except UnicodeDecodeError as error:
        raise ValueError(f"{path} is not text in UTF-8.") from error
