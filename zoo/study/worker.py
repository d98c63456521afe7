"""A warm process that carries out runs, one after another: what is imported and compiled for the first serves all.

It is `zoo study execute -`: directories come as lines on its standard input, and each is answered by a line once the
run is over, whatever became of it; that, its directory says. What runs print goes into their directories.
"""

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from zoo.core.errors import ZooError
from zoo.study.parts import Task, environment

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
    from zoo.study.execute import execute

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
