"""Show a plugin, weights of the catalogue, a checkpoint or a published file.

A plugin is shown with its arguments, documentation, distribution and licence.
"""

import argparse
import inspect
from importlib.metadata import PackageNotFoundError, metadata
from pathlib import Path

from zoo.core.registry import find_plugin, get_slot
from zoo.core.slot import Plugin


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("name", help="a name from `zoo list` or `zoo pull --list`, a checkpoint or a published file")


def run(arguments: argparse.Namespace) -> int:
    """Print the description; return 0."""
    if Path(arguments.name).is_file():
        show_file(arguments.name)
    elif "-" in arguments.name:  # in every name of weights, and in no name of a class
        show_weights(arguments.name)
    else:
        show_plugin(arguments.name)
    return 0


def show_plugin(name: str) -> None:
    """Print the origin of a plugin and the documentation and arguments of its class, or its data."""
    plugin = find_plugin(name)
    content = get_slot(plugin.slot).get(plugin.name)
    print(f"{plugin.name}  (zoo.{plugin.slot}, {plugin.origin}, licence {licence(plugin)})\n{plugin.target}\n")
    if plugin.slot == "catalogues":
        print("\n".join(content))
    elif isinstance(content, dict):
        import yaml

        print(yaml.safe_dump(content, sort_keys=False))
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
    """Print the description in a checkpoint or published file; import nothing that it names."""
    import yaml

    from zoo.weights.checkpoint import record
    from zoo.weights.reading import read

    content = read(path)
    entry = record(content, path)
    numbers = sum(value.numel() for value in content["state_dict"].values())
    megabytes = Path(path).stat().st_size / 1e6
    print(f"{path}  ({entry['model']['class_path']}, {numbers:,} numbers, {megabytes:.1f} MB)\n")
    card = {key: value for key, value in entry.get("card", {}).items() if key != "text"}
    print(yaml.safe_dump(card | {key: entry[key] for key in ("model", "plugins", "versions")}, sort_keys=False))
    if "text" in entry.get("card", {}):
        print(entry["card"]["text"])


def signature_lines(cls: type) -> list[str]:
    """Return `name: type = default` for each argument of a class."""
    lines = []
    for one in list(inspect.signature(cls.__init__).parameters.values())[1:]:  # type: ignore[misc]
        if one.kind not in (one.VAR_POSITIONAL, one.VAR_KEYWORD):
            annotation = inspect.formatannotation(one.annotation).replace("typing.", "")
            default = " (required)" if one.default is one.empty else f" = {one.default!r}"
            lines.append(f"{one.name}: {annotation}{default}")
    return lines


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
