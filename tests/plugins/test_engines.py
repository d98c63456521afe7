"""Engines: every one carries out the same runs, in an order that serves."""

import importlib.util
import os
import shlex
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from zoo_plugins.engines import local
from zoo_plugins.engines.local import Local
from zoo_plugins.engines.printed import Print

from zoo.study.parts import Task, waves
from zoo.study.results import read_result

STUDY = """
base: tiny.yaml
plugins: [tiny.py]
baseline: by error
noise_floor: false
set: {trainer.max_epochs: 1}
metrics: {test/one/sad: lower}
rows:
  by error: {}
  five: {changes: {model.selector.patches: 5}, evaluate_only: true}
"""


@pytest.fixture
def study(tiny) -> Path:
    """A study of two rows."""
    file = tiny.folder / "two.yaml"
    file.write_text(STUDY)
    return file


@pytest.fixture
def tasks(tmp_path: Path) -> list[Task]:
    """Three tasks, the second of which waits for the first."""
    first, second, third = (tmp_path / name for name in ("first", "second one", "third"))
    return [Task(first, threads=2), Task(second, (first,), gpus=1), Task(third)]


def done(row: str) -> bool:
    result = read_result(Path("studies/two") / row / "seed_0")
    return result is not None and result.status == "done"


def test_local_runs_here_one_after_another(study: Path, command: Callable) -> None:
    outcome = command("study", "run", study, "--engine", "local")
    assert outcome.code == 0, outcome.err
    assert done("by_error")
    assert done("five")
    first, second = (line for line in outcome.out.splitlines() if line.startswith("["))
    assert first.startswith("[1/2] by error, seed 0: done, test/one/sad ")
    assert second.startswith("[2/2] five, seed 0: done, test/one/sad ")


@pytest.mark.slow
def test_printed_commands_do_what_local_does(study: Path, command: Callable) -> None:
    outcome = command("study", "run", study, "--engine", "print")
    assert outcome.code == 0, outcome.err
    lines = outcome.out.splitlines()
    assert [line.startswith("zoo study execute ") for line in lines] == [True, True]
    for line in lines:
        assert command(*shlex.split(line)[1:]).code == 0
    assert done("by_error")
    assert done("five")


@pytest.mark.slow
def test_several_slots_run_in_processes_of_their_own(study: Path, command: Callable) -> None:
    outcome = command("study", "run", study, "--engine=local", "--engine.slots=2")
    assert outcome.code == 0, outcome.err
    assert done("by_error")
    assert done("five")


@pytest.mark.slow
@pytest.mark.skipif(importlib.util.find_spec("submitit") is None, reason="needs the extra [slurm]")
def test_slurm_runs_through_submitit(study: Path, command: Callable) -> None:
    outcome = command("study", "run", study, "--engine=slurm", "--engine.cluster=local")
    assert outcome.code == 0, outcome.err
    assert done("five")


@pytest.mark.slow
@pytest.mark.skipif(importlib.util.find_spec("ray") is None, reason="needs the extra [ray]")
def test_ray_runs_on_this_machine(study: Path, command: Callable) -> None:
    outcome = command("study", "run", study, "--engine=ray")
    assert outcome.code == 0, outcome.err
    assert done("five")


@pytest.mark.parametrize(("engine", "package"), [("slurm", "submitit"), ("ray", "ray")])
def test_an_engine_that_is_not_installed_says_what_to_install(
    study: Path, command: Callable, monkeypatch: pytest.MonkeyPatch, engine: str, package: str
) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    outcome = command("study", "run", study, "--engine", engine)
    assert outcome.code == 1
    assert f"needs {package}: pip install 'ablation-zoo[{engine}]'." in outcome.complaint
    assert not Path("studies").exists()


def test_waves_follow_one_another(tasks: list[Task]) -> None:
    assert [[task.directory.name for task in wave] for wave in waves(tasks)] == [["first", "third"], ["second one"]]


def test_an_array_has_an_element_a_run(tasks: list[Task], capsys: pytest.CaptureFixture[str]) -> None:
    Print(style="sbatch").execute(tasks)
    printed = capsys.readouterr().out
    first, second = printed.split("<<'END'\n#!/bin/bash\n")[1:]
    assert "#SBATCH --array=0-1\n#SBATCH --cpus-per-task=2\n" in first
    assert "--gpus" not in first
    assert "#SBATCH --gpus=1" in second
    assert f"'{tasks[1].directory}'" in second
    assert "wave_1=$(sbatch --parsable --dependency=afterany:$wave_0 " in first


def test_what_is_printed_for_slurm_submits_one_array_after_another(
    tasks: list[Task], capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    Print(style="sbatch").execute(tasks)
    pretended = 'sbatch() { cat > "$(mktemp script.XXXX)"; echo "$*" >> submitted; echo 7; }\n'
    subprocess.run(["bash"], input=pretended + capsys.readouterr().out, text=True, check=True, cwd=tmp_path)
    assert (tmp_path / "submitted").read_text() == "--parsable\n--parsable --dependency=afterany:7\n"
    for script in tmp_path.glob("script.*"):
        subprocess.run(["bash", "-n", script], check=True)


class TestSideBySide:
    """With processes that only wait for a file."""

    @pytest.fixture
    def started(self, monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, list[str]]]:
        """What was started, in order, with its GPUs."""
        begun: list[tuple[str, list[str]]] = []

        def start(task: Task, gpus: list[str]) -> subprocess.Popen:
            begun.append((task.directory.name, gpus))
            return subprocess.Popen(["true"])

        monkeypatch.setattr(Task, "start", start)
        monkeypatch.setattr(local, "announce", lambda task, number, count: None)
        return begun

    def test_a_run_begins_after_those_it_waits_for(self, tasks: list[Task], started: list) -> None:
        Local(slots=2).execute(tasks)
        assert [name for name, _ in started] == ["first", "third", "second one"]

    def test_runs_share_the_gpus(self, tmp_path: Path, started: list, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "4,5,7")
        Local().execute([Task(tmp_path / str(index), gpus=1) for index in range(5)])
        assert sorted(gpus[0] for _, gpus in started[:3]) == ["4", "5", "7"]
        assert all(len(gpus) == 1 for _, gpus in started)
        assert len(started) == 5

    def test_what_is_running_ends_when_this_is_asked_to(
        self, tasks: list[Task], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        begun: list[subprocess.Popen] = []

        def start(task: Task, gpus: list[str]) -> subprocess.Popen:
            begun.append(subprocess.Popen(["sleep", "60"]))
            return begun[-1]

        monkeypatch.setattr(Task, "start", start)
        before = signal.getsignal(signal.SIGTERM)
        threading.Timer(0.3, os.kill, (os.getpid(), signal.SIGTERM)).start()
        with pytest.raises(SystemExit) as ended:
            Local(slots=2).execute(tasks)
        assert ended.value.code == 143
        assert [process.returncode for process in begun] == [-signal.SIGTERM] * 2
        assert signal.getsignal(signal.SIGTERM) == before


def test_a_child_is_not_taken_for_a_slurm_task(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SLURM_NTASKS", "8")
    names = ("SLURM_NTASKS", "OMP_NUM_THREADS", "CUDA_VISIBLE_DEVICES")
    monkeypatch.setattr(Task, "command", [sys.executable, "-c", f"import os; print(*map(os.environ.get, {names}))"])
    Task(tmp_path, threads=3).start(["2", "3"]).wait()
    assert (tmp_path / "log.txt").read_text() == "None 3 2,3\n"


def test_wrong_options_are_refused() -> None:
    with pytest.raises(ValueError, match=r"Local\(slots=0\): expected at least 1"):
        Local(slots=0)
    with pytest.raises(ValueError, match="expected commands or sbatch"):
        Print(style="poem")  # type: ignore[arg-type]


def test_an_option_of_another_engine_is_one_sentence(study: Path, command: Callable) -> None:
    outcome = command("study", "run", study, "--engine.partition=long")
    assert outcome.code == 1
    assert "--engine.partition" in outcome.complaint
    outcome = command("study", "status", study, "--engine.slots=2")
    assert outcome.code == 1
    assert outcome.complaint == "zoo study: --engine.slots=2: `zoo study status` has no engine; `run` has."
    outcome = command("study", "run", study, "--engine", "locl")
    assert outcome.code == 1
    assert "no engine named 'locl'; did you mean Local?" in outcome.complaint
