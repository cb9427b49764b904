"""The answer to the study's question in words: for the page, and as plain text for the terminal.

The primary endpoint's rows give the verdict; then the same comparison on every other target; then
what the answer does not say.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from taskgrain.config.testing import FamilyEndpoint
from taskgrain.names import MEAN_OVER_TASKS, mean_over_kind
from taskgrain.report.controls import alarm_phrase, alarm_rows
from taskgrain.report.endpoint_tables import elsewhere
from taskgrain.report.lookup import (
    KITCHENWARE,
    SEED_INTERVALS,
    Lookup,
    comparison_of,
    is_step,
    pair_of,
    question_of,
    unique,
)
from taskgrain.report.run_folder import read_run_folder
from taskgrain.report.source_tables import learned_phrase
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
    plain,
    points_number,
    printable,
    setting_words,
    shots_words,
    span,
    value_of,
    with_interval,
)
from taskgrain.results import ResultRow
from taskgrain.statistics.intervals import CONFIDENCE
from taskgrain.statistics.tests import LEVEL, SEEDS_FOR_A_CLAIM


@dataclass(frozen=True, slots=True)
class Answer:
    """The verdict, the sentence that states it with its numbers, and what neither says."""

    verdict: Verdict
    sentence: Phrase
    limits: tuple[Phrase, ...]
    is_preview: bool
    everywhere: Phrase = ()  # the same comparison on every target; empty where there is one target


def answer(lookup: Lookup) -> Answer:
    """Answer the study's question from its primary endpoint alone (`report.verdict`)."""
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
    """Whether both sources classify, and the first at a level later on the ladder."""
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
    # An interval over clips takes these encoders as given, and says nothing of others.
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
    # The two levels are printed with one difference alone: with several seeds they are means, which
    # differ by none of the differences that follow.
    if len(rows) == 1 and ours is not None and theirs is not None:
        levels = (
            ": ",
            percent_number(value_of(ours)),
            " against ",
            percent_number(value_of(theirs)),
        )
    if len(rows) > 1:
        return (measured, *_each_seed(rows))
    return (measured, *levels, *_one_difference(rows[0], verdict, lookup.margin))


def _each_seed(rows: tuple[ResultRow, ...]) -> Phrase:
    kind = interval_words(rows[0].interval)
    parts: list[str | Number] = [f". Each encoder seed, in percentage points, interval {kind}: "]
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
    """Return where the interval lies relative to 0 and to the margin that the study names."""
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
    """Return the corrected p where there are several endpoints or it overrules an interval."""
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
    # A failed control makes every claim a preview: something may leak into the features.
    is_small = len(seeds) < SEEDS_FOR_A_CLAIM or row.interval not in SEED_INTERVALS
    return is_small or bool(alarm_rows(lookup))


def _limits(
    lookup: Lookup, primary: FamilyEndpoint, row: ResultRow, *, is_all: bool
) -> tuple[Phrase, ...]:
    """Return what the answer does not claim; where it `is_all`, with clips, seeds and seal."""
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
    """Return the outcome of a positive control; nothing for other targets."""
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


def everywhere(lookup: Lookup, *, finer: bool) -> Phrase:
    """Return the primary comparison on each target, and the differences between targets.

    Empty where it was read on one target alone, which the answer has stated, and where a source has
    not learned its own labels.

    Args:
        lookup: the rows of the run.
        finer: whether the source's labels are finer than those it is compared with.
    """
    primary, others = lookup.primary, elsewhere(lookup)
    if primary is None or {*pair_of(primary)} & set(lookup.unlearned):
        return ()
    tasks = tuple(_over_tasks(lookup, primary))
    found = [(each, lookup.difference(*comparison_of(each))) for each in (primary, *others)]
    shown = [(each, row) for each, row in found if row is not None and row.value is not None]
    if not shown or not (shown[1:] or tasks):
        return ()
    parts: list[str | Number] = [_begin(lookup, primary)]
    for index, (each, row) in enumerate(shown):
        joint = ", and by " if index == len(shown) - 1 else ", by "
        parts += [" by " if index == 0 else joint, *_points(row, has_unit=index == 0)]
        parts.append(f" on {each.target}{_asks(lookup, each, finer=finer)}")
    kinds = {row.interval for _, row in shown if row.low is not None}
    intervals = [interval_words(kind) for kind in sorted(map(str, kinds))]
    parts.append(f" (95 % intervals {' or '.join(intervals)})." if intervals else ".")
    parts += tasks
    for each in lookup.endpoints[1:]:
        if each.minus_target is not None and _is_same(primary, each):
            parts += _between(lookup, each)
    return (*parts, " Nothing was measured on Something-Something." if lookup.source_world else "")


def _begin(lookup: Lookup, primary: FamilyEndpoint) -> str:
    what = f"{shots_words(primary.shots)} accuracy".strip()  # the answer names metric and probe
    where = "In a drawn world" if lookup.source_world else "On these clips"
    source, versus = pair_of(primary)
    return f"{where} ({scale_words(lookup)}), “{source}” in place of “{versus}” changed {what}"


def scale_words(lookup: Lookup) -> str:
    """Return what the primary comparison rests on: drawn clips for each seed, and seeds.

    A study that was sealed before its targets were drawn adds the parameters of its encoder and the
    place of this seal among its seals: "297,920 parameters, 12,000 clips, 8 seeds, seal 1 of 1".
    """
    run, study = lookup.run, lookup.run.study
    names = () if lookup.primary is None else pair_of(lookup.primary)
    parts = [count_words(len(lookup.seeds_of(*names)), "seed")]
    if study is None or not lookup.source_world:
        return parts[0]
    # Of sources that hold categories out, and draw no clips, the number depends on the seed.
    clips = study.data.draw or (None if study.data.hold_out else study.data.train)
    if clips is not None:
        parts.insert(0, f"{clips:,} clips")
    if run.seal is not None:
        if run.parameters is not None:
            parts.insert(0, f"{run.parameters:,} parameters")
        parts.append(f"seal {run.seal}")
    return ", ".join(parts)


def _points(row: ResultRow, *, has_unit: bool) -> Phrase:
    return with_interval(row, signed=True, unit=" points" if has_unit else "")


def _asks(lookup: Lookup, endpoint: FamilyEndpoint, *, finer: bool) -> str:
    """Return what is known of a target: held out, or a task that the finer labels name."""
    world, targets = lookup.world_of(endpoint.target), lookup.target_settings
    if any(each.name == endpoint.target and each.is_held_out for each in targets):
        return ", whose categories no source learned"
    if world not in KITCHENWARE or not finer or not lookup.has_one_origin(pair_of(endpoint)):
        return ""
    if world == "kitchenware-far":
        return ", which asks for the same in another look"
    return ", which asks for what the finer labels say"


def _over_tasks(lookup: Lookup, primary: FamilyEndpoint) -> Iterator[str | Number]:
    """Yield the mean over the tasks of each target whose tasks are a sample."""
    rows = [row for row in lookup.rows if (row.source, row.versus) == pair_of(primary)]
    of_target = {(row.target, row.metric): row for row in rows if row.interval == "tasks"}
    for target in unique(target for target, _ in of_target):
        yield f" Over the {lookup.num_tasks(target)} tasks of {target} as a sample it is"
        words = (
            (MEAN_OVER_TASKS, ""),
            (mean_over_kind("named"), " where the labels name what is asked"),
            (mean_over_kind("kind-named"), " where they name its kind"),
            (mean_over_kind("unnamed"), " where they add nothing"),
        )
        shown = [(of_target.get((target, metric)), where) for metric, where in words]
        for index, (row, where) in enumerate((r, w) for r, w in shown if r is not None):
            yield "," if index else ""
            yield " "
            yield from _points(row, has_unit=index == 0)
            yield where
        yield f", {interval_words('tasks')}."


def _between(lookup: Lookup, endpoint: FamilyEndpoint) -> Iterator[str | Number]:
    row = lookup.difference(*comparison_of(endpoint))
    if row is None or row.value is None:
        return
    yield f" The gain on {endpoint.target} minus the gain on {endpoint.minus_target} is "
    yield from _points(row, has_unit=True)
    yield f", {interval_words(row.interval)}." if row.low is not None else "."


def _is_same(primary: FamilyEndpoint, endpoint: FamilyEndpoint) -> bool:
    """Whether an endpoint is the primary comparison, but taken between two targets."""
    alike = {"target": primary.target, "minus_target": None}
    return endpoint.model_copy(update=alike) == primary


def summarise(run_dir: Path) -> str:
    """Return which sources learned, the run's answer and its limits, as the report begins.

    Where shuffled labels score above chance, a line with the alarm comes first.

    Raises:
        ResultError: if results.jsonl is absent, or a file of the folder is malformed.
    """
    lookup = Lookup(read_run_folder(run_dir))
    found = answer(lookup)
    phrases = (learned_phrase(lookup), found.sentence, found.everywhere, *found.limits)
    text = " ".join(plain(phrase) for phrase in phrases if phrase)
    alarm = plain(alarm_phrase(lookup))
    return f"ALARM. {alarm}\n\n{text}" if alarm else text
