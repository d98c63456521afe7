"""Progress of long work, on standard error and only where that is a terminal.

`shown` decides it for every command: pipes and files get results alone, without bars or control characters.
"""

import os
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from functools import cache
from multiprocessing.sharedctypes import RawValue
from typing import TypeVar

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    SpinnerColumn,
    Task,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.text import Text

Item = TypeVar("Item")

_WAITING: list[Progress] = []

_RENDERED = RawValue("q", 0)  # workers of a DataLoader share it with the process that they were forked from


@cache
def _console() -> Console:
    """Return the one console, on which only one display moves at a time and messages appear above it."""
    return Console(stderr=True, force_interactive=True)


def shown() -> bool:
    """Return whether progress is shown: on a terminal that can move its cursor.

    Example:
        >>> shown()
        False
    """
    return sys.stderr is not None and sys.stderr.isatty() and os.environ.get("TERM") != "dumb"


def live(*columns: ProgressColumn, disable: bool = False, transient: bool = False) -> Progress:
    """Return a display of some columns, to be started; it ends that of `waiting`, since there can be only one.

    Example:
        >>> with live(SpinnerColumn()) as display:
        ...     display.add_task("")
        0
    """
    while _WAITING:
        _WAITING.pop().stop()
    return Progress(
        *columns,
        console=_console(),
        disable=disable or not shown(),
        # A result that is printed meanwhile must reach a piped standard output.
        redirect_stdout=sys.stdout is not None and sys.stdout.isatty(),
        transient=transient,
    )


def progress_bar(*columns: ProgressColumn, disable: bool = False, transient: bool = False) -> Progress:
    """Return a bar with counts and times, to be started; `columns` are added on the right, a transient one vanishes.

    Example:
        >>> with progress_bar() as bar:
        ...     bar.advance(bar.add_task("rows", total=2))
    """
    usual = (
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(24),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
    )
    return live(*usual, TimeRemainingColumn(), *columns, disable=disable, transient=transient)


def tracked(items: Iterable[Item], total: int | None, description: str, progress: bool = True) -> Iterator[Item]:
    """Yield the items with a progress bar.

    Example:
        >>> list(tracked("abc", 3, "letters"))
        ['a', 'b', 'c']
    """
    with progress_bar(disable=not progress, transient=True) as bar:
        task = bar.add_task(description, total=total)
        for item in items:
            yield item
            bar.advance(task)


@contextmanager
def waiting(description: str) -> Iterator[None]:
    """Show that something of unknown length goes on in the block, and for how long.

    Example:
        >>> with waiting("Loading the model"):
        ...     pass
    """
    columns = SpinnerColumn(), TextColumn("{task.description} …"), TimeElapsedColumn()
    with live(*columns, transient=True) as spinner:
        _WAITING.append(spinner)
        spinner.add_task(description, total=None)
        try:
            yield
        finally:
            _WAITING.clear()


def count_rendered() -> None:
    """Count an image that was rendered, in this process or in a worker of its loaders, for `RenderedColumn`."""
    _RENDERED.value += 1


class RenderedColumn(ProgressColumn):
    """Number of images rendered since the bar began, nothing where none was."""

    def __init__(self) -> None:
        super().__init__()
        self.before = _RENDERED.value

    def render(self, task: Task) -> Text:
        count = _RENDERED.value - self.before
        return Text(f"{count} images rendered" if count and not task.finished else "")
