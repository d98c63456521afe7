"""Reader and writer of YAML values on the command line: the parser mode `zoo`; and of its import paths."""

import sys
from typing import Any

import yaml
from jsonargparse import get_loader, set_dumper, set_loader

from zoo.core.plain_yaml import check_bounds, to_yaml

MODE = "zoo"
"""Mode of our parsers: YAML with `None` read as null, written by libyaml."""

read_yaml_value = get_loader("yaml")


def read_value(text: str) -> Any:
    """Return a YAML value as the parser reads it, with null for `None`, which the parser itself writes inside parts.

    Example:
        >>> read_value("{rate: 1e-3, scale: None}")
        {'rate': 0.001, 'scale': None}
    """
    check_bounds(text)
    return with_null(read_yaml_value(text))


def with_null(value: Any) -> Any:
    """Return plain data with null for every text `None`."""
    if isinstance(value, dict):
        return {key: with_null(item) for key, item in value.items()}
    if isinstance(value, list):
        return [with_null(item) for item in value]
    return None if value == "None" else value


def imported(path: str) -> Any:
    """Return the class at an import path (`package.module.Class`) if its module is imported, otherwise None."""
    module, _, name = path.rpartition(".")
    return getattr(sys.modules.get(module), name, None)


def with_texts(value: Any) -> Any:
    """Return plain data whose texts are of Python's own type: a library may have members of an enum as defaults."""
    if isinstance(value, dict):
        return {key: with_texts(item) for key, item in value.items()}
    if isinstance(value, list):
        return [with_texts(item) for item in value]
    return str.__str__(value) if isinstance(value, str) else value


set_loader(MODE, read_value, (yaml.YAMLError,))
set_dumper(MODE, lambda data: to_yaml(with_texts(data)))
