"""Engines: every one carries out the same runs, in an order that serves."""

import importlib.util
import os
import re
import shlex
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from zoo_plugins.engines.local import Local
from zoo_plugins.engines.printed import Print

from zoo.study import parts
from zoo.study.parts import waves
from zoo.study.record import Run, read_result

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
def tasks(tmp_path: Path) -> list[Run]:
    """Three runs, the second of which waits for the first."""
    first, second, third = (tmp_path / name for name in ("first", "second one", "third"))
    return [planned(first, threads=2), planned(second, (first,), gpus=1), planned(third)]


def planned(directory: Path, after: tuple[Path, ...] = (), threads: int | None = None, gpus: int = 0) -> Run:
    return Run("two", directory.name, 0, directory=directory, after=after, threads=threads, gpus=gpus)


def done(row: str) -> bool:
    result = read_result(Path("studies/two") / row / "seed_0")
    return result is not None and result.status == "done"


def test_local_runs_here_one_after_another(study: Path, command: Callable) -> None:
    outcome = command("study", "run", study, "--engine", "local")
    assert outcome.code == 0, outcome.err
    assert done("by_error")
    assert done("five")
    begins, first, begins_too, second = (line for line in outcome.out.splitlines() if line.startswith("["))
    assert (begins, begins_too) == ("[1/2] by error, seed 0: begins", "[2/2] five, seed 0: begins")
    assert re.fullmatch(r"\[1/2\] by error, seed 0: done, test/one/sad [\d.]+, \d+ s; about \d+ s left", first)
    assert re.fullmatch(r"\[2/2\] five, seed 0: done, test/one/sad [\d.]+, \d+ s", second)


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
    assert re.search(rf"needs {package}: pip install '{package}>=[\d.]+'\.", outcome.complaint), outcome.complaint
    assert not Path("studies").exists()


def test_waves_follow_one_another(tasks: list[Run]) -> None:
    assert [[task.directory.name for task in wave] for wave in waves(tasks)] == [["first", "third"], ["second one"]]


def test_an_array_has_an_element_a_run(tasks: list[Run], capsys: pytest.CaptureFixture[str]) -> None:
    Print(style="sbatch").execute(tasks)
    printed = capsys.readouterr().out
    first, second = printed.split("<<'END'\n#!/bin/bash\n")[1:]
    assert "#SBATCH --array=0-1\n#SBATCH --cpus-per-task=2\n" in first
    assert "--gpus" not in first
    assert "#SBATCH --gpus=1" in second
    assert f"'{tasks[1].directory}'" in second
    assert "wave_1=$(sbatch --parsable --dependency=afterany:$wave_0 " in first


def test_what_is_printed_for_slurm_submits_one_array_after_another(
    tasks: list[Run], capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    Print(style="sbatch").execute(tasks)
    pretended = 'sbatch() { cat > "$(mktemp script.XXXX)"; echo "$*" >> submitted; echo 7; }\n'
    subprocess.run(["bash"], input=pretended + capsys.readouterr().out, text=True, check=True, cwd=tmp_path)
    assert (tmp_path / "submitted").read_text() == "--parsable\n--parsable --dependency=afterany:7\n"
    for script in tmp_path.glob("script.*"):
        subprocess.run(["bash", "-n", script], check=True)


PRETENDED = """
import os, sys, time
for line in sys.stdin:
    run = line.rstrip("\\n")
    with open(os.environ["BEGUN"], "a") as begun:
        print(os.path.basename(run), os.getpid(), *map(os.environ.get, NAMES), sep=",", file=begun)
    if run.endswith("dies"):
        os._exit(9)
    if run.endswith("waits"):
        time.sleep(60)
    print("over", flush=True)
"""
NAMES = ("SLURM_NTASKS", "OMP_NUM_THREADS", "CUDA_VISIBLE_DEVICES")


class TestSideBySide:
    """With processes that write down what they are asked to run, and run nothing."""

    @pytest.fixture(autouse=True)
    def begun(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[], list[list[str]]]:
        """What was begun, in order: the run, its process, and the environment variables in `NAMES`."""
        monkeypatch.setattr(parts, "WORKER", [sys.executable, "-c", f"NAMES = {NAMES}\n{PRETENDED}"])
        monkeypatch.setattr(parts.Progress, "end", lambda progress, run: None)
        monkeypatch.setenv("BEGUN", str(tmp_path / "begun"))
        return lambda: [line.split(",", 4) for line in (tmp_path / "begun").read_text().splitlines()]

    def test_a_run_begins_after_those_it_waits_for(self, tmp_path: Path, begun: Callable) -> None:
        first, second = planned(tmp_path / "first"), planned(tmp_path / "second", (tmp_path / "first",))
        Local(slots=2).execute([first, second, planned(tmp_path / "third")])
        assert sorted(name for name, *_ in begun()[:2]) == ["first", "third"]
        assert begun()[2][0] == "second"

    def test_processes_stay_warm(self, tmp_path: Path, begun: Callable) -> None:
        Local(slots=2).execute([planned(tmp_path / str(index), threads=3) for index in range(6)])
        assert len(begun()) == 6
        assert len({process for _, process, *_ in begun()}) == 2

    def test_a_process_that_dies_takes_no_other_run_with_it(self, tmp_path: Path, begun: Callable) -> None:
        Local(slots=2).execute([planned(tmp_path / name) for name in ("one", "dies", "two", "three")])
        assert sorted(name for name, *_ in begun()) == ["dies", "one", "three", "two"]

    def test_runs_share_the_gpus(self, tmp_path: Path, begun: Callable, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "4,5,7")
        Local().execute([planned(tmp_path / str(index), gpus=1) for index in range(5)])
        assert sorted({gpus for *_, gpus in begun()}) == ["4", "5", "7"]
        assert len(begun()) == 5

    def test_runs_with_other_shares_get_processes_of_their_own(
        self, tmp_path: Path, begun: Callable, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "2,3")
        monkeypatch.setenv("SLURM_NTASKS", "8")  # Lightning would take the process for one of many of one run
        tasks = [planned(tmp_path / "one", threads=3, gpus=1), planned(tmp_path / "two", threads=5, gpus=2)]
        Local(slots=2).execute([tasks[0], planned(tasks[1].directory, (tasks[0].directory,), 5, 2)])
        (_, one, *first), (_, two, *second) = begun()
        assert one != two
        assert (first, second) == (["None", "3", "2"], ["None", "5", "3,2"])

    def test_what_is_running_ends_when_this_is_asked_to(self, tmp_path: Path, begun: Callable) -> None:
        before = signal.getsignal(signal.SIGTERM)

        def end() -> None:
            while not (tmp_path / "begun").is_file() or len(begun()) < 2:
                time.sleep(0.01)
            os.kill(os.getpid(), signal.SIGTERM)

        threading.Thread(target=end, daemon=True).start()
        with pytest.raises(SystemExit) as ended:
            Local(slots=2).execute([planned(tmp_path / "waits"), planned(tmp_path / "also waits")])
        assert ended.value.code == 143
        assert signal.getsignal(signal.SIGTERM) == before
        for _, process, *_ in begun():
            with pytest.raises(ProcessLookupError):
                os.kill(int(process), 0)


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
