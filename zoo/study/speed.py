"""Frames a second: how long the networks of a study's rows take for one picture, once all runs are over.

They are timed by turns in one process, warm, with the weights that were trained, on a drawn picture: which patches a
selector finds worth refining depends on both. Rows whose networks do the same are timed once, by the first of them.
Everything is read from the runs' directories; `speed.json` beside these keeps what was measured, and what still counts
of it is not measured again.
"""

import json
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import torch
from lightning.fabric import Fabric
from torch import Tensor

from zoo.core.errors import ZooError
from zoo.core.files import write_json
from zoo.core.plugin_files import load_plugin_files
from zoo.core.spec import Spec, build, without_downloads
from zoo.measure.machine import processor
from zoo.measure.timing import Timing, threads, time_interleaved
from zoo.study.cost import network_spec
from zoo.study.execute import read_settings, reason, versions
from zoo.study.file import NOISE_FLOOR, Study
from zoo.study.identity import digest
from zoo.study.results import Result, all_jobs, read_result
from zoo.training.module import TrainingModule
from zoo.weights.checkpoint import read
from zoo.weights.record import record
from zoo.weights.state import load_all

SPEED = "speed.json"

FORMAT = 1
"""Of speed.json, and of how things are timed: what another one measured is measured again."""

MOST, LEAST = 20, 3
"""Repeats for one row and size: `MOST`, or where `BUDGET` is used up before, fewer, but at least `LEAST`."""

BUDGET = 5.0
"""Seconds for the repeats of one row and size."""


class Speed(NamedTuple):
    """How fast a row's network is on pictures of one size."""

    median: float
    """Seconds a picture."""
    quartiles: tuple[float, float]
    """Between them lies the middle half of the repeats, seconds a picture."""
    repeats: int
    device: str
    """What it ran on, with the threads of a CPU: speeds on different ones do not compare."""

    @property
    def frames_per_second(self) -> float:
        """Of the median."""
        return 1 / self.median


def read_speed(folder: Path) -> dict[str, dict[str, Speed]]:
    """What was measured in a study's folder, by the names of row and size; empty where nothing was.

    Raises:
        ZooError: speed.json is damaged.
    """
    return {
        row: {size: speed_of(entry) for size, entry in sizes.items() if "failed" not in entry}
        for row, sizes in read_entries(folder).items()
    }


@dataclass(frozen=True)
class Architecture:
    """What some rows have in common: a network that does the same.

    Args:
        rows: their names.
        model: the spec of the first one's module.
        hardware: `accelerator` and `precision` of its trainer.
        run: id of the run that brings the weights.
        checkpoint: the file with them.
    """

    rows: list[str]
    model: Spec
    hardware: dict[str, Any]
    run: str
    checkpoint: Path


@dataclass(frozen=True)
class Network:
    """An architecture with its weights.

    Args:
        architecture: of the network.
        module: where the example pictures come from.
        fabric: takes care of device and precision.
        forward: the module on its device.
        device: its name.
    """

    architecture: Architecture
    module: TrainingModule
    fabric: Fabric
    forward: Callable[..., Any]
    device: str

    def identity(self, size: tuple[int, int]) -> str:
        """What a measurement belongs to: its hash."""
        return digest(json.dumps([FORMAT, self.architecture.run, size, self.device, torch.__version__]))


Entry = dict[str, Any]
"""A measurement in speed.json: its `identity`, and what `Speed` has with precision and versions, or why it `failed`."""


def measure_speed(study: Study, root: Path, most: int = MOST) -> list[str]:
    """Time the rows' networks and write `speed.json`.

    A size at which some network was not timed yet is timed anew as a whole, since only what ran by turns compares. What
    is over is written after each size, so that an interruption loses only one.

    Args:
        study: whose rows are timed on pictures of its sizes.
        root: the folder that the study's folder is in.
        most: repeats for one row and size, see `MOST`.

    Returns:
        What could not be timed, and why, a sentence each.

    Raises:
        ZooError: a result or speed.json is damaged, or speed.json cannot be written.
    """
    folder = root.resolve() / study.title
    load_plugin_files(map(str, study.plugins))
    failed: list[str] = []
    with threads(os.cpu_count()):  # not those of a run: runs may have shared the machine, now it is free
        networks = list(ready(architectures(study, folder, failed), failed))
        known = {entry["identity"]: entry for sizes in read_entries(folder).values() for entry in sizes.values()}
        for name, size in study.sizes.items():
            if any(network.identity(size) not in known for network in networks):
                print(f"{study.title}: timing {len(networks)} networks at {name}, {size[1]}×{size[0]}.", flush=True)
                known |= {entry["identity"]: entry for entry in measure(networks, name, size, most)}
            write(folder, study, networks, known)
    timed = [entry for sizes in read_entries(folder).values() for entry in sizes.values()]
    return failed + list(dict.fromkeys(entry["failed"] for entry in timed if "failed" in entry))


def architectures(study: Study, folder: Path, failed: list[str]) -> list[Architecture]:
    """The networks of all rows, equal ones once, each with the weights of the first seed that is done."""
    done = first_results(folder)
    rows = [study.baseline, *(row.name for row in study.rows), *([NOISE_FLOOR] if study.noise_floor else [])]
    found: dict[str, Architecture] = {}
    for name in dict.fromkeys(rows):
        if name not in done:
            failed.append(f"row '{name}' has no finished run, so its network is not timed.")
            continue
        directory, result = done[name]
        assert result.checkpoint is not None
        settings = read_settings(directory)
        model = without_downloads(settings["model"])
        hardware = {key: settings["trainer"][key] for key in ("accelerator", "precision")}
        timed = Architecture([], model, hardware, result.job.id, folder / result.checkpoint)
        found.setdefault(json.dumps([network_spec(model), hardware]), timed).rows.append(name)
    return list(found.values())


def first_results(folder: Path) -> dict[str, tuple[Path, Result]]:
    """Of each row the first run that is done, with its directory."""
    found: dict[str, tuple[Path, Result]] = {}
    for directory, job in sorted(all_jobs(folder), key=lambda run: run[1].pair):
        result = read_result(directory)
        if result is not None and result.status == "done" and result.job.id == job.id:
            found.setdefault(job.row, (directory, result))
    return found


def ready(wanted: Sequence[Architecture], failed: list[str]) -> Iterator[Network]:
    """The networks with their weights, in evaluation mode, on their devices."""
    for architecture in wanted:
        try:
            yield make_network(architecture)
        except (ValueError, LookupError, OSError, RuntimeError) as error:
            failed.append(told(architecture, error))


def make_network(architecture: Architecture) -> Network:
    """One network; raises where its parts, its weights or its device cannot be had."""
    path = str(architecture.checkpoint)
    content = read(path)
    module = build(architecture.model).eval()
    module.check_identity(record(content, path), path)
    load_all(module, content["state_dict"], path)
    fabric = Fabric(devices=1, **{key: value for key, value in architecture.hardware.items() if value is not None})
    return Network(architecture, module, fabric, fabric.setup_module(module), device_name(fabric.device))


def measure(networks: Sequence[Network], name: str, size: tuple[int, int], most: int) -> Iterator[Entry]:
    """Time networks by turns on pictures of one size."""
    pictures: list[tuple[Tensor, ...]] = []
    calls: list[Callable[[], None]] = []
    warm: list[Network] = []
    for network in networks:
        try:
            inputs = shared(network.fabric.to_device(network.module.drawn_example(*size)), pictures)
            call = partial(run_once, network.forward, inputs)
            call()
        except (ValueError, RuntimeError) as error:  # too large for the memory, or not made for this size
            yield {"identity": network.identity(size), "failed": told(network.architecture, error, f" at {name}")}
        else:
            calls.append(call)
            warm.append(network)
    for network, timing in zip(warm, repeated(calls, most), strict=True):
        yield {
            "identity": network.identity(size),
            "median": timing.median,
            "quartiles": list(timing.quartiles),
            "repeats": len(timing.seconds),
            "device": network.device,
            "precision": network.architecture.hardware["precision"] or "32-true",
            "versions": versions(),
        }


def run_once(forward: Callable[..., Any], inputs: tuple[Tensor, ...]) -> None:
    """One forward pass, to its end."""
    with torch.inference_mode():
        forward(*inputs)
    if inputs[0].is_cuda:
        torch.cuda.synchronize(inputs[0].device)


def shared(inputs: tuple[Tensor, ...], pictures: list[tuple[Tensor, ...]]) -> tuple[Tensor, ...]:
    """Equal pictures that are there already in place of these: in 4K each takes a quarter of a gigabyte."""
    for known in pictures:
        if len(known) == len(inputs) and all(map(torch.equal, known, inputs)):
            return known
    pictures.append(inputs)
    return inputs


def repeated(calls: Sequence[Callable[[], None]], most: int) -> list[Timing]:
    """Time calls by turns, each until it has its repeats, see `MOST`."""
    timings = [Timing([], 1) for _ in calls]
    waiting = list(range(len(calls)))
    while waiting:
        for index, timing in zip(waiting, time_interleaved([calls[index] for index in waiting], 1), strict=True):
            timings[index].seconds.extend(timing.seconds)
        waiting = [index for index in waiting if goes_on(timings[index].seconds, most)]
    return timings


def goes_on(seconds: Sequence[float], most: int) -> bool:
    """Whether one more repeat is wanted."""
    return len(seconds) < min(LEAST, most) or (len(seconds) < most and sum(seconds) < BUDGET)


def write(folder: Path, study: Study, networks: Sequence[Network], known: dict[str, Entry]) -> None:
    """Write what is known of the rows; ZooError where that is not possible."""
    rows: dict[str, dict[str, Entry]] = {}
    for network in networks:
        wanted = {name: network.identity(size) for name, size in study.sizes.items()}
        entries = {name: known[identity] for name, identity in wanted.items() if identity in known}
        rows |= dict.fromkeys(network.architecture.rows, entries)
    try:
        write_json(folder / SPEED, {"format": FORMAT, "rows": rows})
    except OSError as error:
        raise ZooError(
            f"{folder / SPEED} cannot be written ({error.strerror or error}): make room, then run again."
        ) from error


def read_entries(folder: Path) -> dict[str, dict[str, Entry]]:
    """The measurements in a study's folder by row and size; none where they are of another format.

    Raises:
        ZooError: speed.json is damaged.
    """
    file = folder / SPEED
    if not file.is_file():
        return {}
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
        return content["rows"] if content["format"] == FORMAT else {}
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise ZooError(f"{file} is damaged: delete it, and `zoo study speed` makes it again.") from error


def speed_of(entry: Entry) -> Speed:
    """What the report shows of a measurement."""
    low, high = entry["quartiles"]
    return Speed(entry["median"], (low, high), entry["repeats"], entry["device"])


def told(architecture: Architecture, error: Exception, where: str = "") -> str:
    """A sentence about why a network cannot be timed."""
    rows = ", ".join(f"'{name}'" for name in architecture.rows)
    return f"the network of {rows} cannot be timed{where}: {reason(error).rstrip('.')}."


def device_name(device: torch.device) -> str:
    """The device with all that its speed depends on."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return f"{processor()}, threads: {torch.get_num_threads()}" if device.type == "cpu" else f"{processor()} ({device})"
