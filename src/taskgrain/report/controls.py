"""What the controls show, and what the reader has to be warned of.

Two kinds of sources are controls too. Twins learned the same labels from other first weights (A/A):
any claim about them is false. Regrouped sources learned groups of the same sizes whose categories
were drawn at random.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from taskgrain.config.learning import Source
from taskgrain.names import CONTROLS
from taskgrain.report.lookup import SEED_INTERVALS, Lookup, Question, pair_of, question_of, unique
from taskgrain.report.run_folder import RunFolder, processors_of
from taskgrain.report.transfer_tables import ladder_question, main_metric
from taskgrain.report.verdict import Verdict, verdict_of
from taskgrain.report.words import (
    Number,
    Phrase,
    control_words,
    count_words,
    interval_words,
    joined,
    metric_words,
    p_number,
    percent_number,
    points_number,
    printable,
    probe_words,
    setting_words,
    shots_words,
    span,
    value_of,
    with_interval,
)
from taskgrain.results import ResultRow
from taskgrain.statistics.tests import ALARM_LEVEL, FEWEST_DRAWS, LEVEL, is_alarm

# What a complete study has (docs/protocol.md, "Controls"), in the order of the page.
EXPECTED = (
    *("chance", "majority", "motion-energy", "pixels"),
    *("random-encoder", "random-labels", "shuffled-time", "permuted-labels"),
)
MOST_FAILED = 5  # named in the warning; results.jsonl has all


@dataclass(frozen=True, slots=True)
class Finding:
    """One control in plain words."""

    control: str
    title: str
    sentence: Phrase
    is_alarm: bool = False


def findings(lookup: Lookup) -> tuple[Finding, ...]:
    """Return for each control its score, beside that of the study's primary source."""
    question = control_question(lookup)
    if question is None:
        return ()
    aa = false_claims(lookup)
    twins = (Finding("a-a", "A/A", aa),) if aa else ()
    groups = (
        Finding("regrouped", "random groups of categories", phrase)
        for phrase in regrouped_phrases(lookup, question)
    )
    return (*_findings(lookup, question), *groups, *twins)


def missing_controls(lookup: Lookup) -> tuple[str, ...]:
    """Return in words the controls of a complete study that this run lacks."""
    return tuple(control_words(name) for name in EXPECTED if name not in lookup.controls())


def control_question(lookup: Lookup) -> Question | None:
    """Return the question at which controls are read: the primary endpoint's, or the ladder's."""
    if lookup.primary is not None:
        return question_of(lookup.primary)
    return ladder_question(lookup, lookup.targets[0]) if lookup.targets else None


def question_words(question: Question) -> str:
    """Return a question in words."""
    setting = setting_words(question.shots, question.probe)
    return f"{question.target}: {joined(metric_words(question.metric), setting)}"


def _findings(lookup: Lookup, question: Question) -> Iterator[Finding]:
    names = (*EXPECTED, *(name for name in lookup.controls() if name not in EXPECTED))
    alarms = alarm_rows(lookup)
    for control in names:
        if control == "permuted-labels":
            yield from _permuted(lookup, question, alarms)
            continue
        # Shuffled time is read by the primary source's encoder; the other controls have none.
        primary = lookup.primary
        source = primary.source if primary and control == "shuffled-time" else None
        row = lookup.control(control, question, source=source)
        if row is not None and row.value is not None:
            yield Finding(control, control_words(control), _compared(lookup, question, row))


def _compared(lookup: Lookup, question: Question, row: ResultRow) -> Phrase:
    assert row.control is not None, "only controls are compared here"
    what = CONTROLS[row.control].purpose or control_words(row.control)
    own: Phrase = (what[0].upper() + what[1:], ". It scores ", *with_interval(row))
    primary = lookup.primary
    source = primary.source if primary else next(iter(lookup.sources), None)
    measured = lookup.measured(source, question) if source else None
    if source is None or measured is None or measured.value is None:
        return (*own, ".")
    against: Phrase = (f"; “{source}” scores ", *with_interval(measured))
    # Where a probe failed under one seed, those that both answered must not stand for all seeds.
    gap = lookup.difference(source, row.control, question)
    is_whole = gap is not None and gap.problem is None
    rows = lookup.judging(lookup.every(source, row.control, question)) if is_whole else ()
    paired = _paired(rows, lookup.margin)
    if source in lookup.unlearned:
        paired = (*paired[:-1], f": nothing is claimed, “{source}” has not learned its own labels.")
    return (*own, *against, *paired)


def _paired(rows: tuple[ResultRow, ...], margin: float) -> Phrase:
    """Return the paired difference of a source from a control, with its verdict."""
    if not rows:
        return ("; the two were not compared", ".")
    parts: list[str | Number] = [
        "; paired, the source minus the control is ",
        f"(points, interval {interval_words(rows[0].interval)}) ",
    ]
    for row in rows:
        parts += [f"seed {row.seed}: "] if len(rows) > 1 else []
        parts += [*with_interval(row, signed=True), ", "]
    return (*parts[:-1], f": {_RELATION[verdict_of(rows, margin=margin)]}.")


_RELATION = {
    Verdict.BETTER: "the source is better",
    Verdict.WORSE: "the source is worse, training added nothing that the control lacks",
    Verdict.NO_DIFFERENCE: "no difference beyond the study's margin",
    Verdict.UNSEPARATED: "the two cannot be told apart",
    Verdict.NO_INTERVAL: "without an interval nothing is said",
}


def _permuted(
    lookup: Lookup, question: Question, alarms: tuple[ResultRow, ...]
) -> Iterator[Finding]:
    rows = [row for row in lookup.rows if row.control == "permuted-labels"]
    if not rows:
        return
    primary = lookup.primary
    own = lookup.control("permuted-labels", question, source=primary.source if primary else None)
    found = (own, lookup.control("permuted-labels", question), *rows)
    here = next(row for row in found if row is not None and row.value is not None)
    chance = lookup.chance(here.target, here.metric)
    sentence: Phrase = (
        "With the target's training labels shuffled, a sound measurement falls to chance. "
        f"“{here.source}” then scores ",
        *with_interval(here),
        f" in {metric_words(here.metric)}",
    )
    if chance is not None and chance.value is not None:
        sentence = (*sentence, "; chance is ", percent_number(chance.value))
    if here.p is not None:
        sentence = (*sentence, "; ", p_number(here.p))
    checked = count_words(len(rows), "row")
    rule = f"p < {ALARM_LEVEL:g} after correction"
    verdict = f". No alarm in {checked} (it rings at {rule})."
    if alarms:
        verdict = (
            f". ALARM: {len(alarms)} of {checked} above chance at {rule}: labels may be leaking, "
            "and no number of this run should be used."
        )
    if all(row.p is None for row in rows):
        verdict = (
            f". The alarm could not be evaluated: it needs {FEWEST_DRAWS} support draws or more "
            "(transfer.draws), which do not all score the same."
        )
    title = control_words("permuted-labels")
    yield Finding("permuted-labels", title, (*sentence, verdict), is_alarm=bool(alarms))


def _permutation_tests(lookup: Lookup) -> list[tuple[float, ResultRow]]:
    rows = (row for row in lookup.rows if row.control == "permuted-labels")
    return [(row.p, row) for row in rows if row.p is not None]


def alarm_rows(lookup: Lookup) -> tuple[ResultRow, ...]:
    """Return the shuffled-label rows that lie above chance after correction for their number."""
    tests = _permutation_tests(lookup)
    return tuple(row for p, row in tests if is_alarm(p, family=len(tests)))


def alarm_phrase(lookup: Lookup) -> Phrase:
    """Return the alarm that opens the page where shuffled labels score above chance; else ()."""
    tests = _permutation_tests(lookup)
    alarms = [(p, row) for p, row in tests if is_alarm(p, family=len(tests))]
    if not alarms:
        return ()
    least, worst = min(alarms, key=lambda each: each[0])
    chance = lookup.chance(worst.target, worst.metric)
    against: Phrase = ()
    if chance is not None and chance.value is not None:
        against = (" where chance is ", percent_number(chance.value))
    return (
        "The control with shuffled target labels scores above chance in "
        f"{len(alarms)} of {count_words(len(tests), 'test')} (p < {ALARM_LEVEL:g} after "
        f"correction): features of “{worst.source}” reach ",
        percent_number(value_of(worst)),
        *against,
        f" on {worst.target} (",
        p_number(least),
        "). Something leaks: do not use the numbers of this run.",
    )


def warnings_of(lookup: Lookup) -> tuple[Phrase, ...]:
    """Return the warnings at the top of the page."""
    run, warnings = lookup.run, list[Phrase]()
    if unusable := _unusable(run):
        warnings.append((unusable,))
    unmeasured = [
        source.name
        for source in lookup.source_settings
        if not any(row.source == source.name for row in (*lookup.rows, *lookup.failures))
    ]
    kinds = processors_of(run.provenance)
    if len(kinds) > 1:
        warnings.append(
            (
                f"The run was computed on {len(kinds)} kinds of processor ({'; '.join(kinds)}): "
                "another run with the same seeds need not give the same bits.",
            )
        )
    if lookup.failures:
        warnings.append((_failed_probes(lookup),))
    if unmeasured:
        warnings.append((f"The run is unfinished: no results yet for {', '.join(unmeasured)}.",))
    return tuple(warnings)


def _failed_probes(lookup: Lookup) -> str:
    """Return what has no result because a probe failed, and the first reason."""
    single = [row for row in lookup.failures if row.versus is None and row.seed is not None]
    rows = single or list(lookup.failures)
    failed = unique(
        f"{row.source or row.control} on {row.target}, {shots_words(row.shots)} "
        f"{probe_words(row.probe)}"
        for row in rows
    )
    more = f" and {len(failed) - MOST_FAILED} more" if len(failed) > MOST_FAILED else ""
    return (
        f"A probe failed, so that there is no result of: {'; '.join(failed[:MOST_FAILED])}{more}. "
        f"{printable(rows[0].problem or '')}"
    )


def _unusable(run: RunFolder) -> str:
    """Return how many clips failed or ended early; "" where all were whole."""
    failed = max((row.failed for row in run.rows), default=0)
    truncated = max((row.truncated for row in run.rows), default=0)
    found = []
    if failed:
        clips = "1 clip" if failed == 1 else f"up to {failed:,} clips of one measurement"
        found.append(f"{clips} failed to decode, counted as wrong and not replaced")
    if truncated:
        clips = "1 clip" if truncated == 1 else f"up to {truncated:,} clips of one measurement"
        found.append(f"{clips} ended early")
    if run.ledger:
        found.append(f"the ledger below lists {count_words(len(run.ledger), 'problem')}")
    return f"Not every clip was whole: {'; '.join(found)}." if found else ""


def false_claims(lookup: Lookup) -> Phrase:
    """Return how many comparisons of twins would have been claimed; () without twins.

    Each probe, number of shots and target counts once, at the study's metric and read-out. A
    comparison is claimed on the terms of a single endpoint: intervals that leave out 0 and, over
    several seeds, a p of the paired t test below .05. Nothing is corrected, and none of them is in
    the Holm family.
    """
    compared = [found for pair in lookup.twins.items() for found in _twin_rows(lookup, *pair)]
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


def _twin_rows(lookup: Lookup, twin: str, own: str) -> list[tuple[ResultRow, ...]]:
    """Return, for each comparison of twins that has a result, the rows that judge it."""
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
            found.append(lookup.judging(lookup.every(twin, own, question)))
    return found


def _is_claimed(lookup: Lookup, rows: tuple[ResultRow, ...]) -> bool:
    """Whether a difference would be called better or worse if it were an endpoint."""
    first = rows[0]
    question = Question(first.target, first.probe, first.shots, first.metric)
    tested = lookup.tested(first.source or "", first.versus or "", question)
    p = None if tested is None else tested.p
    verdict = verdict_of(rows, margin=lookup.margin, p_holm=p)
    return verdict in (Verdict.BETTER, Verdict.WORSE)


def regrouped_phrases(lookup: Lookup, question: Question) -> Iterator[Phrase]:
    """Yield, for each source that learned random groups, its score and its paired difference.

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
        yield (phrase, *with_interval(row), *_regrouped_difference(lookup, question, source))


def _regrouped_difference(lookup: Lookup, question: Question, source: Source) -> Phrase:
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
