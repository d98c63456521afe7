"""`zoo bench`: what it runs, writes and says. No test reads a time."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from benchmarks import SUBJECTS, heads, matting
from benchmarks.cases import Case

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


def test_quick_runs_everything_and_keeps_it(command: Callable[..., Any], tmp_path: Path) -> None:
    path = tmp_path / "heads.json"
    threads = torch.get_num_threads()
    done = command("bench", "heads", "--quick", "--repeats", 1, "--threads", threads + 1, "--json", path)
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


def test_quick_runs_everything_of_matting(command: Callable[..., Any], tmp_path: Path) -> None:
    path = tmp_path / "matting.json"
    done = command("bench", "matting", "--quick", "--repeats", 1, "--json", path)
    assert done.code == 0, done.err
    record = json.loads(path.read_text(encoding="utf-8"))
    assert {case["name"] for case in record["cases"]} == MATTING
    assert all(case["equal"] for case in record["cases"] if "bfloat16" not in case["name"])
    assert record["official"] is None


def test_official_code_is_asked_for_before_anything_is_measured(
    command: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for subject in (heads, matting):
        monkeypatch.setattr(subject, "cases", lambda quick, **_: pytest.fail("measured"))
    done = command("bench", "heads", "--against", tmp_path)
    assert (
        done.complaint == "zoo bench: --against goes with data, matting, train; zoo bench heads runs no official code."
    )
    done = command("bench", "matting", "--against", tmp_path)
    assert f"--against {tmp_path}: expected a checkout of the official BackgroundMattingV2" in done.complaint


def test_official_code_is_handed_on_and_named(
    command: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "__init__.py").write_text("class MattingRefine: ...\n")
    handed: list[Path] = []

    def cases(quick: bool, against: Path) -> Iterator[Case]:
        handed.append(against)
        yield from stand_ins(wrong=0.0)(quick)

    monkeypatch.setattr(matting, "cases", cases)
    path = tmp_path / "matting.json"
    done = command("bench", "matting", "--against", tmp_path, "--repeats", 1, "--json", path)
    assert done.code == 0, done.err
    assert handed == [tmp_path]
    official = json.loads(path.read_text(encoding="utf-8"))["official"]
    assert f"Plain is the official code, SHA-256 {official[:16]}." in done.out


def test_a_result_that_differs_fails_and_the_others_are_measured(
    command: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(heads, "cases", stand_ins(wrong=0.25))
    path = tmp_path / "heads.json"
    done = command("bench", "heads", "--json", path, "--repeats", 1)
    assert done.code == 1
    assert done.complaint == "zoo bench: broken (small): not equal to the plain reference, so not timed."
    assert "no: 0.2" in done.out
    broken, sound = json.loads(path.read_text(encoding="utf-8"))["cases"]
    assert (broken["equal"], broken["fast"], sound["equal"]) == (False, None, True)
    assert sound["fast"]["median"] > 0


def test_a_missed_target_is_no_failure(command: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> None:
    slow = Case("slow", "small", lambda: torch.zeros(1), within=1e-12)
    monkeypatch.setattr(heads, "cases", lambda quick: iter([slow]))
    done = command("bench", "heads", "--repeats", 1)
    assert done.code == 0
    assert "✗" in done.out


@pytest.mark.parametrize("words", [(), ("head",)])
def test_an_unknown_subject_names_the_known_ones(command: Callable[..., Any], words: tuple[str, ...]) -> None:
    done = command("bench", *words)
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
    command: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, options: tuple[str, ...], complaint: str
) -> None:
    monkeypatch.setattr(heads, "cases", lambda quick: pytest.fail("measured"))
    done = command("bench", "heads", *options)
    assert done.code != 0
    assert complaint in done.complaint
