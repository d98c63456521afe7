"""What the command line's parser says, in one sentence: what was given, what was expected, the nearest known names.

The parser reports every attempt it made to understand a value, layer by layer, over many lines. The innermost layer has the reason; the outer ones
say where it was.
"""

import inspect
import re
from pathlib import Path
from typing import Any

from lightning.pytorch import Trainer, callbacks, loggers

from zoo.core.arguments import CONFIGS
from zoo.core.registry import SLOTS, PluginError, Slot, get_slot, imported, nearest
from zoo.core.spec import type_hints

EXAMPLE = "a configuration, for example --config matting/quickstart"

WORDS = {"int": "a whole number", "float": "a number", "bool": "true or false", "str": "text", "NoneType": "null"}
"""What types are called in messages."""


def sentence(command: str, message: str) -> str:
    """One sentence out of the parser's message.

    Args:
        command: `fit`, `validate`, `test` or `predict`.
        message: what the parser raised, as it came.
    """
    text = " ".join(message.split())
    owner = found[-1] if (found := re.findall(r"Problem with given class_path '([\w.]+)': ", text)) else ""
    place = where(text)
    if option := re.search(r"Option '([\w.]+)' is not accepted", text):
        return unknown_argument(owner, option[1])
    if option := re.search(r"[Uu]nrecognized arguments: (\S+)|does not accept option '([\w.]+)'", text):
        return unknown_option(owner, option[1] or option[2])
    if option := re.search(r"argument (?:-\w/)?(--\w+): expected one argument", text):
        return f"{option[1]} needs a value."
    if missing := re.search(r"the following arguments are required: ([\w., ]+?)(?: - |$)", text):
        return missing_arguments(command, class_name(owner), missing[1])
    if "Expected an instantiatable class" in text:
        return f"--{place} was given before anything that it could change: first give {EXAMPLE}, or a model (--model=bgmv2_resnet50)."
    if name := re.search(r"Expected a dot import path string: (\S+)|Import path (\S+) does not correspond to a subclass", text):
        return unknown_class(place, expected_slot(owner, place), name[1] or name[2])
    if reason := re.search(r"Problem with given class_path '([\w.]+)': (?!Parser key|Does not validate)(.+?)(?: - Expected| Given value|$)", text):
        return f"{place} got '{reason[1]}', which cannot be used: {reason[2].rstrip('.')}."
    if file := re.search(r"Parser key \"config\": File does not exist: '(.+)'", text):
        return f"there is no configuration {as_typed(file[1])}, neither a file nor a shipped one (shipped: {', '.join(shipped_names()) or 'none'})."
    if expected := expected_types(text):
        return f"{place} got '{given(text)}', expected {in_words(expected)}."
    if reason := re.search(r"Problems parsing config: (.*)", text):
        return f"a configuration is not YAML: {re.sub('in .<unicode string>., ', 'in ', reason[1])}."
    if content := re.search(r"Unexpected config: (.*)", text):
        return f"a configuration holds '{content[1][:80]}', expected settings by name, such as trainer: {{max_epochs: 3}}."
    return f"{text[:400].rstrip('.')}."


def where(text: str) -> str:
    """The option that was not understood, as it is typed: `model.selector.patches`."""
    keys = re.findall(r"Parser key \"([\w.]+)\"", text)
    nested = re.findall(r"NestedArg\(key='([\w.]+)'", text)
    return ".".join([keys[0], nested[-1]] if keys and nested else keys)


def given(text: str) -> str:
    """The value that was not understood."""
    nested = re.findall(r"NestedArg\(key='[\w.]+', val='(.*?)'\)", text)
    values = nested or re.findall(r"(?:Got|Given) value: (.*?)(?= - Expected| Given value|$)", text)
    return values[0]


def expected_types(text: str) -> list[str]:
    """The types that the innermost layer tried, as the parser writes them."""
    kind = r"Expected an? (<class '[\w.]+'>|[\w.]+\[.*?\])"
    if single := re.search(rf"{kind}\. Got value", text):
        return [single[1]]
    innermost = text[text.rfind("Subtypes:") :].split(" Given value type")[0]
    return re.findall(rf"- {kind}(?= |$)", innermost)


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


def class_name(path: str) -> str:
    """The class's own name."""
    return path.rpartition(".")[2]


def argument_names(owner: str) -> list[str]:
    """The arguments of the class at an import path."""
    cls = imported(owner)
    names = inspect.signature(cls.__init__).parameters if cls is not None else []
    return [name for name in names if name not in ("self", "args", "kwargs")]


def unknown_argument(owner: str, argument: str) -> str:
    """The sentence about an argument that a class does not have."""
    return f"{class_name(owner)} has no argument '{argument}'{nearest(argument, argument_names(owner))}"


def unknown_option(owner: str, option: str) -> str:
    """The sentence about an option that nothing has: the command line, a configuration, or the record inside the class at `owner`."""
    name = option.removeprefix("--").partition("=")[0]
    if owner:
        record, _, argument = name.rpartition(".")
        inner = type_hints(imported(owner)).get(record)
        return unknown_argument(f"{inner.__module__}.{inner.__qualname__}" if isinstance(inner, type) else owner, argument)
    if not option.startswith("-") and "." not in option:
        return f"'{option}' is neither an option nor the value of one; options begin with --, `--help` lists them all."
    return f"there is no option --{name}{nearest(f'--{name}', options(), listed=False)} `--help` lists them all."


def options() -> list[str]:
    """The top-level and trainer options of Lightning's commands."""
    own = ["--config", "--name", "--runs", "--seed_everything", "--model", "--data", "--ckpt_path", "--plugin"]
    return own + [f"--trainer.{name}" for name in inspect.signature(Trainer.__init__).parameters if name != "self"]


def missing_arguments(command: str, owner: str, missing: str) -> str:
    """The sentence about something required that was not given."""
    names = [name.removeprefix(f"{command}.") for name in missing.split(", ")]
    if owner:
        return f"{owner} needs a value for {' and '.join(names)}."
    source = EXAMPLE if command == "fit" else f"--ckpt_path with a checkpoint, or {EXAMPLE}"
    return f"nothing says which {' and which '.join(sorted(names, reverse=True))} to use: give {source}."


def expected_slot(owner: str, place: str) -> Slot | None:
    """The slot whose plugins are expected at an option, told by the annotation of the argument; None where no plugin is."""
    if place in ("model", "data"):
        return get_slot("modules" if place == "model" else "data_modules")
    hints = type_hints(cls.__init__) if (cls := imported(owner)) else {}
    for key in reversed(place.split(".")):
        for slot in SLOTS.values():
            if slot.base is not None and slot.base_class() in inside(hints.get(key)):
                return slot
    return None


def inside(annotation: Any) -> list[Any]:
    """A type and every type inside it, with their base classes."""
    found = list(getattr(annotation, "__mro__", ()))
    for inner in getattr(annotation, "__args__", ()):
        found += inside(inner)
    return found


def unknown_class(place: str, slot: Slot | None, name: str) -> str:
    """The sentence about a class that is not known, broken, or of another slot."""
    if slot is None:
        return f"{place} got '{name}', which is no class known here{nearest(name, [*loggers.__all__, *callbacks.__all__], listed=False)}"
    known = [*get_slot("models").names(), *slot.names()] if place == "model" else slot.names()
    if name not in known:
        others = [other.word for other in SLOTS.values() if name in other.names()]
        word = "model" if place == "model" else slot.word
        if others:
            return f"{place} got '{name}', a {others[0]}; expected a {word}: {', '.join(known)}."
        return f"{place}: no {word} named '{name}'{nearest(name, known)}"
    try:
        slot.get(name)
    except PluginError as error:
        return f"{place}: {error}"
    return f"{place}: the {slot.word} '{name}' cannot be used here."


def as_typed(path: str) -> str:
    """A path relative to the working directory where it is inside."""
    return str(Path(path).relative_to(Path.cwd())) if Path(path).is_relative_to(Path.cwd()) else path


def shipped_names() -> list[str]:
    """The short names of the shipped configurations."""
    return sorted(str(file.relative_to(CONFIGS).with_suffix("")) for file in Path(CONFIGS).rglob("*.yaml"))
