"""Runs as Ray tasks (extra `[ray]`)."""

import signal
import subprocess
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from zoo.study.parts import Engine, Task, announce, environment


class Ray(Engine):
    """Gives runs to a Ray cluster, each with the CPUs and GPUs that the study names, and waits for them.

    Args:
        address: of the cluster; None starts Ray on this machine.

    Raises:
        ValueError: Ray is not installed.
    """

    def __init__(self, address: str | None = None) -> None:
        try:
            import ray  # noqa: F401
        except ImportError as error:
            raise ValueError("the engine Ray needs ray: pip install 'ablation-zoo[ray]'.") from error
        self.address = address

    def execute(self, tasks: Sequence[Task]) -> None:
        import ray

        before = signal.getsignal(signal.SIGTERM)
        ray.init(address=self.address, ignore_reinit_error=True, log_to_driver=False)
        try:
            remote = ray.remote(max_retries=0)(carry_out)
            runs: dict[Any, Task] = {}
            by_directory: dict[Any, Any] = {}
            for task in tasks:
                share = remote.options(num_cpus=task.threads or 1, num_gpus=task.gpus)
                # What a task gets as an argument is over before it begins.
                run = share.remote(task, Path.cwd(), *(by_directory[path] for path in task.after))
                by_directory[task.directory] = run
                runs[run] = task
            waiting = list(runs)
            while waiting:
                (over, *_), waiting = ray.wait(waiting, num_returns=1)
                announce(runs[over], len(tasks) - len(waiting), len(tasks))
        finally:
            ray.shutdown()
            if threading.current_thread() is threading.main_thread():
                signal.signal(signal.SIGTERM, before)  # Ray leaves its own, which Lightning would respect


def carry_out(task: Task, folder: Path, *after: Any) -> int:
    """Carry out a run, wherever Ray put it; its exit code says nothing that its directory does not.

    Args:
        task: the run.
        folder: where relative paths in settings begin.
        after: what it waited for.
    """
    with (task.directory / "log.txt").open("ab") as log:
        process = subprocess.run(
            task.command, env=environment(task.threads), cwd=folder, stdout=log, stderr=subprocess.STDOUT
        )
    return process.returncode
