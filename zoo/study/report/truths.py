"""Known truths of a study file, held against what the study found: where one fails, the set-up is to be doubted."""

from typing import Literal, NamedTuple

from zoo.study.file import SPEED, Expected, Study
from zoo.study.report.rows import ReportedRow, Verdict
from zoo.study.report.statistics import Difference, holm
from zoo.study.report.verdicts import looks, paired, verdict_on


class Truth(NamedTuple):
    """A known truth and what was found.

    Args:
        expected: as the study file says it.
        difference: of the two rows; None where they do not compare, and between speeds.
        verdict: on the row, compared with the other.
    """

    expected: Expected
    difference: Difference | None = None
    verdict: Verdict | None = None

    @property
    def outcome(self) -> Literal["confirmed", "contradicted", "undecided"]:
        """Whether the verdict is the expected one; only a decided verdict contradicts."""
        if self.verdict in (None, "undecided"):
            return "undecided"
        wanted = self.expected.verdict.removeprefix("not ")
        denied = wanted != self.expected.verdict
        return "confirmed" if (self.verdict == wanted) != denied else "contradicted"


def hold_against(study: Study, rows: list[ReportedRow]) -> list[Truth]:
    """Return each known truth of a study with the verdict on its row.

    A comparison with the baseline has the verdict of the table. The others are corrected among themselves.
    """
    by_name = {row.name: row for row in rows}
    metrics = {metric.name: metric for metric in study.metrics}
    differences: dict[str, Difference] = {}
    for truth in study.expected:
        own, other = by_name[truth.row], by_name[truth.than]
        measured = truth.metric in metrics and own.runs.keys() & other.runs.keys()
        if measured and other.name != study.baseline and (found := paired(study, own, other, truth.metric)):
            differences[truth.name] = found[0]
    p_values = {
        name: min(1.0, found.p * looks(study, found)) for name, found in differences.items() if found.p is not None
    }
    corrected = holm(p_values)
    truths = []
    for truth in study.expected:
        own, other, metric = by_name[truth.row], by_name[truth.than], metrics.get(truth.metric)
        if metric is None:
            truths.append(Truth(truth, None, speed_verdict(own, other, truth.metric.removeprefix(SPEED))))
        elif other.name == study.baseline:
            cell = own.cells[metric.name]
            truths.append(Truth(truth, cell.difference, cell.verdict))
        else:
            difference, p = differences.get(truth.name), corrected.get(truth.name)
            factor = 1.0 if difference is None else looks(study, difference)
            verdict = None if difference is None else verdict_on(difference, p, metric.direction, factor)
            truths.append(Truth(truth, difference, verdict))
    return truths


def speed_verdict(own: ReportedRow, other: ReportedRow, size: str) -> Verdict | None:
    """Return whether a row's network is faster on images of a size: decided where the quartiles do not overlap."""
    if size not in own.speeds or size not in other.speeds or own.speeds[size].device != other.speeds[size].device:
        return None
    (fast, slow), (least, most) = sorted(own.speeds[size].quartiles), sorted(other.speeds[size].quartiles)
    return "better" if slow < least else "worse" if fast > most else "undecided"
