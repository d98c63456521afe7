"""Show a plugin, a slot, weights of the catalogue, a checkpoint or a published file.

A plugin is shown with its arguments, documentation, distribution and licence. A slot, by its name or that of its base
class, is shown with its contract: the base class with its attributes, methods and an example. `zoo show study` lists
the keys of a study file. `zoo show --slots --json` prints the vocabulary of a study: slots, parts, their arguments with
types, defaults and documentation, and metrics.
"""

import argparse
import inspect
from dataclasses import asdict
from importlib.metadata import PackageNotFoundError, metadata
from pathlib import Path
from typing import Any

from zoo.core.registry import find_plugin, get_slot, slots
from zoo.core.slot import Plugin, Slot
from zoo.runner.help import add_json, print_json


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument(
        "name", nargs="?", help="a name from `zoo list` or `zoo pull --list`, a checkpoint or a published file"
    )
    parser.add_argument(
        "--slots", action="store_true", help="every slot with its parts, their arguments and documentation, and metrics"
    )
    add_json(parser)


def run(arguments: argparse.Namespace) -> int:
    """Print the description; return 0."""
    if arguments.slots == (arguments.name is not None):
        raise ValueError("expected a name, or --slots.")
    if arguments.slots:
        vocabulary = {"slots": {slot.name: describe_slot(slot) for slot in slots().values()}, "metrics": metrics()}
        if arguments.json:
            print_json(vocabulary)
        else:
            print(yaml_text(vocabulary))
    elif arguments.json:
        print_json(describe(arguments.name))
    elif Path(arguments.name).is_file():
        show_file(arguments.name)
    elif arguments.name == "study":
        from zoo.study.record import documented_keys

        print(documented_keys())
    elif slot := find_slot(arguments.name):
        show_slot(slot)
    elif "-" in arguments.name:  # in every name of weights, and in no name of a class
        show_weights(arguments.name)
    else:
        show_plugin(arguments.name)
    return 0


def describe(name: str) -> dict[str, Any]:
    """Return a file, slot, weights or plugin as plain data."""
    if Path(name).is_file():
        return file_data(name)
    if slot := find_slot(name):
        return {"slot": slot.name, "version": slot.version} | describe_slot(slot)
    if "-" in name:
        from zoo.commands.pull import entry_data
        from zoo.hub.catalogue import find_entry

        return entry_data(find_entry(name))
    plugin = find_plugin(name)
    content = get_slot(plugin.slot).get(plugin.name)
    described = describe_part(content) if isinstance(content, type) else {"content": content}
    return {"slot": plugin.slot} | asdict(plugin) | {"licence": licence(plugin)} | described


def describe_slot(slot: Slot) -> dict[str, Any]:
    """Return a slot and its usable parts as plain data, arguments with types, defaults and documentation."""
    parts = {name: describe_part(part) for name, part in slot.load_all().items() if isinstance(part, type)}
    return {"word": slot.word, "base": (slot.base or "data").replace(":", "."), "parts": parts or slot.names()}


def describe_part(cls: type) -> dict[str, Any]:
    """Return the first sentence and the arguments of a class as plain data."""
    from docstring_parser import parse

    from zoo.core.spec import to_plain

    documentation = parse(inspect.cleandoc(cls.__doc__ or ""))
    texts = {
        name: " ".join((argument.description or "").split())
        for argument in documentation.params
        for name in argument.arg_name.split(", ")
    }
    arguments = {}
    for one in arguments_of(cls):
        optional = {} if one.default is one.empty else {"default": to_plain(one.default, one.name)}
        arguments[one.name] = {"type": type_text(one), **optional, "documentation": texts.get(one.name, "")}
    return {"summary": " ".join((documentation.short_description or "").split()), "arguments": arguments}


def metrics() -> dict[str, dict[str, dict[str, Any]]]:
    """Return the metrics of each task: whether higher is better, label and unit where they are the same everywhere."""
    from zoo.heads.measures import MEASURES
    from zoo.matting.measures import HIGHER_IS_BETTER, LOWER_IS_BETTER

    matting = {name: {"higher_is_better": name in HIGHER_IS_BETTER} for name in LOWER_IS_BETTER + HIGHER_IS_BETTER}
    return {"matting": matting, "heads": {name: measure._asdict() for name, measure in MEASURES.items()}}


def yaml_text(data: Any) -> str:
    """Return plain data as YAML."""
    import yaml

    return yaml.safe_dump(data, sort_keys=False, allow_unicode=True, width=120)


def find_slot(name: str) -> Slot | None:
    """Return the slot of this name, or the one whose base class has it."""
    named = (slot for slot in slots().values() if name in (slot.name, (slot.base or "").rpartition(":")[2]))
    return next(named, None)


def show_slot(slot: Slot) -> None:
    """Print the contract of a slot: its base class, attributes and methods, and the plugins that there are."""
    print(f"{slot.name}  (zoo.{slot.name}, {slot.word}, version {slot.version})")
    if slot.base is None:
        print("\nIts plugins are data, without a base class.")
    else:
        base = slot.base_class()
        print(f"from {base.__module__} import {base.__name__}\n\n{inspect.cleandoc(base.__doc__ or '')}")
        own = [cls for cls in reversed(base.__mro__) if cls.__module__.startswith(base.__module__.partition(".")[0])]
        classes = [cls for cls in own if cls.__name__ != "Part"]
        for title, lines in (("Attributes", attribute_lines(classes)), ("Methods", method_lines(base, classes))):
            print("\n".join([f"\n{title}:", *(f"  {line}" for line in lines or ["none"])]))
    print(f"\nPlugins: {', '.join(slot.names()) or 'none'}. `zoo show NAME` shows one.")


def attribute_lines(classes: list[type]) -> list[str]:
    """Return `name: type = value` for each public attribute that these classes define for their subclasses."""
    lines = {}
    for cls in classes:
        annotations = inspect.get_annotations(cls)
        for name in [*annotations, *vars(cls)]:
            value = vars(cls).get(name, ...)
            if not name.startswith("_") and not callable(value):
                typed = f": {inspect.formatannotation(annotations[name])}" if name in annotations else ""
                lines[name] = f"{name}{typed}{'' if value is ... or isinstance(value, property) else f' = {value!r}'}"
    return list(lines.values())


def method_lines(base: type, classes: list[type]) -> list[str]:
    """Return each public method that these classes define, with its first line, marked where a part must have it."""
    required: frozenset[str] = getattr(base, "__abstractmethods__", frozenset())
    methods = {name: method for cls in classes for name, method in vars(cls).items() if inspect.isfunction(method)}
    return [
        f"{name}{inspect.signature(method)}{' (required)' * (name in required)}\n"
        f"      {(inspect.getdoc(method) or '').partition(chr(10))[0]}"
        for name, method in methods.items()
        if not name.startswith("_") or name in required
    ]


def show_plugin(name: str) -> None:
    """Print the origin of a plugin and the documentation and arguments of its class, or its data."""
    plugin = find_plugin(name)
    content = get_slot(plugin.slot).get(plugin.name)
    print(f"{plugin.name}  (zoo.{plugin.slot}, {plugin.origin}, licence {licence(plugin)})\n{plugin.target}\n")
    if plugin.slot == "catalogues":
        print("\n".join(content))
    elif isinstance(content, dict):
        print(yaml_text(content))
    else:
        print(inspect.cleandoc(content.__doc__ or "No documentation."))
        print("\nArguments:")
        for line in signature_lines(content) or ["none"]:
            print(f"  {line}")


def show_weights(name: str) -> None:
    """Print the catalogue's entry for weights, and the card of those that come with a package."""
    from zoo.hub.catalogue import find_entry
    from zoo.hub.pull import usable_without_pull

    entry = find_entry(name)
    print(f"{entry.name}  (weights, {entry.catalogue})\n")
    lines = {
        "task": entry.task,
        "model": entry.model or "as the file says",
        "arguments": ", ".join(f"{key}={value}" for key, value in entry.arguments.items()),
        "licence": entry.licence,
        "trained on": entry.training_data,
        "source": entry.source.address,
        "size": f"{entry.size:,} bytes" if entry.size else "not published",
        "sha256": entry.sha256 or "not published: the first pull pins what it gets",
        "short name": entry.short_name,
        "note": entry.note,
    }
    for key, value in lines.items():
        if value:
            print(f"{key:<11} {value}")
    for metrics in entry.metrics:
        values = ", ".join(f"{metric} {value:g}" for metric, value in metrics.values.items())
        print(f"{'metrics':<11} {values} on {metrics.data}, preset {metrics.preset}, by {metrics.source}")
    if (path := usable_without_pull(entry)) is not None:
        print(card_text(path))


def card_text(path: Path) -> str:
    """Return the text of a published file's card after an empty line; nothing for a file of another kind."""
    from zoo.weights.checkpoint import record
    from zoo.weights.published import is_safetensors
    from zoo.weights.reading import read

    card = record(read(str(path)), str(path)).get("card", {}) if is_safetensors(path) else {}
    return f"\n{card.get('text', '')}".rstrip()


def show_file(path: str) -> None:
    """Print the description in a checkpoint or published file."""
    data = file_data(path)
    text = data.pop("text", None)
    numbers, megabytes = data.pop("numbers"), data.pop("bytes") / 1e6
    print(f"{path}  ({data['model']['class_path']}, {numbers:,} numbers, {megabytes:.1f} MB)\n")
    print(yaml_text(data))
    if text is not None:
        print(text)


def file_data(path: str) -> dict[str, Any]:
    """Return the description in a checkpoint or published file as plain data; import nothing that it names."""
    from zoo.weights.checkpoint import record
    from zoo.weights.reading import read

    content = read(path)
    entry = record(content, path)
    numbers = sum(value.numel() for value in content["state_dict"].values())
    described = {key: entry[key] for key in ("model", "plugins", "versions")}
    return entry.get("card", {}) | described | {"numbers": numbers, "bytes": Path(path).stat().st_size}


def signature_lines(cls: type) -> list[str]:
    """Return `name: type = default` for each argument of a class."""
    return [
        f"{one.name}: {type_text(one)}{' (required)' if one.default is one.empty else f' = {one.default!r}'}"
        for one in arguments_of(cls)
    ]


def arguments_of(cls: type) -> list[inspect.Parameter]:
    """Return the arguments of a class that have names."""
    _, *arguments = inspect.signature(cls.__init__).parameters.values()  # type: ignore[misc]
    return [one for one in arguments if one.kind not in (one.VAR_POSITIONAL, one.VAR_KEYWORD)]


def type_text(argument: inspect.Parameter) -> str:
    """Return the type of an argument as it is written in code."""
    return inspect.formatannotation(argument.annotation).replace("typing.", "")


def licence(plugin: Plugin) -> str:
    """Return the licence that the plugin's distribution declares."""
    try:
        declared = metadata(plugin.distribution).json
    except (PackageNotFoundError, ValueError):
        return "not declared"
    classifiers = [
        entry.rpartition(" :: ")[2] for entry in declared.get("classifier", []) if entry.startswith("License ::")
    ]
    name = declared.get("license_expression") or declared.get("license") or ", ".join(classifiers)
    return str(name or "not declared")
