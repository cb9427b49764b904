"""Evaluations turned into rows of results: values, intervals, floors, of draws and of episodes.

A probe without answers has its rows all the same, with the problem and without a value; so has
whatever would be computed from such a value. Rows without a seed then come once, not once for each
kind of interval.

Shapes: N scored clips, E episodes, the same ones for every subject; S encoder seeds.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

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
    HitTable,
    answers_like,
    by_subject,
    paired_by_readout,
    problem_of,
    varies,
)
from taskgrain.transfer.fitting import NO_ANSWER
from taskgrain.transfer.task import TargetTask

PERMUTED_METRIC: ClipMetric = "mean-per-class"  # 1 / K even for a probe that answers one class


def clip_rows(
    evaluations: Iterable[Evaluation], *, study: str, bootstrap: ClipBootstrap
) -> list[ResultRow]:
    """Write one row an evaluation, probe, number of shots and metric, with a "clips" interval.

    Args:
        evaluations: of one target, with true labels.
        study: its name.
        bootstrap: over the labels of that target's scored clips.

    Raises:
        ValueError: if the bootstrap is over other clips.
    """
    rows = []
    for evaluation in evaluations:
        check_bootstrap(evaluation, bootstrap)
        found = [answers for answers in evaluation.answers if answers.problem is None]
        of_metric: dict[ClipMetric, Sequence[Interval]] = dict.fromkeys(CLIP_METRICS, ())
        if found:
            scores = HitTable.of(evaluation, found)
            of_metric = {m: bootstrap.intervals(scores, metric=m) for m in CLIP_METRICS}
        each = {m: iter(of_metric[m]) for m in CLIP_METRICS}
        rows += [
            row_of(
                evaluation,
                answers,
                study=study,
                metric=metric,
                interval=next(each[metric]) if answers.problem is None else None,
            )
            for answers in evaluation.answers
            for metric in CLIP_METRICS
        ]
    return shown_rows(rows, bootstrap)


def permuted_rows(evaluations: Iterable[Evaluation], *, study: str) -> list[ResultRow]:
    """Write one row an evaluation with permuted labels, probe and number of shots.

    Its interval is over draws and its `p` is against chance, uncorrected: whoever reads the rows
    counts them and asks `statistics.tests.is_alarm`.
    """
    rows = []
    for evaluation in evaluations:
        weights = clip_weights(evaluation.labels, metric=PERMUTED_METRIC)
        num_classes = len(evaluation.class_names)
        for answers in evaluation.answers:
            if answers.problem is not None:
                rows.append(
                    row_of(evaluation, answers, study=study, metric=PERMUTED_METRIC, interval=None)
                )
                continue
            predicted = answers.predicted
            decoded = float((predicted[0] != NO_ANSWER) @ weights)
            # Rounded, so that equal draws stay equal whatever the order of summation.
            accuracies = np.round((predicted == evaluation.labels) @ weights, 12)  # (draws,)
            interval = permuted_label_interval(accuracies.tolist(), chance=decoded / num_classes)
            rows.append(
                row_of(evaluation, answers, study=study, metric=PERMUTED_METRIC, interval=interval)
            )
    return rows


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
                if problem is not None:
                    plain = replace(answers, chosen=None, chosen_on=None, problem=problem)
                    row = row_of(group[0], plain, study=study, metric=metric, interval=None)
                    rows.append(replace(row, seed=None))
                    continue
                weights = clip_weights(group[0].labels, metric=metric)
                values = [weighed(each, weights) for each in scores]
                interval = mean_interval(values, kind="seeds")
                row = row_of(group[0], answers, study=study, metric=metric, interval=interval)
                if not is_sample:
                    row = without_interval(row)
                rows.append(replace(row, seed=None))
    return rows


def floor_rows(task: TargetTask, *, study: str) -> list[ResultRow]:
    """Score what needs no features: chance (top-1, 1 / K) and the majority class of the pool.

    A failed clip is wrong for the majority as for everyone. Ties go to the class of the lower
    index.
    """
    num_classes, labels = len(task.class_names), task.query_labels
    pool = np.bincount(task.support_labels[task.has_support], minlength=num_classes)
    right = ((labels == pool.argmax()) & task.is_decoded).astype(np.float64)
    row = ResultRow(
        study=study,
        target=task.name,
        metric="top-1",
        value=1.0 / num_classes,
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


def shown_rows(rows: list[ResultRow], bootstrap: ClipBootstrap) -> list[ResultRow]:
    """Leave the intervals over clips out where a class has too few clips for them."""
    if bootstrap.is_sound:
        return rows
    return [without_interval(row) if row.interval == "clips" else row for row in rows]


def without_interval(row: ResultRow) -> ResultRow:
    """Return a row without its intervals."""
    return replace(row, interval=None, low=None, high=None, low_90=None, high_90=None)


def row_of(
    evaluation: Evaluation,
    answers: Answers,
    *,
    study: str,
    metric: str,
    interval: Interval | None,
    versus: str | None = None,
) -> ResultRow:
    """Return the row of a value: what was measured, its interval, and the counts behind it.

    Without an interval it is the row of what has no value, because the answers have a problem.
    """
    assert (interval is None) == (answers.problem is not None), "a value, or a problem"
    return ResultRow(
        study=study,
        source=evaluation.subject.source,
        seed=evaluation.subject.seed,
        target=evaluation.target,
        probe=answers.probe,
        readout=evaluation.subject.readout,
        shots=answers.shots,
        metric=metric,
        value=None if interval is None else interval.value,
        interval=None if interval is None else interval.kind,
        low=None if interval is None else interval.low,
        high=None if interval is None else interval.high,
        n=len(evaluation.labels),
        failed=evaluation.failed,
        truncated=evaluation.truncated,
        draws=answers.num_draws,
        versus=versus,
        p=None if interval is None else interval.p,
        chosen=answers.chosen,
        chosen_on=answers.chosen_on,
        control=evaluation.subject.control,
        low_90=None if versus is None or interval is None else interval.low_90,
        high_90=None if versus is None or interval is None else interval.high_90,
        problem=answers.problem,
    )


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
    if not np.array_equal(evaluation.labels, bootstrap.category):
        raise ValueError(
            f"the bootstrap is not over the scored clips of {evaluation.target}: "
            "their labels differ"
        )


Group = Sequence[Evaluation]
# Of each seed, or None for all together: what was measured, or why nothing was.
Found = list[tuple[int | None, Interval | str]]


def episode_rows(
    found: Sequence[Evaluation], pairs: Sequence[tuple[str, str]], *, study: str
) -> list[ResultRow]:
    """Write the rows of one target's episodes, for each probe and number of shots.

    Every subject has a row for each seed with an interval of kind "episodes" (Student's t over
    episodes, conditional on the encoder and on the clips that they are drawn from) and, from two
    seeds up, one without a seed over the "seeds". A pair of sources has a row for every seed,
    paired by episode; and from two seeds up two without a seed: conditional on these encoders,
    and the paired t test over seeds. Then chance, 1 / ways.

    Args:
        found: evaluations over the same episodes of one target.
        pairs: (source, versus) for the differences source - versus; equal read-outs are paired.
        study: its name.

    Returns:
        Rows of metric "5-way-accuracy", say, whose `draws` is the number of episodes and whose n
        counts the clips that queries are drawn from. A single episode gives no interval.

    Raises:
        ResultError: if a source of a pair is not there, or lacks a seed that the other has.
        ValueError: if a pair was not asked as many episodes.
    """
    rows: list[ResultRow] = []
    asked: dict[tuple[str | None, Shots], tuple[Answers, list[Evaluation]]] = {}
    for one in found:
        for each in one.answers:
            asked.setdefault((each.probe, each.shots), (each, []))[1].append(one)
    for kind, evaluations in asked.values():
        groups = by_subject(evaluations)
        for group in groups:
            rows += _rows(group[0], kind, _levels(group, kind), study=study, versus=None)
        of_sources = [group for group in groups if group[0].subject.control is None]
        for source, versus in pairs:
            for first, second in paired_by_readout(of_sources, source, versus):
                gaps = _differences(first, second, kind)
                rows += _rows(first[0], kind, gaps, study=study, versus=versus)
    return [*rows, *_chance(found, study)]


def _levels(group: Group, kind: Answers) -> Found:
    """Measure one subject: each seed over its episodes, then the mean over the seeds."""
    found: Found = []
    for one in group:
        problem = answers_like(one, kind).problem
        found.append((one.subject.seed, problem or _over_episodes(_accuracies(one, kind))))
    if len(group) < 2:
        return found
    problem = problem_of(group, kind)
    if problem is not None:
        return [*found, (None, problem)]
    means = [float(_accuracies(one, kind).mean()) for one in group]
    interval = mean_interval(means, kind="seeds")
    if not varies(group, kind):  # one encoder, however often it was asked: a sample of one
        interval = Interval("seeds", interval.value, interval.value, interval.value, 1)
    return [*found, (None, interval)]


def _differences(first: Group, second: Group, kind: Answers) -> Found:
    """Compare two sources, seed by seed and over the seeds."""
    if len({answers_like(one, kind).num_draws for one in (*first, *second)}) > 1:
        raise ValueError(
            f"{first[0].subject.source} and {second[0].subject.source} were not asked as many "
            "episodes"
        )
    problem = problem_of([*first, *second], kind)
    if problem is not None:
        if len(first) < 2:
            return [(first[0].subject.seed, problem)]
        each_seed = (_differences([a], [b], kind) for a, b in zip(first, second, strict=True))
        return [*(row for rows in each_seed for row in rows), (None, problem)]
    ours = np.stack([_accuracies(one, kind) for one in first])  # (S, E)
    theirs = np.stack([_accuracies(one, kind) for one in second])
    found: Found = [
        (one.subject.seed, _over_episodes(row))
        for one, row in zip(first, ours - theirs, strict=True)
    ]
    if len(first) > 1:
        means = ours.mean(axis=1).tolist(), theirs.mean(axis=1).tolist()
        found.append((None, _over_episodes((ours - theirs).mean(axis=0))))
        if (varies(first, kind) or varies(second, kind)) and has_spread(*means):
            found.append((None, paired_interval(*means, kind="seeds")))
    return found


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


def _rows(
    first: Evaluation, kind: Answers, found: Found, *, study: str, versus: str | None
) -> list[ResultRow]:
    """Write what was measured as rows of the first seed's evaluation."""
    own = answers_like(first, kind)
    metric = f"{own.num_ways}-way-accuracy"
    rows = []
    for seed, measured in found:
        if isinstance(measured, str):
            answers, interval = replace(own, chosen=None, chosen_on=None, problem=measured), None
        else:
            answers, interval = replace(own, problem=None), measured
        row = row_of(first, answers, study=study, metric=metric, interval=interval, versus=versus)
        if interval is not None and interval.n < 2:
            row = without_interval(row)
        rows.append(replace(row, seed=seed))
    return rows
