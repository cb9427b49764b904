"""Rows of what was answered in folds: values, paired differences and floors, over recordings.

Shapes: N clips, U units: recordings, or clips where these are not known; S seeds.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from taskgrain.names import CLIP_METRICS, ClipMetric, IntervalKind
from taskgrain.results import ResultRow
from taskgrain.statistics.intervals import Interval, clip_weights
from taskgrain.teaching.estimate import Value
from taskgrain.tools.compare.differences import STUDY, Finding, repeated
from taskgrain.tools.compare.folds import Folding
from taskgrain.transfer.answers import Answers, Evaluation, answers_like, problem_of, varies
from taskgrain.transfer.rows import (
    Found,
    floor_rows,
    measured_rows,
    metric_value,
    paired_intervals,
    row_of,
    weighed,
)
from taskgrain.transfer.task import TargetTask

ROUNDING = 12  # decimals of a share: what differs by less is equal


def interval_in_folds(
    scores: NDArray[np.float64], folding: Folding, *, metric: ClipMetric, lowest: float = 0.0
) -> Interval:
    """Weigh the scores of clips that were answered in folds, with a t interval over recordings.

    With w_i the weight of clip i, x_i its score and v the value, a recording r of U has

        v_r = v + U sum over clips i of r of w_i (x_i - v),

    of mean v; where recordings have as many clips and "top-1" is asked that is the share of its
    clips that are right. The interval of the v_r is that of `teaching.estimate.Value`: U - 1
    degrees of freedom, and wider because folds share what they learn from.

    Args:
        scores: float64 (N,), in [0, 1], or in [-1, 1] for differences.
        folding: the clips.
        metric: how clips are weighed.
        lowest: that a value can be.

    Returns:
        Of kind "recordings", or "clips" where each clip is a unit; n counts them, and is 1 where
        there is no interval: fewer than five, or all alike. p is that of "the value is 0".
    """
    weight = clip_weights(folding.task.query_labels, metric=metric)
    value = float(np.clip(scores @ weight, lowest, 1.0))
    moved = np.bincount(folding.unit_of, weight * (scores - scores @ weight))  # (U,)
    of_unit = np.round(value + folding.num_units * moved, ROUNDING)
    kind: IntervalKind = "clips" if folding.recordings is None else "recordings"
    found = Value.of(of_unit, num_folds=folding.num_folds, lowest=lowest)
    if found is None or found.interval is None:
        return Interval(kind, value, value, value, 1)
    held = found.interval
    low, high = min(held.low, value), max(held.high, value)
    low_90, high_90 = (value if end is None else end for end in (held.low_90, held.high_90))
    return replace(
        held,
        kind=kind,
        value=value,
        low=low,
        high=high,
        low_90=min(max(low_90, low), value),
        high_90=max(min(high_90, high), value),
    )


def value_rows(evaluations: Sequence[Evaluation], folding: Folding) -> list[ResultRow]:
    """Write a row for each evaluation, probe and metric."""
    rows = []
    for each in evaluations:
        for answers in each.answers:
            for metric in CLIP_METRICS:
                measured: Interval | str = answers.problem or replace(
                    interval_in_folds(each.scores(answers), folding, metric=metric), p=None
                )
                found: Found = [(each.subject.seed, measured)]
                rows += measured_rows(each, answers, found, study=STUDY, metric=metric)
    return rows


def folded_differences(
    first: Sequence[Evaluation], primary: Sequence[Evaluation], folding: Folding
) -> tuple[list[ResultRow], list[Finding]]:
    """Compare a source with the primary on the same folds, seed by seed.

    With two seeds or more the test is the paired t over them, otherwise that over recordings.

    Returns:
        All rows of differences, and the findings without their Holm correction.
    """
    count = max(len(first), len(primary))
    ours, theirs = repeated(first, count), repeated(primary, count)
    rows: list[ResultRow] = []
    findings = []
    for answers in ours[0].answers:
        for metric in CLIP_METRICS:
            own = _difference_rows(ours, theirs, answers, folding, metric)
            rows += own
            findings.append(_finding(own, has_seeds=count > 1))
    return rows, findings


def _difference_rows(
    ours: Sequence[Evaluation],
    theirs: Sequence[Evaluation],
    answers: Answers,
    folding: Folding,
    metric: ClipMetric,
) -> list[ResultRow]:
    versus = theirs[0].subject.source
    problem = problem_of([*ours, *theirs], answers)
    if problem is not None:
        row = row_of(ours[0], answers, problem, study=STUDY, metric=metric, versus=versus)
        return [row if len(ours) == 1 else replace(row, seed=None)]
    gaps = np.stack(
        [
            one.scores(answers_like(one, answers)) - other.scores(answers_like(other, answers))
            for one, other in zip(ours, theirs, strict=True)
        ]
    )  # (S, N)
    found = paired_intervals(
        [each.subject.seed for each in ours],
        [
            interval_in_folds(gap, folding, metric=metric, lowest=-1.0)
            for gap in (*gaps, gaps.mean(axis=0))
        ],
        *(
            [metric_value(each, answers_like(each, answers), metric) for each in group]
            for group in (ours, theirs)
        ),
        is_sample=varies(ours, answers) or varies(theirs, answers),
    )
    return measured_rows(ours[0], answers, found, study=STUDY, metric=metric, versus=versus)


def _finding(rows: Sequence[ResultRow], *, has_seeds: bool) -> Finding:
    summary = [row for row in rows if row.seed is None] if has_seeds else list(rows)
    tested = next((row for row in summary if row.interval == "seeds"), summary[0])
    # The same encoder under every seed is no sample of seeds: nothing is tested over them.
    if has_seeds and tested.interval != "seeds":
        return Finding(replace(tested, p=None), (), None)
    return Finding(tested, tuple(row for row in summary if row is not tested), None)


def folded_floors(task: TargetTask) -> list[ResultRow]:
    """Score what needs no features: chance, and the class that most clips are of."""
    chance, *majority = floor_rows(task, study=STUDY)
    commonest = np.bincount(task.query_labels).argmax()
    right = ((task.query_labels == commonest) & task.is_decoded).astype(np.float64)
    weights = (clip_weights(task.query_labels, metric=metric) for metric in CLIP_METRICS)
    return [
        chance,
        *(
            replace(row, value=weighed(right, weight))
            for row, weight in zip(majority, weights, strict=True)
        ),
    ]
