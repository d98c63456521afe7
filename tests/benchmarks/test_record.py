"""Records: all that was measured, nothing about whose machine it was, and the tables kept in `benchmarks/`."""

import json
import math
import platform
from pathlib import Path

import pytest
import torch

from benchmarks.cases import Case, Measured
from benchmarks.record import COLUMNS, as_values, duration, make_record, row, span, write_record
from zoo.measure.timing import Timing

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
KEPT = sorted(BENCHMARKS.glob("*.json"))


def measured(difference: float | None = 1e-9) -> Measured:
    case = Case("sum", "small", lambda: torch.zeros(1), lambda: torch.zeros(1), tolerance=1e-6, faster=2)
    equal = difference is not None and difference <= case.tolerance
    timings = (Timing([0.002, 0.001, 0.003], 1), Timing([0.01], 1)) if equal else (None, None)
    return Measured(case, difference, *timings)


def test_a_record_is_read_again_as_it_was_written(tmp_path: Path) -> None:
    record = make_record("heads", [measured(), measured(math.inf)], repeats=3, quick=True)
    path = tmp_path / "record.json"
    write_record(record, path)
    assert json.loads(path.read_text(encoding="utf-8")) == record
    assert list(tmp_path.iterdir()) == [path]
    good, bad = record["cases"]
    assert good["fast"] == {
        "median": 0.002,
        "quartiles": pytest.approx([0.0015, 0.0025]),
        "seconds": [0.002, 0.001, 0.003],
        "calls": 1,
    }
    assert (good["ratio"], good["reached"], good["equal"], good["tolerance"]) == (5.0, True, True, 1e-6)
    assert (bad["fast"], bad["equal"], bad["difference"]) == (None, False, "inf")


def test_a_record_tells_the_machine_but_not_whose() -> None:
    record = make_record("heads", [], repeats=3, quick=False)
    assert record["machine"]["threads"] == torch.get_num_threads()
    assert record["machine"]["versions"]["torch"] == torch.__version__.partition("+")[0]
    text = json.dumps(record)
    assert platform.node() not in text
    assert str(Path.home()) not in text


def test_a_file_that_could_not_be_written_leaves_the_old_one(tmp_path: Path) -> None:
    path = tmp_path / "record.json"
    path.write_text("old")
    with pytest.raises(TypeError):
        write_record({"machine": object()}, path)
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_rows() -> None:
    assert row(as_values(measured())) == ["sum, small", "2 ms", "1.5–2.5 ms", "10 ms", "5×", "≥ 2× ✓", "to 1e-09"]
    assert row(as_values(measured(0.0)))[-1] == "exactly"
    assert row(as_values(measured(0.5))) == ["sum, small", "—", "—", "—", "—", "≥ 2×", "no: 0.5"]
    assert row(as_values(measured(math.inf)))[-1] == "no: inf"


def test_durations() -> None:
    assert [duration(seconds) for seconds in (12.34, 0.0123, 4.5e-6)] == ["12.3 s", "12.3 ms", "4.5 µs"]
    assert span(0.0009, 0.0012) == "0.9–1.2 ms"


@pytest.mark.parametrize("path", KEPT, ids=lambda path: path.name)
def test_the_tables_in_benchmarks_are_those_of_the_records(path: Path) -> None:
    record = json.loads(path.read_text(encoding="utf-8"))
    lines = (BENCHMARKS / "README.md").read_text(encoding="utf-8").splitlines()
    assert not record["quick"]
    for cells in (COLUMNS, *(row(values) for values in record["cases"])):
        assert f"| {' | '.join(cells)} |" in lines
