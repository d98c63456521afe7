"""Check the installation: broken, ambiguous and shadowing plugins, versions, devices, stale metadata."""

import argparse
import json
import platform
import tomllib
from collections.abc import Iterator
from importlib.metadata import Distribution, PackageNotFoundError, distribution, version
from pathlib import Path
from urllib.parse import urlparse
from urllib.request import url2pathname

from zoo.core.distributions import announced
from zoo.core.registry import slots
from zoo.core.slot import PluginError, nearest

PACKAGES = (
    "ablation-zoo", "torch", "lightning", "timm", "segmentation-models-pytorch", "torchmetrics", "jsonargparse",
    "numba", "libigl", "trimesh", "wandb",
)  # fmt: skip
EXTRAS = {"av": "video"}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare no arguments, but the exit code."""
    parser.epilog = "Exit code 1 when something is wrong."


def run(arguments: argparse.Namespace) -> int:
    """Print versions, devices and problems; return 1 when there are problems."""
    from zoo.hub.catalogue import ambiguous_names

    print(f"python {platform.python_version()} on {platform.platform()}")
    for package in PACKAGES:
        print(f"{package} {installed(package)}")
    for package, extra in EXTRAS.items():
        print(f"{package} {installed(package)} (extra [{extra}])")
    problems = [*announced().unreadable, *unknown_groups(), *ambiguous_plugins(), *ambiguous_names().values()]
    problems += [*shared_names(), *stale_metadata()]
    try:
        print(f"devices: {', '.join(devices())}")
    except Exception as error:  # torch imports extensions of others, and fails with them
        problems.append(f"torch cannot be imported, so no plugin was tried: {type(error).__name__}: {error}")
    else:
        problems += broken_plugins()
    for problem in problems:
        print(f"PROBLEM: {problem}")
    total = sum(len(slot.names()) for slot in slots().values())
    count = f"{len(problems) or 'no'} problem{'' if len(problems) == 1 else 's'}"
    print(f"{total} plugins in {len(slots())} slots, {count}")
    return 1 if problems else 0


def installed(package: str) -> str:
    """Return the version of a package, or that it is not installed."""
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"


def devices() -> list[str]:
    """Return the CPU and every accelerator that torch supports here."""
    import torch

    names = [f"cpu ({torch.get_num_threads()} threads)"]
    names += [f"cuda:{index} ({torch.cuda.get_device_name(index)})" for index in range(torch.cuda.device_count())]
    return names + (["mps"] if torch.backends.mps.is_available() else [])


def broken_plugins() -> Iterator[str]:
    """Yield a sentence for each plugin that cannot be loaded."""
    for slot in slots().values():
        for name, claims in slot.plugins().items():
            if len(claims) == 1:
                try:
                    slot.get(name)
                except PluginError as error:
                    yield str(error)


def unknown_groups() -> Iterator[str]:
    """Yield a sentence for each entry point whose group is no slot, for example misspelt."""
    for entry in announced().entries:
        slot = entry.group.removeprefix("zoo.")
        if slot not in ("slots", *slots()):
            yield (
                f"'{entry.name}' of {entry.distribution} {entry.version} stands in the group {entry.group}, which is "
                f"no slot{nearest(slot, list(slots()))}"
            )


def ambiguous_plugins() -> Iterator[str]:
    """Yield a sentence for each name that two distributions claim in one slot."""
    for slot in slots().values():
        for name, claims in slot.plugins().items():
            if len(claims) > 1:
                yield (
                    f"the {slot.word} '{name}' is provided by {' and '.join(claim.origin for claim in claims)}; "
                    "neither can be used, uninstall one."
                )


def shared_names() -> Iterator[str]:
    """Yield a sentence for each name in several slots: a checkpoint that holds it could mean either."""
    owners: dict[str, list[str]] = {}
    for slot in slots().values():
        for name, claims in slot.plugins().items():
            owners.setdefault(name, []).append(f"zoo.{slot.name} ({claims[0].origin})")
    for name, groups in owners.items():
        if len(groups) > 1:
            yield f"'{name}' stands in {' and '.join(groups)}; checkpoints with it cannot be rebuilt, rename one."


def stale_metadata() -> Iterator[str]:
    """Yield a sentence for each entry point that differs between an editable install's pyproject.toml and metadata."""
    try:
        ours = distribution("ablation-zoo")
    except PackageNotFoundError:
        yield "ablation-zoo is not installed, so no plugin is found: run `pip install -e .` in its checkout."
        return
    source = editable_source(ours)
    if source is None or not (source / "pyproject.toml").is_file():
        return
    declared = tomllib.loads((source / "pyproject.toml").read_text(encoding="utf-8"))["project"].get("entry-points", {})
    installed_entries = {(entry.group, entry.name, entry.value) for entry in ours.entry_points}
    source_entries = {(group, *entry) for group, entries in declared.items() for entry in entries.items()}
    for group, name in sorted({(group, name) for group, name, _ in source_entries ^ installed_entries}):
        if not group.startswith("zoo."):
            continue
        yield (
            f"pyproject.toml and the installed metadata differ in {name} ({group}): run `pip install -e .` in {source}."
        )


def editable_source(ours: Distribution) -> Path | None:
    """Return the checkout of an editable install; None for any other."""
    text = ours.read_text("direct_url.json")
    if text is None:
        return None
    origin = json.loads(text)
    if not origin.get("dir_info", {}).get("editable"):
        return None
    return Path(url2pathname(urlparse(origin["url"]).path))
