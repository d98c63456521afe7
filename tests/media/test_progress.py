"""Progress: bars on a terminal, nothing in pipes."""

import io
import sys

import pytest

from zoo.media.progress import RenderedColumn, count_rendered, progress_bar, shown, tracked, waiting


class Terminal(io.StringIO):
    """A stream that claims to be a terminal."""

    def isatty(self) -> bool:
        return True


def terminal(monkeypatch: pytest.MonkeyPatch) -> Terminal:
    """Return a terminal that is the error stream from now on: pytest sets its own before each test."""
    stream = Terminal()
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setattr(sys, "stderr", stream)
    return stream


def test_items_are_passed_on_as_they_come_and_nothing_is_shown_in_a_pipe(capfd: pytest.CaptureFixture[str]) -> None:
    made = []
    for item in tracked((made.append(number) or number for number in range(3)), None, "counting"):
        assert made == list(range(item + 1)), "none is made before it is asked for"
    with waiting("Loading"):
        assert made == [0, 1, 2]
    assert not shown()
    assert capfd.readouterr() == ("", "")


def test_a_terminal_sees_a_bar_and_messages_above_it(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    stream = terminal(monkeypatch)
    assert list(tracked(range(3), 3, "counting")) == [0, 1, 2]
    assert "counting" in stream.getvalue()
    assert "3/3" in stream.getvalue()
    stream.seek(0)
    stream.truncate()
    assert list(tracked(range(3), 3, "counting", progress=False)) == [0, 1, 2]
    assert stream.getvalue() == ""
    for _ in tracked(range(1), 1, "counting"):
        print("a result")
        print("attention", file=sys.stderr)
    assert capsys.readouterr().out == "a result\n", "what is piped stays in the pipe"
    assert "attention" in stream.getvalue()


def test_a_bar_takes_the_place_of_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    stream = terminal(monkeypatch)
    with waiting("Loading the model"):
        assert list(tracked(range(2), 2, "downloading")) == [0, 1]
        stream.seek(0)
        stream.truncate()
    assert "Loading" not in stream.getvalue()


def test_rendered_images_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    stream = terminal(monkeypatch)
    with progress_bar(RenderedColumn()) as bar:
        bar.add_task("Epoch 1", total=2)
        count_rendered()
        count_rendered()
        bar.refresh()
    assert "2 images rendered" in stream.getvalue()


def test_a_terminal_that_cannot_move_its_cursor_gets_no_bars(monkeypatch: pytest.MonkeyPatch) -> None:
    stream = terminal(monkeypatch)
    monkeypatch.setenv("TERM", "dumb")
    assert list(tracked(range(2), 2, "counting")) == [0, 1]
    assert stream.getvalue() == ""
