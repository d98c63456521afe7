"""Engines, which decide where runs are carried out, and warm processes for those on this machine."""

import os
import subprocess
import time
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path

from zoo.core.spec import Part
from zoo.study.record import ZOO, Run, duration, read_run

WORKER = [*ZOO, "study", "execute", "-"]
"""The command of a `Worker`."""


class Engine(Part):
    """Carries out runs somewhere. The engine decides where and when a run happens, and never looks inside it.

    `waits` is False for an engine that returns before the runs have finished.

    Example:
        >>> class Nowhere(Engine):
        ...     waits = False
        ...
        ...     def execute(self, runs):
        ...         print(*(run.line for run in runs), sep="\\n")
        >>> Nowhere().execute([Run("small", "by error", 0, directory=Path("studies/small/by_error/seed_0"))])
        zoo study execute studies/small/by_error/seed_0
    """

    waits = True

    @abstractmethod
    def execute(self, runs: Sequence[Run]) -> None:
        """Carry out the command of each run, none before those in its `after` have finished, successfully or not.

        A failing run is not the engine's failure: its directory holds the reason, and the others continue.

        Args:
            runs: in an order that serves; a run comes after those that it waits for.
        """


def environment(threads: int | None, gpus: Sequence[str] = ()) -> dict[str, str]:
    """Return environment variables for a process that carries out runs here, with so many CPU threads, and GPUs as
    CUDA_VISIBLE_DEVICES names them; None and an empty sequence leave the choice to torch.

    Example:
        >>> variables = environment(2, ["0", "3"])
        >>> variables["OMP_NUM_THREADS"], variables["CUDA_VISIBLE_DEVICES"]
        ('2', '0,3')
    """
    variables = for_children(os.environ)
    if gpus:
        variables["CUDA_VISIBLE_DEVICES"] = ",".join(gpus)
    if threads is not None:
        variables["OMP_NUM_THREADS"] = str(threads)
    return variables


def for_children(environment: Mapping[str, str]) -> dict[str, str]:
    """Return environment variables for processes of ours, which import nothing from the working directory.

    They are without Slurm's: Lightning would take a process with them for one of many of one run.

    Example:
        >>> for_children({"HOME": "/root", "SLURM_NTASKS": "8"})
        {'HOME': '/root', 'PYTHONSAFEPATH': '1'}
    """
    kept = {name: value for name, value in environment.items() if not name.startswith("SLURM_")}
    return kept | {"PYTHONSAFEPATH": "1"}


def waves(runs: Sequence[Run]) -> list[list[Run]]:
    """Return the runs in groups to be carried out one after another; within a group none waits for another.

    Example:
        >>> first = Run("small", "first", 0, directory=Path("first"))
        >>> second = Run("small", "second", 0, directory=Path("second"), after=(Path("first"),))
        >>> [[run.row for run in wave] for wave in waves([first, second])]
        [['first'], ['second']]
    """
    groups: list[list[Run]] = []
    number: dict[Path, int] = {}
    for run in runs:
        own = 1 + max((number[path] for path in run.after), default=-1)
        number[run.directory] = own
        if own == len(groups):
            groups.append([])
        groups[own].append(run)
    return groups


class Progress:
    """Prints a line when a run begins and one when it has finished, with its result and about how long the rest takes.

    Args:
        count: number of all runs.

    Example:
        >>> Progress(3).begin(Run("small", "by error", seed=0))
        [1/3] by error, seed 0: begins
    """

    def __init__(self, count: int) -> None:
        self.count, self.begun, self.finished = count, 0, 0
        self.start = time.monotonic()

    def begin(self, run: Run) -> None:
        """Print the line of a run that begins."""
        self.begun += 1
        print(f"[{self.begun}/{self.count}] {run.title}: begins", flush=True)

    def end(self, run: Run) -> None:
        """Print the line of a run that has finished; its result is in its directory."""
        self.finished += 1
        run = read_run(run.directory)
        if run.status in ("done", "failed"):
            shown = [f"{name} {run.metrics[name]:.4g}" for name in run.metric_names[:3] if name in run.metrics]
            outcome = f"{run.status}, {run.reason or ', '.join([*shown, duration(sum(run.seconds.values()))])}"
        else:
            outcome = "unfinished, ended without a result"
        left = (time.monotonic() - self.start) / self.finished * (self.count - self.finished)
        print(
            f"[{self.finished}/{self.count}] {run.title}: {outcome}{f'; about {duration(left)} left' * (left > 0)}",
            flush=True,
        )


class Worker:
    """A warm process that carries out runs, one after another: imports and compiled code of the first serve all.

    It is `zoo study execute -`: it reads directories as lines from its standard input, and answers each with a line
    once the run has finished, successfully or not. Everything that runs print goes to their directories.

    Args:
        threads: of the CPU that each run may use; None leaves the choice to torch.
        gpus: as CUDA_VISIBLE_DEVICES names them; the process keeps them until it ends.

    Example:
        >>> worker = Worker(threads=1, gpus=[])
        >>> worker.alive
        True
        >>> worker.end()
    """

    def __init__(self, threads: int | None, gpus: Sequence[str]) -> None:
        self.threads = threads
        self.gpus = list(gpus)
        self.process = subprocess.Popen(
            WORKER, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment(threads, gpus)
        )
        assert self.process.stdout is not None
        os.set_blocking(self.process.stdout.fileno(), False)

    @property
    def alive(self) -> bool:
        """Whether it can take another run."""
        return self.process.poll() is None

    def begin(self, run: Run) -> None:
        """Begin a run; if the process has died, `has_finished` shows it."""
        assert self.process.stdin is not None
        try:
            self.process.stdin.write(f"{run.directory}\n".encode())
            self.process.stdin.flush()
        except BrokenPipeError:
            self.process.wait()

    def has_finished(self) -> bool:
        """Return whether its run has finished, or the process has died."""
        assert self.process.stdout is not None
        return not self.alive or bool(self.process.stdout.read())

    def end(self) -> None:
        """End the process, and the run that it carries out."""
        self.process.terminate()
        self.process.wait()
        for stream in (self.process.stdin, self.process.stdout):
            assert stream is not None
            stream.close()
