"""Runs as Slurm jobs, through submitit (extra `[slurm]`)."""

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from zoo.study.parts import Engine, Task, announce, waves


class Slurm(Engine):
    """Submits runs as Slurm job arrays and waits for them.

    Args:
        partition: of the cluster; None leaves it to Slurm.
        hours: what a run may take at most.
        folder: where submitit keeps its files; every node must see it, as the studies.
        cluster: `slurm`, or `local`, which starts all runs at once on this machine.

    Raises:
        ValueError: submitit is not installed.
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
            raise ValueError("the engine Slurm needs submitit: pip install 'ablation-zoo[slurm]'.") from error
        self.partition = partition
        self.hours = hours
        self.folder = Path(folder)
        self.cluster = cluster

    def execute(self, tasks: Sequence[Task]) -> None:
        import submitit

        over = 0
        for wave in waves(tasks):
            executor = submitit.AutoExecutor(self.folder, cluster=self.cluster)
            executor.update_parameters(**self._resources(wave))
            with executor.batch():
                jobs = [executor.submit(submitit.helpers.CommandFunction(task.command)) for task in wave]
            for task, job in zip(wave, jobs, strict=True):
                job.wait()  # a run that failed says so in its directory
                over += 1
                announce(task, over, len(tasks))

    def _resources(self, wave: Sequence[Task]) -> dict[str, str | int]:
        """What every run of a wave is given."""
        wanted: dict[str, str | int] = {
            "name": "zoo-study",
            "timeout_min": round(60 * self.hours),
            "cpus_per_task": max(task.threads or 1 for task in wave),
            "gpus_per_node": max(task.gpus for task in wave),
        }
        return wanted | ({"slurm_partition": self.partition} if self.partition else {})
