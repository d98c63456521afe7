"""The catalogue: the weights that can be pulled, as data.

A *catalogue* is a YAML file in an installed package. Its entry point in the group `zoo.catalogues` names it as
`package:file.yaml`; nothing of the package is imported. The file maps names, `MODEL-WEIGHTS`, to *entries*:

    bgmv2_resnet50-mine:
      task: matting
      model: bgmv2_resnet50            # the model of these weights; left out for a file that describes its own
      arguments: {base_scale: 0.125}   # of the model, in place of its own
      source: https://example.org/v1/mine.pth
      size: 161000000                  # bytes
      sha256: 9b7f…
      licence: {name: MIT, url: https://example.org/LICENSE, non_commercial: false}
      training_data: VideoMatte240K
      origins:                         # what else went into the weights
        - {part: encoder, name: timm's resnet50.a1_in1k, licence: Apache-2.0, commercial: yes}
      metrics:
        - {data: my test set, preset: bgmv2, source: https://example.org, values: {sad: 9.2}}
      default: true                    # `bgmv2_resnet50` alone means these weights too
      note: One sentence that every user of these weights must know.

The dataclasses below are the format: a field with a default may be left out. Weights of another origin are read by the
model's own converter, which knows the official files. A file inside a package needs its sha256.
"""

import re
from collections.abc import Mapping
from dataclasses import MISSING, dataclass, field, fields, is_dataclass, replace
from types import UnionType
from typing import Any, TypeVar, get_args, get_origin, get_type_hints

from zoo.core.errors import ZooError
from zoo.core.plain_yaml import read_yaml
from zoo.core.registry import get_slot
from zoo.core.slot import Plugin, nearest
from zoo.hub.sources import Source, package_file, parse_source

T = TypeVar("T")

NAME = re.compile(r"(?=.{,100}$)\w+-\w[\w.-]*")
TYPE_NAMES = {
    str: "text", dict: "a mapping", tuple: "a list", int: "a whole number", float: "a number", bool: "true or false"
}  # fmt: skip


@dataclass(frozen=True)
class Licence:
    """Terms under which weights are published.

    Args:
        name: such as `MIT`.
        non_commercial: whether commercial use is forbidden; then the user has to accept the licence.
        url: address of its text.
    """

    name: str
    non_commercial: bool
    url: str | None = None

    def __str__(self) -> str:
        terms = [*([self.url] if self.url else []), *(["non-commercial use only"] if self.non_commercial else [])]
        return f"{self.name} ({', '.join(terms)})" if terms else self.name


@dataclass(frozen=True)
class Origin:
    """Something that went into weights: the encoder that they started from, their training data.

    Args:
        part: what it is, such as `encoder` or `data`.
        name: whose, and which.
        licence: its terms.
        commercial: whether these allow commercial use; None where that is not known.
    """

    part: str
    name: str
    licence: str
    commercial: bool | None = None


@dataclass(frozen=True)
class Metrics:
    """Published measurements of weights.

    Args:
        data: the test set.
        preset: the toolbox's way to measure; each measures differently.
        source: who measured, and where it is published.
        values: by metric.
    """

    data: str
    preset: str
    source: str
    values: dict[str, float]


@dataclass(frozen=True)
class Entry:
    """Weights that can be pulled. All fields but `name` and `catalogue` are keys of the file.

    Args:
        name: `MODEL-WEIGHTS`, followed by `@REVISION` for another revision than the catalogue's.
        catalogue: the catalogue and its distribution, for messages.

    Raises:
        ValueError: two fields contradict each other, or one has an impossible value.
    """

    name: str
    catalogue: str
    task: str
    source: Source
    licence: Licence
    training_data: str
    model: str | None = None
    arguments: dict[str, Any] = field(default_factory=dict)
    origins: tuple[Origin, ...] = ()
    metrics: tuple[Metrics, ...] = ()
    size: int | None = None
    sha256: str | None = None
    default: bool = False
    note: str | None = None

    def __post_init__(self) -> None:
        if self.sha256 is not None and not re.fullmatch(r"[0-9a-f]{64}", self.sha256):
            raise ValueError(
                f"'{self.name}': sha256 is '{self.sha256}'; expected 64 hexadecimal digits in small letters"
            )
        if self.size is not None and self.size < 1:
            raise ValueError(f"'{self.name}': size is {self.size}; expected the number of bytes")
        if self.source.scheme == "package" and self.sha256 is None:
            raise ValueError(f"'{self.name}' is bundled in a package but has no sha256; expected that of the file")

    @property
    def ledger(self) -> tuple[Origin, ...]:
        """The weights' own licence, and those of everything that went into them."""
        return (Origin("weights", self.name, self.licence.name, not self.licence.non_commercial), *self.origins)

    @property
    def short_name(self) -> str | None:
        """MODEL, for its default weights."""
        return self.name.partition("-")[0] if self.default else None

    def at(self, revision: str) -> "Entry":
        """Return the same weights at another revision, whose size and checksum are not published.

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
    """Return the entries of a catalogue by name.

    Raises:
        ZooError: no such file, or one in another format; the message names the entry.
    """
    package, _, name = plugin.target.partition(":")
    try:
        if not name:
            raise ValueError(f"its entry point is '{plugin.target}'; expected package:file.yaml")
        content = read_yaml(package_file(package, name))
        if not isinstance(content, dict):
            raise ValueError(f"{name} holds {type(content).__name__}; expected entries by name")
        catalogue = f"{plugin.name} of {plugin.origin}"
        return {str(key): read_entry(str(key), value, catalogue) for key, value in content.items()}
    except (ValueError, TypeError, OSError) as error:
        message = str(error).rstrip(".")
        raise ZooError(f"the catalogue '{plugin.name}' of {plugin.origin}: {message}.") from error


def read_entry(name: str, content: Any, catalogue: str) -> Entry:
    """Return an entry read from its mapping; ValueError says what is wrong with it."""
    if not NAME.fullmatch(name):
        raise ValueError(
            f"'{name[:100]}' is no name for weights; expected MODEL-WEIGHTS, such as bgmv2_resnet50-mine, of at most "
            "100 letters"
        )
    if isinstance(content, Mapping) and "arguments" in content and "model" not in content:
        raise ValueError(f"'{name}' has arguments but no model; expected both, or neither for a file that says itself")
    return read_record(Entry, content, f"'{name}'", name=name, catalogue=catalogue)


def read_record(record: type[T], content: Any, where: str, **known: Any) -> T:
    """Return a dataclass read from plain data, each value checked against the type of its field.

    `known` fields are not read; `where` begins each error message.
    """
    types = {name: hint for name, hint in get_type_hints(record).items() if name not in known}
    required = [one.name for one in fields(record)  # type: ignore[arg-type]
                if one.name in types and one.default is MISSING and one.default_factory is MISSING]  # fmt: skip
    if not isinstance(content, Mapping):
        raise ValueError(f"{where} is {content!r}; expected a mapping with {', '.join(required)}")
    values: dict[str, Any] = {}
    for key, value in content.items():
        if key not in types:
            raise ValueError(f"{where} has the unknown key '{key}'{nearest(str(key), list(types))}")
        values[key] = read_value(types[key], value, f"{where}: {key}")
    if missing := [key for key in required if key not in content]:
        raise ValueError(f"{where} lacks {', '.join(missing)}")
    return record(**known, **values)


def read_value(annotation: Any, value: Any, where: str) -> Any:
    """Return a value of a YAML file as the type of its field; ValueError where it is another."""
    if isinstance(annotation, UnionType):  # with None, the default of a key that is left out
        annotation = get_args(annotation)[0]
    if annotation is Source:
        address = read_value(str, value, where)
        try:
            return parse_source(address)
        except ValueError as error:
            raise ValueError(f"{where}: {error}") from error
    if is_dataclass(annotation):
        return read_record(annotation, value, where)  # type: ignore[arg-type]
    kind, arguments = get_origin(annotation) or annotation, get_args(annotation)
    accepted: Any = {float: (int, float), tuple: list}.get(kind, kind)
    if not isinstance(value, accepted) or (isinstance(value, bool) and kind is not bool) or value == "":
        raise ValueError(f"{where} is {value!r}; expected {TYPE_NAMES[kind]}")
    if kind is tuple:
        return tuple(read_value(arguments[0], item, where) for item in value)
    if kind is dict and arguments[1] is not Any:
        return {name: read_value(arguments[1], item, f"{where}: {name}") for name, item in value.items()}
    return value


def all_entries() -> dict[str, list[Entry]]:
    """Return every name, and every model with default weights, with the entries that claim it, sorted.

    More than one entry makes a name ambiguous. Catalogues that cannot be read are left out, see `catalogue_problems`.
    """
    claims: dict[str, list[Entry]] = {}
    for catalogue in get_slot("catalogues").load_all().values():
        for entry in catalogue.values():
            for name in filter(None, (entry.name, entry.short_name)):
                claims.setdefault(name, []).append(entry)
    return dict(sorted(claims.items()))


def catalogue_problems() -> list[str]:
    """Return a sentence for each catalogue that cannot be read."""
    slot = get_slot("catalogues")
    slot.load_all()
    return [str(error) for error in slot.failures.values()]


def ambiguous_names() -> dict[str, str]:
    """Return every name that several entries claim, with the sentence about it."""
    sentences = {}
    for name, claims in all_entries().items():
        if len(claims) > 1:
            owners = " and ".join(f"{entry.name} ({entry.catalogue})" for entry in claims)
            same = len({entry.name for entry in claims}) == 1
            advice = "uninstall one of the catalogues" if same else "give the whole name"
            sentences[name] = f"'{name}' stands for {owners}: {advice}, none is preferred."
    return sentences


def is_known(name: str) -> bool:
    """Return whether a catalogue has this name, with a revision or without; an ambiguous one counts too."""
    return name.partition("@")[0] in all_entries()


def find_entry(name: str) -> Entry:
    """Return the one entry of this name: `MODEL-WEIGHTS`, `MODEL` or either with `@REVISION`.

    Raises:
        ZooError: the name is unknown (the message gives the nearest ones) or ambiguous, or its source has no revisions.
    """
    plain, _, revision = name.partition("@")
    entries = all_entries()
    claims = entries.get(plain, [])
    if not claims:
        message = f"the catalogue has no weights named '{plain}'{nearest(plain, list(entries))}"
        raise ZooError(" ".join([message, *catalogue_problems()]))
    if len(claims) > 1:
        raise ZooError(ambiguous_names()[plain])
    return claims[0].at(revision) if revision else claims[0]
