"""What the command line's parser says, in one sentence: what was given, what was expected, the nearest known names.

The parser reports every attempt it made to understand a value, layer by layer, over many lines. The innermost layer has
the reason; the outer ones say where it was.
"""

import inspect
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from lightning.pytorch import Trainer, callbacks, loggers

from zoo.core.errors import ZooError
from zoo.core.registry import get_slot, imported, slots
from zoo.core.slots import PluginError, Slot, nearest
from zoo.core.spec import type_hints
from zoo.runner.configs import CONFIGS

EXAMPLE = "a configuration, for example --config matting/quickstart"

WORDS = {"int": "a whole number", "float": "a number", "bool": "true or false", "str": "text", "NoneType": "null"}
"""What types are called in messages."""

TYPE = r"Expected an? (<class '[\w.]+'>|[\w.]+\[.*?\])"
"""How the parser names a type that a value is not."""


class CommandLineError(ZooError):
    """A command line that cannot be understood; the message is one sentence for the user."""

    exit_code = 2


class Complaint(NamedTuple):
    """What the parser raised.

    Args:
        command: `fit`, `validate`, `test` or `predict`.
        text: the message in one line.
        owner: import path of the innermost class that the parser was busy with.
        place: the option, as it is typed: `model.selector.patches`.
    """

    command: str
    text: str
    owner: str
    place: str


def sentence(command: str, message: str) -> str:
    """One sentence out of the message that the parser of a command raised."""
    text = " ".join(message.split())
    owners = re.findall(r"Problem with given class_path '([\w.]+)': ", text)
    complaint = Complaint(command, text, owners[-1] if owners else "", where(text))
    for pattern, tell in RULES:
        if found := re.search(pattern, text):
            return tell(complaint, found)
    return f"{text[:400].rstrip('.')}."


def where(text: str) -> str:
    """The option that was not understood, as it is typed."""
    keys = re.findall(r"Parser key \"([\w.]+)\"", text)
    nested = re.findall(r"NestedArg\(key='([\w.]+)'", text)
    return ".".join([keys[0], nested[-1]] if keys and nested else keys)


def unknown_key(complaint: Complaint, found: re.Match[str]) -> str:
    """About an argument that a class does not have, or a key that a configuration cannot have."""
    return has_no_argument(complaint.owner, found[1]) if complaint.owner else unknown_option(complaint, found)


def unknown_option(complaint: Complaint, found: re.Match[str]) -> str:
    """About an option that the command line, or a record inside a class, does not have."""
    option = ".".join(filter(None, found.groups()))
    name = option.removeprefix("--").partition("=")[0]
    if complaint.owner:
        field, _, argument = name.rpartition(".")
        record = type_hints(imported(complaint.owner)).get(field)
        inside = f"{record.__module__}.{record.__qualname__}" if isinstance(record, type) else complaint.owner
        return has_no_argument(inside, argument)
    if not option.startswith("-") and "." not in option:
        return f"'{option}' is neither an option nor the value of one; options begin with --, `--help` lists them all."
    return f"there is no option --{name}{nearest(f'--{name}', options(), listed=False)} `--help` lists them all."


def missing_value(complaint: Complaint, found: re.Match[str]) -> str:
    """About an option at the end of the line."""
    return f"{found[1]} needs a value."


def missing_arguments(complaint: Complaint, found: re.Match[str]) -> str:
    """About something required that was not given."""
    names = [name.removeprefix(f"{complaint.command}.") for name in found[1].split(", ")]
    if complaint.owner:
        return f"{class_name(complaint.owner)} needs a value for {' and '.join(names)}."
    source = EXAMPLE if complaint.command == "fit" else f"--ckpt_path with a checkpoint, or {EXAMPLE}"
    return f"nothing says which {' and which '.join(sorted(names, reverse=True))} to use: give {source}."


def nothing_to_change(complaint: Complaint, found: re.Match[str]) -> str:
    """About an argument of a model or data that were not chosen yet."""
    option = f"--{complaint.place}"
    return f"{option} was given before anything that it could change: first give {EXAMPLE}, or --model=bgmv2_resnet50."


def unknown_class(complaint: Complaint, found: re.Match[str]) -> str:
    """About a class that is not known, broken, or of another slot."""
    name, place = registered_name(found[1] or found[2]), complaint.place
    slot = expected_slot(complaint.owner, place)
    if slot is None:
        close = nearest(name, [*loggers.__all__, *callbacks.__all__], listed=False)
        return f"{place} got '{name}', which is no class known here{close}"
    word = "model" if place == "model" else slot.word
    known = [*get_slot("models").names(), *slot.names()] if place == "model" else slot.names()
    others = [other.word for other in slots().values() if name in other.names()]
    if name not in known and others:
        return f"{place} got '{name}', a {others[0]}; expected a {word}: {', '.join(known)}."
    if name not in known:
        return f"{place}: no {word} named '{name}'{nearest(name, known)}"
    try:
        slot.get(name)
    except PluginError as error:
        return f"{place}: {error}"
    return f"{place}: the {word} '{name}' cannot be used here."


def registered_name(path: str) -> str:
    """Return the registered name of the class at an import path; other text as it is."""
    name = path.rpartition(".")[2]
    return name if any(slot.classes().get(name) is imported(path) is not None for slot in slots().values()) else path


def unusable_class(complaint: Complaint, found: re.Match[str]) -> str:
    """About a class that could not be imported."""
    return f"{complaint.place} got '{found[1]}', which cannot be used: {found[2].rstrip('.')}."


def missing_configuration(complaint: Complaint, found: re.Match[str]) -> str:
    """About a configuration file that is not there."""
    path = Path(found[1])
    typed = path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path
    shipped = sorted(str(file.relative_to(CONFIGS).with_suffix("")) for file in CONFIGS.rglob("*.yaml"))
    known = ", ".join(shipped) or "none"
    return f"there is no configuration {typed}, neither a file nor a shipped one (shipped: {known})."


def unreadable_configuration(complaint: Complaint, found: re.Match[str]) -> str:
    """About a configuration file that is not YAML."""
    return f"a configuration is not YAML: {re.sub('in .<unicode string>., ', 'in ', found[1])}."


def odd_configuration(complaint: Complaint, found: re.Match[str]) -> str:
    """About a configuration file without names in it."""
    return f"a configuration holds '{found[1]}', expected settings by name, such as trainer: {{max_epochs: 3}}."


def wrong_value(complaint: Complaint, found: re.Match[str]) -> str:
    """About a value of another type."""
    return f"{complaint.place} got '{given(complaint.text)}', expected {in_words(expected_types(complaint.text))}."


RULES: list[tuple[str, Callable[[Complaint, re.Match[str]], str]]] = [
    (r"Option '([\w.]+)' is not accepted", unknown_key),
    (r"[Uu]nrecognized arguments: (\S+)|Group '([\w.]+)' does not accept option '([\w.]+)'", unknown_option),
    (r"argument (?:-\w/)?(--\w+): expected one argument", missing_value),
    (r"the following arguments are required: ([\w., ]+?)(?: - |$)", missing_arguments),
    (r"Expected an instantiatable class", nothing_to_change),
    (r"Expected a dot import path string: (\S+)|Import path (\S+) does not correspond to a subclass", unknown_class),
    (
        r"Problem with given class_path '([\w.]+)': (?!Parser key|Does not)(.+?)(?: - Expected| Given value|$)",
        unusable_class,
    ),
    (r"Parser key \"config\": File does not exist: '(.+)'", missing_configuration),
    (r"Problems parsing config: (.*)", unreadable_configuration),
    (r"Unexpected config: (.{,80})", odd_configuration),
    (TYPE, wrong_value),
]
"""What the parser may say, and which function tells it; the first that is found counts."""


def has_no_argument(path: str, argument: str) -> str:
    """About an argument that the class at an import path does not have."""
    return f"{class_name(path)} has no argument '{argument}'{nearest(argument, argument_names(path))}"


def class_name(path: str) -> str:
    """The class's own name."""
    return path.rpartition(".")[2]


def argument_names(path: str) -> list[str]:
    """The arguments of the class at an import path."""
    cls = imported(path)
    names = inspect.signature(cls.__init__).parameters if cls is not None else []
    return [name for name in names if name not in ("self", "args", "kwargs")]


def options() -> list[str]:
    """The top-level and trainer options of Lightning's commands."""
    own = ["--config", "--name", "--runs", "--seed_everything", "--model", "--data", "--ckpt_path", "--plugin"]
    return own + [f"--trainer.{name}" for name in inspect.signature(Trainer.__init__).parameters if name != "self"]


def expected_slot(owner: str, place: str) -> Slot | None:
    """The slot whose plugins are expected at an option, told by the argument's annotation; None where none is."""
    if place in ("model", "data"):
        return get_slot("modules" if place == "model" else "data_modules")
    cls = imported(owner)
    hints = type_hints(cls.__init__) if cls is not None else {}
    for key in reversed(place.split(".")):
        wanted = classes_inside(hints.get(key))
        for slot in slots().values():
            if slot.base is not None and slot.base_class() in wanted:
                return slot
    return None


def classes_inside(annotation: Any) -> list[Any]:
    """A type and every type inside it, with their base classes."""
    found = list(getattr(annotation, "__mro__", ()))
    for inner in getattr(annotation, "__args__", ()):
        found += classes_inside(inner)
    return found


def given(text: str) -> str:
    """The value that was not understood."""
    nested = re.findall(r"NestedArg\(key='[\w.]+', val='(.*?)'\)", text)
    return (nested or re.findall(r"(?:Got|Given) value: (.*?)(?= - Expected| Given value|$)", text))[0]


def expected_types(text: str) -> list[str]:
    """The types that the innermost layer tried, as the parser writes them."""
    if single := re.search(rf"{TYPE}\. Got value", text):
        return [single[1]]
    innermost = text[text.rfind("Subtypes:") :].split(" Given value type")[0]
    return re.findall(rf"{TYPE}(?= |$)", innermost)


def in_words(types: list[str]) -> str:
    """`a whole number or null`, out of the types that the parser tried."""
    words: list[str] = []
    for kind in types:
        if literal := re.match(r"typing\.Literal\[(.*)\]", kind):
            words += literal[1].replace("'", "").split(", ")
        else:
            name = kind.removeprefix("<class '").removesuffix("'>").rpartition(".")[2]
            words.append(WORDS.get(name, name))
    words = list(dict.fromkeys(words))
    return " or ".join([", ".join(words[:-1]), words[-1]] if len(words) > 1 else words)


def raised_by_part(error: ValueError) -> BaseException:
    """Return what a part's constructor raised, out of the parser's `ValueError` about it."""
    found: BaseException = error
    while str(found).startswith("Does not validate against any of the Union subtypes") and found.__cause__ is not None:
        found = found.__cause__
    return found
