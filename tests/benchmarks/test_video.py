"""What is measured of video: all stages at the same time give the very file that one after another gives."""

import numpy as np
import pytest

from benchmarks import video
from benchmarks.cases import Case, Values

Results = dict[str, tuple[Case, Values, Values | None]]


@pytest.fixture(scope="module")
def results() -> Results:
    """Of each small case: its result and the plain one's."""
    return {case.name: (case, case.fast(), case.plain() if case.plain else None) for case in video.cases(quick=True)}


def test_every_stage_is_measured_before_all_of_them(results: Results) -> None:
    assert list(results) == ["decoding", "network", "rendering and encoding", "all at the same time"]
    assert {case.count for case, *_ in results.values()} == {5}


def test_the_file_is_the_same(results: Results) -> None:
    _, at_once, one_after_another = results["all at the same time"]
    assert len(at_once) > 500
    np.testing.assert_array_equal(at_once, one_after_another)
