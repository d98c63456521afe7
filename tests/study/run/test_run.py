"""Running a study: what it leaves, what it repeats, and what survives an interruption."""

import csv
import json
import math
import os
import shutil
import signal
import threading
import time
from pathlib import Path
from typing import Any

import pytest
import yaml
from filelock import FileLock

import zoo
from zoo.study import record
from zoo.study.record import LOCK, all_runs, held, read_result, read_run, state
from zoo.study.run import execute as executing
from zoo.study.run.samples import read_samples

BREAKS = '''

from zoo.core.parts import LossTerm


class Breaks(LossTerm):
    """Not a number in the second epoch."""

    reads = frozenset({"alpha"})
    targets = frozenset({"alpha"})

    def __init__(self, weight: float = 1.0) -> None:
        super().__init__(weight)
        self.steps = 0

    def forward(self, output, batch):
        self.steps += output.alpha.requires_grad
        return output.alpha.mean() * (float("nan") if self.steps > 2 else 1.0)
'''


def results(runs: Path) -> dict[str, dict[str, float]]:
    """The metrics of every run below a folder."""
    found = {}
    for directory in all_runs(runs / "small"):
        run = read_run(directory)
        assert run.status == "done"
        found[f"{run.row} {run.seed}"] = run.metrics
    return found


class TestResult:
    def test_it_holds_what_a_report_needs(self, finished) -> None:
        result = read_result(finished.run("at_random"))
        assert result is not None
        assert (result.status, result.row, result.note) == ("done", "at random", "a question")
        assert result.differences[0] == ["model.selector", "TopK", "RandomPatches"]
        assert result.data == {
            "datasets": {"train.squares": "Tiny", "validation": "Tiny", "test.one": "Tiny"},
            "synthetic": "none",
        }
        assert {"test/one/sad", "test/one/conn", "validation/sad"} <= set(result.metrics)
        assert [epoch["epoch"] for epoch in result.curve] == [0, 1]
        assert all(epoch["validation/sad"] > 0 and epoch["train/loss"] > 0 for epoch in result.curve)
        assert result.parameters > 1e6
        assert result.multiply_adds["square"] > 1e6
        assert result.seconds["fit"] > 0
        assert result.versions["torch"]

    def test_samples_are_one_line_a_picture_and_average_to_the_metric(self, finished) -> None:
        result = read_result(finished.run("by_error"))
        samples = read_samples(finished.run("by_error") / "samples.csv")
        assert [(line["set"], line["index"], line["name"]) for line in samples] == [
            ("one", 0, "square0"),
            ("one", 1, "square1"),
        ]
        assert result is not None
        for name in ("sad", "mse", "grad", "conn"):
            mean = sum(line[name] for line in samples) / len(samples)
            assert mean == pytest.approx(result.metrics[f"test/one/{name}"], rel=1e-5), name

    def test_a_run_is_an_ordinary_run_of_its_configuration(self, finished, command, monkeypatch, tmp_path) -> None:
        directory = finished.run("at_random")
        settings = yaml.safe_load((directory / "config.yaml").read_text())
        assert settings["model"]["init_args"]["selector"]["class_path"] == "RandomPatches"
        monkeypatch.chdir(tmp_path)
        plugin = finished.file.with_name("tiny.py")
        checkpoint = finished.runs / "small" / read_result(directory).checkpoint
        outcome = command("test", "--plugin", plugin, "--config", directory / "config.yaml", "--ckpt_path", checkpoint)
        assert outcome.code == 0, outcome.err
        with Path("runs/tiny/version_0/metrics.csv").open() as file:
            (line,) = csv.DictReader(file)
        assert float(line["test/one/sad"]) == pytest.approx(read_result(directory).metrics["test/one/sad"])

    def test_a_row_without_training_tests_the_checkpoint_of_the_baseline(self, finished) -> None:
        result = read_result(finished.run("five"))
        assert result is not None
        assert result.evaluate_only
        assert result.checkpoint == "by_error/seed_0/fit/version_0/checkpoints/last.ckpt"
        assert not (finished.run("five") / "fit").exists()
        assert result.metrics["test/one/sad"] != read_result(finished.run("by_error")).metrics["test/one/sad"]

    def test_the_noise_floor_is_the_baseline_with_another_seed(self, finished) -> None:
        result = read_result(finished.run("A_A", 1))
        assert result is not None
        assert (result.row, result.pair, result.differences) == ("A/A", 0, [])
        assert result.metrics["test/one/sad"] != read_result(finished.run("by_error")).metrics["test/one/sad"]


class TestAgain:
    def test_what_is_done_is_not_repeated(self, small, command) -> None:
        before = {path: path.stat().st_mtime_ns for path in small.runs.rglob("result.json")}
        outcome = command("study", "run", *small.options)
        assert outcome.code == 0, outcome.err
        assert "4 runs, 4 finished already, 0 to do" in outcome.out
        assert {path: path.stat().st_mtime_ns for path in small.runs.rglob("result.json")} == before

    def test_the_same_settings_in_other_words_are_reported_without_another_run(self, small, command) -> None:
        before = results(small.runs)
        text = small.file.read_text()
        other = text.replace("model.selector.patches: 5", "model.selector: {class_path: TopK, init_args: {patches: 5}}")
        assert other != text
        small.file.write_text(other)
        outcome = command("study", "run", *small.options)
        assert outcome.code == 0, outcome.err
        assert "0 to do" in outcome.out
        assert results(small.runs) == before
        assert command("study", "report", *small.options).code == 0
        assert "says something else" not in (small.runs / "small" / "report.md").read_text()

    def test_only_what_is_missing_is_made_and_comes_out_the_same(self, small, finished, command) -> None:
        shutil.rmtree(small.run("at_random"))
        (small.run("five") / "result.json").unlink()
        outcome = command("study", "run", *small.options)
        assert outcome.code == 0, outcome.err
        assert "2 to do" in outcome.out
        assert results(small.runs) == results(finished.runs)

    def test_other_settings_make_a_run_stale_and_it_is_kept(self, small, command) -> None:
        text = small.file.read_text().replace("patches: 10", "patches: 11")
        changed = small.file.with_name("changed.yaml")
        changed.write_text(text)
        outcome = command("study", "status", changed, "--runs", small.runs)
        assert "at random │ 0 stale" in outcome.out
        assert "3 done, 1 stale" in outcome.out
        outcome = command("study", "run", changed, "--runs", small.runs)
        assert outcome.code == 0, outcome.err
        old = read_result(next(small.run("at_random").parent.glob("seed_0.*")))
        assert (
            "at random, seed 0: settings, data, plugin files or the version have changed; the old run is now "
            f"seed_0.{old.id}" in outcome.out
        )
        assert "1 to do" in outcome.out
        assert read_result(small.run("at_random")).id != old.id

    def test_status_and_report_see_that_the_code_of_a_plugin_changed(self, small, command, shared_tiny) -> None:
        before = shared_tiny.plugin.read_text()
        shared_tiny.plugin.write_text(before + "\n# Other code.\n")
        record.content_hash.cache_clear()
        try:
            outcome = command("study", "status", *small.options)
            report = command("study", "report", *small.options)
        finally:
            shared_tiny.plugin.write_text(before)
            record.content_hash.cache_clear()
        assert "4 stale" in outcome.out
        sentence = (
            "`zoo study run` repeats the stale runs of by error, at random, five, A/A: their settings, data, plugin"
        )
        assert sentence in outcome.out
        assert f"zoo study: {sentence}" in report.err
        assert sentence in (small.runs / "small" / "report.csv").with_suffix(".html").read_text()

    def test_force_repeats_every_run_and_keeps_the_old_ones(self, small, command) -> None:
        outcome = command("study", "run", *small.options, "--force")
        assert outcome.code == 0, outcome.err
        assert "4 runs, 0 finished already, 4 to do" in outcome.out
        old = next(small.run("five").parent.glob("seed_0.*"))
        assert f"five, seed 0: it is run again; the old run is now {old.name}." in outcome.out
        assert read_result(old).metrics == read_run(small.run("five")).metrics

    def test_a_damaged_result_is_named(self, small, command) -> None:
        (small.run("five") / "result.json").write_text('{"format": 1, "status"')
        outcome = command("study", "status", *small.options)
        assert outcome.code == 1
        assert "result.json is damaged: delete it" in outcome.complaint


class TestInterruption:
    def test_a_run_cut_in_its_second_epoch_resumes_to_the_same_result(
        self, small, finished, command, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        shutil.rmtree(small.run("at_random"))
        from zoo.training.module import TrainingModule

        step = TrainingModule.training_step

        def cut(module: Any, batch: Any, batch_idx: int) -> Any:
            if module.current_epoch == 1:
                raise KeyboardInterrupt
            return step(module, batch, batch_idx)

        with monkeypatch.context() as context:
            context.setattr(TrainingModule, "training_step", cut)
            outcome = command("study", "run", *small.options)
        assert outcome.code == 130
        assert state(small.run("at_random")) == "begun"
        assert "0 begun" in command("study", "status", *small.options).out
        outcome = command("study", "run", *small.options)
        assert outcome.code == 0, outcome.err
        assert results(small.runs) == results(finished.runs)
        resumed = read_result(small.run("at_random"))
        assert resumed is not None
        assert resumed.resumed_at == 1
        assert [epoch["epoch"] for epoch in resumed.curve] == [0, 1]

    def test_a_run_that_is_asked_to_end_has_not_failed(
        self, small, finished, command, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        shutil.rmtree(small.run("at_random"))
        from zoo.training.module import TrainingModule

        step = TrainingModule.training_step

        def terminated(module: Any, batch: Any, batch_idx: int) -> Any:
            if module.current_epoch == 1:
                os.kill(os.getpid(), signal.SIGTERM)
            return step(module, batch, batch_idx)

        with monkeypatch.context() as context:
            context.setattr(TrainingModule, "training_step", terminated)
            outcome = command("study", "run", *small.options)
        assert (outcome.code, outcome.complaint) == (143, "zoo study: asked to end (SIGTERM).")
        assert state(small.run("at_random")) == "begun"
        outcome = command("study", "run", *small.options)
        assert outcome.code == 0, outcome.err
        assert results(small.runs) == results(finished.runs)

    def test_training_that_is_over_is_not_repeated_when_the_test_was_cut(self, small, finished, command) -> None:
        shutil.rmtree(small.run("at_random") / "test")
        (small.run("at_random") / "result.json").unlink()
        assert command("study", "run", *small.options).code == 0
        assert not (small.run("at_random") / "fit" / "version_1").exists()
        assert results(small.runs) == results(finished.runs)

    @pytest.mark.slow
    def test_a_truncated_checkpoint_is_made_again(self, small, finished, command) -> None:
        run = small.run("at_random")
        last = run / "fit/version_0/checkpoints/last.ckpt"
        last.write_bytes(last.read_bytes()[:9000])
        (last.parent / "best.ckpt").unlink()
        (run / "result.json").unlink()
        outcome = command("study", "run", *small.options)
        assert outcome.code == 0, outcome.out + outcome.err
        assert results(small.runs) == results(finished.runs)
        assert (run / "fit/version_1/checkpoints/last.ckpt").is_file()

    def test_a_killed_study_resumes_to_the_same_table(self, small, finished, command, begun) -> None:
        for row in ("by_error", "at_random", "five"):
            shutil.rmtree(small.run(row))
        process = begun("study", "run", *small.options)
        checkpoint = small.run("by_error") / "fit/version_0/checkpoints/last.ckpt"
        while not checkpoint.is_file() and process.poll() is None:
            time.sleep(0.02)
        process.kill()
        assert process.wait() == -signal.SIGKILL
        assert not (small.run("at_random") / "result.json").exists()
        outcome = command("study", "run", *small.options)
        assert outcome.code == 0, outcome.err
        assert results(small.runs) == results(finished.runs)


class TestFailures:
    def test_a_failure_is_a_result_and_the_other_rows_go_on(self, written, tiny, command) -> None:
        with tiny.plugin.open("a") as file:
            file.write(BREAKS)
        random = "model.selector: {class_path: RandomPatches, init_args: {patches: 10}}"
        study = written("seeds: [0]", "seeds: [0]\nnoise_floor: false", random, "model.losses.alpha: Breaks")
        outcome = command("study", "run", study)
        assert outcome.code == 1
        assert outcome.complaint.startswith(
            "zoo study: at random, seed 0 failed: the loss is not finite at step 2 (alpha=nan)"
        )
        directory = Path("studies/small")
        assert read_result(directory / "at_random/seed_0").metrics == {}
        assert "FloatingPointError" in (directory / "at_random/seed_0/error.txt").read_text()
        assert read_result(directory / "five/seed_0").status == "done"

        outcome = command("study", "status", study)
        assert outcome.code == 1
        assert "0 failed" in outcome.out
        assert "at random, seed 0 failed: the loss is not finite" in outcome.out

        outcome = command("study", "run", study)
        assert outcome.code == 1
        assert "0 to do" in outcome.out
        assert "1 to do" in command("study", "run", study, "--retry-failed").out

    def test_what_failed_for_want_of_a_checkpoint_is_done_when_that_is(self, small, finished, command) -> None:
        """As after the baseline was killed on a queue, where dependents begin whatever became of it."""
        shutil.rmtree(small.run("by_error") / "fit")
        for file in ("fitted.json", "result.json"):
            (small.run("by_error") / file).unlink()
        (small.run("five") / "result.json").unlink()
        assert executing.execute(small.run("five")).reason.startswith("it needs the checkpoint of by_error/seed_0")
        outcome = command("study", "run", *small.options)
        assert outcome.code == 0, outcome.err
        assert "2 to do" in outcome.out
        assert results(small.runs) == results(finished.runs)

    def test_a_metric_that_is_missing_is_an_error_and_not_a_zero(
        self, small, command, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        (small.run("five") / "result.json").unlink()
        monkeypatch.setattr(executing, "tested", lambda directory: {"test/one/mse": 1.0})
        outcome = command("study", "run", *small.options)
        assert outcome.code == 1
        assert outcome.complaint == (
            "zoo study: five, seed 0 failed: the metric test/one/sad is missing; measured were test/one/mse."
        )

    def test_a_metric_that_is_no_number_is_an_error(self, small, command, monkeypatch: pytest.MonkeyPatch) -> None:
        (small.run("five") / "result.json").unlink()
        monkeypatch.setattr(executing, "tested", lambda directory: {"test/one/mse": 1.0, "test/one/sad": math.nan})
        assert "the metric test/one/sad is nan" in command("study", "run", *small.options).complaint

    def test_an_unwritable_folder_is_said_before_anything_runs(self, written, command) -> None:
        study = written()
        Path("taken").write_text("")
        outcome = command("study", "run", study, "--runs", "taken")
        assert outcome.code == 1
        assert "taken/small cannot be written" in outcome.complaint
        assert "choose another folder with --runs" in outcome.complaint

    def test_a_full_disk_is_one_sentence_and_no_half_result(self, small, command, monkeypatch) -> None:
        (small.run("five") / "result.json").unlink()
        write = executing.write_text

        def full(path: Path, text: str) -> None:
            if path.name in ("result.json", "error.txt"):
                raise OSError(28, "No space left on device")
            write(path, text)

        monkeypatch.setattr(executing, "write_text", full)
        outcome = command("study", "run", *small.options)
        assert outcome.code == 1
        assert (
            "result.json cannot be written (No space left on device): make room, then run again." in outcome.complaint
        )
        assert not (small.run("five") / "result.json").exists()

    def test_two_processes_do_not_run_one_study(self, small, command) -> None:
        with held(small.run("five")):
            assert state(small.run("five")) == "running"
            outcome = command("study", "run", *small.options)
        assert outcome.code == 1
        assert "five/seed_0 is being run by another process" in outcome.complaint

    def test_a_look_at_a_run_does_not_keep_it_from_beginning(self, small) -> None:
        probe = FileLock(small.run("five") / LOCK, thread_local=False)
        probe.acquire()
        threading.Timer(0.2, probe.release).start()
        with held(small.run("five")) as mine:
            assert mine

    def test_a_run_gets_the_gpus_that_the_study_names(self, written, command) -> None:
        study = written("seeds: [0]", "seeds: [0]\nnoise_floor: false\nresources: {gpus: 2}")
        assert command("study", "run", study, "--engine=print").code == 0
        assert yaml.safe_load(Path("studies/small/by_error/seed_0/config.yaml").read_text())["trainer"]["devices"] == 2

    def test_a_run_in_progress_is_not_moved_aside_when_the_study_has_changed(self, small) -> None:
        with held(small.run("five")):
            assert state(small.run("five"), expected="of another study") == "running"
        assert state(small.run("five"), expected="of another study") == "stale"


def test_zoo_load_reads_the_checkpoint_of_a_run(finished) -> None:
    from zoo.core.plugin_files import load_plugin

    load_plugin(str(finished.file.with_name("tiny.py")))
    model = zoo.load(str(finished.run("at_random") / "fit/version_0/checkpoints/last.ckpt"))
    assert model.network.selector.patches == 10
    assert json.loads((finished.run("at_random") / "job.json").read_text())["row"] == "at random"
