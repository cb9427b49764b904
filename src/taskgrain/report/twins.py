"""Sources that are there to show what chance does: twins, and groups that mean nothing.

Twins learned the same labels from other first weights (A/A): what is claimed of them is false.
Regrouped sources learned groups of the same sizes whose categories were drawn.
"""

from __future__ import annotations

from collections.abc import Iterator

from taskgrain.config.learning import Source
from taskgrain.report.lookup import SEED_INTERVALS, Lookup, Question, pair_of
from taskgrain.report.transfer_tables import main_metric
from taskgrain.report.verdict import Verdict, verdict_of
from taskgrain.report.words import Phrase, interval_words, points_number, span, with_interval
from taskgrain.results import ResultRow
from taskgrain.statistics.tests import LEVEL


def false_claims(lookup: Lookup) -> Phrase:
    """Return how many comparisons of twins would have been claimed; nothing without twins.

    Each probe, number of shots and target counts once, at the study's metric and read-out. What is
    asked is what a single endpoint would be: intervals that leave out 0 and, over several seeds, a
    p of the paired t test below .05. Nothing is corrected, and none of them is in the Holm family.
    """
    compared = [found for pair in lookup.twins.items() for found in _compared(lookup, *pair)]
    if not compared:
        return ()
    claimed = sum(_is_claimed(lookup, rows) for rows in compared)
    pairs = "; ".join(f"“{twin}” and “{own}”" for twin, own in lookup.twins.items())
    kinds = {row.interval for rows in compared for row in rows}
    limit = "."
    if not kinds & set(SEED_INTERVALS):
        limit = (
            f": each interval is {interval_words(next(iter(kinds)))}, and two encoders do differ; "
            "a rate of false claims needs several seeds."
        )
    return (
        f"The same labels, clips and order, from other first weights ({pairs}): any difference is "
        f"chance. False claims: {claimed} of {len(compared)} at {LEVEL:g}, over all probes, shots "
        f"and targets, not corrected and outside the Holm family{limit}",
    )


def _compared(lookup: Lookup, twin: str, own: str) -> list[tuple[ResultRow, ...]]:
    """List the rows that would judge each comparison that has a result."""
    questions = (
        Question(target, probe, shots, main_metric(lookup))
        for target in lookup.targets
        for probe in lookup.probes
        for shots in lookup.shots
    )
    found = []
    for question in questions:
        best = lookup.difference(twin, own, question)
        if best is not None and best.problem is None:
            found.append(lookup.judging(lookup.differences(twin, own, question)))
    return found


def _is_claimed(lookup: Lookup, rows: tuple[ResultRow, ...]) -> bool:
    """Whether rows of one difference would be called better or worse, were they an endpoint."""
    first = rows[0]
    question = Question(first.target, first.probe, first.shots, first.metric)
    tested = lookup.tested(first.source or "", first.versus or "", question)
    p = None if tested is None else tested.p
    verdict = verdict_of(rows, margin=lookup.margin, p_holm=p)
    return verdict in (Verdict.BETTER, Verdict.WORSE)


def regrouped_phrases(lookup: Lookup, question: Question) -> Iterator[Phrase]:
    """Yield what each source that learned random groups scored, and its paired difference.

    Args:
        lookup: the rows of the run.
        question: where the controls are read.
    """
    for source in lookup.source_settings:
        row = lookup.measured(source.name, question)
        if not source.regrouped or row is None or row.value is None:
            continue
        phrase = (
            f"“{source.name}” learned the categories in random groups, as many and as large as at "
            f"the level {source.classify}, drawn anew for every seed: a label of as many bits "
            "without its meaning. It scores "
        )
        yield (phrase, *with_interval(row), *_difference(lookup, question, source))


def _difference(lookup: Lookup, question: Question, source: Source) -> Phrase:
    if lookup.primary is None:
        return (".",)
    _, versus = pair_of(lookup.primary)
    row = lookup.difference(source.name, versus, question)
    if row is None or row.value is None:
        return (".",)
    phrase: Phrase = (f"; minus “{versus}” that is ", points_number(row.value), " points")
    if row.low is not None and row.high is not None:
        interval = f", {interval_words(row.interval)})."
        return (*phrase, " (", *span(row.low, row.high, signed=True), interval)
    return (*phrase, ".")
