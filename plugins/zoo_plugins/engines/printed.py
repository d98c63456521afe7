"""Runs written out as commands, for a machine or a scheduler that this program knows nothing of."""

import shlex
from collections.abc import Sequence
from typing import Literal

from zoo.study.parts import Engine, Task, waves


class Print(Engine):
    """Prints what to run, and runs nothing: commands, or a Slurm job array.

    Args:
        style: `commands`, one a line, in an order that serves; or `sbatch`, a shell script that submits a job array for
            each wave of runs that do not wait for one another, to begin when the wave before it is over.

    Raises:
        ValueError: another style.
    """

    waits = False

    def __init__(self, style: Literal["commands", "sbatch"] = "commands") -> None:
        if style not in ("commands", "sbatch"):
            raise ValueError(f"Print(style={style!r}): expected commands or sbatch.")
        self.style = style

    def execute(self, tasks: Sequence[Task]) -> None:
        if self.style == "commands":
            for task in tasks:
                print(task.line)
            return
        print("#!/bin/bash\nset -e")
        for number, wave in enumerate(waves(tasks)):
            after = f" --dependency=afterany:$wave_{number - 1}" if number else ""
            print(f"wave_{number}=$(sbatch --parsable{after} <<'END'\n{array_script(wave)}\nEND\n)")


def array_script(tasks: Sequence[Task]) -> str:
    """A script for `sbatch` that carries out each of the tasks in an element of a job array."""
    threads = max(task.threads or 1 for task in tasks)
    gpus = max(task.gpus for task in tasks)
    directories = "\n".join(f"  {shlex.quote(str(task.directory))}" for task in tasks)
    lines = [
        "#!/bin/bash",
        f"#SBATCH --array=0-{len(tasks) - 1}",
        f"#SBATCH --cpus-per-task={threads}",
        *([f"#SBATCH --gpus={gpus}"] if gpus else []),
        f"runs=(\n{directories}\n)",
        'zoo study execute "${runs[$SLURM_ARRAY_TASK_ID]}"',
    ]
    return "\n".join(lines)
