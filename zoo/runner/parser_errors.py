"""Errors of the command line's parser as one sentence: what was received, what was expected, the nearest known names.

The parser reports every attempt to understand a value, layer by layer, over many lines. The innermost layer has the
reason. The outer layers have its place.
"""

import inspect
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from lightning.pytorch import Trainer, callbacks, loggers

from zoo.core.errors import ZooError
from zoo.core.registry import get_slot, slots
from zoo.core.slot import Slot, nearest
from zoo.core.spec import type_hints
from zoo.runner.configs import CONFIGS
from zoo.runner.values import imported

EXAMPLE = "a configuration, for example --config matting/quickstart"
TOP_KEYS = ["trainer", "model", "data", "name", "runs", "seed_everything", "ckpt_path", "weights_only"]
TOP_KEYS += ["verbose", "return_predictions", "config"]
GENERAL_OPTIONS = ("--config", "--name", "--runs", "--seed_everything", "--model", "--data", "--ckpt_path", "--plugin")
TYPE_NAMES = {
    "int": "a whole number",
    "float": "a number",
    "bool": "true or false",
    "str": "text",
    "dict": "values by name, such as {NAME: VALUE}",
    "NoneType": "null",
}
TYPE_PATTERN = r"Expected an? (<class '[\w.]+'>|[\w.]+\[.*?\])"


class CommandLineError(ZooError):
    """Command line that cannot be understood; the message is one sentence for the user."""

    exit_code = 2


class ParserMessage(NamedTuple):
    """Message of the parser, and its subject."""

    command: str
    text: str
    owner: str  # import path of the innermost class that the parser was busy with; may be empty
    place: str  # the option as it is typed, without dashes: `model.selector.patches`
    settings: Sequence[Any]  # contents of all configurations of the command line


def sentence(command: str, message: str, settings: Sequence[Any] = ()) -> str:
    """Return one sentence for a message that the parser of a command raised; `settings` as in `ParserMessage`.

    Example:
        >>> sentence("fit", "argument --name: expected one argument")
        '--name needs a value.'
    """
    text = " ".join(message.split()).replace('in "<unicode string>", ', "in ")
    owners = re.findall(r"Problem with given class_path '([\w.]+)': ", text)
    keys, nested = re.findall(r"Parser key \"([\w.]+)\"", text), re.findall(r"NestedArg\(key='([\w.]+)'", text)
    place = ".".join([keys[0], nested[-1]] if keys and nested else keys)
    keys_of_files = [str(key) for content in settings if isinstance(content, dict) for key in content]
    for key in keys_of_files:
        if key not in TOP_KEYS:
            return f"a configuration has the key '{key}'{nearest(key, TOP_KEYS)}"
    subject = ParserMessage(command, text, owners[-1] if owners else "", place, settings)
    for pattern, rule in RULES:
        if match := re.search(pattern, text):
            words = [word for word in match.groups() if word is not None]
            return rule.format(*words, place=place) if isinstance(rule, str) else rule(subject, *words)
    return f"{text[:400].rstrip('.')}."


def unknown_key(message: ParserMessage, *words: str) -> str:
    """Return the sentence about an option, or an argument of a class or record, that does not exist."""
    option = ".".join(words)
    name = option.removeprefix("--").partition("=")[0]
    if name == "lr" or name.endswith("optimizer.lr"):
        return "each part has a learning rate of its own, the optimizer has none: --model.learning_rates.backbone=1e-4."
    if message.owner:
        field, _, argument = name.partition(".")
        record = type_hints(imported(message.owner)).get(field) if argument else None
        if isinstance(record, type):
            return has_no_argument(f"{record.__module__}.{record.__qualname__}", argument)
        return has_no_argument(message.owner, field)
    if not option.startswith("-") and "." not in option:
        return f"'{option}' is neither an option nor the value of one; options begin with --, `--help` lists them all."
    known = [*GENERAL_OPTIONS, *(f"--trainer.{key}" for key in inspect.signature(Trainer.__init__).parameters)]
    return f"there is no option --{name}{nearest(f'--{name}', known, listed=False)} `--help` lists them all."


def has_no_argument(path: str, argument: str) -> str:
    """Return the sentence about an argument that the class at an import path does not have."""
    known = inspect.signature(imported(path).__init__).parameters
    names = [name for name in known if name not in ("self", "args", "kwargs")]
    return f"{path.rpartition('.')[2]} has no argument '{argument}'{nearest(argument, names)}"


def missing_arguments(message: ParserMessage, listed: str) -> str:
    """Return the sentence about required arguments that were not given."""
    names = [name.removeprefix(f"{message.command}.") for name in listed.split(", ")]
    if message.owner:
        return f"{message.owner.rpartition('.')[2]} needs a value for {' and '.join(names)}."
    source = EXAMPLE if message.command == "fit" else f"--ckpt_path with a checkpoint, or {EXAMPLE}"
    return f"nothing says which {' and which '.join(sorted(names, reverse=True))} to use: give {source}."


def missing_class(message: ParserMessage) -> str:
    """Return the sentence about arguments of a part whose class is not chosen: often, a key is misspelt."""
    nodes, place, keys = message.settings, message.place, message.place.split(".")
    if not message.owner and keys[0] != "trainer":
        return f"--{place} changes a {keys[0]}, but nothing says which: give {EXAMPLE}, or --{keys[0]}=CLASS."
    for position, key in enumerate(keys[:-1]):
        arguments = [node.get("init_args", node) for node in nodes if isinstance(node, dict)]
        nodes = [node[key] for node in arguments if key in node]
        if not nodes and position:
            parent, known = ".".join(keys[:position]), sorted({name for node in arguments for name in node})
            hint = nearest(key, known) if position > 1 else "."  # before, the key is an argument that there is
            return f"{parent} has no '{key}'{hint} To add it, first give --{parent}.{key}=CLASS."
    return f"{place} holds arguments of a part without its class; expected class_path with a registered name."


def unknown_class(message: ParserMessage, path: str) -> str:
    """Return the sentence about a class that is not known, broken, or of another slot."""
    place, name = message.place, path.rpartition(".")[2]
    if not any(slot.classes().get(name) is imported(path) is not None for slot in slots().values()):
        name = path  # no import path of a registered class
    slot = expected_slot(message.owner, place)
    if slot is None:
        close = nearest(name, [*loggers.__all__, *callbacks.__all__], listed=False)
        return f"{place} got '{name}', which is no class known here{close}"
    word = "model" if place == "model" else slot.word
    known = [*get_slot("models").names(), *slot.names()] if place == "model" else slot.names()
    others = [other.word for other in slots().values() if name in other.names()]
    if name not in known and others:
        return f"{place} got '{name}', a {others[0]}; expected a {word}: {', '.join(known)}."
    if name not in known:
        # A name of a library's model is an argument of the class that knows the library.
        takers = [each for each, cls in slot.load_all().items() if "name" in type_hints(getattr(cls, "__init__", None))]
        by_name = f" {takers[0]} takes names of models: --{place}.name={name}." if takers else ""
        own = "" if by_name or place == "model" else " A part in a file of yours needs --plugin FILE."
        return f"{place}: no {word} named '{name}'{nearest(name, known)}{by_name}{own}"
    return f"{place}: the {word} '{name}' cannot be used here."


def expected_slot(owner: str, place: str) -> Slot | None:
    """Return the slot that an option expects, from the annotation of its argument; None for other options."""
    if place in ("model", "data"):
        return get_slot("modules" if place == "model" else "data_modules")
    hints = type_hints(imported(owner).__init__)
    for key in reversed(place.split(".")):
        bases = classes_inside(hints.get(key))
        if matches := [slot for slot in slots().values() if slot.base is not None and slot.base_class() in bases]:
            return matches[0]
    return None


def classes_inside(annotation: Any) -> list[Any]:
    """Return a type and every type inside it, with their base classes."""
    inner = [cls for argument in getattr(annotation, "__args__", ()) for cls in classes_inside(argument)]
    return [*getattr(annotation, "__mro__", ()), *inner]


def missing_configuration(message: ParserMessage, file: str) -> str:
    """Return the sentence about a configuration file that does not exist."""
    path = Path(file)
    typed = path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path
    files = (file for file in CONFIGS.glob("*/*.yaml") if file.parent.name not in ("studies", "plans"))
    shipped = sorted(str(file.relative_to(CONFIGS).with_suffix("")) for file in files)
    return f"there is no configuration {typed}, neither a file nor a shipped one{nearest(str(typed), shipped)}"


def wrong_value(message: ParserMessage, _: str) -> str:
    """Return the sentence about a value of another type, with the types that the innermost layer tried."""
    text = message.text
    words: list[str] = []
    values = re.findall(r"NestedArg\(key='[\w.]+', val='(.*?)'\)", text)
    values += re.findall(r"(?:Got|Given) value: (.*?)(?= - Expected| Given value|$)", text)
    innermost = text[text.rfind("Subtypes:") :].split(" Given value type")[0]
    single = re.search(rf"{TYPE_PATTERN}\. Got value", text)
    for kind in [single[1]] if single else re.findall(rf"{TYPE_PATTERN}(?= |$)", innermost):
        name = kind.removeprefix("<class '").removesuffix("'>").rpartition(".")[2]
        literal = re.match(r"typing\.Literal\[(.*)\]", kind)
        words += literal[1].replace("'", "").split(", ") if literal else [TYPE_NAMES.get(name, name)]
    *others, last = dict.fromkeys(words)
    return f"{message.place} got '{values[0]}', expected {', '.join(others)}{' or ' * bool(others)}{last}."


RULES: list[tuple[str, str | Callable[..., str]]] = [
    (r"Option '([\w.]+)' is not accepted", unknown_key),
    (r"[Uu]nrecognized arguments: (\S+)|Group '([\w.]+)' does not accept option '([\w.]+)'", unknown_key),
    (r"argument (?:-\w/)?(--\w+): expected one argument", "{} needs a value."),
    (r"the following arguments are required: ([\w., ]+?)(?: - |$)", missing_arguments),
    (r"Expected an instantiatable class|Not a valid subclass of \w+ Subclass", missing_class),
    (
        r"Expected a dot import path string: (\S+)|Import path (\S+) does not correspond to a subclass"
        r"|Unexpected import path format: (\S+)",
        unknown_class,
    ),
    (
        r"Problem with given class_path '([\w.]+)': (?!Parser key|Does not)(.+?)\.?(?: - Expected| Given value|$)",
        "{place} got '{}', which cannot be used: {}.",
    ),
    (r"Parser key \"config\": File does not exist: '(.+)'", missing_configuration),
    (r"Problems parsing config: (.*)", "a configuration is not YAML: {}."),
    (
        r"Unexpected config: (.{,80})",
        "a configuration holds '{}', expected settings by name, such as trainer: {{max_epochs: 3}}.",
    ),
    (
        r"Not a valid subclass of (\w+)\. Got value: (.{,80}).*? Subclass types",
        "{place} got '{1}', expected a {0}: class_path with a registered name, and its arguments in init_args.",
    ),
    (TYPE_PATTERN, wrong_value),
]
"""Patterns of the parser's messages, each with a sentence or the function that writes it; the first match counts."""


def raised_by_part(error: ValueError) -> BaseException:
    """Return the error of a part's constructor from the parser's `ValueError` about it."""
    cause: BaseException = error
    while str(cause).startswith("Does not validate against any of the Union subtypes") and cause.__cause__ is not None:
        cause = cause.__cause__
    return cause
