"""Runs as Slurm jobs, through submitit (extra `[slurm]`)."""

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from zoo.core.distributions import install_command
from zoo.study.parts import Engine, Progress, waves
from zoo.study.record import Run


class Slurm(Engine):
    """Submits runs as Slurm job arrays and waits for them.

    Args:
        partition: of the cluster; None leaves it to Slurm.
        hours: the longest time that a run may take.
        folder: for submitit's files; every node must have access to it, as to the studies.
        cluster: `slurm`, or `local`, which starts all runs at once on this machine.

    Raises:
        ValueError: submitit is not installed.

    Example:
        >>> try:
        ...     cluster = Slurm(cluster="local").cluster
        ... except ValueError:  # without the extra
        ...     cluster = "local"
        >>> cluster
        'local'
    """

    def __init__(
        self,
        partition: str | None = None,
        hours: float = 24,
        folder: str = "studies/submitit",
        cluster: Literal["slurm", "local"] = "slurm",
    ) -> None:
        try:
            import submitit  # noqa: F401
        except ImportError as error:
            raise ValueError(f"the engine Slurm needs submitit: {install_command('slurm')}.") from error
        self.partition = partition
        self.hours = hours
        self.folder = Path(folder)
        self.cluster = cluster

    def execute(self, runs: Sequence[Run]) -> None:
        import submitit

        progress = Progress(len(runs))
        for wave in waves(runs):
            executor = submitit.AutoExecutor(self.folder, cluster=self.cluster)
            executor.update_parameters(**self._resources(wave))
            with executor.batch():
                jobs = [executor.submit(submitit.helpers.CommandFunction(run.command)) for run in wave]
            for run, job in zip(wave, jobs, strict=True):
                job.wait()  # a run that failed says so in its directory
                progress.end(run)

    def _resources(self, wave: Sequence[Run]) -> dict[str, str | int]:
        """Return the resources of every run of a wave."""
        resources: dict[str, str | int] = {
            "name": "zoo-study",
            "timeout_min": round(60 * self.hours),
            "cpus_per_task": max(run.threads or 1 for run in wave),
            "gpus_per_node": max(run.gpus for run in wave),
        }
        return resources | ({"slurm_partition": self.partition} if self.partition else {})
