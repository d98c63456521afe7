"""`python -m benchmarks`: what it measures, writes and prints. No test reads a duration."""

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from benchmarks import SUBJECTS, heads, matting
from benchmarks.cases import Case

ROOT = Path(__file__).parents[2]

HEADS = {
    "skinning",
    "skinning with gradient",
    "rasteriser",
    "SyntheticHeads picture",
    "SyntheticHeads picture and crop",
    "68 landmarks",
    "heatmap targets",
    "Z5 (official)",
    "Z5 (paper)",
    "Chamfer",
    "NoW",
}


MATTING = {
    "MobileNetV2",
    "MobileNetV2, alpha alone",
    "MobileNetV2, bfloat16",
    "MobileNetV2, memory",
    "ResNet-50",
    "refiner",
}


def stand_ins(wrong: float) -> Callable[[bool], Iterator[Case]]:
    """Cases of which the first gives a result so far from the plain one's."""

    def cases(quick: bool) -> Iterator[Case]:
        for name, result in (("broken", wrong), ("sound", 0.0)):
            yield Case(name, "small", lambda result=result: torch.tensor(result), lambda: torch.zeros(()))  # type: ignore[misc]

    return cases


def test_quick_runs_everything_and_keeps_it(bench: Callable[..., Any], tmp_path: Path) -> None:
    path = tmp_path / "heads.json"
    threads = torch.get_num_threads()
    done = bench("heads", "--quick", "--repeats", 1, "--threads", threads + 1, "--json", path)
    assert done.code == 0, done.err
    record = json.loads(path.read_text(encoding="utf-8"))
    assert {case["name"] for case in record["cases"]} == HEADS
    assert all(case["fast"]["median"] > 0 for case in record["cases"])
    without_reference = {case["name"] for case in record["cases"] if case["equal"] is None}
    assert without_reference == {"SyntheticHeads picture", "SyntheticHeads picture and crop"}
    assert all(case["equal"] and case["ratio"] for case in record["cases"] if case["name"] not in without_reference)
    assert (record["quick"], record["repeats"], record["machine"]["threads"]) == (True, 1, threads + 1)
    assert torch.get_num_threads() == threads
    assert "NoW" in done.out
    assert "these times say nothing" in done.out


def test_it_runs_as_a_user_runs_it(tmp_path: Path) -> None:
    words = [sys.executable, "-m", "benchmarks", "metrics", "--quick", "--repeats", "1", "--json", tmp_path / "m.json"]
    done = subprocess.run(words, capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    assert "Conn" in done.stdout
    assert json.loads((tmp_path / "m.json").read_text(encoding="utf-8"))["subject"] == "metrics"
    done = subprocess.run(words[:3], capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 2
    assert "{data,heads,matting,metrics,train,video}" in done.stderr


def test_quick_runs_everything_of_matting(bench: Callable[..., Any], tmp_path: Path) -> None:
    path = tmp_path / "matting.json"
    done = bench("matting", "--quick", "--repeats", 1, "--json", path)
    assert done.code == 0, done.err
    record = json.loads(path.read_text(encoding="utf-8"))
    assert {case["name"] for case in record["cases"]} == MATTING
    assert all(case["equal"] for case in record["cases"] if "bfloat16" not in case["name"])
    assert record["official"] is None


def test_official_code_is_asked_for_before_anything_is_measured(
    bench: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for subject in (heads, matting):
        monkeypatch.setattr(subject, "cases", lambda quick, **_: pytest.fail("measured"))
    done = bench("heads", "--against", tmp_path)
    assert done.complaint == "benchmarks: --against goes with data, matting, train; heads runs no official code."
    done = bench("matting", "--against", tmp_path)
    assert f"--against {tmp_path}: expected a checkout of the official BackgroundMattingV2" in done.complaint


def test_official_code_is_handed_on_and_named(
    bench: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "__init__.py").write_text("class MattingRefine: ...\n")
    handed: list[Path] = []

    def cases(quick: bool, against: Path) -> Iterator[Case]:
        handed.append(against)
        yield from stand_ins(wrong=0.0)(quick)

    monkeypatch.setattr(matting, "cases", cases)
    path = tmp_path / "matting.json"
    done = bench("matting", "--against", tmp_path, "--repeats", 1, "--json", path)
    assert done.code == 0, done.err
    assert handed == [tmp_path]
    official = json.loads(path.read_text(encoding="utf-8"))["official"]
    assert f"Plain is the official code, SHA-256 {official[:16]}." in done.out


def test_a_result_that_differs_fails_and_the_others_are_measured(
    bench: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(heads, "cases", stand_ins(wrong=0.25))
    path = tmp_path / "heads.json"
    done = bench("heads", "--json", path, "--repeats", 1)
    assert done.code == 1
    assert done.complaint == "benchmarks: broken (small): not equal to the plain reference, so not timed."
    assert "no: 0.2" in done.out
    broken, sound = json.loads(path.read_text(encoding="utf-8"))["cases"]
    assert (broken["equal"], broken["fast"], sound["equal"]) == (False, None, True)
    assert sound["fast"]["median"] > 0


def test_a_missed_target_is_no_failure(bench: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> None:
    slow = Case("slow", "small", lambda: torch.zeros(1), within=1e-12)
    monkeypatch.setattr(heads, "cases", lambda quick: iter([slow]))
    done = bench("heads", "--repeats", 1)
    assert done.code == 0
    assert "✗" in done.out


@pytest.mark.parametrize("words", [(), ("head",)])
def test_an_unknown_subject_names_the_known_ones(bench: Callable[..., Any], words: tuple[str, ...]) -> None:
    done = bench(*words)
    assert done.code == 2
    assert all(subject in done.complaint for subject in SUBJECTS)


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        (("--repeats", "0"), "argument --repeats: got '0'; expected a whole number from 1 on"),
        (("--threads", "two"), "argument --threads: got 'two'; expected a whole number from 1 on"),
        (("--json", "nowhere/heads.json"), "--json nowhere/heads.json: expected a file in a folder that exists."),
    ],
)
def test_bad_options_end_before_anything_is_measured(
    bench: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, options: tuple[str, ...], complaint: str
) -> None:
    monkeypatch.setattr(heads, "cases", lambda quick: pytest.fail("measured"))
    done = bench("heads", *options)
    assert done.code != 0
    assert complaint in done.complaint
