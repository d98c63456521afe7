"""Runs on this machine."""

import os
import signal
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from zoo.study.parts import Engine, Progress, Worker
from zoo.study.record import Run

INTERVAL = 0.1
"""Seconds between two checks of the processes."""


class Local(Engine):
    """Carries out runs on this machine, one after another in this process or several at a time in other processes.

    Processes stay warm: imports and compiled code of the first run serve all. With several slots each has the threads,
    or the GPUs, that the study gives a run.

    Args:
        slots: runs at a time; None: as many as the GPUs suffice for, or one where runs need none.

    Raises:
        ValueError: fewer than one slot.

    Example:
        >>> Local(slots=2).slots
        2
        >>> Local().execute([])
    """

    def __init__(self, slots: int | None = None) -> None:
        if slots is not None and slots < 1:
            raise ValueError(f"Local(slots={slots}): expected at least 1.")
        self.slots = slots

    def execute(self, runs: Sequence[Run]) -> None:
        gpus = visible_gpus() if any(run.gpus for run in runs) else []
        slots = self.slots or max([1, *(len(gpus) // run.gpus for run in runs if run.gpus)])
        if slots == 1:
            one_after_another(runs)
        else:
            with ended_by_sigterm():
                side_by_side(runs, slots, gpus)


def one_after_another(runs: Sequence[Run]) -> None:
    """Carry out all runs in this process."""
    from zoo.study.run.execute import execute

    progress = Progress(len(runs))
    for run in runs:
        progress.begin(run)
        execute(run.directory)
        progress.end(run)


def side_by_side(runs: Sequence[Run], slots: int, gpus: list[str]) -> None:
    """Carry out several runs at a time, in other processes, which end when this one is interrupted or asked to end."""
    waiting, progress = list(runs), Progress(len(runs))
    running: dict[Worker, Run] = {}
    idle: list[Worker] = []
    free = list(gpus)
    try:
        while waiting or running:
            for worker in [worker for worker in running if worker.has_finished()]:
                progress.end(running.pop(worker))
                if worker.alive:
                    idle.append(worker)
                else:
                    worker.end()
                    free += worker.gpus
            busy = {run.directory for run in [*waiting, *running.values()]}
            for run in [run for run in waiting if busy.isdisjoint(run.after)]:
                share = min(run.gpus, len(gpus))
                if len(running) < slots and (found := worker_for(run, share, idle, free, slots - len(running))):
                    progress.begin(run)
                    found.begin(run)
                    running[found] = run
                    waiting.remove(run)
            time.sleep(INTERVAL)
    finally:
        for worker in [*running, *idle]:
            worker.end()


def worker_for(run: Run, share: int, idle: list[Worker], free: list[str], room: int) -> Worker | None:
    """Return a process with the threads and GPUs of a run: an idle one, which keeps warm, or a new one.

    Args:
        run: that begins.
        share: number of GPUs that it gets.
        idle: processes that wait for a run; the one that is taken leaves the list.
        free: GPUs of no process.
        room: number of processes that may be added, the idle ones included.

    Returns:
        None while its GPUs are in use.
    """
    for worker in idle:
        if (worker.threads, len(worker.gpus)) == (run.threads, share):
            idle.remove(worker)
            return worker
    while idle and (len(idle) >= room or len(free) < share):
        ended = idle.pop(0)
        ended.end()
        free += ended.gpus
    return Worker(run.threads, [free.pop(0) for _ in range(share)]) if len(free) >= share else None


@contextmanager
def ended_by_sigterm() -> Iterator[None]:
    """Let SIGTERM raise inside the block, so that other processes can be ended; by default they would keep running."""
    if threading.current_thread() is not threading.main_thread():  # others get no signals
        yield
        return
    before = signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def visible_gpus() -> list[str]:
    """Return the devices in CUDA_VISIBLE_DEVICES, otherwise the numbers of all GPUs."""
    import torch

    listed = os.environ.get("CUDA_VISIBLE_DEVICES")
    if listed is not None:
        return [name for name in listed.split(",") if name]
    return [str(index) for index in range(torch.cuda.device_count())]
