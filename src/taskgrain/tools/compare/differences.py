"""Paired differences from the primary source, their tests, and one Holm family around them.

Shapes: S seeds, R draws, N scored clips, K classes.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from taskgrain.names import ClipMetric
from taskgrain.results import ResultRow, select
from taskgrain.statistics.crossed import Classes, crossed_fault, crossed_interval
from taskgrain.statistics.groups import GroupSums
from taskgrain.statistics.intervals import ClipBootstrap, Interval, clip_weights
from taskgrain.statistics.tests import from_error, holm
from taskgrain.transfer.answers import Answers, Evaluation, answers_like
from taskgrain.transfer.difference_rows import difference_rows

Floats = NDArray[np.float64]

STUDY = "compare"
ROUNDING = 1e-12  # of a sum of shares


@dataclass(frozen=True, slots=True)
class Finding:
    """One tested difference: source minus primary, at one probe, number of shots and metric."""

    row: ResultRow  # its `p` is uncorrected
    # Crossed, conditional on these encoders, ...: the same difference with other intervals.
    beside: tuple[ResultRow, ...]
    p_holm: float | None  # None outside the family, or where nothing could be tested


def differences(
    first: Sequence[Evaluation],
    primary: Sequence[Evaluation],
    *,
    bootstrap: ClipBootstrap,
) -> tuple[list[ResultRow], list[Finding]]:
    """Compare a source with the primary on the same clips and draws, seed by seed.

    With two seeds or more the test is the paired t over them; with one it is
    `single_encoder_interval`, conditional on both encoders. A source with one encoder is held
    against each of the other's seeds.

    Args:
        first: evaluations of the source, with true labels, one a seed.
        primary: those of the primary, as many, unless either has one.
        bootstrap: over the labels of the scored clips, and the groups that were recorded together.

    Returns:
        All rows of differences, and the findings without their Holm correction.
    """
    count = max(len(first), len(primary))
    ours, theirs = repeated(first, count), repeated(primary, count)
    pair = (ours[0].subject.source or "", theirs[0].subject.source or "")
    rows = difference_rows([*ours, *theirs], [pair], study=STUDY, bootstrap=bootstrap)
    # A crossed interval takes classes as independent, which groups of several classes are not.
    if bootstrap.groups is not None and bootstrap.groups.spans_classes:
        rows = [row for row in rows if row.interval != "crossed"]
    found = []
    for answers in ours[0].answers:
        for metric in ("top-1", "mean-per-class"):
            own = select(rows, probe=answers.probe, shots=answers.shots, metric=metric)
            found.append(_finding(own, ours, theirs, answers=answers, bootstrap=bootstrap))
    # A tested row stands in place of the one that it was made from, which has the same key; crossed
    # intervals of fixed classes come from here alone.
    extra = [row for each in found for row in each.beside if row not in rows]
    tested = {_key(each.row): each.row for each in found}
    return [*(tested.get(_key(row), row) for row in rows), *extra], found


def correct(findings: Sequence[Finding], *, metric: ClipMetric) -> list[Finding]:
    """Adjust by Holm the p values of all the differences of one metric: they are one family.

    A difference whose probe failed keeps its place in the family: it counts as one with p = 1.
    """
    family = [each.row for each in findings if each.row.metric == metric]
    tested_or_failed = [row for row in family if row.p is not None or row.problem is not None]
    adjusted = holm([1.0 if row.p is None else row.p for row in tested_or_failed])
    pairs = zip(tested_or_failed, adjusted, strict=True)
    of_row = {_key(row): p for row, p in pairs if row.problem is None}
    return [replace(each, p_holm=of_row.get(_key(each.row))) for each in findings]


# With W_c the weight of class c, n_c its clips, s_c^2 the variance of their scores (means over
# draws), and s_R^2 the variance of the values of the R draws,
#
#     Var(value) = sum over classes c of W_c^2 s_c^2 / n_c + s_R^2 / R.
#
# The first part holds what draws do to single clips, and so does the second.
def single_encoder_interval(
    values: NDArray[np.int8],
    category: NDArray[np.int64],
    *,
    metric: ClipMetric,
    groups: GroupSums | None = None,
) -> Interval:
    """Compute by how much two encoders differ, over other clips of these classes and other draws.

    A stratified t interval and test: the encoders and classes are held; the clips of each class
    vary, and the support draws where there are several. It is a little too careful, as what draws
    and clips share counts twice. Degrees of freedom by Satterthwaite. With groups, these vary and
    not the clips for themselves (`GroupSums`).

    Args:
        values: int8 (R, N) of a draw and a clip, the difference of two answers: 1, 0 or -1.
        category: int64 (N,), at least 2 clips of each.
        metric: how clips are weighed.
        groups: of these clips, and sound; None: each clip for itself.

    Returns:
        Kind "clips"; p two-sided, without any spread 1 if the mean is zero, else 0.
    """
    weight = clip_weights(category, metric=metric)
    scores = values.mean(axis=0, dtype=np.float64)  # (N,)
    if groups is None:
        variances = _parts_of_clips(scores, category, weight)
    else:
        sums = groups.sums(scores[None], weight)[0]
        variances = [(float(sums @ sums), groups.freedom(weight))]
    if len(values) > 1:
        of_draw = values @ weight  # (R,)
        variances.append((float(of_draw.var(ddof=1)) / len(values), len(values) - 1))
    value = float(scores @ weight)
    value = 0.0 if abs(value) < ROUNDING else value  # scores that cancel, but for rounding
    total = math.fsum(variance for variance, _ in variances)
    if total < ROUNDING**2:
        return from_error(value, 0.0, df=math.inf, n=len(scores), kind="clips")
    df = total**2 / math.fsum(variance**2 / freedom for variance, freedom in variances)
    return from_error(value, math.sqrt(total), df=df, n=len(scores), kind="clips")


def _parts_of_clips(
    scores: Floats, category: NDArray[np.int64], weight: Floats
) -> list[tuple[float, float]]:
    """Compute each class's part of the variance, with its degrees of freedom."""
    parts: list[tuple[float, float]] = []
    for each in np.unique(category):
        own = category == each
        count = int(own.sum())
        spread = float(scores[own].var(ddof=1))
        parts.append((float(weight[own].sum()) ** 2 * spread / count, count - 1))
    return parts


def crossed_classes(bootstrap: ClipBootstrap, *, num_seeds: int, num_draws: int) -> Classes | None:
    """Return whether a crossed interval takes classes as random or fixed; None where neither holds.

    Where clips were recorded in groups, the spread of the classes holds that of their groups; of
    fixed classes, or groups of several classes, it would take each clip for itself.
    """
    groups = bootstrap.groups
    # Random first: it speaks of other classes too, where there are enough of them.
    kinds: tuple[Classes, ...] = ("random", "fixed") if groups is None else ("random",)
    if groups is not None and groups.spans_classes:
        return None
    for classes in kinds:
        fault = crossed_fault(
            bootstrap.category, num_seeds=num_seeds, num_draws=num_draws, classes=classes
        )
        if fault is None:
            return classes
    return None


def _finding(
    rows: Sequence[ResultRow],
    ours: Sequence[Evaluation],
    theirs: Sequence[Evaluation],
    *,
    answers: Answers,
    bootstrap: ClipBootstrap,
) -> Finding:
    """Make one finding of the rows of one probe, number of shots and metric."""
    metric: ClipMetric = "top-1" if rows[0].metric == "top-1" else "mean-per-class"
    failed = next((row for row in reversed(rows) if row.problem is not None), None)
    if failed is not None:  # the seeds together, where there are several
        return Finding(failed, (), None)
    if len(ours) == 1:
        if not bootstrap.is_sound:
            return Finding(rows[0], (), None)
        values = _values(ours[0], theirs[0], answers)
        interval = single_encoder_interval(
            values, bootstrap.category, metric=metric, groups=bootstrap.groups
        )
        # The bootstrap's interval holds the draws.
        value = min(max(rows[0].value or 0.0, interval.low), interval.high)
        return Finding(_with(rows[0], interval, value), (), None)
    summary = [row for row in rows if row.seed is None]
    tested = next((row for row in summary if row.interval == "seeds"), None)
    if tested is None:  # the same features under several seeds: one encoder is no sample
        return Finding(summary[0], (), None)
    crossed = [row for row in summary if row.interval == "crossed"]
    if not crossed:  # of too few classes to speak of others
        crossed = _crossed(tested, ours, theirs, answers=answers, bootstrap=bootstrap)
    clips = [row for row in summary if row.interval == "clips"]
    return Finding(tested, (*crossed, *clips), None)


def _crossed(
    tested: ResultRow,
    ours: Sequence[Evaluation],
    theirs: Sequence[Evaluation],
    *,
    answers: Answers,
    bootstrap: ClipBootstrap,
) -> list[ResultRow]:
    num_draws = answers.num_draws
    classes = crossed_classes(bootstrap, num_seeds=len(ours), num_draws=num_draws)
    if classes is None:
        return []
    pairs = zip(ours, theirs, strict=True)
    values = np.stack([_values(one, other, answers) for one, other in pairs])  # (S, R, N)
    metric: ClipMetric = "top-1" if tested.metric == "top-1" else "mean-per-class"
    interval = crossed_interval(values, bootstrap.category, metric=metric, classes=classes)
    # The same sum in another order.
    value = min(max(tested.value or 0.0, interval.low), interval.high)
    return [replace(_with(tested, interval, value), interval="crossed")]


def _with(row: ResultRow, interval: Interval, value: float) -> ResultRow:
    """Return a row with the bounds and p of an interval, around a value of its own rounding."""
    assert interval.low_90 is not None, "a t interval has both"
    assert interval.high_90 is not None, "a t interval has both"
    return replace(
        row,
        value=value,
        low=interval.low,
        high=interval.high,
        p=interval.p,
        low_90=min(interval.low_90, value),
        high_90=max(interval.high_90, value),
    )


def _values(one: Evaluation, other: Evaluation, answers: Answers) -> NDArray[np.int8]:
    """Subtract which answers were right: int8 (R, N)."""
    ours, theirs = (each.correct(answers_like(each, answers)) for each in (one, other))
    return ours.astype(np.int8) - theirs.astype(np.int8)


def repeated(evaluations: Sequence[Evaluation], count: int) -> list[Evaluation]:
    """Return as many evaluations as the other source has; a single one under each seed's number."""
    if len(evaluations) == count:
        return list(evaluations)
    # One encoder under each seed's number: it is paired with all of them, and does not vary.
    one = evaluations[0]
    return [replace(one, subject=replace(one.subject, seed=seed)) for seed in range(count)]


def _key(row: ResultRow) -> tuple[object, ...]:
    return (row.source, row.versus, row.probe, row.shots, row.metric, row.seed, row.interval)
