"""Runs on this machine."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from zoo.study.parts import Engine, Task, announce

GLANCE = 0.1
"""Seconds between two looks at the processes."""


class Local(Engine):
    """Carries runs out here, one after another in this process or several at a time in processes of their own.

    One process stays warm: what is imported and compiled for the first run serves all. With several slots each run is a
    process with the number of threads, or the GPUs, that the study gives a run.

    Args:
        slots: runs at a time; None is one for each share of the GPUs that a run needs, or one where it needs none.

    Raises:
        ValueError: fewer than one slot.
    """

    def __init__(self, slots: int | None = None) -> None:
        if slots is not None and slots < 1:
            raise ValueError(f"Local(slots={slots}): expected at least 1.")
        self.slots = slots

    def execute(self, tasks: Sequence[Task]) -> None:
        gpus = visible_gpus() if any(task.gpus for task in tasks) else []
        slots = self.slots or max([1, *(len(gpus) // task.gpus for task in tasks if task.gpus)])
        if slots == 1:
            one_after_another(tasks)
        else:
            with ended_by_sigterm():
                side_by_side(tasks, slots, gpus)


def one_after_another(tasks: Sequence[Task]) -> None:
    """All runs in this process."""
    from zoo.study.execute import execute

    for number, task in enumerate(tasks, 1):
        execute(task.directory)
        announce(task, number, len(tasks))


def side_by_side(tasks: Sequence[Task], slots: int, gpus: list[str]) -> None:
    """Several runs at a time, each in a process of its own; all are ended when this one is interrupted or ended."""
    waiting, over = list(tasks), 0
    running: dict[subprocess.Popen, tuple[Task, list[str]]] = {}
    free = list(gpus)
    try:
        while waiting or running:
            for process in [process for process in running if process.poll() is not None]:
                task, used = running.pop(process)
                free += used
                over += 1
                announce(task, over, len(tasks))
            busy = {task.directory for task in [*waiting, *(task for task, _ in running.values())]}
            for task in [task for task in waiting if busy.isdisjoint(task.after)]:
                if len(running) < slots and min(task.gpus, len(gpus)) <= len(free):
                    used = [free.pop(0) for _ in range(min(task.gpus, len(gpus)))]
                    running[task.start(used)] = (task, used)
                    waiting.remove(task)
            time.sleep(GLANCE)
    finally:
        for process in running:
            process.terminate()
        for process in running:
            process.wait()


@contextmanager
def ended_by_sigterm() -> Iterator[None]:
    """Inside the block SIGTERM raises, so that what runs beside can be ended; Python's own way leaves it running."""
    if threading.current_thread() is not threading.main_thread():  # others get no signals
        yield
        return
    before = signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def visible_gpus() -> list[str]:
    """What CUDA_VISIBLE_DEVICES lists, otherwise the numbers of all GPUs."""
    import torch

    given = os.environ.get("CUDA_VISIBLE_DEVICES")
    if given is not None:
        return [name for name in given.split(",") if name]
    return [str(index) for index in range(torch.cuda.device_count())]
