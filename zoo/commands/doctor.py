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
from zoo.core.slots import PluginError, nearest

PACKAGES = (
    "ablation-zoo",
    "torch",
    "lightning",
    "timm",
    "segmentation-models-pytorch",
    "torchmetrics",
    "jsonargparse",
    "numba",
    "libigl",
    "trimesh",
    "wandb",
)
EXTRAS = {"av": "video"}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.epilog = "Exit code 1 when something is wrong."


def run(arguments: argparse.Namespace) -> int:
    print(f"python {platform.python_version()} on {platform.platform()}")
    for package in PACKAGES:
        print(f"{package} {installed(package)}")
    for package, extra in EXTRAS.items():
        print(f"{package} {installed(package)} (extra [{extra}])")
    problems = [*announced().unreadable, *misplaced(), *ambiguous(), *ambiguous_weights(), *shadowing(), *stale()]
    try:
        print(f"devices: {', '.join(devices())}")
    except Exception as error:  # torch lets others extend it, and fails with them
        problems.append(f"torch cannot be imported, so no plugin was tried: {type(error).__name__}: {error}")
    else:
        problems += broken()
    for problem in problems:
        print(f"PROBLEM: {problem}")
    total = sum(len(slot.names()) for slot in slots().values())
    count = f"{len(problems) or 'no'} problem{'' if len(problems) == 1 else 's'}"
    print(f"{total} plugins in {len(slots())} slots, {count}")
    return 1 if problems else 0


def installed(package: str) -> str:
    """The version, or that it is missing."""
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"


def devices() -> list[str]:
    """The CPU and every accelerator that torch sees."""
    import torch

    found = [f"cpu ({torch.get_num_threads()} threads)"]
    found += [f"cuda:{index} ({torch.cuda.get_device_name(index)})" for index in range(torch.cuda.device_count())]
    return found + (["mps"] if torch.backends.mps.is_available() else [])


def broken() -> Iterator[str]:
    """Plugins that cannot be loaded, with their owners."""
    for slot in slots().values():
        for name, claims in slot.plugins().items():
            if len(claims) == 1:
                try:
                    slot.get(name)
                except PluginError as error:
                    yield str(error)


def misplaced() -> Iterator[str]:
    """Entry points in groups that are no slots, as after a slip of the pen."""
    for entry in announced().entries:
        slot = entry.group.removeprefix("zoo.")
        if slot not in ("slots", *slots()):
            yield (
                f"'{entry.name}' of {entry.distribution} {entry.version} stands in the group {entry.group}, which is "
                f"no slot{nearest(slot, list(slots()))}"
            )


def ambiguous() -> Iterator[str]:
    """Names that two distributions claim in one slot."""
    for slot in slots().values():
        for name, claims in slot.plugins().items():
            if len(claims) > 1:
                yield (
                    f"the {slot.word} '{name}' is provided by {' and '.join(claim.origin for claim in claims)}; "
                    "neither can be used, uninstall one."
                )


def ambiguous_weights() -> Iterator[str]:
    """Names of weights that two catalogues claim."""
    from zoo.hub import catalogue

    for name, claims in catalogue.all_entries().items():
        if len(claims) > 1:
            yield catalogue.ambiguous(name, claims)


def shadowing() -> Iterator[str]:
    """Names that stand in several slots: a checkpoint that holds one could mean either."""
    owners: dict[str, list[str]] = {}
    for slot in slots().values():
        for name, claims in slot.plugins().items():
            owners.setdefault(name, []).append(f"zoo.{slot.name} ({claims[0].origin})")
    for name, places in owners.items():
        if len(places) > 1:
            yield f"'{name}' stands in {' and '.join(places)}; checkpoints with it cannot be rebuilt, rename one."


def stale() -> Iterator[str]:
    """Entry points in the pyproject.toml of an editable install that the installed metadata does not know yet, or no
    longer should.
    """
    try:
        ours = distribution("ablation-zoo")
    except PackageNotFoundError:
        yield "ablation-zoo is not installed, so no plugin is found: run `pip install -e .` in its checkout."
        return
    source = editable_source(ours)
    if source is None or not (source / "pyproject.toml").is_file():
        return
    declared = tomllib.loads((source / "pyproject.toml").read_text(encoding="utf-8"))["project"].get("entry-points", {})
    known = {(entry.group, entry.name, entry.value) for entry in ours.entry_points if entry.group.startswith("zoo.")}
    wanted = {
        (group, name, value)
        for group, entries in declared.items()
        for name, value in entries.items()
        if group.startswith("zoo.")
    }
    for group, name in sorted({(group, name) for group, name, _ in wanted ^ known}):
        yield (
            f"pyproject.toml and the installed metadata differ in {name} ({group}): run `pip install -e .` in {source}."
        )


def editable_source(ours: Distribution) -> Path | None:
    """The checkout of an editable install."""
    text = ours.read_text("direct_url.json")
    if text is None:
        return None
    origin = json.loads(text)
    if not origin.get("dir_info", {}).get("editable"):
        return None
    return Path(url2pathname(urlparse(origin["url"]).path))
