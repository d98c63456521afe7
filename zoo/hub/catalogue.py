"""The catalogue: which weights there are to pull, as data.

A *catalogue* is a YAML file in an installed package. Its entry point in the group `zoo.catalogues` names it as
`package:file.yaml`; it is read without importing anything of the package. Its keys are names, `MODEL-WEIGHTS`, each
with one *entry*:

    bgmv2_resnet50-mine:
      task: matting
      model: bgmv2_resnet50            # whose weights these are; left out for a file that says itself
      arguments: {base_scale: 0.125}   # of the model, in place of its own
      source: https://example.org/v1/mine.pth
      size: 161000000                  # bytes
      sha256: 9b7f…
      licence: {name: MIT, url: https://example.org/LICENSE, non_commercial: false}
      training_data: VideoMatte240K
      metrics:
        - {data: my test set, preset: bgmv2, source: https://example.org, values: {sad: 9.2}}
      default: true                    # also meant by `bgmv2_resnet50` alone
      note: One sentence that whoever uses these weights must know.

`model`, `arguments`, `size`, `sha256`, `metrics`, `default`, `note` and the licence's `url` may be left out. Weights of
another origin are read by the model's own converter, which knows the official files. A file that is used where it lies
in a package needs its sha256, since whoever writes the entry has it.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from zoo.core.errors import ZooError
from zoo.core.registry import get_slot
from zoo.core.slots import Plugin, nearest
from zoo.core.strict_yaml import read_yaml
from zoo.hub.sources import Source, package_file, parse_source

NAME = re.compile(r"\w+-\w[\w.-]*")


@dataclass(frozen=True)
class Licence:
    """Under which terms weights are published.

    Args:
        name: `MIT`.
        non_commercial: whether commercial use is forbidden; it is asked for then.
        url: of its text.
    """

    name: str
    non_commercial: bool
    url: str | None = None

    def __str__(self) -> str:
        terms = [*([self.url] if self.url else []), *(["non-commercial use only"] if self.non_commercial else [])]
        return f"{self.name} ({', '.join(terms)})" if terms else self.name


@dataclass(frozen=True)
class Metrics:
    """What was measured with the weights.

    Args:
        data: on what.
        preset: how; each toolbox measures differently.
        source: by whom, where it is published.
        values: by metric.
    """

    data: str
    preset: str
    source: str
    values: dict[str, float]


@dataclass(frozen=True)
class Entry:
    """Weights that can be pulled; the fields are those of the file.

    Args:
        name: `MODEL-WEIGHTS`, with `@REVISION` behind it where another revision than the catalogue's was asked for.
        catalogue: who provides it, for messages.
    """

    name: str
    catalogue: str
    task: str
    source: Source
    licence: Licence
    training_data: str
    model: str | None = None
    arguments: dict[str, Any] = field(default_factory=dict)
    metrics: tuple[Metrics, ...] = ()
    size: int | None = None
    sha256: str | None = None
    default: bool = False
    note: str | None = None

    @property
    def short_name(self) -> str | None:
        """MODEL, where these are its default weights."""
        return self.name.partition("-")[0] if self.default else None

    def at(self, revision: str) -> "Entry":
        """The same weights at another revision, of which neither size nor checksum is published here.

        Raises:
            ZooError: the source has no revisions.
        """
        try:
            source = self.source.at(revision)
        except ValueError as error:
            raise ZooError(f"{self.name}@{revision}: {error}.") from error
        if source.revision == self.source.revision:
            return self
        return replace(self, name=f"{self.name}@{revision}", source=source, size=None, sha256=None, metrics=())


def read_catalogue(plugin: Plugin) -> dict[str, Entry]:
    """The entries of a catalogue by name.

    Raises:
        ZooError: no such file, or one that is not as described above; it says which entry.
    """
    package, _, name = plugin.target.partition(":")
    try:
        if not name:
            raise ValueError(f"its entry point is '{plugin.target}'; expected package:file.yaml")
        content = read_yaml(package_file(package, name))
        if not isinstance(content, dict):
            raise ValueError(f"{name} holds {type(content).__name__}; expected entries by name")
        return {str(key): read_entry(str(key), value, plugin) for key, value in content.items()}
    except (ValueError, TypeError, OSError) as error:
        message = str(error).rstrip(".")
        raise ZooError(f"the catalogue '{plugin.name}' of {plugin.origin}: {message}.") from error


ENTRY: dict[str, type] = {
    "task": str,
    "source": str,
    "licence": dict,
    "training_data": str,
    "model": str,
    "arguments": dict,
    "metrics": list,
    "size": int,
    "sha256": str,
    "default": bool,
    "note": str,
}
LICENCE: dict[str, type] = {"name": str, "non_commercial": bool, "url": str}
METRICS: dict[str, type] = {"data": str, "preset": str, "source": str, "values": dict}
WORDS = {str: "text", dict: "a mapping", list: "a list", int: "a whole number", bool: "true or false"}


def read_entry(name: str, content: Any, plugin: Plugin) -> Entry:
    """One entry; ValueError says what is wrong with it."""
    if not NAME.fullmatch(name):
        raise ValueError(f"'{name}' is no name for weights; expected MODEL-WEIGHTS, such as bgmv2_resnet50-mine")
    values = checked(content, ENTRY, ("task", "source", "licence", "training_data"), f"'{name}'")
    if "arguments" in values and "model" not in values:
        raise ValueError(f"'{name}' has arguments but no model; expected both, or neither for a file that says itself")
    if not re.fullmatch(r"[0-9a-f]{64}", values.get("sha256", "0" * 64)):
        raise ValueError(f"'{name}': sha256 is '{values['sha256']}'; expected 64 hexadecimal digits in small letters")
    if values.get("size", 1) < 1:
        raise ValueError(f"'{name}': size is {values['size']}; expected the number of bytes")
    try:
        values["source"] = parse_source(values["source"])
    except ValueError as error:
        raise ValueError(f"'{name}': {error}") from error
    if values["source"].scheme == "package" and "sha256" not in values:
        raise ValueError(f"'{name}' is bundled in a package but has no sha256; expected that of the file")
    licence = checked(values["licence"], LICENCE, ("name", "non_commercial"), f"'{name}': licence")
    values["licence"] = Licence(**licence)
    values["metrics"] = tuple(read_metrics(item, f"'{name}': metrics") for item in values.get("metrics", []))
    return Entry(name=name, catalogue=f"{plugin.name} of {plugin.origin}", **values)


def read_metrics(content: Any, where: str) -> Metrics:
    """One measurement; ValueError says what is wrong with it."""
    values = checked(content, METRICS, tuple(METRICS), where)
    for metric, value in values["values"].items():
        if not isinstance(value, int | float) or isinstance(value, bool):
            raise ValueError(f"{where}: {metric} is {value!r}; expected a number")
    return Metrics(**values)


def checked(content: Any, types: Mapping[str, type], required: tuple[str, ...], where: str) -> dict[str, Any]:
    """The content if it has the keys that it must have, no unknown ones, and values of the right types."""
    if not isinstance(content, dict):
        raise ValueError(f"{where} is {content!r}; expected a mapping with {', '.join(required)}")
    for key, value in content.items():
        if key not in types:
            raise ValueError(f"{where} has the unknown key '{key}'{nearest(str(key), list(types))}")
        if not isinstance(value, types[key]) or (isinstance(value, bool) and types[key] is not bool) or value == "":
            raise ValueError(f"{where}: {key} is {value!r}; expected {WORDS[types[key]]}")
    if missing := [key for key in required if key not in content]:
        raise ValueError(f"{where} lacks {', '.join(missing)}")
    return dict(content)


def all_entries() -> dict[str, list[Entry]]:
    """Every name, and every model with default weights, with the entries that claim it (more than one: ambiguous),
    sorted. What cannot be used is left out; see `unusable`.
    """
    found: dict[str, list[Entry]] = {}
    for catalogue in get_slot("catalogues").load_all().values():
        for entry in catalogue.values():
            found.setdefault(entry.name, []).append(entry)
            if entry.short_name is not None:
                found.setdefault(entry.short_name, []).append(entry)
    return dict(sorted(found.items()))


def unusable() -> list[str]:
    """A sentence for each catalogue that cannot be read."""
    slot = get_slot("catalogues")
    slot.load_all()
    return [str(error) for error in slot.failures.values()]


def ambiguous(name: str, claims: list[Entry]) -> str:
    """The sentence about a name that several entries claim."""
    owners = " and ".join(f"{entry.name} ({entry.catalogue})" for entry in claims)
    way_out = "give the whole name" if len({entry.name for entry in claims}) > 1 else "uninstall one of the catalogues"
    return f"'{name}' stands for {owners}: {way_out}, none is preferred."


def knows(name: str) -> bool:
    """Whether a catalogue has this name, with a revision or without; one that several claim counts as well."""
    return name.partition("@")[0] in all_entries()


def find_entry(name: str) -> Entry:
    """The one entry of this name, `MODEL-WEIGHTS`, `MODEL` or either with `@REVISION`.

    Raises:
        ZooError: unknown (nearest names are given), claimed by two, or its source has no revisions.
    """
    plain, _, revision = name.partition("@")
    entries = all_entries()
    claims = entries.get(plain, [])
    if not claims:
        message = f"the catalogue has no weights named '{plain}'{nearest(plain, list(entries))}"
        raise ZooError(" ".join([message, *unusable()]))
    if len(claims) > 1:
        raise ZooError(ambiguous(plain, claims))
    return claims[0].at(revision) if revision else claims[0]
