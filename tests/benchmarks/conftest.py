"""The benchmark command, run in this process."""

from collections.abc import Callable
from typing import NamedTuple

import pytest

from benchmarks.__main__ import main


class Outcome(NamedTuple):
    """Exit code and output of a command."""

    code: int
    out: str
    err: str

    @property
    def complaint(self) -> str:
        """The error line that a failed command ends with."""
        return self.err.strip().splitlines()[-1]


@pytest.fixture
def bench(capfd: pytest.CaptureFixture[str]) -> Callable[..., Outcome]:
    """Return a function that runs `python -m benchmarks` in this process: `bench("heads", "--quick")`."""

    def run(*words: object) -> Outcome:
        capfd.readouterr()
        try:
            code = main([str(word) for word in words])
        except SystemExit as exit_:
            code = int(exit_.code or 0)
        return Outcome(code, *capfd.readouterr())

    return run
