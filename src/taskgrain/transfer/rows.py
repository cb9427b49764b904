"""Evaluations turned into rows of results: values, intervals, floors.

A probe without answers has its rows all the same, with the problem and without a value; so has
whatever would be computed from such a value. Rows without a seed then come once, not once for each
kind of interval.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from taskgrain.results import ResultRow
from taskgrain.statistics.alarm import permuted_label_interval
from taskgrain.statistics.intervals import (
    CLIP_METRICS,
    ClipBootstrap,
    ClipMetric,
    Interval,
    clip_weights,
)
from taskgrain.statistics.student import mean_interval
from taskgrain.transfer.answer import NO_ANSWER
from taskgrain.transfer.answers import (
    Answers,
    Evaluation,
    answers_like,
    by_subject,
    problem_of,
    varies,
)
from taskgrain.transfer.score_tables import HitTable
from taskgrain.transfer.task import TargetTask

PERMUTED_METRIC: ClipMetric = "mean-per-class"  # 1 / K even for a probe that answers one class


def clip_rows(
    evaluations: Iterable[Evaluation], *, study: str, bootstrap: ClipBootstrap
) -> list[ResultRow]:
    """Give one row an evaluation, probe, number of shots and metric, with a "clips" interval.

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
    """Give one row an evaluation with permuted labels, probe and number of shots.

    Its interval is over draws and its `p` is against chance, uncorrected: whoever reads the rows
    counts them and asks `statistics.alarm.is_alarm`.
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
    """Give the mean over encoder seeds with its t interval, where a source has two or more.

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
    """Give what needs no features: chance (top-1, 1 / K) and the majority class of the pool.

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
    """Give an accuracy of one evaluation, in [0, 1]."""
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
