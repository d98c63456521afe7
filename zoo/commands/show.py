"""Show one plugin (arguments, documentation, distribution, licence), what a checkpoint or published file holds, or what
the catalogue says of weights.
"""

import argparse
import inspect
from importlib.metadata import PackageNotFoundError, metadata
from pathlib import Path
from typing import Any

from zoo.core.registry import find_plugin, get_slot
from zoo.core.slots import Plugin


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("name", help="a name from `zoo list` or `zoo pull --list`, a checkpoint or a published file")


def run(arguments: argparse.Namespace) -> int:
    if Path(arguments.name).is_file():
        return show_file(arguments.name)
    if "-" in arguments.name:  # no class can be called so, and all weights are
        return show_weights(arguments.name)
    plugin = find_plugin(arguments.name)
    found = get_slot(plugin.slot).get(plugin.name)
    print(f"{plugin.name}  (zoo.{plugin.slot}, {plugin.origin}, licence {licence(plugin)})")
    print(f"{plugin.target}\n")
    if plugin.slot == "catalogues":
        print("\n".join(found))
        return 0
    if isinstance(found, dict):
        import yaml

        print(yaml.safe_dump(found, sort_keys=False))
        return 0
    print(inspect.cleandoc(found.__doc__ or "No documentation."))
    print("\nArguments:")
    for line in signature_lines(found):
        print(f"  {line}")
    return 0


def show_weights(name: str) -> int:
    """What the catalogue says of weights, and the card of those that come with a package."""
    from zoo.hub.catalogue import find_entry
    from zoo.hub.pull import located

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
    if (path := located(entry)) is not None:
        print(card_text(path))
    return 0


def card_text(path: Path) -> str:
    """What a published file says to whoever uses it; nothing for a file of another kind."""
    from zoo.weights.checkpoint import read
    from zoo.weights.published import is_safetensors
    from zoo.weights.record import record

    described = record(read(str(path)), str(path)) if is_safetensors(path) else {}
    return f"\n{described.get('card', {}).get('text', '')}".rstrip()


def show_file(path: str) -> int:
    """Print what a checkpoint or published file says of itself; nothing that it names is imported."""
    import yaml

    from zoo.weights.checkpoint import read
    from zoo.weights.record import record

    content = read(path)
    described = record(content, path)
    numbers = sum(value.numel() for value in content["state_dict"].values())
    print(
        f"{path}  ({described['model']['class_path']}, {numbers:,} numbers, {Path(path).stat().st_size / 1e6:.1f} MB)\n"
    )
    card = described.get("card", {})
    shown = {key: value for key, value in card.items() if key != "text"}
    print(yaml.safe_dump(shown | {key: described[key] for key in ("model", "plugins", "versions")}, sort_keys=False))
    if "text" in card:
        print(card["text"])
    return 0


def signature_lines(cls: type) -> list[str]:
    """`name: type = default`, a line an argument."""
    parameters = list(inspect.signature(cls.__init__).parameters.values())[1:]  # type: ignore[misc]
    named = [
        parameter for parameter in parameters if parameter.kind not in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD)
    ]
    return [f"{parameter.name}: {annotation(parameter.annotation)}{default(parameter)}" for parameter in named] or [
        "none"
    ]


def annotation(value: Any) -> str:
    """A type as it is written."""
    return inspect.formatannotation(value).replace("typing.", "")


def default(parameter: inspect.Parameter) -> str:
    """` = value`, or that there is none."""
    return " (required)" if parameter.default is parameter.empty else f" = {parameter.default!r}"


def licence(plugin: Plugin) -> str:
    """The licence that the plugin's distribution declares."""
    try:
        declared = metadata(plugin.distribution).json
    except (PackageNotFoundError, ValueError):
        return "not declared"
    named = declared.get("license_expression") or declared.get("license")
    classified = [
        entry.rpartition(" :: ")[2] for entry in declared.get("classifier", []) if entry.startswith("License ::")
    ]
    return str(named or ", ".join(classified) or "not declared")
