"""Reports: what they say of results, and what they never hide."""

import csv
import io
import json
import re
import shutil
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import zoo.cli
from zoo.core.errors import ZooError
from zoo.study.file import NOISE_FLOOR, Study, read_study
from zoo.study.record import Run, number
from zoo.study.report.forms import latex_text, markdown_text, to_csv, to_html, to_latex, to_markdown, write_report
from zoo.study.report.plots import Point, Styles, front
from zoo.study.report.report import Report, make_report
from zoo.study.report.rows import expected_rows
from zoo.study.run.samples import Sample, write_tiles

FILE = """
name: made
base: tiny.yaml
baseline: by error
seeds: [0, 1, 2]
sizes: {HD: [1080, 1920]}
metrics:
  test/one/sad: {direction: lower, label: SAD}
  test/one/score: {direction: higher, label: Score, unit: "%"}
rows:
  by error: {}
  worse: {changes: {model.a: 1}, note: a question}
  same: {changes: {model.b: 1}, evaluate_only: true}
"""
CONFIG = "{trainer: {limit_test_batches: 1.0}, model: {metrics: bgmv2}, data: {test: {one: {count: 12}, two: {}}}}"
PICTURES = 12
RUNS = [(row, seed) for row in ("by error", "worse", "same") for seed in (0, 1, 2)] + [
    (NOISE_FLOOR, s) for s in (3, 4, 5)
]


class Made:
    """A study with made-up results: worse by one than the baseline, the same as it, and the noise floor."""

    def __init__(self, folder: Path) -> None:
        self.file = folder / "made.yaml"
        self.file.write_text(FILE)
        self.runs = folder / "studies"
        self.written = {row.name: self.study.written(row) for row, _ in expected_rows(self.study)}
        for row, seed in RUNS:
            self.write(row, seed, self.sad(seed) + (row == "worse"))

    @property
    def study(self) -> Study:
        return read_study(str(self.file))

    def report(self) -> Report:
        return make_report(self.study, self.runs)

    @staticmethod
    def sad(seed: int) -> np.ndarray:
        """A value a picture."""
        difficulty = np.random.default_rng(100).normal(10, 3, PICTURES)
        return difficulty + np.random.default_rng(seed).normal(0, 0.1, PICTURES)

    def directory(self, row: str, seed: int) -> Path:
        return self.runs / "made" / re.sub(r"[^\w.=+-]+", "_", row) / f"seed_{seed}"

    def write(
        self, row: str, seed: int, sad: Iterable[float] | None, synthetic: str = "all", **changed: object
    ) -> None:
        """The directory of a run that is done; without values by picture where `sad` is None."""
        run = Run(
            study="made",
            row=row,
            seed=seed,
            pair=seed % 3,
            id=f"{row} {seed}",
            evaluate_only=row == "same",
            metric_names=["test/one/sad", "test/one/score"],
            parameters=2_500_000,
            multiply_adds={"HD": 20_000_000_000 + len(row) * 10**9},
            data={"datasets": {}, "synthetic": synthetic},
            threads=1,
            settings_hash=row,
            written=self.written.get(row, ""),
            margins={"test/one/sad": "5 %", "test/one/score": "0.5 absolute"},
        )
        values = [10.0 + seed] if sad is None else list(sad)
        run = replace(
            run,
            status="done",
            metrics={"test/one/sad": float(np.mean(values)), "test/one/score": 50.0 + seed},
            curve=[]
            if row == "same"
            else [{"epoch": e, "train/loss": 1 / (e + 1), "validation/sad": 9 - e} for e in (0, 1)],
            seconds={"fit": 0.0 if row == "same" else 60.0, "test": 5.0},
            peak_memory=None if row == "same" else 2**30,
            device="CPU (made up)",
            used_threads=1,
            versions={"torch": "2.6"},
        )
        self.put(replace(run, **changed))  # type: ignore[arg-type]
        if sad is not None:
            lines = [f"one,{index},picture{index},{value}" for index, value in enumerate(values)]
            (self.directory(row, seed) / "samples.csv").write_text("\n".join(["set,index,name,sad", *lines]))

    def put(self, run: Run) -> None:
        directory = self.directory(run.row, run.seed)
        directory.mkdir(parents=True, exist_ok=True)
        (directory / "job.json").write_text(json.dumps(run.job_data()))
        (directory / "config.yaml").write_text(CONFIG)
        (directory / "result.json").write_text(json.dumps(run.result_data()))

    def time(self, **seconds: float) -> None:
        """Frames a second of rows, spaces in whose names are underscores here, each on a device of its own where its
        time is below 0.1 s.
        """
        rows = {
            row.replace("_", " "): {
                "HD": {"median": time, "quartiles": [time - 0.01, time + 0.01], "repeats": 20}
                | {"device": "CPU" if time >= 0.1 else "GPU"}
            }
            for row, time in seconds.items()
        }
        (self.runs / "made" / "speed.json").write_text(json.dumps({"format": 1, "rows": rows}))

    def fail(self, row: str, seed: int, reason: str) -> None:
        content = json.loads((self.directory(row, seed) / "result.json").read_text())
        content |= {"status": "failed", "reason": reason, "metrics": {}}
        (self.directory(row, seed) / "result.json").write_text(json.dumps(content))


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("metrics: bgmv2", "metrics: rvm"),
        ("count: 12", "count: 4"),
        ("limit_test_batches: 1.0", "limit_test_batches: 1"),
    ],
)
def test_runs_that_measured_something_else_are_named_and_not_compared(made: Made, old: str, new: str) -> None:
    for seed in (0, 1, 2):
        (made.directory("worse", seed) / "config.yaml").write_text(CONFIG.replace(old, new))
    report = made.report()
    worse = next(row for row in report.rows if row.name == "worse")
    assert not worse.runs
    assert worse.cells["test/one/sad"].mean is None
    assert [(entry.row, entry.seed) for entry in report.missing] == [("worse", seed) for seed in (0, 1, 2)]
    assert "it measured something else than the baseline" in report.missing[0].reason


def test_what_no_metric_of_the_study_is_measured_by_may_differ(made: Made) -> None:
    (made.directory("worse", 0) / "config.yaml").write_text(CONFIG.replace("two: {}", "two: {count: 3}"))
    assert not made.report().missing


@pytest.mark.parametrize("declared", [False, True])
def test_other_images_are_compared_by_means_and_only_where_declared(made: Made, declared: bool) -> None:
    for seed in (0, 1, 2):  # 4 images on which it equals the baseline
        made.write("worse", seed, made.sad(seed)[:4])
        (made.directory("worse", seed) / "config.yaml").write_text(CONFIG.replace("12", "4" if declared else "12"))
    made.file.write_text(FILE + f"test_data_differs: {str(declared).lower()}\n")
    report = made.report()
    difference = next(row for row in report.rows if row.name == "worse").cells["test/one/sad"].difference
    if declared:
        means = [made.sad(seed)[:4].mean() - made.sad(seed).mean() for seed in (0, 1, 2)]
        assert difference is not None
        assert difference.mean == pytest.approx(np.mean(means))
        assert (difference.over, difference.pictures) == ("seeds only", 0)
        assert any("declares that test data differ" in note for note in report.notes)
    else:
        assert difference is None
        assert report.notes[0] == "Not compared: test/one/sad of worse, which was measured on other images."


@pytest.fixture
def made(tmp_path: Path) -> Made:
    return Made(tmp_path)


def lines(report: Report) -> dict[tuple[str, str], dict[str, str]]:
    """The lines of the CSV by row and metric."""
    return {(line["row"], line["metric"]): line for line in csv.DictReader(io.StringIO(to_csv(report)))}


FORMS: list[Callable[[Report], str]] = [to_markdown, to_latex, to_html]


class TestNumbers:
    def test_means_and_deviations_are_over_seeds(self, made: Made) -> None:
        line = lines(made.report())["by error", "test/one/score"]
        assert (float(line["mean"]), float(line["sd"]), line["seeds"]) == (51, 1, "3")

    def test_a_row_that_is_worse_by_one_is_said_to_be(self, made: Made) -> None:
        line = lines(made.report())["worse", "test/one/sad"]
        assert float(line["difference"]) == pytest.approx(1)
        assert float(line["low"]) == pytest.approx(1)
        assert float(line["p_holm"]) == pytest.approx(2 * float(line["p"]))
        assert (line["interval_over"], line["pairs_of_seeds"], line["pictures"]) == ("seeds and pictures", "3", "12")
        assert line["verdict"] == "worse"
        assert "| worse | worse | +1.00 | [+1.00, +1.00] | p < 0.001\\* |" in to_markdown(made.report())

    def test_a_row_that_is_the_same_does_not_differ(self, made: Made) -> None:
        line = lines(made.report())["same", "test/one/sad"]
        assert [float(line[name]) for name in ("difference", "low", "high", "p_holm")] == [0, 0, 0, 1]

    def test_pictures_are_paired_by_name_whatever_their_order(self, made: Made) -> None:
        for seed in (0, 1, 2):
            file = made.directory("worse", seed) / "samples.csv"
            header, *rest = file.read_text().splitlines()
            file.write_text("\n".join([header, *reversed(rest)]))
        line = lines(made.report())["worse", "test/one/sad"]
        assert float(line["high"]) - float(line["low"]) < 1e-9

    def test_seeds_are_paired_by_their_place(self, made: Made) -> None:
        line = lines(made.report())[NOISE_FLOOR, "test/one/score"]
        assert [float(line[name]) for name in ("difference", "low", "high")] == [3, 3, 3]

    def test_the_noise_floor_is_no_question_to_correct_for(self, made: Made) -> None:
        line = lines(made.report())[NOISE_FLOOR, "test/one/sad"]
        assert line["p"]
        assert not line["p_holm"]
        assert line["marks"] == "noise floor: the baseline with other seeds"

    def test_the_same_results_give_the_same_report(self, made: Made) -> None:
        for form in (to_csv, *FORMS):
            assert form(made.report()) == form(made.report())

    def test_metrics_that_are_no_mean_of_pictures_have_intervals_over_seeds(self, made: Made) -> None:
        for seed in (0, 1, 2):
            made.write("worse", seed, made.sad(seed), metrics={"test/one/sad": 3.0 + seed, "test/one/score": 1.0})
        assert lines(made.report())["worse", "test/one/sad"]["interval_over"] == "seeds only"


class TestVerdicts:
    def test_a_row_within_the_margin_is_equivalent(self, made: Made) -> None:
        made.file.write_text(FILE + "margins: {test/one/sad: 5 %, test/one/score: 0.5 absolute}\n")
        report = made.report()
        found = {name: lines(report)[name, "test/one/sad"] for name in ("worse", "same", NOISE_FLOOR)}
        assert {name: line["verdict"] for name, line in found.items()} == {
            "worse": "worse",
            "same": "equivalent",
            NOISE_FLOOR: "equivalent",
        }
        baseline = float(lines(report)["by error", "test/one/sad"]["mean"])
        assert float(found["same"]["margin"]) == pytest.approx(0.05 * baseline)
        # The score of the A/A row is higher by three with every seed.
        caution = "Caution: A/A, the baseline with other seeds, differs from the baseline in Score, so the noise"
        decided = "2 of 2 rows are decided on SAD (1 worse, 1 equivalent)."
        for form in FORMS:
            assert caution in form(report)
            assert decided in form(report)
        assert '<td class="text worse">worse</td>' in to_html(report)

    def test_margins_that_were_set_after_the_runs_are_named(self, made: Made) -> None:
        late = "Caution: the margin of test/one/sad was set or changed after runs had been made. Compared with"
        made.file.write_text(FILE + "margins: {test/one/sad: 5 %}\n")
        assert "margin of" not in made.report().headline
        made.file.write_text(FILE + "margins: {test/one/sad: 50 %}\n")
        for form in FORMS:
            assert late in form(made.report())

    def test_without_margins_nothing_is_equivalent_and_better_has_a_direction(self, made: Made) -> None:
        made.file.write_text(FILE.replace("one/sad: {direction: lower", "one/sad: {direction: higher"))
        found = lines(made.report())
        assert [found[name, "test/one/sad"]["verdict"] for name in ("worse", "same")] == ["better", "undecided"]

    def test_a_wide_interval_is_undecided(self, made: Made) -> None:
        for seed in (0, 1, 2):
            made.write("worse", seed, made.sad(seed) + (-2, 1, 3)[seed])
        made.file.write_text(FILE + "margins: {test/one/sad: 5 %}\n")
        report = made.report()
        assert lines(report)["worse", "test/one/sad"]["verdict"] == "undecided"
        assert report.headline.endswith("1 of 2 rows are decided on SAD (1 equivalent).")
        assert "| worse | undecided | +0.7 | [" in to_markdown(report)  # no more digits than the interval carries


class TestFewSeeds:
    def test_below_three_the_interval_is_over_pictures_and_says_so(self, made: Made) -> None:
        made.file.write_text(FILE.replace("[0, 1, 2]", "[0, 1]"))
        report = made.report()
        assert lines(report)["worse", "test/one/sad"]["interval_over"] == "pictures only"
        for form in FORMS:
            assert "(pictures only)" in form(report)
            assert "fewer than 3 seeds" in form(report)

    def test_without_pictures_there_is_no_interval_and_it_is_said(self, made: Made) -> None:
        made.file.write_text(FILE.replace("[0, 1, 2]", "[0, 1]"))
        line = lines(made.report())["worse", "test/one/score"]
        assert (line["low"], line["high"], line["p"], line["interval_over"]) == ("", "", "", "nothing")
        text = to_markdown(made.report())
        assert "## Score (%) ↑, differences to the baseline, by error (no interval)" in text
        assert "| worse | 0 | — |" in text

    def test_without_pictures_three_seeds_have_an_interval(self, made: Made) -> None:
        for seed in (0, 1, 2):
            shutil.copy(made.directory("worse", seed) / "samples.csv", made.runs)
            (made.directory("worse", seed) / "samples.csv").unlink()
        line = lines(made.report())["worse", "test/one/sad"]
        assert line["interval_over"] == "seeds only"
        assert float(line["low"]) <= 1 <= float(line["high"])
        assert "(seeds only)" in to_markdown(made.report())

    def test_a_single_seed_has_no_deviation(self, made: Made) -> None:
        made.file.write_text(FILE.replace("[0, 1, 2]", "[0]") + "noise_floor: false\n")
        assert lines(made.report())["by error", "test/one/score"]["sd"] == ""
        assert "±" not in to_markdown(made.report()).partition("## Notes")[0]

    def test_below_three_seeds_nothing_is_significant(self, made: Made) -> None:
        made.file.write_text(FILE.replace("[0, 1, 2]", "[0, 1]"))
        report = made.report()
        line = lines(report)["worse", "test/one/sad"]
        assert (line["p"], line["p_holm"], line["significant"]) == ("", "", "")
        assert (line["verdict"], line["p_equivalent"]) == ("", "")
        text = to_markdown(report)
        assert "0 of 2 rows are decided on SAD, since there is no verdict below 3 seeds." in text
        assert "## SAD ↓, differences to the baseline, by error (pictures only)" in text
        assert "| worse | +1.00 | [+1.00, +1.00] |" in text
        for form in FORMS:
            assert "fewer than 3 seeds have no p-value" in form(report)

    def test_three_that_agree_roughly_are_no_proof(self, made: Made) -> None:
        for seed in (0, 1, 2):
            made.write("worse", seed, made.sad(seed) + (0.5, 1, 1.5)[seed])
        line = lines(made.report())["worse", "test/one/sad"]
        assert float(line["p"]) > 0.05
        assert line["significant"] == "False"

    def test_with_three_there_are_marks_and_no_such_note(self, made: Made) -> None:
        assert lines(made.report())["worse", "test/one/sad"]["significant"] == "True"
        assert "have no p-value" not in to_markdown(made.report())


class TestMissing:
    def test_failed_runs_are_listed_and_not_averaged(self, made: Made) -> None:
        made.fail("worse", 1, "the metric test/one/sad is nan, no number to compare.")
        report = made.report()
        line = lines(report)["worse", "test/one/score"]
        assert (line["mean"], line["seeds"], line["seeds_missing"], line["pairs_of_seeds"]) == ("51.0", "2", "1", "2")
        for form in FORMS:
            assert "2 of 3: 1 missing" in form(report)
            assert "is nan, no number to compare." in form(report)

    def test_a_row_without_results_has_no_numbers(self, made: Made) -> None:
        shutil.rmtree(made.directory("worse", 0).parent)
        report = made.report()
        line = lines(report)["worse", "test/one/sad"]
        assert (line["mean"], line["difference"], line["p"], line["parameters"]) == ("", "", "", "")
        assert [entry.reason for entry in report.missing] == ["it was never begun"] * 3
        assert "| worse (a question) | 0 of 3: 3 missing | — | — |" in to_markdown(report)
        to_html(report)
        to_latex(report)

    def test_without_the_baseline_there_are_no_differences(self, made: Made) -> None:
        for seed in (0, 1, 2):
            made.fail("by error", seed, "no")
        assert lines(made.report())["worse", "test/one/sad"]["difference"] == ""
        assert "differences to the baseline" in to_html(made.report())

    def test_runs_of_different_commits_are_marked(self, made: Made) -> None:
        made.write("worse", 1, made.sad(1), versions={"torch": "2.6", "commit": "abc"})
        made.write("worse", 2, made.sad(2), versions={"torch": "2.6", "commit": "def"})
        shown = to_markdown(made.report())
        assert "## Results, runs from different commits" in shown
        assert "The runs come from different commits: abc, def, unknown;" in shown

    def test_a_result_of_another_job_does_not_count(self, made: Made) -> None:
        file = made.directory("worse", 2) / "job.json"
        file.write_text(json.dumps(json.loads(file.read_text()) | {"id": "newer"}))
        assert [(entry.row, entry.seed, entry.reason) for entry in made.report().missing] == [
            ("worse", 2, "it has not finished")
        ]

    def test_runs_of_what_the_file_said_before_do_not_count(self, made: Made) -> None:
        made.file.write_text(FILE.replace("model.a: 1", "model.a: 2"))
        report = made.report()
        assert {entry.row for entry in report.missing} == {"worse"}
        assert "the study file says something else about it since" in report.missing[0].reason
        made.file.write_text(
            FILE.replace("worse: {changes: {model.a: 1}, note: a question}", "worse: {changes: {model.a: 1}}")
        )
        assert not made.report().missing

    def test_runs_that_the_study_no_longer_names_do_not_count(self, made: Made) -> None:
        made.write("gone", 0, made.sad(0))
        made.write("worse", 9, made.sad(0) + 100)
        assert {row.name for row in made.report().rows} == {"by error", "worse", "same", NOISE_FLOOR}
        assert float(lines(made.report())["worse", "test/one/sad"]["difference"]) == pytest.approx(1)

    def test_a_metric_that_results_lack_is_an_error(self, made: Made) -> None:
        made.file.write_text(FILE.replace("one/score", "one/grad"))
        with pytest.raises(ZooError, match="has no value of test/one/grad: run the study again"):
            made.report()

    def test_runs_of_different_settings_are_not_averaged(self, made: Made) -> None:
        for name in ("job.json", "result.json"):
            file = made.directory("worse", 2) / name
            file.write_text(file.read_text().replace('"settings_hash": "worse"', '"settings_hash": "older"'))
        with pytest.raises(ZooError, match="row 'worse' was run with different settings"):
            made.report()

    def test_nothing_finished_is_an_error(self, made: Made, tmp_path: Path) -> None:
        with pytest.raises(ZooError, match="has no finished run: expected `zoo study run` first"):
            make_report(made.study, tmp_path / "elsewhere")

    def test_a_failed_first_stage_is_the_reason(self, made: Made) -> None:
        made.fail("worse", 1, "it needs the checkpoint of first_stage/worse/seed_1, which has not been trained.")
        job = json.loads((made.directory("worse", 1) / "job.json").read_text()) | {"after": "first_stage/worse/seed_1"}
        (made.directory("worse", 1) / "job.json").write_text(json.dumps(job))
        first = made.runs / "made" / "first_stage" / "worse" / "seed_1"
        shutil.copytree(made.directory("worse", 1), first)
        content = json.loads((first / "result.json").read_text())
        content |= {"reason": "out of memory.", "job": job | {"after": None, "first_stage": True}}
        (first / "result.json").write_text(json.dumps(content))
        report = made.report()
        assert [entry.reason for entry in report.missing] == ["first_stage/worse/seed_1 failed: out of memory."]
        assert [row.name for row in report.rows] == ["by error", "worse", "same", NOISE_FLOOR]


PUBLISHED = FILE.replace("{changes: {model.a: 1}, note", "{changes: {model.a: 1}, published: {test/one/sad: 7.5}, note")


class TestPublished:
    def real(self, made: Made) -> None:
        for row in ("by error", "worse", "same"):
            for seed in (0, 1, 2):
                made.write(row, seed, made.sad(seed), synthetic="none")

    def test_a_column_of_its_own_and_the_source(self, made: Made) -> None:
        self.real(made)
        made.file.write_text(PUBLISHED + "source: Made et al. 2020\nnoise_floor: false\n")
        report = made.report()
        text = to_markdown(report)
        assert "| row | seeds | SAD ↓ | SAD ↓, published | Score (%) ↑ |" in text
        assert re.search(r"^\| worse .* \| 7\.500 \| 51\.00 ± 1\.0 \|$", text, re.MULTILINE)
        assert re.search(r"^\| by error .* \| — \| 51\.00 ± 1\.0 \|$", text, re.MULTILINE)
        assert "Published values are from Made et al. 2020" in text
        assert lines(report)["worse", "test/one/sad"]["published"] == "7.5"
        assert lines(report)["worse", "test/one/score"]["published"] == ""

    @pytest.mark.parametrize("kinds", ["all", "some"])
    def test_never_beside_synthetic_data(self, made: Made, kinds: str) -> None:
        self.real(made)
        made.write("worse", 1, made.sad(1), synthetic=kinds)
        made.file.write_text(PUBLISHED + "source: Made et al. 2020\n")
        for form in (*FORMS, to_csv):
            assert "7.5" not in form(made.report())
        assert "ublished" not in to_markdown(made.report())


class TestSpeed:
    def test_columns_and_note(self, made: Made) -> None:
        made.time(by_error=0.25, worse=0.5)
        report = made.report()
        assert "| row | parameters | GMACs HD | FPS HD | training |" in to_markdown(report)
        assert "| by error | 2.50 M | 28.00 | 4.00 [3.85, 4.17] |" in to_markdown(report)
        assert "| same | 2.50 M | 24.00 | — |" in to_markdown(report)
        assert "median [quartiles] of 20 repeats" in to_markdown(report)
        line = lines(report)["worse", "test/one/sad"]
        assert (line["fps_HD"], line["fps_HD_device"]) == ("2.0", "CPU")
        assert float(line["fps_HD_lower_quartile"]) == pytest.approx(1 / 0.51)
        assert "<h2>Quality against frames per second</h2>" in to_html(report)

    def test_where_none_was_measured_there_is_no_column(self, made: Made) -> None:
        assert "FPS" not in to_markdown(made.report())
        assert "frames a second" not in to_html(made.report())

    def test_several_devices_are_not_compared(self, made: Made) -> None:
        made.time(by_error=0.25, worse=0.05)
        report = made.report()
        assert "FPS were measured on different devices and do not compare" in to_markdown(report)
        assert "on: CPU; GPU." in to_markdown(report)
        assert "<h2>Quality against frames per second</h2>" not in to_html(report)


class TestRobustness:
    STUDY = FILE + "robustness: {shift in pixels: {0: test/one/sad, 4.5: test/far/sad}}\n"

    def shifted(self, made: Made) -> Report:
        made.file.write_text(self.STUDY + "noise_floor: false\n")
        for row in ("by error", "worse", "same"):
            for seed in (0, 1, 2):
                metrics = {"test/one/sad": 10.0, "test/one/score": 50.0, "test/far/sad": 20.0 + seed}
                made.write(row, seed, None, metrics=metrics)
        return made.report()

    def test_a_table_of_the_rows_that_were_trained(self, made: Made) -> None:
        text = to_markdown(self.shifted(made)).partition("## SAD ↓ by shift in pixels")[2].partition("##")[0]
        assert "| row | 0 | 4.5 |" in text
        assert "| worse | 10.00 ± 0 | 21.00 ± 1.0 |" in text
        assert "same" not in text

    def test_a_plot_and_lines_of_the_csv(self, made: Made) -> None:
        report = self.shifted(made)
        assert "<h2>Robustness</h2>" in to_html(report)
        table = list(csv.DictReader(io.StringIO(to_csv(report))))
        found = {(line["row"], line["severity"]): line for line in table if line["robustness"]}
        assert set(found) == {(row, severity) for row in ("by error", "worse") for severity in ("0.0", "4.5")}
        assert (found["worse", "4.5"]["mean"], found["worse", "4.5"]["sd"]) == ("21.0", "1.0")
        assert found["worse", "4.5"]["metric"] == "test/far/sad"

    def test_a_severity_that_results_lack_is_an_error(self, made: Made) -> None:
        made.file.write_text(self.STUDY)
        with pytest.raises(ZooError, match="has no value of test/far/sad: run the study again"):
            made.report()


class TestManyRows:
    def many(self, made: Made) -> Report:
        rows = "".join(f"  row {worse}: {{changes: {{model.c: {worse}}}}}\n" for worse in range(12))
        made.file.write_text(FILE + rows + "noise_floor: false\n")
        made.written = {row.name: made.study.written(row) for row, _ in expected_rows(made.study)}
        for worse in range(12):
            for seed in (0, 1, 2):
                metrics = {"test/one/sad": 10.0 + seed + worse, "test/one/score": 50.0 + seed}
                made.write(f"row {worse}", seed, None, metrics=metrics)
        return made.report()

    def test_those_that_differ_most_are_chosen_in_the_tables_order(self, made: Made) -> None:
        chosen = [row.name for row in self.many(made).most_different(3)]
        assert chosen == ["by error", "row 9", "row 10", "row 11"]

    def test_only_they_are_named_in_plots(self, made: Made) -> None:
        report = self.many(made)
        styles = Styles(report)
        named = [row.name for row in report.rows if styles[row].label]
        assert named == ["by error", *(f"row {worse}" for worse in range(4, 12))]
        assert len({styles[row].colour for row in report.rows if styles[row].label}) == 9
        to_html(report)

    def test_what_no_other_row_beats_is_on_the_front(self, made: Made) -> None:
        report = self.many(made)
        metric = report.study.metrics[0]
        costs_and_values = [(3, 1.0), (1, 5.0), (2, 6.0), (2, 2.0), (4, 1.0)]
        points = [Point(report.baseline, cost, value, None) for cost, value in costs_and_values]
        assert [point.cost for point in front(points, True, metric)] == [1, 2, 3]
        assert [(point.cost, point.quality) for point in front(points, False, metric)] == [(4, 1.0)]


class TestEffects:
    STUDY = (
        FILE.partition("rows:")[0].replace("baseline: by error\n", "")
        + """
components: {a: {model.a: 1}, b: {model.b: 1}, c: {model.c: 1}}
design: factorial
noise_floor: false
"""
    )
    MAIN, INTERACTION = {"a": -2.0, "b": 1.0, "c": 0.0, "d": 0.0}, 0.8
    """Effects of having a component on SAD, and half the difference between a's effects with and without b."""

    def toy(self, made: Made, text: str = STUDY, lost: str = "") -> Report:
        made.file.write_text(text)
        made.written = {row.name: made.study.written(row) for row, _ in expected_rows(made.study)}
        for row in made.study.rows:
            level = {name: -1 if name in (row.out or ()) else 1 for name in made.study.components}
            truth = sum(self.MAIN[name] * sign / 2 for name, sign in level.items())
            truth += self.INTERACTION * level["a"] * level["b"] / 2
            for seed in (0, 1, 2) if row.name != lost else ():
                noise = np.random.default_rng([seed, *map(ord, row.name)]).normal(0, 0.05, PICTURES)
                made.write(row.name, seed, made.sad(seed) + truth + noise)
        return made.report()

    def test_a_factorial_recovers_a_known_interaction(self, made: Made) -> None:
        report = self.toy(made)
        effects = {(effect.kind, effect.name): effect for effect in report.effects["test/one/sad"]}
        truths = {("main effect", name): self.MAIN[name] for name in "abc"}
        truths |= {("interaction", "a × b"): self.INTERACTION, ("interaction", "a × c"): 0, ("interaction", "b × c"): 0}
        for key, truth in truths.items():
            found = effects[key].difference
            assert found.low <= truth <= found.high, key
            assert found.high - found.low < 0.3, key
        assert effects["interaction", "a × b"].corrected < 0.05 < effects["main effect", "c"].corrected
        # By hand: half of the interaction's effect on the way from none to all belongs to each of the two.
        shapley = {name: effects["Shapley value", name].difference.mean for name in "abc"}
        assert shapley == pytest.approx({name: self.MAIN[name] for name in "abc"}, abs=0.1)
        whole = effects["whole effect", "all components"].difference.mean
        assert sum(shapley.values()) == pytest.approx(whole, abs=1e-9)
        assert "| interaction | a × b | +0.8" in to_markdown(report)
        (line,) = [line for line in csv.DictReader(io.StringIO(to_csv(report))) if line["of"] == "a × b"][:1]
        assert (line["row"], line["effect"], line["metric"]) == ("", "interaction", "test/one/sad")
        assert float(line["low"]) <= self.INTERACTION <= float(line["high"])
        scores = report.effects["test/one/score"]  # equal in all rows: rounding is no effect
        assert {effect.difference.mean for effect in scores} == {0.0}
        assert "<h2>Effects of components</h2>" in to_html(report)

    def test_a_row_without_results_is_made_up_for_and_named(self, made: Made) -> None:
        report = self.toy(made, lost="without b")
        found = next(effect for effect in report.effects["test/one/sad"] if effect.name == "a × b").difference
        assert found.low <= self.INTERACTION <= found.high
        assert {effect.kind for effect in report.effects["test/one/sad"]} == {"main effect", "interaction"}
        assert "Effects on test/one/sad are estimated without some rows" in to_markdown(report)

    def test_too_few_rows_estimate_nothing(self, made: Made) -> None:
        report = self.toy(made, self.STUDY + "exclude: [without a, without b, without c]\n")
        assert not report.effects["test/one/sad"]
        assert "cannot be estimated: too few rows" in report.notes[0]

    def test_aliases_of_a_fraction_are_in_their_names(self, made: Made) -> None:
        text = self.STUDY.replace("c: {model.c: 1}}", "c: {model.c: 1}, d: {model.d: 1}}")
        report = self.toy(made, text.replace("factorial", "{fraction: 8}"))
        names = [effect.name for effect in report.effects["test/one/sad"]]
        assert names == ["a", "b", "c", "d", "a × b = c × d", "a × c = b × d", "a × d = b × c"]
        assert "a × b = c × d" in to_markdown(report)


class TestTruths:
    KNOWN = """
frames_per_second: true
expected:
  it is worse: {row: worse, metric: test/one/sad, verdict: worse, why: by design, source: here}
  it is better: {row: worse, metric: test/one/sad, verdict: better, why: a mistake}
  sameness is no gain: {row: same, metric: test/one/sad, verdict: not better, why: nothing changes}
  others compare: {row: same, than: worse, metric: test/one/sad, verdict: better, why: it is lower by one}
  others do not gain: {row: worse, than: same, metric: test/one/sad, verdict: not better, why: it is higher}
  it is slower: {row: worse, metric: fps/HD, verdict: worse, why: it computes more}
"""

    def test_each_is_confirmed_contradicted_or_undecided(self, made: Made) -> None:
        made.file.write_text(FILE + self.KNOWN + "margins: {test/one/sad: 5 %}\n")
        assert [truth.outcome for truth in made.report().truths][-1] == "undecided", "no speed was measured"
        made.time(by_error=0.5, worse=0.6, same=0.5)
        report = made.report()
        assert [truth.outcome for truth in report.truths] == [
            "confirmed", "contradicted", "confirmed", "confirmed", "confirmed", "confirmed",
        ]  # fmt: skip
        assert report.truths[3].difference.mean == pytest.approx(-1)
        assert report.headline.endswith("Of 6 known truths: 5 confirmed, 1 contradicted.")
        assert "| it is better | contradicted | worse against by error | worse | SAD ↓ |" in to_markdown(report)
        assert '<td class="text contradicted">contradicted</td>' in to_html(report)

    def test_without_enough_seeds_nothing_is_known(self, made: Made) -> None:
        made.file.write_text(FILE.replace("[0, 1, 2]", "[0, 1]") + self.KNOWN)
        assert {truth.outcome for truth in made.report().truths} == {"undecided"}


class TestPictures:
    def keep(self, made: Made) -> None:
        for place, row in enumerate(("by error", "worse")):
            for name in ("one", "other"):
                for index in range(3):
                    shades = {"source": 10 * index, "true alpha": 100, "alpha": 150 + 50 * place}
                    tiles = {tile: np.full((32, 16, 3), shade, np.uint8) for tile, shade in shades.items()}
                    write_tiles(made.directory(row, 0) / "pictures", Sample(name, index), tiles)

    def test_the_first_samples_of_the_metrics_test_sets_are_shown(self, made: Made) -> None:
        self.keep(made)
        pictures = made.report().pictures
        assert [sample.title for sample in pictures] == ["one, picture 0", "one, picture 1", "one, picture 2"]
        shades = {name: int(tile[0, 0, 0]) for name, tile in pictures[1].tiles.items()}
        assert shades == {"source": 10, "true alpha": 100, "by error": 150, "worse": 200}

    def test_markdown_links_the_sheet(self, made: Made) -> None:
        assert "samples.png" not in to_markdown(made.report())
        self.keep(made)
        assert "(samples.png)" in to_markdown(made.report())

    def test_the_same_pictures_give_the_same_files(self, made: Made, tmp_path: Path) -> None:
        self.keep(made)
        first, second = (write_report(made.report(), tmp_path / name) for name in ("first", "second"))
        for one, other in zip(first, second, strict=True):
            assert one.read_bytes() == other.read_bytes()


class TestLatex:
    def test_every_line_has_as_many_cells_as_columns(self, made: Made) -> None:
        made.file.write_text(TestRobustness.STUDY.replace("a question", '"50 % & more_than {k} #1 ≥ 2 → a|b"'))
        for row, seed in RUNS:
            made.write(row, seed, None, metrics={"test/one/sad": 1.0, "test/one/score": 2.0, "test/far/sad": 3.0})
        made.fail("by error", 2, "~30 % ^ of \\it")
        made.time(by_error=0.25)
        text = to_latex(made.report())
        body = "\n".join(line for line in text.splitlines() if not line.startswith("%"))
        tabulars = re.findall(r"\\begin\{tabular\}\{([lr]+)\}(.*?)\\end\{tabular\}", body, re.DOTALL)
        assert len(tabulars) == 6
        for columns, content in tabulars:
            table_lines = [line for line in content.splitlines() if line.endswith(r" \\")]
            assert len(table_lines) >= 2
            assert {len(re.findall(r"(?<!\\)&", line)) + 1 for line in table_lines} == {len(columns)}
        assert body.isascii()
        assert not re.search(r"(?<!\\)[#_~^](?![{]?\d|\\circ)", body)
        unescaped = re.sub(r"\\[{}]", "", body)
        assert unescaped.count("{") == unescaped.count("}")
        for begun in re.findall(r"\\begin\{(\w+)\}", body):
            assert body.count(rf"\begin{{{begun}}}") == body.count(rf"\end{{{begun}}}")

    def test_wide_tables_are_shrunk_to_the_text(self, made: Made) -> None:
        made.file.write_text(FILE.replace("a question", "a long question " * 4))  # in one table, not in the verdicts
        first, values, *_ = to_latex(made.report()).split(r"\begin{table}")[1:]
        assert "resizebox" not in first
        assert values.count(r"\resizebox{\linewidth}{!}{%") == values.count(r"\end{tabular}}") == 1


class TestForms:
    @pytest.mark.parametrize(
        ("kinds", "named"),
        [("all", "made (synthetic data)"), ("none", "made"), ("some", "made (partly synthetic data)")],
    )
    def test_synthetic_data_is_in_the_title(self, made: Made, kinds: str, named: str) -> None:
        for row, seed in RUNS:
            made.write(row, seed, made.sad(seed), synthetic=kinds)
        made.file.write_text(FILE + "noise_floor: false\n")
        report = made.report()
        assert report.title == named
        assert to_markdown(report).startswith(f"# {named}\n")
        assert f"<title>{named}</title>" in to_html(report)

    @pytest.mark.parametrize("form", FORMS)
    def test_readers_see_what_they_must_know(self, made: Made, form: Callable[[Report], str]) -> None:
        text = form(made.report())
        for words in (
            "no training: baseline's checkpoint",
            "noise floor: the baseline with other seeds",
            "a question",
            "CPU (made up), threads: 1",
            "torch 2.6",
            "2.50 M",
            "1,024 MiB",
            "28.00",
        ):
            assert words in text.replace("&#x27;", "'")

    def test_directions_are_arrows(self, made: Made) -> None:
        assert "| row | seeds | SAD ↓ | Score (%) ↑ |" in to_markdown(made.report())
        assert r"SAD $\downarrow$ & Score (\%) $\uparrow$ \\" in to_latex(made.report())

    def test_rows_that_need_no_training_have_no_training_time(self, made: Made) -> None:
        assert "| same | 2.50 M | 24.00 | — | 5 s | — |" in to_markdown(made.report())

    def test_interrupted_trainings_do_not_count_as_quick(self, made: Made) -> None:
        made.write("worse", 0, made.sad(0) + 1, resumed_at=3, seconds={"fit": 1.0, "test": 5.0})
        assert lines(made.report())["worse", "test/one/sad"]["seconds_fit"] == "60.0"

    def test_the_page_needs_nothing_but_itself(self, made: Made) -> None:
        page = to_html(made.report())
        assert page.count("data:image/svg+xml;base64,") == 3
        assert page.count("<script") == 1, "the one that sorts"
        assert not re.search(r'(src|href)="(?!data:)', page)

    @pytest.mark.parametrize(
        ("form", "written"),
        [
            (to_markdown, r"a \| b \<script> $x\_1 & [c]\(d)"),
            (to_latex, r"a \textbar{} b $<$script$>$ \$x\_1 \& [c](d)"),
            (to_html, "a | b &lt;script&gt; $x_1 &amp; [c](d)"),
        ],
    )
    def test_names_cannot_break_a_table(self, made: Made, form: Callable[[Report], str], written: str) -> None:
        made.file.write_text(FILE.replace("a question", '"a | b <script> $x_1 & [c](d)"'))
        assert written in form(made.report())

    def test_names_cannot_break_a_plot(self, made: Made) -> None:
        made.file.write_text(FILE.replace("label: SAD", 'label: "$x_{ & <b>"'))
        assert to_html(made.report()).count("data:image/svg+xml;base64,") == 3

    def test_special_signs(self) -> None:
        assert latex_text(r"a_b \ 5% & c ± −1") == r"a\_b \textbackslash{} 5\% \& c $\pm$ $-$1"
        assert latex_text("[x]") == "{}[x]"
        assert markdown_text("a|b *c* [d](e)\nf") == r"a\|b \*c\* [d]\(e) f"

    @pytest.mark.parametrize(
        ("value", "text"),
        [
            (1098.297, "1098"),
            (12.3456, "12.35"),
            (-0.0123456, "−0.01235"),
            (0.0, "0"),
            (-0.0, "0"),
            (1.5e-7, "1.500e-07"),
        ],
    )
    def test_numbers_have_four_digits(self, value: float, text: str) -> None:
        assert number(value) == text

    def test_several_devices_are_said(self, made: Made) -> None:
        made.write("worse", 0, made.sad(0) + 1, device="another")
        assert "The runs had different devices" in to_markdown(made.report())

    def test_equal_labels_are_told_apart(self, made: Made) -> None:
        made.file.write_text(FILE.replace("label: Score", "label: SAD").replace("one/score", "two/sad"))
        for row, seed in RUNS:
            made.write(row, seed, None, metrics={"test/one/sad": 1.0, "test/two/sad": 2.0})
        assert "| SAD one ↓ | SAD two (%) ↑ |" in to_markdown(made.report())


def test_all_forms_are_written_whole_or_not_at_all(made: Made, tmp_path: Path) -> None:
    files = write_report(made.report(), tmp_path / "out")
    assert [file.name for file in files] == ["report.csv", "report.md", "report.tex", "report.html"]
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == sorted(file.name for file in files)


def test_an_unwritable_folder_is_one_sentence(made: Made, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ZooError, match=r"cannot be written .*: choose another folder with --output"):
        write_report(made.report(), tmp_path / "file" / "out")


def test_the_command_reports_a_finished_study(small, capsys: pytest.CaptureFixture[str]) -> None:
    assert zoo.cli.main(["study", "report", *small.options]) == 0
    folder = small.runs / "small"
    assert [Path(line).name for line in capsys.readouterr().out.splitlines()] == [
        "report.csv",
        "report.md",
        "report.tex",
        "report.html",
        "samples.png",
    ]
    table = list(csv.DictReader((folder / "report.csv").open()))
    written = json.loads((small.run("at_random") / "result.json").read_text())["metrics"]
    line = next(line for line in table if line["row"] == "at random" and line["metric"] == "test/one/sad")
    assert float(line["mean"]) == written["test/one/sad"]
    assert line["interval_over"] == "pictures only"
    assert "A/A" in (folder / "report.md").read_text()
    with Image.open(folder / "samples.png") as sheet:  # source, truth, and three rows, of two samples
        assert sheet.size == (5 * (256 + 2), 2 * (24 + 16 + 256 + 2))
    page = (folder / "report.html").read_text()
    assert page.count("data:image/jpeg;base64,") == 10
    assert page.count("<figcaption>true alpha</figcaption>") == 2


def test_the_command_reports_elsewhere_and_says_what_is_missing(
    small, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.rmtree(small.run("five"))
    assert zoo.cli.main(["study", "report", *small.options, "-o", str(tmp_path / "out")]) == 1
    assert "five, seed 0 is not in the report: it was never begun" in capsys.readouterr().err
    assert (tmp_path / "out" / "report.html").is_file()
    assert not (small.runs / "small" / "report.md").exists()
