"""What a reader of the comparison has to know, one sentence a fact."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from taskgrain.results import ResultRow
from taskgrain.statistics.groups import FEWEST_FREEDOM
from taskgrain.statistics.intervals import FEWEST_CLIPS
from taskgrain.statistics.tests import (
    ALARM_LEVEL,
    FEWEST_DRAWS,
    SEEDS_FOR_A_CLAIM,
    is_alarm,
)
from taskgrain.teaching.estimate import FEWEST_RECORDINGS
from taskgrain.tools.compare.comparison import Comparison
from taskgrain.tools.compare.differences import crossed_classes
from taskgrain.tools.compare.folds import MOST_PERMUTED_CLIPS, Folding
from taskgrain.tools.compare.lines import single_over
from taskgrain.tools.compare.sources import Coverage
from taskgrain.transfer.evaluate import FEWEST_SHOTS_TO_STANDARDISE
from taskgrain.transfer.probes.neighbours import MAX_KERNEL_CLIPS

SHOWN = 10  # clips named in one note


def alarms_of(comparison: Comparison) -> tuple[str, ...]:
    """Return an alarm for each probe fitted on permuted labels that scores above chance."""
    tested = _tested_permutations(comparison)
    return tuple(
        f"permuted labels score above chance: {row.source}, seed {row.seed}, {row.probe} "
        f"{row.shots}-shot, {row.value or 0.0:.1%} (p = {row.p:.1g}, level {ALARM_LEVEL} over "
        f"{len(tested)} tests): nothing can be learned there, so look for a leak before believing "
        "any number"
        for row in tested
        if row.p is not None and is_alarm(row.p, family=len(tested))
    )


def preview_of(comparison: Comparison) -> str | None:
    """Return the note that seeds are too few to claim anything of training; None if not."""
    fewest = min(comparison.num_seeds.values())
    if fewest >= SEEDS_FOR_A_CLAIM:
        return None
    counts = ", ".join(f"{name} {count}" for name, count in comparison.num_seeds.items())
    speaks = "differences speak of these encoders"
    if len(comparison.num_seeds) == 1:
        speaks = "this speaks of " + ("these encoders" if fewest > 1 else "this encoder")
    return (
        f"encoder seeds: {counts}; what holds for the way an encoder was trained takes "
        f"{SEEDS_FOR_A_CLAIM} seeds or more, so {speaks}"
    )


def notes_of(comparison: Comparison) -> tuple[str, ...]:
    """Return how clips were divided, what is missing, and what the intervals and tests mean."""
    return (
        *_division(comparison),
        *_missing(comparison),
        *_failures(comparison),
        *_probes(comparison),
        *_intervals(comparison),
        *_tests(comparison),
        *_controls(comparison),
    )


def _division(comparison: Comparison) -> Iterator[str]:
    plan, task = comparison.plan, comparison.task
    if comparison.folding is not None:
        yield from _folds(comparison.folding, seed=plan.seed)
    elif comparison.is_divided_here:
        by = "group" if comparison.has_groups else "clip"
        yield (
            f"clips were divided by {by}, class by class, from seed {plan.seed}, the same for all "
            "sources"
        )
    else:
        yield "the labels say which clips are learned from and which are scored"
    if not comparison.has_groups and comparison.folding is None:
        yield (
            "without --groups, clips of one recording may be on both sides, which flatters all "
            "sources"
        )
    if comparison.torn:
        yield (
            f"{len(comparison.torn)} recordings have clips on both sides of the given split, which "
            f"flatters all sources: {_some(comparison.torn)}; --folds recordings keeps them whole"
        )
    if comparison.left_out:
        yield f"{comparison.left_out} validation clips were left out: there is a test split"
    scored = set(task.query_labels.tolist())
    absent = [name for index, name in enumerate(task.class_names) if index not in scored]
    if absent:
        yield f"no clip is scored of {len(absent)} classes: {_some(absent)}"
    for name in comparison.by_order:
        yield f"{name}: the file has no ids; its rows were taken in the order of the labels"


def _folds(folding: Folding, *, seed: int) -> Iterator[str]:
    if folding.reason is not None:
        yield (
            f"{folding.reason}, so every clip is answered in folds; --shots, --draws or --support "
            "ask for a division nevertheless"
        )
    units, known = folding.num_units, folding.recordings is not None
    what = "recordings" if known else "clips"
    how = f"{folding.num_folds} folds of {units} whole {what}"
    if folding.num_folds == units:
        how = f"{units} folds, one for each {what[:-1]}"
    yield (
        f"every clip is scored once, by probes that learned from clips of the other folds: "
        f"{how}, dealt class by class from seed {seed}, the same for all sources; of every class "
        "the same share, so that the class that is held out is not known by what it lacks"
    )
    if not known:
        yield (
            "which clips are of one recording is not known: they may be in several folds, which "
            "flatters all sources; --groups FILE names them"
        )
    if folding.lone:
        yield (
            f"left out are {len(folding.lone)} classes of one {what[:-1]}, which no other one can "
            f"teach: {_some(folding.lone)}"
        )


def _missing(comparison: Comparison) -> Iterator[str]:
    for each in comparison.coverage:
        where = each.source
        if comparison.num_seeds[each.source] > 1:
            where = f"{each.source}, seed {each.seed}"
        yield from _coverage(where, each, num_scored=len(comparison.task.query_ids))


def _coverage(where: str, each: Coverage, *, num_scored: int) -> Iterator[str]:
    if each.scored:
        yield (
            f"{where}: no features of {len(each.scored)} of {num_scored} scored clips, which count "
            f"as wrong: {_some(each.scored)}"
        )
        if 2 * len(each.scored) > num_scored:
            yield (
                f"{where}: that is most of them; if they were never meant to be compared, leave "
                "them out of the labels"
            )
    if each.support:
        yield (
            f"{where}: no features of {len(each.support)} clips to learn from, which no source was "
            f"given: {_some(each.support)}"
        )
    if each.unused:
        yield f"{where}: features of {each.unused} clips that have no label here were not used"


def _failures(comparison: Comparison) -> Iterator[str]:
    """Name each probe without a result on a source, and the reason."""
    failed = [
        row for row in comparison.rows if row.problem and row.seed is not None and not row.versus
    ]
    found: dict[tuple[str, str], list[str]] = {}
    for row in failed:
        setting = f"{row.probe} at {row.shots}"
        if row.control is not None:
            setting += " with permuted labels"
        found.setdefault((f"{row.source}, seed {row.seed}", row.problem or ""), []).append(setting)
    for (where, problem), settings in found.items():
        yield f"{where}: no result of {_some(list(dict.fromkeys(settings)))}: {problem}"


def _probes(comparison: Comparison) -> Iterator[str]:
    counted = [shots for shots in comparison.plan.shots if shots != "all"]
    few = [shots for shots in counted if shots < FEWEST_SHOTS_TO_STANDARDISE]
    if few:
        words = " and ".join(f"{each}-shot" for each in sorted(few))
        yield (
            f"features are standardised by the support that is learned from; at {words} by "
            "all clips that could be learned from, without their labels"
        )
    else:
        yield "features are standardised by the support that is learned from"
    if counted:
        yield f"values are means over {comparison.plan.num_draws} support draws, all clips over one"
    answered = {(row.probe, row.shots) for row in comparison.rows}
    for shots in comparison.plan.shots:
        if "rbf-ridge" in comparison.plan.probes and ("rbf-ridge", shots) not in answered:
            yield f"rbf-ridge takes at most {MAX_KERNEL_CLIPS} clips: it has no answer at {shots}"


def _intervals(comparison: Comparison) -> Iterator[str]:
    bootstrap = comparison.bootstrap
    if bootstrap is None:
        yield from _intervals_in_folds(comparison)
        return
    if not bootstrap.is_sound:
        yield f"no interval or test over {_unsound(comparison)}"
    elif comparison.repeats_groups:
        yield (
            "intervals are 95 %; over groups: other groups of clips of these classes, as other "
            "recordings, with these encoders and support draws"
        )
    else:
        yield (
            "intervals are 95 %; over clips: other clips of these classes, with these encoders "
            "and support draws"
        )
    seeds = max(comparison.num_seeds.values())
    if seeds < 2:
        return
    yield "over seeds: other encoders trained the same way, on the same clips and draws"
    draws = comparison.plan.num_draws
    classes = crossed_classes(bootstrap, num_seeds=seeds, num_draws=draws)
    if classes is not None:
        together = "and classes together" if classes == "random" else "together, of these classes"
        yield f"over seeds x draws x clips: other seeds, support draws, clips {together}"
    elif comparison.repeats_groups:
        yield (
            "no crossed interval: it takes 3 seeds, 1 or at least 5 draws, 5 classes, and groups "
            "of one class each"
        )
    else:
        yield "no crossed interval: it takes 3 seeds, and 1 or at least 5 draws"
    single = [name for name, count in comparison.num_seeds.items() if count == 1]
    if single:
        yield f"one encoder of {_some(single)} is held against every seed: it is taken as given"


def _intervals_in_folds(comparison: Comparison) -> Iterator[str]:
    folding = comparison.folding
    assert folding is not None, "clips have a bootstrap or folds"
    what = "clips" if folding.recordings is None else "recordings"
    if folding.num_units < FEWEST_RECORDINGS:
        yield f"no interval or test over {what}: it takes 5, and there are {folding.num_units}"
    else:
        yield (
            f"intervals are 95 %; over {what}: Student's t over other {what} of these classes, "
            "with these encoders, wider because folds share what they learn from; none where all "
            f"{what} are answered alike"
        )
    if max(comparison.num_seeds.values()) > 1:
        yield "over seeds: other encoders trained the same way, on the same folds"


def _unsound(comparison: Comparison) -> str:
    """Return the units over which there is no interval, and why."""
    labels = comparison.task.query_labels
    if np.unique(labels, return_counts=True)[1].min() < FEWEST_CLIPS:
        return f"clips: a class has fewer than {FEWEST_CLIPS} scored clips"
    return (
        "groups: too few are scored, or too unequal: one may hold half of a class at most, and "
        f"{FEWEST_FREEDOM:.0f} degrees of freedom are needed"
    )


def _tests(comparison: Comparison) -> Iterator[str]:
    family = [each for each in comparison.findings if each.p_holm is not None]
    if not family:
        return
    failed = [
        each
        for each in comparison.findings
        if each.row.problem is not None and each.row.metric == comparison.plan.metric
    ]
    kinds = {each.row.interval for each in family}
    units = single_over(comparison)
    single = f"t over other {units}, these encoders held (at all clips, that support too)"
    if comparison.folding is not None:
        units = "clips" if comparison.folding.recordings is None else "recordings"
        single = f"t over other {units}, these encoders held"
    test = "paired t over seeds" if "seeds" in kinds else f"as their intervals, {single}"
    if len(kinds) > 1:
        test = f"paired t over seeds; with one encoder a source, {single}"
    yield (
        f"p: {test}; corrected by Holm over all {len(family) + len(failed)} differences in "
        f"{comparison.plan.metric}; other metrics are secondary and uncorrected"
    )


def _controls(comparison: Comparison) -> Iterator[str]:
    tested = _tested_permutations(comparison)
    if tested and not alarms_of(comparison):
        yield f"permuted labels, mean per class: no alarm in {len(tested)} tests"
    elif not tested and comparison.folding is not None:
        yield f"permuted labels were not tested: there are more than {MOST_PERMUTED_CLIPS} clips"
    elif not tested:
        yield (
            f"permuted labels were not tested: it takes {FEWEST_DRAWS} draws at some number of "
            "shots"
        )


def _tested_permutations(comparison: Comparison) -> list[ResultRow]:
    return [
        row for row in comparison.rows if row.control == "permuted-labels" and row.p is not None
    ]


def _some(names: Sequence[str]) -> str:
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return ", ".join(names[:SHOWN]) + more
