"""Evaluations turned into rows of results: values, intervals, floors, of draws and of episodes.

A probe without answers has its rows all the same, with the problem and without a value; so has
whatever would be computed from such a value. Rows without a seed then come once, not once for each
kind of interval.

Shapes: N scored clips, E episodes, the same ones for every subject; S encoder seeds.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from taskgrain.names import CLIP_METRICS, ClipMetric
from taskgrain.results import ResultRow, Shots
from taskgrain.statistics.intervals import ClipBootstrap, Interval, clip_weights
from taskgrain.statistics.tests import (
    has_spread,
    mean_interval,
    paired_interval,
    permuted_label_interval,
)
from taskgrain.transfer.answers import (
    Answers,
    Evaluation,
    Group,
    HitTable,
    answers_like,
    by_subject,
    paired_by_readout,
    problem_of,
    seeds_of,
    varies,
)
from taskgrain.transfer.fitting import NO_ANSWER
from taskgrain.transfer.task import TargetTask

Measured = Interval | str  # a value with its interval, or the problem that left none
Found = list[tuple[int | None, Measured]]  # of each seed, None for all of them together

# Chance is then 1 / K even for a probe that always answers one class.
PERMUTED_METRIC: ClipMetric = "mean-per-class"


def clip_rows(
    evaluations: Iterable[Evaluation], *, study: str, bootstrap: ClipBootstrap
) -> list[ResultRow]:
    """Write a row for each evaluation, probe, number of shots and metric, with a "clips" interval.

    The evaluations are of one target, with true labels, and the bootstrap over its scored clips.

    Raises:
        ValueError: if the bootstrap is over other clips.
    """
    rows = []
    for evaluation in evaluations:
        check_bootstrap(evaluation, bootstrap)
        answered = [answers for answers in evaluation.answers if answers.problem is None]
        intervals: dict[ClipMetric, Iterator[Interval]] = {}
        if answered:
            scores = HitTable.of(evaluation, answered)
            intervals = {m: iter(bootstrap.intervals(scores, metric=m)) for m in CLIP_METRICS}
        for answers in evaluation.answers:
            for metric in CLIP_METRICS:
                measured = answers.problem or next(intervals[metric])
                rows.append(row_of(evaluation, answers, measured, study=study, metric=metric))
    return shown_rows(rows, bootstrap)


def permuted_rows(evaluations: Iterable[Evaluation], *, study: str) -> list[ResultRow]:
    """Write a row for each evaluation with permuted labels, probe and number of shots.

    Its interval is over draws and its `p` is against chance, uncorrected: the reader of
    the rows counts them for `statistics.tests.is_alarm`.
    """
    return [
        row_of(
            evaluation,
            answers,
            answers.problem or _over_permutations(evaluation, answers),
            study=study,
            metric=PERMUTED_METRIC,
        )
        for evaluation in evaluations
        for answers in evaluation.answers
    ]


def _over_permutations(evaluation: Evaluation, answers: Answers) -> Interval:
    weights = clip_weights(evaluation.labels, metric=PERMUTED_METRIC)
    predicted = answers.predicted
    # A clip that failed is wrong whatever the labels: chance is that of the clips that were
    # decoded.
    decoded = float((predicted[0] != NO_ANSWER) @ weights)
    # Rounded, so that equal draws stay equal whatever the order of summation.
    accuracies = np.round((predicted == evaluation.labels) @ weights, 12)  # (draws,)
    chance = decoded / len(evaluation.class_names)
    return permuted_label_interval(accuracies.tolist(), chance=chance)


def seed_rows(evaluations: Sequence[Evaluation], *, study: str) -> list[ResultRow]:
    """Compute the mean over encoder seeds with its t interval, where a source has two or more.

    Rows have no seed; `n` stays the number of scored clips of each seed. Where every seed answers
    alike, as an encoder does of which nothing was drawn, there is no sample, and no interval.
    """
    rows = []
    for group in by_subject(evaluations):
        if len(group) < 2:
            continue
        for answers in group[0].answers:
            problem = problem_of(group, answers)
            is_sample = problem is None and varies(group, answers)
            scores = [] if problem else [each.scores(answers_like(each, answers)) for each in group]
            for metric in CLIP_METRICS:
                weights = clip_weights(group[0].labels, metric=metric)
                measured = problem or mean_interval(
                    [weighed(each, weights) for each in scores], kind="seeds"
                )
                row = row_of(group[0], answers, measured, study=study, metric=metric)
                rows.append(replace(row if is_sample else without_interval(row), seed=None))
    return rows


def floor_rows(task: TargetTask, *, study: str) -> list[ResultRow]:
    """Score what needs no features: chance (top-1, 1 / K) and the majority class of the pool.

    A failed clip is wrong for the majority as for everyone. Ties go to the class of the lower
    index.
    """
    labels, right = task.query_labels, majority_right(task)
    row = ResultRow(
        study=study,
        target=task.name,
        metric="top-1",
        value=1.0 / len(task.class_names),
        n=len(labels),
        failed=int((~task.is_decoded).sum()),
        truncated=len(task.truncated.intersection(task.query_ids)),
        control="chance",
    )
    majority = [
        replace(
            row,
            metric=metric,
            value=min(1.0, float(right @ clip_weights(labels, metric=metric))),
            control="majority",
        )
        for metric in CLIP_METRICS
    ]
    return [row, *majority]


def majority_right(task: TargetTask) -> NDArray[np.float64]:
    """Mark the scored clips that are of the pool's commonest class and were decoded: (N,)."""
    num_classes = len(task.class_names)
    pool = np.bincount(task.support_labels[task.has_support], minlength=num_classes)
    return ((task.query_labels == pool.argmax()) & task.is_decoded).astype(np.float64)


def shown_rows(rows: list[ResultRow], bootstrap: ClipBootstrap) -> list[ResultRow]:
    """Leave the intervals over clips out where a class has too few clips for them."""
    if bootstrap.is_sound:
        return rows
    return [without_interval(row) if row.interval == "clips" else row for row in rows]


def without_interval(row: ResultRow) -> ResultRow:
    """Return a row without its intervals."""
    return replace(row, interval=None, low=None, high=None, low_90=None, high_90=None)


def added_counts(rows: Iterable[ResultRow]) -> dict[str, Any]:
    """Add up the columns that count clips: n, failed and truncated."""
    names, listed = ("n", "failed", "truncated"), list(rows)
    return {name: sum(getattr(row, name) for row in listed) for name in names}


def without_choice(answers: Answers) -> Answers:
    """Leave out a probe's choice, for numbers of several probes that each made their own."""
    return replace(answers, chosen=None, chosen_on=None)


def measured_rows(
    evaluation: Evaluation,
    answers: Answers,
    found: Found,
    *,
    study: str,
    metric: str,
    versus: str | None = None,
) -> list[ResultRow]:
    """Write a row for each seed, and for the seeds together; an interval of one unit is not shown.

    The rows name subject, clips, probe and shots of an evaluation of the first seed and of its
    answers; `versus` is the source or control that is subtracted.
    """
    rows = []
    for seed, measured in found:
        row = row_of(evaluation, answers, measured, study=study, metric=metric, versus=versus)
        is_one = isinstance(measured, Interval) and measured.n < 2
        rows.append(replace(without_interval(row) if is_one else row, seed=seed))
    return rows


def row_of(
    evaluation: Evaluation,
    answers: Answers,
    measured: Measured,
    *,
    study: str,
    metric: str,
    versus: str | None = None,
) -> ResultRow:
    """Write the row of a value with its interval, or of the problem that left none."""
    columns: dict[str, Any] = {"value": None, "problem": measured}
    if not isinstance(measured, str):
        columns = interval_columns(measured, is_difference=versus is not None)
        columns |= {"chosen": answers.chosen, "chosen_on": answers.chosen_on}
    return ResultRow(
        study=study,
        source=evaluation.subject.source,
        seed=evaluation.subject.seed,
        target=evaluation.target,
        probe=answers.probe,
        readout=evaluation.subject.readout,
        shots=answers.shots,
        metric=metric,
        n=len(evaluation.labels),
        failed=evaluation.failed,
        truncated=evaluation.truncated,
        draws=answers.num_draws,
        versus=versus,
        control=evaluation.subject.control,
        **columns,
    )


def interval_columns(interval: Interval, *, is_difference: bool = False) -> dict[str, Any]:
    """Return a row's columns of an interval; only differences have the one of 90 % too."""
    return {
        "value": interval.value,
        "interval": interval.kind,
        "low": interval.low,
        "high": interval.high,
        "p": interval.p,
        "low_90": interval.low_90 if is_difference else None,
        "high_90": interval.high_90 if is_difference else None,
    }


def paired_intervals(
    seeds: Sequence[int | None],
    conditional: Sequence[Interval],
    ours: Sequence[float],
    theirs: Sequence[float],
    *,
    is_sample: bool,
    crossed: Callable[[], list[Interval]] = list,
) -> Found:
    """List the intervals of a paired difference: of each seed, then over the seeds.

    Args:
        seeds: S encoder seeds.
        conditional: S + 1 intervals that take the encoders as given: of each seed, and of the mean.
        ours: S values, one a seed.
        theirs: S values of the same seeds.
        is_sample: whether any seed differs from another; otherwise there is no test over them.
        crossed: returns the interval over seeds, draws, clips and classes, if there is one.
    """
    # A test over seeds wants seeds that differ, in their answers (a published network has one
    # encoder under every seed) and in their differences: equal ones would give t a spread of 0, or
    # of rounding.
    *of_seeds, of_mean = conditional
    intervals: Found = [*zip(seeds, of_seeds, strict=True)]
    if len(seeds) > 1:
        intervals.append((None, of_mean))
        if is_sample:
            if has_spread(ours, theirs):
                intervals.append((None, paired_interval(ours, theirs, kind="seeds")))
            intervals += [(None, each) for each in crossed()]
    return intervals


def metric_value(evaluation: Evaluation, answers: Answers, metric: ClipMetric) -> float:
    """Compute an accuracy of one evaluation, in [0, 1]."""
    return weighed(evaluation.scores(answers), clip_weights(evaluation.labels, metric=metric))


def weighed(scores: NDArray[np.float64], weights: NDArray[np.float64]) -> float:
    """Weigh scores (N,): in [0, 1], never a last bit over 1."""
    return min(1.0, float(scores @ weights))


def check_bootstrap(evaluation: Evaluation, bootstrap: ClipBootstrap) -> None:
    """Refuse a bootstrap over other clips than were scored.

    Raises:
        ValueError: naming the target.
    """
    # Clips are resampled within classes: over other labels the interval would be of another target.
    if not np.array_equal(evaluation.labels, bootstrap.category):
        raise ValueError(
            f"the bootstrap is not over the scored clips of {evaluation.target}: "
            "their labels differ"
        )


def episode_rows(
    found: Sequence[Evaluation], pairs: Sequence[tuple[str, str]], *, study: str
) -> list[ResultRow]:
    """Write the rows of one target's episodes, for each probe and number of shots.

    Every subject has a row for each seed with an interval of kind "episodes" (Student's t over
    episodes, conditional on the encoder and on the clips that they are drawn from) and, from two
    seeds up, one without a seed over the "seeds". A pair of sources has a row for every seed,
    paired by episode; and from two seeds up two without a seed: conditional on these encoders,
    and the paired t test over seeds. Then chance, 1 / ways.

    Pairs are (source, versus) for the differences source - versus; equal read-outs are paired. The
    metric is one such as "5-way-accuracy"; `draws` is the number of episodes, and n counts the
    clips that queries are drawn from. A single episode has no interval.

    Raises:
        ResultError: if a source of a pair is not there, or lacks a seed that the other has.
        ValueError: if a pair did not answer as many episodes.
    """
    rows: list[ResultRow] = []
    answered: dict[tuple[str | None, Shots], tuple[Answers, list[Evaluation]]] = {}
    for one in found:
        for each in one.answers:
            answered.setdefault((each.probe, each.shots), (each, []))[1].append(one)
    for kind, evaluations in answered.values():
        groups, metric = by_subject(evaluations), f"{kind.num_ways}-way-accuracy"
        for group in groups:
            own, levels = answers_like(group[0], kind), _levels(group, kind)
            rows += measured_rows(group[0], own, levels, study=study, metric=metric)
        of_sources = [group for group in groups if group[0].subject.control is None]
        for source, versus in pairs:
            for first, second in paired_by_readout(of_sources, source, versus):
                own, gaps = answers_like(first[0], kind), _differences(first, second, kind)
                rows += measured_rows(
                    first[0], own, gaps, study=study, metric=metric, versus=versus
                )
    return [*rows, *_chance(found, study)]


def _levels(group: Group, kind: Answers) -> Found:
    """Measure one subject: each seed over its episodes, then the mean over the seeds."""
    levels: Found = []
    for one in group:
        problem = answers_like(one, kind).problem
        levels.append((one.subject.seed, problem or _over_episodes(_accuracies(one, kind))))
    if len(group) < 2:
        return levels
    problem = problem_of(group, kind)
    if problem is not None:
        return [*levels, (None, problem)]
    means = [float(_accuracies(one, kind).mean()) for one in group]
    interval = mean_interval(means, kind="seeds")
    if not varies(group, kind):  # one encoder, however often it is listed: a sample of one
        interval = Interval("seeds", interval.value, interval.value, interval.value, 1)
    return [*levels, (None, interval)]


def _differences(first: Group, second: Group, kind: Answers) -> Found:
    """Compare two sources, seed by seed and over the seeds."""
    if len({answers_like(one, kind).num_draws for one in (*first, *second)}) > 1:
        raise ValueError(
            f"{first[0].subject.source} and {second[0].subject.source} did not answer as "
            "many episodes"
        )
    problem = problem_of([*first, *second], kind)
    if problem is not None:
        if len(first) < 2:
            return [(first[0].subject.seed, problem)]
        each_seed = (_differences([a], [b], kind) for a, b in zip(first, second, strict=True))
        return [*(row for rows in each_seed for row in rows), (None, problem)]
    ours = np.stack([_accuracies(one, kind) for one in first])  # (S, E)
    theirs = np.stack([_accuracies(one, kind) for one in second])
    return paired_intervals(
        seeds_of(first),
        [_over_episodes(row) for row in (*(ours - theirs), (ours - theirs).mean(axis=0))],
        ours.mean(axis=1).tolist(),
        theirs.mean(axis=1).tolist(),
        is_sample=varies(first, kind) or varies(second, kind),
    )


def _accuracies(evaluation: Evaluation, kind: Answers) -> NDArray[np.float64]:
    return evaluation.accuracies(answers_like(evaluation, kind))


def _over_episodes(values: NDArray[np.float64]) -> Interval:
    """Average float64 (E,), with its t interval; of one episode the value alone."""
    if len(values) < 2:
        value = float(values.mean())
        return Interval("episodes", value, value, value, len(values))
    return mean_interval(values.tolist(), kind="episodes")


def _chance(found: Group, study: str) -> list[ResultRow]:
    of_ways = {each.num_ways: one for one in found for each in one.answers}
    return [
        ResultRow(
            study=study,
            target=one.target,
            metric=f"{num_ways}-way-accuracy",
            value=1.0 / (num_ways or 1),
            n=len(one.labels),
            failed=one.failed,
            truncated=one.truncated,
            control="chance",
        )
        for num_ways, one in of_ways.items()
    ]
