"""What the rows of one difference show: better, worse, no difference, or nothing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from taskgrain.config.testing import FamilyEndpoint
from taskgrain.report.lookup import Lookup, Question, pair_of, question_of
from taskgrain.results import ResultRow
from taskgrain.statistics.tests import LEVEL


class Verdict(StrEnum):
    """What the rows of a difference show."""

    BETTER = "better"
    WORSE = "worse"
    NO_DIFFERENCE = "no difference"
    UNSEPARATED = "cannot be told apart"
    NOT_ABOVE_EACH = "not shown above each"
    NOT_LEARNED = "not learned"
    NO_INTERVAL = "no interval"
    NO_ROW = "no result"


@dataclass(frozen=True, slots=True)
class Judged:
    """An endpoint with its verdict, and the rows that gave it."""

    verdict: Verdict
    # One over all seeds, or one for each; one with its problem where a probe failed.
    rows: tuple[ResultRow, ...]
    p_holm: float | None  # of the paired t test over seeds


def judge(lookup: Lookup, endpoint: FamilyEndpoint) -> Judged:
    """Judge an endpoint by its best row: over all seeds where there is one, else by every seed.

    A source that has not learned its own labels enters no claim, whatever the rows say. An endpoint
    with several rivals is "better" where its source is better than each of them, and its rows are
    those of the smallest difference.
    """
    question = question_of(endpoint)
    tested = lookup.tested(*pair_of(endpoint), question)
    p_holm = None if tested is None else tested.p_holm
    each = [
        _judge_one(lookup, (endpoint.source, versus), question, p_holm)
        for versus in endpoint.each_versus
    ]
    if len(each) == 1:
        return each[0]
    found = {judged.verdict for judged in each}
    for verdict in (Verdict.NOT_LEARNED, Verdict.NO_ROW, Verdict.NO_INTERVAL):
        if verdict in found:
            rows = next(judged.rows for judged in each if judged.verdict is verdict)
            return Judged(verdict, rows, p_holm)
    smallest = min(each, key=lambda judged: judged.rows[0].value or 0.0)
    alike = found in ({Verdict.BETTER}, {Verdict.NO_DIFFERENCE})
    return Judged(smallest.verdict if alike else Verdict.NOT_ABOVE_EACH, smallest.rows, p_holm)


def _judge_one(
    lookup: Lookup, pair: tuple[str, str], question: Question, p_holm: float | None
) -> Judged:
    best = lookup.difference(*pair, question)
    if best is None or best.problem is not None:
        return Judged(Verdict.NO_ROW, () if best is None else (best,), None)
    rows = lookup.judging(lookup.every(*pair, question))
    tested = lookup.tested(*pair, question)
    margin = lookup.margin
    verdict = verdict_of(rows, margin=margin, p_holm=p_holm)
    if verdict is Verdict.NO_DIFFERENCE and tested is not None and not is_within(tested, margin):
        verdict = Verdict.UNSEPARATED  # as a difference, its absence has to hold over the seeds
    if set(pair) & set(lookup.unlearned):
        verdict = Verdict.NOT_LEARNED
    return Judged(verdict, rows, p_holm)


def verdict_of(rows: Sequence[ResultRow], *, margin: float, p_holm: float | None = None) -> Verdict:
    """Judge a difference from its rows: one over all seeds, or one for each seed.

    "Better" and "worse" need every 95 % interval to leave out 0 on the same side, and a p below
    .05 after Holm's correction where there is one. Otherwise "no difference" needs every 90 %
    interval to lie within the margin.

    Args:
        rows: of the same difference, at least one.
        margin: largest difference that counts as none, above 0; 0.02 is two percentage points.
        p_holm: of the paired t test over seeds; None where there was none.
    """
    if any(row.low is None or row.high is None for row in rows):
        return Verdict.NO_INTERVAL
    # A p that is not below the level overrules an interval that leaves out 0: the correction for
    # the number of endpoints is in p alone.
    if p_holm is None or p_holm < LEVEL:
        if all((row.low or 0.0) > 0 for row in rows):
            return Verdict.BETTER
        if all((row.high or 0.0) < 0 for row in rows):
            return Verdict.WORSE
    if all(is_within(row, margin) for row in rows):
        return Verdict.NO_DIFFERENCE
    return Verdict.UNSEPARATED


def is_separated(row: ResultRow) -> bool:
    """Whether a difference's 95 % interval leaves out 0; False where there is no interval."""
    return row.low is not None and row.high is not None and (row.low > 0 or row.high < 0)


def is_within(row: ResultRow, margin: float) -> bool:
    """Whether a difference's 90 % interval lies within a margin; False where there is none."""
    if row.low_90 is None or row.high_90 is None:
        return False
    return -margin < row.low_90 and row.high_90 < margin
