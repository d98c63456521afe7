"""The slot of studies: engines, which decide where runs are carried out."""

import os
import shlex
import subprocess
import sys
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from zoo.core.errors import ZooError
from zoo.core.spec import Part
from zoo.study.record import Result, read_job, read_result


@dataclass(frozen=True)
class Task:
    """One run for an engine.

    Args:
        directory: of the run, absolute.
        after: directories of the runs that must be over before this one begins.
        threads: CPU threads that it may use; None leaves the choice to torch.
        gpus: how many it needs.
    """

    directory: Path
    after: tuple[Path, ...] = ()
    threads: int | None = None
    gpus: int = 0

    @property
    def command(self) -> list[str]:
        """What carries it out in a process of its own, with this Python.

        It ends with exit code 0, or 1 after a failure; either way the result is in the directory.
        """
        return [sys.executable, "-c", "import zoo.cli; zoo.cli.run()", "study", "execute", str(self.directory)]

    @property
    def line(self) -> str:
        """The command as one types it."""
        return shlex.join(["zoo", "study", "execute", str(self.directory)])


class Engine(Part):
    """Carries out runs somewhere. What a run does is not its business, only where and when it happens.

    `waits` is False for an engine that returns before the runs are over.
    """

    waits = True

    @abstractmethod
    def execute(self, tasks: Sequence[Task]) -> None:
        """Carry out each task's command, none before those in its `after` are over, whether these succeeded or not.

        A run that fails is not the engine's failure: it says so in its directory, and the others go on.

        Args:
            tasks: in an order that serves; a task comes after those that it waits for.
        """


def environment(threads: int | None, gpus: Sequence[str] = ()) -> dict[str, str]:
    """Environment variables for a process that carries out runs here, with this share of the machine.

    Args:
        threads: of the CPU; None leaves the choice to torch.
        gpus: as CUDA_VISIBLE_DEVICES names them; none leaves that as it is.
    """
    variables = without_slurm(os.environ)
    if gpus:
        variables["CUDA_VISIBLE_DEVICES"] = ",".join(gpus)
    if threads is not None:
        variables["OMP_NUM_THREADS"] = str(threads)
    return variables


def without_slurm(environment: Mapping[str, str]) -> dict[str, str]:
    """Environment variables without Slurm's: Lightning would take a process with them for one of many of one run."""
    return {name: value for name, value in environment.items() if not name.startswith("SLURM_")}


def waves(tasks: Sequence[Task]) -> list[list[Task]]:
    """The tasks in groups to be carried out one after another; within a group none waits for another."""
    found: list[list[Task]] = []
    place: dict[Path, int] = {}
    for task in tasks:
        mine = 1 + max((place[path] for path in task.after), default=-1)
        place[task.directory] = mine
        if mine == len(found):
            found.append([])
        found[mine].append(task)
    return found


def announce(task: Task, number: int, count: int) -> None:
    """Print one line about a run that is over."""
    job, result = read_job(task.directory), read_result(task.directory)
    told = "ended without a result" if result is None else result.reason or measured(result)
    status = "unfinished" if result is None else result.status
    stage = ", first stage" if job.first_stage else ""
    print(f"[{number}/{count}] {job.row}{stage}, seed {job.seed}: {status}, {told}", flush=True)


def measured(result: Result) -> str:
    """The first metrics of a result, and how long it took."""
    values = [f"{name} {result.metrics[name]:.4g}" for name in result.job.metrics[:3]]
    return ", ".join([*values, f"{sum(result.seconds.values()):.0f} s"])


COMMAND = [sys.executable, "-c", "import zoo.cli; zoo.cli.run()", "study", "execute", "-"]


class Worker:
    """Such a process, from the outside.

    Args:
        threads: of the CPU that each run may use; None leaves the choice to torch.
        gpus: as CUDA_VISIBLE_DEVICES names them; they are its own until it ends.
    """

    def __init__(self, threads: int | None, gpus: Sequence[str]) -> None:
        self.threads = threads
        self.gpus = list(gpus)
        self.process = subprocess.Popen(
            COMMAND, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment(threads, gpus)
        )
        assert self.process.stdout is not None
        os.set_blocking(self.process.stdout.fileno(), False)

    @property
    def alive(self) -> bool:
        """Whether it can take another run."""
        return self.process.poll() is None

    def begin(self, task: Task) -> None:
        """Give it a run; if it has died, that shows in `is_over`."""
        assert self.process.stdin is not None
        try:
            self.process.stdin.write(f"{task.directory}\n".encode())
            self.process.stdin.flush()
        except BrokenPipeError:
            self.process.wait()

    def is_over(self) -> bool:
        """Whether its run is over, or it died of it."""
        assert self.process.stdout is not None
        return not self.alive or bool(self.process.stdout.read())

    def end(self) -> None:
        """End it, and the run that it is at."""
        self.process.terminate()
        self.process.wait()
        for stream in (self.process.stdin, self.process.stdout):
            assert stream is not None
            stream.close()


def execute_each() -> None:
    """Be such a process, until the input ends."""
    from zoo.study.run.execute import execute

    answers = os.dup(sys.stdout.fileno())
    for line in sys.stdin:
        directory = Path(line.rstrip("\n"))
        print_to(directory / "log.txt")
        try:
            execute(directory)
        except ZooError as error:  # as on a full disk; another run may have more luck
            print(f"zoo study: {error}", flush=True)
        os.write(answers, b"over\n")


def print_to(file: Path) -> None:
    """From now on, what this process and its libraries print is added to a file."""
    sys.stdout.flush()
    sys.stderr.flush()
    with file.open("ab") as log:
        os.dup2(log.fileno(), 1)
        os.dup2(log.fileno(), 2)
