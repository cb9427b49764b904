"""Two sources on the same clips, support draws and encoder seeds: the rows of their difference.

A difference that needs answers which a probe failed to give has a row with the problem.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial

import numpy as np
from numpy.typing import NDArray

from taskgrain.results import ResultRow
from taskgrain.statistics.crossed import crossed_fault, crossed_interval
from taskgrain.statistics.intervals import (
    CLIP_METRICS,
    ClipBootstrap,
    ClipMetric,
    Interval,
    clip_weights,
)
from taskgrain.statistics.student import has_spread, paired_interval
from taskgrain.transfer.answers import (
    Answers,
    Evaluation,
    answers_like,
    by_subject,
    paired_by_readout,
    problem_of,
    varies,
)
from taskgrain.transfer.rows import check_bootstrap, row_of, shown_rows
from taskgrain.transfer.score_tables import PairedTable


def difference_rows(
    evaluations: Sequence[Evaluation],
    pairs: Sequence[tuple[str, str]],
    *,
    study: str,
    bootstrap: ClipBootstrap,
) -> list[ResultRow]:
    """Compare pairs of sources on the same clips, support draws and encoder seeds.

    A pair gives, for each probe, number of shots and metric: a row for every seed, with a "clips"
    interval conditional on both encoders; and, from two seeds up, rows without a seed for the
    mean difference: "clips" (conditional on these encoders), "seeds" (paired t test) and, where
    `statistics.crossed` offers it, "crossed" (over seeds, draws, clips and classes). Equal
    read-outs are paired: one that either source lacks gives no row.

    Args:
        evaluations: of one target, with true labels.
        pairs: (source, versus) for the differences source - versus.
        study: its name.
        bootstrap: over the labels of that target's scored clips.

    Raises:
        ResultError: if a source of a pair has no evaluation, or lacks a seed that the other has.
        ValueError: if the bootstrap is over other clips.
    """
    groups = [group for group in by_subject(evaluations) if group[0].subject.control is None]
    rows = []
    for source, versus in pairs:
        for first, second in paired_by_readout(groups, source, versus):
            rows += _pair(first, second, study=study, bootstrap=bootstrap)
    return shown_rows(rows, bootstrap)


def _pair(
    first: Sequence[Evaluation],
    second: Sequence[Evaluation],
    *,
    study: str,
    bootstrap: ClipBootstrap,
) -> list[ResultRow]:
    """Compare two sources, those probes apart that have no answers for a seed of either."""
    whole = [a for a in first[0].answers if problem_of((*first, *second), a) is None]
    rows = []
    if whole:
        found = [replace(first[0], answers=tuple(whole)), *first[1:]]
        rows += _difference(found, second, study=study, bootstrap=bootstrap)
    for answers in first[0].answers:
        if answers not in whole:
            rows += _broken_difference(first, second, answers, study=study, bootstrap=bootstrap)
    return rows


def _difference(
    first: Sequence[Evaluation],
    second: Sequence[Evaluation],
    *,
    study: str,
    bootstrap: ClipBootstrap,
) -> list[ResultRow]:
    """Compare two sources, seed by seed and over the seeds."""
    for evaluation in (*first, *second):
        check_bootstrap(evaluation, bootstrap)
        if evaluation.clip_ids != first[0].clip_ids:
            raise ValueError(
                f"{evaluation.subject.source} was scored on other clips: nothing to pair"
            )
    compared, versus = first[0].answers, second[0].subject.source
    scores = PairedTable.of(first, second, compared)
    of_metric = {m: bootstrap.intervals(scores, metric=m) for m in CLIP_METRICS}
    rows = []
    for index, answers in enumerate(compared):
        ours, theirs = scores.scores(index)  # (seeds, N)
        is_sample = len(first) > 1 and (varies(first, answers) or varies(second, answers))
        places = slice(index * scores.sets_of_answer, (index + 1) * scores.sets_of_answer)
        for metric in CLIP_METRICS:
            weights = clip_weights(bootstrap.category, metric=metric)
            found = pair_intervals(
                of_metric[metric][places],
                (ours @ weights).tolist(),
                (theirs @ weights).tolist(),
                is_sample=is_sample,
                crossed=partial(_crossed, first, second, answers, metric),
            )
            for place, interval in found:
                row = row_of(
                    first[0], answers, study=study, metric=metric, interval=interval, versus=versus
                )
                rows.append(replace(row, seed=None if place is None else first[place].subject.seed))
    return rows


def pair_intervals(
    clips: Sequence[Interval],
    ours: Sequence[float],
    theirs: Sequence[float],
    *,
    is_sample: bool,
    crossed: Callable[[], list[Interval]],
) -> list[tuple[int | None, Interval]]:
    """List the intervals of a paired difference: of each seed, then over the seeds.

    Args:
        clips: S + 1 intervals conditional on the encoders: of each seed, and of their mean.
        ours: S values, one a seed.
        theirs: S values of the same seeds.
        is_sample: whether any seed differs from another; otherwise there is no test over them.
        crossed: returns the interval over seeds, draws, clips and classes, if there is one.

    Returns:
        The place of the seed, None for all of them, with the interval.
    """
    found: list[tuple[int | None, Interval]] = [*enumerate(clips[:-1])]
    if len(ours) > 1:
        found.append((None, clips[-1]))
        if is_sample:
            if has_spread(ours, theirs):
                found.append((None, paired_interval(ours, theirs, kind="seeds")))
            found += [(None, each) for each in crossed()]
    return found


def _broken_difference(
    first: Sequence[Evaluation],
    second: Sequence[Evaluation],
    answers: Answers,
    *,
    study: str,
    bootstrap: ClipBootstrap,
) -> list[ResultRow]:
    """Compare two sources of which a seed has no answers of a probe at some number of shots.

    Seeds that both have answers keep their rows; the others, and the seeds together, have one with
    the problem for each metric.
    """
    rows = []

    def add(pairs: Sequence[Evaluation], seed: int | None) -> None:
        problem = problem_of(pairs, answers)
        plain = replace(answers, chosen=None, chosen_on=None, problem=problem)
        for metric in CLIP_METRICS:
            row = row_of(
                first[0],
                plain,
                study=study,
                metric=metric,
                interval=None,
                versus=second[0].subject.source,
            )
            rows.append(replace(row, seed=seed))

    for ours, theirs in zip(first, second, strict=True):
        if problem_of((ours, theirs), answers) is None:
            alone = replace(ours, answers=(answers_like(ours, answers),))
            rows.extend(_difference([alone], [theirs], study=study, bootstrap=bootstrap))
        else:
            add((ours, theirs), ours.subject.seed)
    if len(first) > 1:
        add((*first, *second), None)
    return rows


def _crossed(
    first: Sequence[Evaluation],
    second: Sequence[Evaluation],
    answers: Answers,
    metric: ClipMetric,
) -> list[Interval]:
    right = [
        np.stack([each.correct(answers_like(each, answers)) for each in group]).astype(np.int8)
        for group in (first, second)
    ]  # (seeds, draws, N) each
    return crossed_intervals(right[0] - right[1], first[0].labels, metric)


def crossed_intervals(
    values: NDArray[np.generic],
    labels: NDArray[np.int64],
    metric: ClipMetric,
    *,
    known: NDArray[np.float64] | None = None,
) -> list[Interval]:
    """Return the interval over seeds, draws, clips and classes, where it holds its coverage.

    Args:
        values: (S, R, N), of a seed, a draw and a clip, the difference of two answers.
        labels: int64 (N,).
        metric: how clips are weighed.
        known: float64 (N,), subtracted of every seed and draw.
    """
    fault = crossed_fault(labels, num_seeds=values.shape[0], num_draws=values.shape[1])
    return (
        [] if fault is not None else [crossed_interval(values, labels, metric=metric, known=known)]
    )
