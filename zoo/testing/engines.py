"""The contract of engines."""

import json
from pathlib import Path
from tempfile import TemporaryDirectory

from zoo.core.files import write_json
from zoo.study.parts import Engine, Task
from zoo.study.record import JOB, RESULT, Job, read_result
from zoo.testing.parts import PartContract


class EngineContract(PartContract):
    """What an engine promises: every run is carried out, none before those it waits for, whatever becomes of them.

    The runs here lack their configuration: each fails at once, which is a result like any other.
    """

    slot = "engines"

    def make_in(self, folder: Path) -> Engine:
        """The engine for a test whose runs lie in a folder; to be replaced where the engine keeps files of its own."""
        return self.make()

    def test_carries_out_every_run_in_an_order_that_serves(self) -> None:
        with TemporaryDirectory(prefix="zoo-engine-") as name:
            folder = Path(name).resolve()
            engine = self.make_in(folder)
            first, second, third = (folder / row / "seed_0" for row in ("first", "second one", "third"))
            tasks = [write_run(first), write_run(second, (first,)), write_run(third)]
            engine.execute(tasks)
            results = {task.directory.parent.name: read_result(task.directory) for task in tasks}
            if not engine.waits:  # then the runs may still be to come
                return
            lacking = [row for row, result in results.items() if result is None]
            assert not lacking, f"{type(engine).__name__} carries out every run; {lacking} ended without a result."
            failed = [row for row, result in results.items() if result is not None and result.status == "failed"]
            assert len(failed) == len(tasks), (
                f"a run without configuration fails; of {list(results)} only {failed} did."
            )
            written = [(task.directory / RESULT).stat().st_mtime_ns for task in tasks]
            assert written[0] <= written[1], (
                f"{type(engine).__name__} begins no run before those it waits for are over, even if they fail."
            )

    def test_nothing_to_do_is_no_error(self) -> None:
        with TemporaryDirectory(prefix="zoo-engine-") as name:
            self.make_in(Path(name)).execute([])


def write_run(directory: Path, after: tuple[Path, ...] = ()) -> Task:
    """A run that `zoo study execute` can begin, and that fails."""
    job = Job(
        study="contract",
        row=directory.parent.name,
        seed=0,
        pair=0,
        id="0" * 16,
        evaluate_only=False,
        first_stage=False,
        after=None,
        after_id=None,
        note="",
        metrics=[],
        differences=[],
        parameters=0,
        multiply_adds={},
        data={},
        plugins=[],
        threads=1,
        gpus=0,
        settings_hash="",
        written="",
    )
    directory.mkdir(parents=True)
    write_json(directory / JOB, json.loads(json.dumps(job.to_dict())))
    return Task(directory, after, threads=1)
