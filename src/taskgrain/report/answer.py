"""The answer to the study's question, in words that follow the primary endpoint's rows."""

from __future__ import annotations

from dataclasses import dataclass

from taskgrain.config.testing import FamilyEndpoint
from taskgrain.report.controls import alarm_rows
from taskgrain.report.everywhere import everywhere, scale_words
from taskgrain.report.lookup import (
    KITCHENWARE,
    SEED_INTERVALS,
    Lookup,
    is_step,
    pair_of,
    question_of,
)
from taskgrain.report.verdict import Verdict, is_separated, is_within, judge
from taskgrain.report.words import (
    Number,
    Phrase,
    count_words,
    interval_words,
    joined,
    metric_words,
    p_number,
    percent_number,
    points_number,
    printable,
    setting_words,
    span,
    value_of,
    with_interval,
)
from taskgrain.results import ResultRow
from taskgrain.statistics.intervals import CONFIDENCE
from taskgrain.statistics.tests import LEVEL

SEEDS_FOR_A_CLAIM = 8  # below it a run describes itself (docs: protocol, "What may be claimed")


@dataclass(frozen=True, slots=True)
class Answer:
    """The verdict, the sentence that states it with its numbers, and what limits it."""

    verdict: Verdict
    sentence: Phrase
    limits: tuple[Phrase, ...]
    is_preview: bool
    everywhere: Phrase = ()  # the same comparison on every target; nothing where there is one


def answer(lookup: Lookup) -> Answer:
    """Answer the study's question from its primary endpoint (`report.verdict`), nothing else."""
    primary = lookup.primary
    if primary is None:
        sentence: Phrase = (
            "There is no study file, so no primary endpoint is known and no single answer stated; "
            "the table below holds every difference.",
        )
        return Answer(Verdict.NO_ROW, sentence, (), is_preview=True)
    judged = judge(lookup, primary)
    if not judged.rows:
        return Answer(Verdict.NO_ROW, _absent(primary), (), is_preview=True)
    verdict, rows, best = judged.verdict, judged.rows, judged.rows[0]
    if best.problem is not None:
        return Answer(Verdict.NO_ROW, _failed(primary, best.problem), (), is_preview=True)
    is_preview = _is_preview(lookup, primary, best)
    finer = is_finer(lookup, *pair_of(primary))
    further = everywhere(lookup, finer=finer)
    limits = _limits(lookup, primary, best, is_all=not further)
    return Answer(
        verdict,
        (
            *_claim(verdict, primary, best, finer=finer),
            *_numbers(lookup, primary, rows, verdict),
            *_corrected(lookup, rows, judged.p_holm),
        ),
        (*limits, *_alignment(lookup, primary, verdict, finer=finer)),
        is_preview,
        further,
    )


def is_finer(lookup: Lookup, source: str, versus: str) -> bool:
    """Whether both classify, and the source's level stands later on the ladder."""
    facts = {each.name: each for each in lookup.source_settings}
    pair = [facts.get(name) for name in (source, versus)]
    if any(each is None or not is_step(each) for each in pair):
        return False
    if len({each.classify for each in pair if each is not None}) < 2:
        return False  # of encoders, say, at one level
    return lookup.sources.index(source) > lookup.sources.index(versus)


def _claim(verdict: Verdict, primary: FamilyEndpoint, row: ResultRow, *, finer: bool) -> Phrase:
    source, versus = pair_of(primary)
    pair = f"“{source}” and “{versus}”"
    ours = f"the finer labels, “{source}”," if finer else f"“{source}”"
    these = "" if row.interval in SEED_INTERVALS else ", of these encoders,"
    trained, than = f"Training on {ours} gave features", f"training on “{versus}”"
    if verdict is Verdict.NOT_LEARNED:
        return (f"Nothing is claimed of features from {pair}",)
    claims = {
        Verdict.BETTER: f"{trained} that transfer better than {than}",
        Verdict.WORSE: f"{trained} that transfer worse than {than}",
        Verdict.NO_DIFFERENCE: f"Features from {pair}{these} transfer equally well",
        Verdict.UNSEPARATED: f"Features from {pair} cannot be told apart",
        Verdict.NO_INTERVAL: f"Features from {pair} were compared without an interval",
    }
    return (claims[verdict],)


def _numbers(
    lookup: Lookup, primary: FamilyEndpoint, rows: tuple[ResultRow, ...], verdict: Verdict
) -> Phrase:
    question = question_of(primary)
    setting = joined(metric_words(primary.metric), setting_words(primary.shots, primary.probe))
    measured = f" on {primary.target} ({setting})"
    ours, theirs = (lookup.measured(name, question) for name in pair_of(primary))
    levels: Phrase = ()
    if len(rows) == 1 and ours is not None and theirs is not None:
        levels = (
            ": ",
            percent_number(value_of(ours)),
            " against ",
            percent_number(value_of(theirs)),
        )
    if len(rows) > 1:
        return (measured, _one_by_one(rows[0]), *_each_seed(rows))
    return (measured, *levels, *_one_difference(rows[0], verdict, lookup.margin))


def _one_by_one(row: ResultRow) -> str:
    return f". Each encoder seed, in percentage points, interval {interval_words(row.interval)}: "


def _each_seed(rows: tuple[ResultRow, ...]) -> Phrase:
    parts: list[str | Number] = []
    for row in rows:
        parts += [f"seed {row.seed}: ", *with_interval(row, signed=True)]
        parts.append("; " if row is not rows[-1] else ".")
    return tuple(parts)


def _one_difference(row: ResultRow, verdict: Verdict, margin: float) -> Phrase:
    difference: Phrase = (", a difference of ", points_number(value_of(row)), " percentage points")
    if row.low is None or row.high is None:
        return (*difference, ". Without an interval nothing is claimed.")
    interval: Phrase = (
        f" ({100 * CONFIDENCE:.0f} % interval ",
        *span(row.low, row.high, signed=True),
        f", {interval_words(row.interval)})",
    )
    return (*difference, *interval, *_beside_margin(row, verdict, margin))


def _beside_margin(row: ResultRow, verdict: Verdict, margin: float) -> Phrase:
    """Return what the interval says of 0 and of the margin that the study names."""
    if is_within(row, margin) and verdict is not Verdict.NOT_LEARNED:
        assert row.low_90 is not None, "it lies within"
        assert row.high_90 is not None, "it lies within"
        inner: Phrase = ("its 90 % interval, ", *span(row.low_90, row.high_90, signed=True))
        small = f" lies within the margin of {100 * margin:g} points"
        if verdict is Verdict.NO_DIFFERENCE:
            return ("; ", *inner, f",{small} that counts as no difference.")
        return ("; it is small: ", *inner, f",{small}.")
    return (".",) if is_separated(row) else (", and the interval includes 0.",)


def _corrected(lookup: Lookup, rows: tuple[ResultRow, ...], p_holm: float | None) -> Phrase:
    """Return what the correction over all endpoints left, where there are several or it decides."""
    if p_holm is None:
        return ()
    number = len(lookup.endpoints)
    overruled = p_holm >= LEVEL and all(map(is_separated, rows))
    if number < 2 and not overruled:
        return ()
    over = f", corrected by Holm over {number} endpoints" if number > 1 else ""
    verdict = f", which is not below {LEVEL:g}" if overruled else ""
    return (" The paired t test over seeds gives ", p_number(p_holm), f"{over}{verdict}.")


def _absent(primary: FamilyEndpoint) -> Phrase:
    where = _endpoint_words(primary)
    return (f"No answer yet: the run holds no row for the primary endpoint, {where}.",)


def _failed(primary: FamilyEndpoint, problem: str) -> Phrase:
    return (
        f"No result: the probe failed at the primary endpoint, {_endpoint_words(primary)}. "
        f"{printable(problem)}",
    )


def _endpoint_words(primary: FamilyEndpoint) -> str:
    source, versus = pair_of(primary)
    return (
        f"“{source}” minus “{versus}” on {primary.target} "
        f"({metric_words(primary.metric)}, {setting_words(primary.shots, primary.probe)})"
    )


def _is_preview(lookup: Lookup, primary: FamilyEndpoint, row: ResultRow) -> bool:
    seeds = lookup.seeds_of(*pair_of(primary))
    is_small = len(seeds) < SEEDS_FOR_A_CLAIM or row.interval not in SEED_INTERVALS
    return is_small or bool(alarm_rows(lookup))


def _limits(
    lookup: Lookup, primary: FamilyEndpoint, row: ResultRow, *, is_all: bool
) -> tuple[Phrase, ...]:
    """Return what an answer does not say; if it is all of the headline, also what it rests on."""
    seeds = len(lookup.seeds_of(*pair_of(primary)))
    world = lookup.world_of(primary.target)
    within = "one drawn world" if world else "one target data set"
    ran = "one seed" if seeds == 1 else count_words(seeds, "seed")
    where = f"{within}, {ran}"
    if is_all and world and lookup.run.seal is not None:
        where = f"{within} ({scale_words(lookup)})"
    limits: list[Phrase] = []
    if alarm_rows(lookup):
        limits.append(("The control with shuffled labels failed: this answer may not be used.",))
    if seeds < SEEDS_FOR_A_CLAIM:
        limits.append(
            (
                f"Within {where}: a preview; not a claim "
                f"(a claim needs {SEEDS_FOR_A_CLAIM} encoder seeds or more).",
            )
        )
    elif row.interval not in SEED_INTERVALS:
        limits.append((f"The run has {ran}, but no interval over them: a preview; not a claim.",))
    else:
        limits.append((f"Within {where}; one target says nothing of others.",))
    return tuple(limits)


def _alignment(
    lookup: Lookup, primary: FamilyEndpoint, verdict: Verdict, *, finer: bool
) -> tuple[Phrase, ...]:
    """Return what a target that asks for what the finer labels tell shows; nothing of others."""
    outcomes = {
        Verdict.BETTER: "it came out",
        Verdict.WORSE: "finer labels made it worse, so it failed",
        Verdict.NO_DIFFERENCE: "finer labels made no difference, so it failed",
        Verdict.UNSEPARATED: "it is undecided",
        Verdict.NO_INTERVAL: "it is undecided",
        Verdict.NOT_LEARNED: "it was not put to the test",
    }
    if not finer or lookup.world_of(primary.target) not in KITCHENWARE:
        return ()
    if not lookup.has_one_origin(pair_of(primary)):  # encoders are compared, not labels
        return ()
    return (
        (
            "The target asks for what the finer labels say, a positive control: "
            f"{outcomes[verdict]}.",
        ),
    )
