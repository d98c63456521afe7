"""Frames a second: what is timed, what is not timed again, and what cannot be."""

import json
import os
from pathlib import Path
from typing import Any

import pytest
import torch

import zoo
from zoo.core import registry
from zoo.measure import timing
from zoo.study.run import timing as speed
from zoo.study.run.timing import Speed, read_speed, repeated

WIDE = "sizes: {square: [64, 64], wide: [64, 96]}"


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Drawn pictures are kept for this test alone."""
    monkeypatch.setenv("ZOO_CACHE", str(tmp_path / "cache"))


@pytest.fixture(autouse=True)
def few_repeats(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(speed, "BUDGET", 0.0)
    monkeypatch.setattr(speed, "MIN_REPEATS", 2)
    monkeypatch.setattr(timing, "MIN_REPEAT_SECONDS", 1e-12)  # one call a repeat, also for the smallest network


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, ...]]:
    """The sizes of the pictures that networks are given, in order."""
    sizes: list[tuple[int, ...]] = []
    once = speed.run_once

    def noted(forward: Any, inputs: tuple[torch.Tensor, ...]) -> None:
        sizes.append(tuple(inputs[0].shape[-2:]))
        once(forward, inputs)

    monkeypatch.setattr(speed, "run_once", noted)
    return sizes


def changed(small, *texts: str) -> Path:
    """The study's file with texts in it replaced, beside the finished one's."""
    text = small.file.read_text()
    for old, new in zip(texts[::2], texts[1::2], strict=True):
        assert old in text
        text = text.replace(old, new, 1)
    file = small.file.with_name(f"changed_{abs(hash(texts))}.yaml")
    file.write_text(text)
    return file


def measured(small) -> dict[str, dict[str, Any]]:
    """The rows of speed.json."""
    return json.loads((small.runs / "small" / "speed.json").read_text())["rows"]


class TestMeasured:
    def test_every_row_and_size_with_equal_networks_timed_once(self, small, command, asked) -> None:
        study = changed(small, "sizes: {square: [64, 64]}", WIDE)
        outcome = command("study", "speed", study, "--runs", small.runs)
        assert outcome.code == 0, outcome.err
        assert "timing 3 networks at wide, 96×64" in outcome.out
        found = read_speed(small.runs / "small")
        assert list(found) == ["by error", "A/A", "at random", "five"]
        assert all(list(sizes) == ["square", "wide"] for sizes in found.values())
        assert found["A/A"] == found["by error"] != found["five"]
        one = found["five"]["wide"]
        assert one.quartiles[0] <= one.median <= one.quartiles[1]
        assert one.repeats == 2
        assert one.device.endswith(f"threads: {os.cpu_count()}")
        assert asked == [(64, 64)] * 3 * 3 + [(64, 96)] * 3 * 3, "each warms up, then is timed twice"
        entry = measured(small)["five"]["wide"]
        assert entry["precision"] == "32-true"
        assert entry["versions"]["torch"]

    def test_nothing_that_counts_is_timed_again_and_a_new_size_is(self, small, command, asked) -> None:
        assert command("study", "speed", *small.options).code == 0
        before = measured(small)
        asked.clear()
        assert command("study", "speed", *small.options).code == 0
        assert asked == []
        assert measured(small) == before
        study = changed(small, "sizes: {square: [64, 64]}", WIDE)
        assert command("study", "speed", study, "--runs", small.runs).code == 0
        assert set(asked) == {(64, 96)}
        assert {row: sizes["square"] for row, sizes in measured(small).items()} == {
            row: sizes["square"] for row, sizes in before.items()
        }

    def test_another_run_of_a_row_is_timed_beside_all_others(self, small, command, asked) -> None:
        assert command("study", "speed", *small.options).code == 0
        before = measured(small)
        for name in ("job.json", "result.json"):
            file = small.run("at_random") / name
            content = json.loads(file.read_text())
            content.get("job", content)["id"] = "another"
            file.write_text(json.dumps(content))
        asked.clear()
        assert command("study", "speed", *small.options).code == 0
        assert len(asked) == 3 * 3
        after = measured(small)
        assert after["by error"]["square"]["identity"] == before["by error"]["square"]["identity"]
        assert after["at random"]["square"]["identity"] != before["at random"]["square"]["identity"]

    def test_an_interruption_loses_one_size(self, small, command, monkeypatch: pytest.MonkeyPatch) -> None:
        study = changed(small, "sizes: {square: [64, 64]}", WIDE)
        once = speed.run_once

        def cut(forward: Any, inputs: tuple[torch.Tensor, ...]) -> None:
            if inputs[0].shape[-1] == 96:
                raise KeyboardInterrupt
            once(forward, inputs)

        monkeypatch.setattr(speed, "run_once", cut)
        assert command("study", "speed", study, "--runs", small.runs).code == 130
        assert {tuple(sizes) for sizes in measured(small).values()} == {("square",)}

    def test_a_study_that_wants_it_has_it_after_its_runs(self, small, command) -> None:
        study = changed(small, "sizes:", "frames_per_second: true\nsizes:")
        outcome = command("study", "run", study, "--runs", small.runs)
        assert outcome.code == 0, outcome.err
        assert "4 finished already, 0 to do" in outcome.out
        assert read_speed(small.runs / "small")["five"]["square"].frames_per_second > 0
        assert not (small.runs / "small" / "report.html").exists()


class TestNotMeasured:
    def test_a_row_without_a_finished_run_is_absent_and_said(self, small, command) -> None:
        (small.run("at_random") / "result.json").unlink()
        outcome = command("study", "speed", *small.options)
        assert outcome.code == 1
        assert outcome.complaint == "zoo study: row 'at random' has no finished run, so its network is not timed."
        assert list(read_speed(small.runs / "small")) == ["by error", "A/A", "five"]

    def test_weights_that_are_gone_are_one_sentence(self, small, command) -> None:
        (small.run("at_random") / "fit/version_0/checkpoints/last.ckpt").unlink()
        outcome = command("study", "speed", *small.options)
        assert outcome.code == 1
        assert outcome.complaint.startswith("zoo study: the network of 'at random' cannot be timed: there is no checkp")
        assert "five" in read_speed(small.runs / "small")

    def test_a_picture_too_large_for_one_network_leaves_the_others(self, small, command, asked, monkeypatch) -> None:
        once = speed.run_once

        def full(forward: Any, inputs: tuple[torch.Tensor, ...]) -> None:
            once(forward, inputs)
            if len(asked) == 2:
                raise torch.OutOfMemoryError("no room")

        monkeypatch.setattr(speed, "run_once", full)
        said = "zoo study: the network of 'at random' cannot be timed at square: OutOfMemoryError: no room."
        outcome = command("study", "speed", *small.options)
        assert (outcome.code, outcome.complaint) == (1, said)
        assert [row for row, sizes in read_speed(small.runs / "small").items() if sizes] == ["by error", "A/A", "five"]
        asked.clear()
        outcome = command("study", "speed", *small.options)
        assert (outcome.code, outcome.complaint, asked) == (1, said, []), "it is not tried, but said, again"

    def test_a_study_without_sizes_is_one_sentence(self, small, command) -> None:
        outcome = command("study", "speed", changed(small, "sizes: {square: [64, 64]}\n", ""), "--runs", small.runs)
        assert outcome.code == 1
        assert "has no sizes of images" in outcome.complaint

    def test_a_damaged_file_is_named(self, small, command) -> None:
        (small.runs / "small" / "speed.json").write_text('{"format": 1, "ro')
        outcome = command("study", "speed", *small.options)
        assert outcome.code == 1
        assert "speed.json is damaged: delete it, and `zoo study speed` makes it again." in outcome.complaint

    def test_without_the_file_there_is_nothing(self, tmp_path: Path) -> None:
        assert read_speed(tmp_path) == {}


def test_slow_calls_are_repeated_less_often(monkeypatch: pytest.MonkeyPatch) -> None:
    paces = {"fast": 0.01, "slow": 0.5, "slowest": 4.0}
    monkeypatch.setattr(speed, "BUDGET", 3.0)
    monkeypatch.setattr(speed, "MIN_REPEATS", 3)
    monkeypatch.setattr(
        speed, "time_interleaved", lambda names, repeats: [speed.Timing([paces[name]] * repeats, 1) for name in names]
    )
    timings = repeated(list(paces), 20)  # type: ignore[arg-type]
    assert [len(timing.seconds) for timing in timings] == [20, 6, 3]


def test_frames_a_second_are_those_of_the_median() -> None:
    assert Speed(0.25, (0.2, 0.3), 5, "a CPU").frames_per_second == 4


class TestDrawnExample:
    def test_a_matting_network_sees_a_person_and_the_room_behind(self) -> None:
        backbone = {"class_path": "TimmBackbone", "init_args": {"name": "test_efficientnet"}}
        module = zoo.create_model("bgmv2_mobilenetv2", backbone=backbone)
        source, background, alpha = module.drawn_example(96, 160)
        assert (source.shape, background.shape, alpha.shape) == ((1, 3, 96, 160), (1, 3, 96, 160), (1, 1, 96, 160))
        behind, before = alpha == 0, alpha == 1
        assert 0.1 < before.float().mean() < 0.6
        difference = (source - background).abs().mean(1, keepdim=True)
        assert 0 < difference[behind].mean() < 0.5 * difference[before].mean()
        again = module.drawn_example(96, 160)
        assert all(map(torch.equal, again, (source, background, alpha)))

    def test_a_head_network_sees_a_head(self) -> None:
        from zoo.heads.module import HeadAlignment

        class Given:
            head_model = registry.find_class("ProceduralHead")().eval()
            example = HeadAlignment.example

        (image,) = HeadAlignment.drawn_example(Given(), 64, 64)  # type: ignore[arg-type]
        assert (image.shape, image.dtype) == ((1, 3, 64, 64), torch.float32)
        assert 0 <= image.min() < 0.3 < 0.6 < image.max() <= 1
        with pytest.raises(ValueError, match="square crops, not 32×64"):
            HeadAlignment.drawn_example(Given(), 64, 32)  # type: ignore[arg-type]
