"""Frames per second of the networks, and an estimate of how long trainings take.

Networks are timed once all runs have finished: interleaved in one process, warm, with trained weights, on a rendered
image, since the patches that a selector chooses depend on both. Rows with equal networks are timed once. `speed.json`
in the study's folder keeps the measurements; one that still holds is not repeated.
"""

import json
import math
import os
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

import torch
from lightning.fabric import Fabric
from lightning.pytorch import Callback, LightningModule, Trainer
from torch import Tensor

from zoo.core.errors import ZooError
from zoo.core.files import write_json, writing
from zoo.core.plain_yaml import to_yaml
from zoo.core.plugin_files import load_plugin_files
from zoo.core.promises import explain_with_part
from zoo.core.spec import Spec, build, without_downloads
from zoo.measure.machine import processor
from zoo.measure.timing import Timing, threads, time_interleaved
from zoo.study.file import NOISE_FLOOR, Study
from zoo.study.plan.cost import network_spec
from zoo.study.plan.planner import Plan, about
from zoo.study.record import CONFIG, Run, all_runs, digest, read_run, settings_hash
from zoo.study.run.execute import command, read_settings, versions
from zoo.training.module import TrainingModule
from zoo.weights.checkpoint import record
from zoo.weights.reading import read
from zoo.weights.state import load_all

SPEED = "speed.json"

FORMAT = 1
"""Version of speed.json and of the measurement; measurements of another version are repeated."""

MAX_REPEATS, MIN_REPEATS, BUDGET = 20, 3, 5.0
"""Repeats for one row and size; fewer than the maximum where the budget of seconds is used up before."""


class Speed(NamedTuple):
    """Speed of a row's network on images of one size.

    `median` and `quartiles` are seconds per image; `device` includes the threads of a CPU, since speeds on different
    ones do not compare.
    """

    median: float
    quartiles: tuple[float, float]
    repeats: int
    device: str

    @property
    def frames_per_second(self) -> float:
        """Of the median."""
        return 1 / self.median


def read_speed(folder: Path) -> dict[str, dict[str, Speed]]:
    """Return the measurements in a study's folder, by the names of row and size; empty where there are none.

    Raises:
        ZooError: speed.json is damaged.
    """
    return {
        row: {
            size: Speed(entry["median"], tuple(entry["quartiles"]), entry["repeats"], entry["device"])
            for size, entry in sizes.items()
            if "failed" not in entry
        }
        for row, sizes in read_entries(folder).items()
    }


@dataclass(frozen=True)
class Architecture:
    """A network that some rows share: spec of its module, `accelerator` and `precision` of its trainer, and the
    id and checkpoint of the run that trained it.
    """

    rows: list[str]
    model: Spec
    hardware: dict[str, Any]
    run: str
    checkpoint: Path


@dataclass(frozen=True)
class Network:
    """An architecture with its weights on its device; `fabric` takes care of device and precision."""

    architecture: Architecture
    module: TrainingModule
    fabric: Fabric
    forward: Callable[..., Any]
    device: str

    def identity(self, size: tuple[int, int]) -> str:
        """Return the hash of everything that a measurement depends on."""
        return digest(json.dumps([FORMAT, self.architecture.run, size, self.device, torch.__version__]))


Entry = dict[str, Any]
"""A measurement in speed.json: its `identity`, and `Speed` with precision and versions, or why it `failed`."""


def measure_speed(study: Study, root: Path, repeats: int = MAX_REPEATS) -> list[str]:
    """Time the rows' networks and write `speed.json`.

    A size at which some network has not been timed yet is re-timed as a whole, since only interleaved measurements
    compare. The file is written after each size, so that an interruption loses only one.

    Args:
        study: whose rows are timed on images of its sizes.
        root: the folder that the study's folder is in.
        repeats: repeats for one row and size, see `MAX_REPEATS`.

    Returns:
        A sentence for each network that could not be timed.

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
                known |= {entry["identity"]: entry for entry in measure(networks, name, size, repeats)}
            write(folder, study, networks, known)
    timed = [entry for sizes in read_entries(folder).values() for entry in sizes.values()]
    return failed + list(dict.fromkeys(entry["failed"] for entry in timed if "failed" in entry))


def architectures(study: Study, folder: Path, failed: list[str]) -> list[Architecture]:
    """Return the networks of all rows, equal ones once, each with the weights of the first seed that is done."""
    done = first_runs(folder)
    rows = [study.baseline, *(row.name for row in study.rows), *([NOISE_FLOOR] if study.noise_floor else [])]
    found: dict[str, Architecture] = {}
    for name in dict.fromkeys(rows):
        if name not in done:
            failed.append(f"row '{name}' has no finished run, so its network is not timed.")
            continue
        run = done[name]
        assert run.checkpoint is not None
        settings = read_settings(run.directory)
        model = without_downloads(settings["model"])
        hardware = {key: settings["trainer"][key] for key in ("accelerator", "precision")}
        timed = Architecture([], model, hardware, run.id, folder / run.checkpoint)
        found.setdefault(json.dumps([network_spec(model), hardware]), timed).rows.append(name)
    return list(found.values())


def first_runs(folder: Path) -> dict[str, Run]:
    """Return the first run of each row that is done."""
    runs = sorted(map(read_run, all_runs(folder)), key=lambda run: -run.pair)
    return {run.row: run for run in runs if run.status == "done"}


def ready(timed: Sequence[Architecture], failed: list[str]) -> Iterator[Network]:
    """Yield the networks with their weights, in evaluation mode, on their devices."""
    for architecture in timed:
        try:
            yield make_network(architecture)
        except (ValueError, LookupError, OSError, RuntimeError) as error:
            failed.append(why_not(architecture, error))


def make_network(architecture: Architecture) -> Network:
    """Return one network; raises where its parts, its weights or its device are not available."""
    path = str(architecture.checkpoint)
    content = read(path)
    module = build(architecture.model).eval()
    module.check_identity(record(content, path), path)
    load_all(module, content["state_dict"], path)
    fabric = Fabric(devices=1, **{key: value for key, value in architecture.hardware.items() if value is not None})
    return Network(architecture, module, fabric, fabric.setup_module(module), device_name(fabric.device))


def measure(networks: Sequence[Network], name: str, size: tuple[int, int], repeats: int) -> Iterator[Entry]:
    """Time networks, interleaved, on images of one size."""
    images: list[tuple[Tensor, ...]] = []
    calls: list[Callable[[], None]] = []
    warm: list[Network] = []
    for network in networks:
        try:
            inputs = shared(network.fabric.to_device(network.module.drawn_example(*size)), images)
            call = partial(run_once, network.forward, inputs)
            call()
        except (ValueError, RuntimeError) as error:  # too large for the memory, or not made for this size
            yield {"identity": network.identity(size), "failed": why_not(network.architecture, error, f" at {name}")}
        else:
            calls.append(call)
            warm.append(network)
    for network, timing in zip(warm, repeated(calls, repeats), strict=True):
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
    """Run one forward pass, to its end."""
    with torch.inference_mode():
        forward(*inputs)
    if inputs[0].is_cuda:
        torch.cuda.synchronize(inputs[0].device)


def shared(inputs: tuple[Tensor, ...], images: list[tuple[Tensor, ...]]) -> tuple[Tensor, ...]:
    """Return equal images that exist already in place of these: in 4K each takes a quarter of a gigabyte."""
    for known in images:
        if len(known) == len(inputs) and all(map(torch.equal, known, inputs)):
            return known
    images.append(inputs)
    return inputs


def repeated(calls: Sequence[Callable[[], None]], repeats: int) -> list[Timing]:
    """Time calls, interleaved, each until it has its repeats, see `MAX_REPEATS`."""
    timings = [Timing([], 1) for _ in calls]
    waiting = list(range(len(calls)))
    while waiting:
        for index, timing in zip(waiting, time_interleaved([calls[index] for index in waiting], 1), strict=True):
            timings[index].seconds.extend(timing.seconds)
        done = [(len(timing.seconds), sum(timing.seconds)) for timing in timings]
        enough = [count >= min(MIN_REPEATS, repeats) and (count >= repeats or spent >= BUDGET) for count, spent in done]
        waiting = [index for index in waiting if not enough[index]]
    return timings


def write(folder: Path, study: Study, networks: Sequence[Network], known: dict[str, Entry]) -> None:
    """Write the measurements of the rows; ZooError where that is not possible."""
    rows: dict[str, dict[str, Entry]] = {}
    for network in networks:
        identities = {name: network.identity(size) for name, size in study.sizes.items()}
        entries = {name: known[identity] for name, identity in identities.items() if identity in known}
        rows |= dict.fromkeys(network.architecture.rows, entries)
    with writing(folder / SPEED, "make room, then run again"):
        write_json(folder / SPEED, {"format": FORMAT, "rows": rows})


def read_entries(folder: Path) -> dict[str, dict[str, Entry]]:
    """Return the measurements in a study's folder by row and size; empty where they are of another format.

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


def why_not(architecture: Architecture, error: Exception, where: str = "") -> str:
    """Return a sentence about why a network cannot be timed."""
    rows = ", ".join(f"'{name}'" for name in architecture.rows)
    return f"the network of {rows} cannot be timed{where}: {explain_with_part(error).rstrip('.')}."


def device_name(device: torch.device) -> str:
    """Return the device with everything that its speed depends on."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return f"{processor()}, threads: {torch.get_num_threads()}" if device.type == "cpu" else f"{processor()} ({device})"


STEPS = 4
"""Training steps that an estimate runs; the first, which warms up, does not count."""


class StepTimer(Callback):
    """Times a few steps of an epoch, leaves out the others, and writes the seconds of the whole training.

    Args:
        file: to write.
        epochs: of the whole training.
    """

    def __init__(self, file: str, epochs: int) -> None:
        self.file = Path(file)
        self.epochs = epochs
        self.times: list[float] = []

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        self.times.append(time.perf_counter())
        trainer.should_stop = len(self.times) == STEPS

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        steps = [later - earlier for earlier, later in zip(self.times, self.times[1:], strict=False)]
        total = median(steps) * trainer.num_training_batches * self.epochs if steps else math.nan
        self.file.write_text(str(total))


def training_seconds(plan: Plan) -> dict[str, float]:
    """Return the estimated seconds of each training, by its settings' hash; NaN where an epoch is too short.

    Validation, and reading data that the first steps did not need, do not count.

    Raises:
        ZooError: a training does not begin.
    """
    found: dict[str, float] = {}
    for run in plan.runs():
        key = settings_hash(run.settings)
        if run.trains and key not in found:
            found[key] = seconds(run.row, run.settings)
    return found


def seconds(name: str, settings: dict[str, Any]) -> float:
    """Return the estimate for one row's settings."""
    with TemporaryDirectory(prefix="zoo-study-") as temporary, about(f"row '{name}'"):
        folder = Path(temporary)
        timer = {
            "class_path": "zoo.study.run.timing.StepTimer",
            "init_args": {"file": str(folder / "seconds"), "epochs": settings["trainer"]["max_epochs"] or 1},
        }
        trainer = settings["trainer"] | {
            "max_epochs": 1,
            "limit_val_batches": 0,
            "num_sanity_val_steps": 0,
            "enable_checkpointing": False,
            "logger": None,
            "callbacks": [timer],
        }
        (folder / CONFIG).write_text(to_yaml(settings | {"trainer": trainer}))
        command("fit", ["--config", str(folder / CONFIG), "--runs", str(folder)], folder)
        return float((folder / "seconds").read_text())
