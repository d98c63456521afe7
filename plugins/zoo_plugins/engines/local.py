"""Runs on this machine."""

import os
import signal
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from zoo.study.parts import Engine, Task, Worker, announce

GLANCE = 0.1
"""Seconds between two looks at the processes."""


class Local(Engine):
    """Carries runs out here, one after another in this process or several at a time in processes of their own.

    Processes stay warm: what is imported and compiled for the first run serves all. With several slots each has the
    threads, or the GPUs, that the study gives a run.

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
    from zoo.study.run.execute import execute

    for number, task in enumerate(tasks, 1):
        execute(task.directory)
        announce(task, number, len(tasks))


def side_by_side(tasks: Sequence[Task], slots: int, gpus: list[str]) -> None:
    """Several runs at a time, in as many processes, which all end when this one is interrupted or asked to end."""
    waiting, over = list(tasks), 0
    running: dict[Worker, Task] = {}
    idle: list[Worker] = []
    free = list(gpus)
    try:
        while waiting or running:
            for worker in [worker for worker in running if worker.is_over()]:
                over += 1
                announce(running.pop(worker), over, len(tasks))
                if worker.alive:
                    idle.append(worker)
                else:
                    worker.end()
                    free += worker.gpus
            busy = {task.directory for task in [*waiting, *running.values()]}
            for task in [task for task in waiting if busy.isdisjoint(task.after)]:
                share = min(task.gpus, len(gpus))
                if len(running) < slots and (found := worker_for(task, share, idle, free, slots - len(running))):
                    found.begin(task)
                    running[found] = task
                    waiting.remove(task)
            time.sleep(GLANCE)
    finally:
        for worker in [*running, *idle]:
            worker.end()


def worker_for(task: Task, share: int, idle: list[Worker], free: list[str], room: int) -> Worker | None:
    """A process with a task's share of the machine: an idle one, which keeps warm, or a new one.

    Args:
        task: that begins.
        share: how many GPUs it gets.
        idle: processes that wait for a run; the one that is taken leaves the list.
        free: GPUs of no process.
        room: how many processes more there may be, the idle ones included.

    Returns:
        None while its GPUs are in use.
    """
    for worker in idle:
        if (worker.threads, len(worker.gpus)) == (task.threads, share):
            idle.remove(worker)
            return worker
    while idle and (len(idle) >= room or len(free) < share):
        gone = idle.pop(0)
        gone.end()
        free += gone.gpus
    return Worker(task.threads, [free.pop(0) for _ in range(share)]) if len(free) >= share else None


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
