"""Check the installation: broken, ambiguous and shadowing plugins, versions, devices, stale metadata."""

import argparse
import inspect
import json
import os
import platform
import sys
import tomllib
from collections.abc import Iterator
from importlib.metadata import Distribution, distributions
from pathlib import Path
from queue import Empty, Queue
from subprocess import DEVNULL, PIPE, Popen
from threading import Thread
from typing import IO
from urllib.parse import urlparse
from urllib.request import url2pathname

from zoo.core.distributions import announced, identity
from zoo.core.registry import get_slot, slots
from zoo.core.slot import PluginError, nearest
from zoo.runner.help import add_json, print_json

PACKAGES = (
    "ablation-zoo", "torch", "lightning", "timm", "segmentation-models-pytorch", "torchmetrics", "jsonargparse",
    "numba", "libigl", "trimesh", "wandb",
)  # fmt: skip
EXTRAS = {"av": "video"}

PACKED = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)

LIMIT = 60
"""Seconds that the import of one plugin may take."""

CHILD = """
import json, sys
sys.path[:] = json.loads(sys.argv[1])
from zoo.commands.doctor import try_plugins
try_plugins(json.loads(sys.argv[2]))
"""
"""A process of `tried`."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments and the exit code."""
    add_json(parser, "versions, devices and problems")
    parser.epilog = "Exit code 1 when something is wrong."


def run(arguments: argparse.Namespace) -> int:
    """Print versions, devices and problems; return 1 when there are problems."""
    from zoo.hub.catalogue import ambiguous_names
    from zoo.measure.machine import installed
    from zoo.media.progress import waiting

    python, packages = f"{platform.python_version()} on {platform.platform()}", [*PACKAGES, *EXTRAS]
    versions = {package: installed(package) for package in packages}
    if not arguments.json:
        print(f"python {python}")
        for package, found in versions.items():
            print(f"{package} {found}{f' (extra [{EXTRAS[package]}])' if package in EXTRAS else ''}")
    problems = [*announced().unreadable, *unknown_groups(), *ambiguous_plugins(), *ambiguous_names().values()]
    problems += [*shared_names(), *stale_metadata()]
    found_devices: list[str] = []
    try:
        found_devices += devices()
    except Exception as error:  # torch imports extensions of others, and fails with them
        problems.append(f"torch cannot be imported, so no plugin was tried: {type(error).__name__}: {error}")
    else:
        if not arguments.json:
            print(f"devices: {', '.join(found_devices)}")
        with waiting("Trying every plugin"):
            problems += broken_plugins()
    total = sum(len(slot.names()) for slot in slots().values())
    if arguments.json:
        print_json(
            {"python": python, "packages": versions, "devices": found_devices, "plugins": total, "problems": problems}
        )
        return 1 if problems else 0
    for problem in problems:
        print(f"PROBLEM: {problem}")
    count = f"{len(problems) or 'no'} problem{'' if len(problems) == 1 else 's'}"
    print(f"{total} plugins in {len(slots())} slots, {count}")
    return 1 if problems else 0


def devices() -> list[str]:
    """Return the CPU and every accelerator that torch supports here."""
    import torch

    names = [f"cpu ({torch.get_num_threads()} threads)"]
    names += [f"cuda:{index} ({torch.cuda.get_device_name(index)})" for index in range(torch.cuda.device_count())]
    return names + (["mps"] if torch.backends.mps.is_available() else [])


def broken_plugins() -> Iterator[str]:
    """Yield a sentence for each plugin that cannot be loaded, or that the command line cannot check."""
    single = [claims[0] for slot in slots().values() for claims in slot.plugins().values() if len(claims) == 1]
    for plugin in single:
        if plugin.file is not None:
            yield from problems_of(plugin.slot, plugin.name)
    yield from tried([(plugin.slot, plugin.name) for plugin in single if plugin.file is None])


def tried(pairs: list[tuple[str, str]]) -> Iterator[str]:
    """Yield the problems of plugins that a process of its own imports, since an import may block or end its process."""
    while pairs:
        folders = json.dumps([folder for folder in sys.path if folder])
        words = [sys.executable, "-P", "-c", CHILD, folders, json.dumps(pairs)]
        with Popen(words, stdin=DEVNULL, stdout=PIPE, stderr=DEVNULL, text=True) as process:
            lines: Queue[str] = Queue()
            Thread(target=read_lines, args=(process.stdout, lines), daemon=True).start()
            lines.get()  # it is ready
            while pairs:
                (slot, name), *pairs = pairs
                try:
                    line, end = lines.get(timeout=LIMIT), "ended the process that imported it"
                except Empty:
                    line, end = "", f"was not imported within {LIMIT} seconds"
                if not line:
                    yield f"'{name}' of {get_slot(slot).plugin(name).origin} {end}: correct or uninstall it."
                    break
                yield from json.loads(line)
            process.kill()


def read_lines(stream: IO[str], lines: Queue[str]) -> None:
    """Put the lines of a stream into a queue, and an empty text at its end."""
    for line in stream:
        lines.put(line)
    lines.put("")


def try_plugins(pairs: list[tuple[str, str]]) -> None:
    """Import plugins; print a line when ready, and the problems of each as JSON. What plugins print is left out."""
    import torch  # noqa: F401 - most plugins import it, in their time

    with os.fdopen(os.dup(1), "w", buffering=1) as report:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        report.write("ready\n")
        for slot, name in pairs:
            report.write(json.dumps(list(problems_of(slot, name))) + "\n")


def problems_of(slot: str, name: str) -> Iterator[str]:
    """Yield a sentence for each problem of a plugin."""
    try:
        content = get_slot(slot).get(name)
    except PluginError as error:
        yield str(error)
        return
    owner = getattr(content, "__init__", None)
    if isinstance(content, type) and inspect.isfunction(owner):
        _, *parameters = inspect.signature(owner).parameters.values()
        if untyped := [each.name for each in parameters if each.annotation is each.empty and each.kind not in PACKED]:
            yield (
                f"'{name}' of {get_slot(slot).plugin(name).origin} gives no type for {', '.join(untyped)}: give each "
                "argument of the constructor one, so that the command line can check its value."
            )


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
    seen = set()
    for each in distributions():
        name = identity(each)[0].lower().replace("_", "-")
        source = editable_source(each) if name not in seen else None
        seen.add(name)
        if source is not None and (source / "pyproject.toml").is_file():
            yield from stale_entries(each, source)
    if "ablation-zoo" not in seen:
        yield "ablation-zoo is not installed, so no plugin is found: run `pip install -e .` in its checkout."


def stale_entries(installed: Distribution, source: Path) -> Iterator[str]:
    """Yield a sentence for each zoo entry point that differs between a checkout and its installed metadata."""
    try:
        project = tomllib.loads((source / "pyproject.toml").read_text(encoding="utf-8")).get("project", {})
        installed_entries = {(entry.group, entry.name, entry.value) for entry in installed.entry_points}
    except ValueError:  # reported by pip, and by `unreadable`
        return
    groups = project.get("entry-points", {}).items() if "entry-points" not in project.get("dynamic", ()) else ()
    source_entries = {(group, *entry) for group, entries in groups for entry in entries.items()}
    for group, name in sorted({(group, name) for group, name, _ in source_entries ^ installed_entries}):
        if group.startswith("zoo.") and groups:
            yield (
                f"pyproject.toml and the installed metadata differ in {name} ({group}): run `pip install -e .` in "
                f"{source}."
            )


def editable_source(ours: Distribution) -> Path | None:
    """Return the checkout of an editable install; None for any other."""
    try:
        origin = json.loads(ours.read_text("direct_url.json") or "{}")
    except ValueError:
        return None
    if not origin.get("dir_info", {}).get("editable"):
        return None
    return Path(url2pathname(urlparse(origin["url"]).path))
