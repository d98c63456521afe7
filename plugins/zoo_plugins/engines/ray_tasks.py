"""Runs as Ray tasks (extra `[ray]`)."""

import signal
import subprocess
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from zoo.core.distributions import install_command
from zoo.study.parts import Engine, Progress, environment
from zoo.study.record import Run


class Ray(Engine):
    """Submits runs to a Ray cluster, each with the CPUs and GPUs that the study names, and waits for them.

    Args:
        address: of the cluster; None starts Ray on this machine.

    Raises:
        ValueError: Ray is not installed.

    Example:
        >>> try:
        ...     address = Ray("ray://head:10001").address
        ... except ValueError:  # without the extra
        ...     address = "ray://head:10001"
        >>> address
        'ray://head:10001'
    """

    def __init__(self, address: str | None = None) -> None:
        try:
            import ray  # noqa: F401
        except ImportError as error:
            raise ValueError(f"the engine Ray needs ray: {install_command('ray')}.") from error
        self.address = address

    def execute(self, runs: Sequence[Run]) -> None:
        import ray

        before = signal.getsignal(signal.SIGTERM)
        ray.init(address=self.address, ignore_reinit_error=True, log_to_driver=False)
        try:
            remote = ray.remote(max_retries=0)(carry_out)
            by_reference: dict[Any, Run] = {}
            references: dict[Path, Any] = {}
            for run in runs:
                sized = remote.options(num_cpus=run.threads or 1, num_gpus=run.gpus)
                # A task begins when its arguments have finished.
                reference = sized.remote(run, Path.cwd(), *(references[path] for path in run.after))
                references[run.directory] = reference
                by_reference[reference] = run
            waiting, progress = list(by_reference), Progress(len(runs))
            while waiting:
                (finished, *_), waiting = ray.wait(waiting, num_returns=1)
                progress.end(by_reference[finished])
        finally:
            ray.shutdown()
            if threading.current_thread() is threading.main_thread():
                signal.signal(signal.SIGTERM, before)  # Ray leaves its own, which Lightning would respect


def carry_out(run: Run, folder: Path, *after: Any) -> int:
    """Carry out a run on the machine that Ray chose; returns its exit code.

    Args:
        run: to carry out.
        folder: that relative paths in settings start from.
        after: results of the runs that it waited for.
    """
    with (run.directory / "log.txt").open("ab") as log:
        process = subprocess.run(
            run.command,
            env=environment(run.threads),
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
        )
    return process.returncode
