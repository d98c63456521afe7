"""Runs printed as commands, for another machine or scheduler."""

import shlex
from collections.abc import Sequence
from typing import Literal

from zoo.study.parts import Engine, waves
from zoo.study.record import Run


class Print(Engine):
    """Prints commands or a Slurm job array, and runs nothing.

    Args:
        style: `commands`, one per line, in an order that serves; or `sbatch`, a shell script that submits a job array
            for each wave of runs that do not wait for one another, to begin when the wave before it has finished.

    Raises:
        ValueError: another style.

    Example:
        >>> from pathlib import Path
        >>> Print().execute([Run("small", "by error", 0, directory=Path("studies/small/by_error/seed_0"))])
        zoo study execute studies/small/by_error/seed_0
    """

    waits = False

    def __init__(self, style: Literal["commands", "sbatch"] = "commands") -> None:
        if style not in ("commands", "sbatch"):
            raise ValueError(f"Print(style={style!r}): expected commands or sbatch.")
        self.style = style

    def execute(self, runs: Sequence[Run]) -> None:
        if self.style == "commands":
            for run in runs:
                print(run.line)
            return
        print("#!/bin/bash\nset -e")
        for number, wave in enumerate(waves(runs)):
            after = f" --dependency=afterany:$wave_{number - 1}" if number else ""
            print(f"wave_{number}=$(sbatch --parsable{after} <<'END'\n{array_script(wave)}\nEND\n)")


def array_script(runs: Sequence[Run]) -> str:
    """Return a script for `sbatch` that carries out each of the runs in an element of a job array."""
    threads = max(run.threads or 1 for run in runs)
    gpus = max(run.gpus for run in runs)
    directories = "\n".join(f"  {shlex.quote(str(run.directory))}" for run in runs)
    lines = [
        "#!/bin/bash",
        f"#SBATCH --array=0-{len(runs) - 1}",
        f"#SBATCH --cpus-per-task={threads}",
        *([f"#SBATCH --gpus={gpus}"] if gpus else []),
        f"runs=(\n{directories}\n)",
        'zoo study execute "${runs[$SLURM_ARRAY_TASK_ID]}"',
    ]
    return "\n".join(lines)
