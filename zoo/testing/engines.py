"""The contract of engines."""

from pathlib import Path
from tempfile import TemporaryDirectory

from zoo.core.files import write_json
from zoo.study.parts import Engine
from zoo.study.record import JOB, RESULT, Run, read_run
from zoo.testing.parts import PartContract


class EngineContract(PartContract):
    """Contract of an engine: it carries out every run, none before those it waits for have finished, even if they fail.

    The runs here lack their configuration: each fails at once, which is a result like any other.

    Example:
        >>> from zoo_plugins.engines.local import Local
        >>> class TestLocal(EngineContract):
        ...     def make(self) -> Local:
        ...         return Local()
    """

    slot = "engines"

    def make_in(self, folder: Path) -> Engine:
        """Return the engine for runs in a folder; override it where the engine keeps files of its own."""
        return self.make()

    def test_carries_out_every_run_in_an_order_that_serves(self) -> None:
        with TemporaryDirectory(prefix="zoo-engine-") as name:
            folder = Path(name).resolve()
            engine = self.make_in(folder)
            first, second, third = (folder / row / "seed_0" for row in ("first", "second one", "third"))
            runs = [write_run(first), write_run(second, (first,)), write_run(third)]
            engine.execute(runs)
            if not engine.waits:  # then the runs may still be to come
                return
            status = {run.directory.parent.name: read_run(run.directory).status for run in runs}
            lacking = [row for row, found in status.items() if found == "planned"]
            assert not lacking, f"{type(engine).__name__} carries out every run; {lacking} ended without a result."
            failed = [row for row, found in status.items() if found == "failed"]
            assert len(failed) == len(runs), f"a run without configuration fails; of {list(status)} only {failed} did."
            written = [(run.directory / RESULT).stat().st_mtime_ns for run in runs]
            assert written[0] <= written[1], (
                f"{type(engine).__name__} begins no run before those it waits for have finished, even if they fail."
            )

    def test_nothing_to_do_is_no_error(self) -> None:
        with TemporaryDirectory(prefix="zoo-engine-") as name:
            self.make_in(Path(name)).execute([])


def write_run(directory: Path, after: tuple[Path, ...] = ()) -> Run:
    """Write a run that `zoo study execute` can begin, and that fails; returns it.

    Example:
        >>> with TemporaryDirectory() as folder:
        ...     run = write_run(Path(folder) / "first" / "seed_0")
        ...     read_run(run.directory).status
        'planned'
    """
    run = Run("contract", directory.parent.name, seed=0, id="0" * 16, threads=1, directory=directory, after=after)
    directory.mkdir(parents=True)
    write_json(directory / JOB, run.job_data())
    return run
