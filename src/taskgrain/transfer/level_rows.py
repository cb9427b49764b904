"""Rows that need the levels of the labels: a trend over nested levels, and errors by their groups.

A trend asks whether transfer rises from a classification level to the next finer one. Errors are
parted by how far they lie from the truth: in a class of the right group, or of another.

Shapes: S encoder seeds, L levels from coarse to fine, R support draws, N scored clips, K classes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from taskgrain.errors import ResultError
from taskgrain.names import FLAT, TREND, ClipMetric
from taskgrain.results import ResultRow
from taskgrain.statistics.intervals import ClipBootstrap, Interval
from taskgrain.statistics.tests import slopes, trend_interval
from taskgrain.transfer.answers import (
    Answers,
    Evaluation,
    Group,
    answers_like,
    problem_of,
    seeds_of,
)
from taskgrain.transfer.endpoints import Endpoint
from taskgrain.transfer.rows import (
    Found,
    Measured,
    check_bootstrap,
    measured_rows,
    metric_value,
    row_of,
    shown_rows,
    without_choice,
)

FEWEST_LEVELS = 3  # two have a difference, which has rows of its own


def nested_order(index_of: Sequence[NDArray[np.int64]]) -> list[int] | None:
    """Order levels from coarse to fine, if each nests in the next.

    Args:
        index_of: int64 (K,) of each level, the name of every category there, as
            `Taxonomy.index_of` returns it.

    Returns:
        Positions in `index_of`, the coarsest first; None if two levels do not nest, or
        have equally many names.
    """
    # A level nests in a finer one if each of its finer names goes with one coarse name: there are
    # then as many pairs of names as finer names.
    order = sorted(range(len(index_of)), key=lambda each: len(np.unique(index_of[each])))
    for coarse, fine in pairwise(order):
        names = len(np.unique(index_of[fine]))
        pairs = np.unique(np.stack([index_of[coarse], index_of[fine]]), axis=1).shape[1]
        if pairs != names or names == len(np.unique(index_of[coarse])):
            return None
    return order


def trend_rows(
    evaluations: Sequence[Evaluation],
    ladder: Sequence[str],
    *,
    study: str,
    metric: ClipMetric,
) -> list[ResultRow]:
    """Compute the slope over nested classification levels, for each read-out, probe and shots.

    The value is the gain per level step, in the metric's unit: levels stand at 0, 1, ..., L - 1,
    and a least-squares line is laid through them. Each seed has a row with its own slope; from
    two seeds up a row without a seed has their mean, its t interval over seeds, and p for "no
    slope". Rows have no source: they are about all L. A ladder of fewer than three has no row.

    The evaluations are of one target, with true labels; the ladder names sources from coarse to
    fine.

    Raises:
        ResultError: if a source of the ladder lacks a seed that another has.
    """
    if len(ladder) < FEWEST_LEVELS:
        return []
    own = [
        each
        for each in evaluations
        if each.subject.control is None and each.subject.source in ladder
    ]
    rows = []
    for readout in dict.fromkeys(each.subject.readout for each in own):
        steps = [
            [each for each in own if (each.subject.source, each.subject.readout) == (name, readout)]
            for name in ladder
        ]
        if all(steps):  # not every encoder can be read in every way
            rows += _of_readout(steps, study=study, metric=metric)
    return rows


def _of_readout(steps: Sequence[Group], *, study: str, metric: ClipMetric) -> list[ResultRow]:
    """Compute the slopes of each seed and their mean.

    A seed of which some level has no answers has the problem in place of a slope, and so have the
    seeds together.
    """
    by_seed = [{each.subject.seed: each for each in step} for step in steps]
    first, seeds = steps[0], seeds_of(steps[0])
    for step, of_seed in zip(steps, by_seed, strict=True):
        if set(of_seed) != set(seeds):
            raise ResultError(
                f"{first[0].subject.source} has seeds {seeds}, {step[0].subject.source} has "
                f"{list(of_seed)} (read by {first[0].subject.readout}); a trend over levels needs "
                "the same"
            )
    rows = []
    for answers in first[0].answers:
        problem = problem_of([each for step in steps for each in step], answers)
        slope_of: Found = []
        values = np.empty((0, len(steps)))
        for some in [seeds] if problem is None else [[seed] for seed in seeds]:
            levels = [[of_seed[seed] for of_seed in by_seed] for seed in some]
            own_problem = problem_of([each for row in levels for each in row], answers)
            if own_problem is not None:
                slope_of.append((some[0], own_problem))
                continue
            values = np.array(
                [[metric_value(e, answers_like(e, answers), metric) for e in row] for row in levels]
            )  # (S, L)
            of_seeds = zip(some, slopes(values, range(len(steps))).tolist(), strict=True)
            slope_of += [
                (seed, Interval("seeds", slope, slope, slope, 1)) for seed, slope in of_seeds
            ]
        if len(seeds) > 1:
            slope_of.append((None, problem or trend_interval(values)))
        own = without_choice(answers)  # each level chose for itself
        rows += measured_rows(first[0], own, slope_of, study=study, metric=TREND)
    return [replace(row, source=None) for row in rows]


GROUP_ERRORS = ("errors-within-groups", "errors-between-groups")


def group_error_rows(
    evaluations: Sequence[Evaluation],
    group_of: Mapping[str, str | None],
    *,
    at: Sequence[Endpoint],
    study: str,
    bootstrap: ClipBootstrap,
) -> list[ResultRow]:
    """Divide the wrong answers of every source and control by the groups of the classes.

    A row is the share of all scored clips, mean over the support draws, that were answered by
    another class of the right group, or by a class of another group; a clip without an answer
    counts with the latter. With top-1 accuracy the two add up to 1. Intervals are over "clips".

    Args:
        evaluations: of one target, with true labels.
        group_of: class -> its group; None where it has none: no error stays within that.
        at: whose probes, shots and read-outs are taken; features without an encoder have one.
        study: its name.
        bootstrap: over the labels of that target's scored clips.
    """
    settings = dict.fromkeys((each.probe, each.shots, each.readout) for each in at)
    rows = []
    for evaluation in evaluations:
        check_bootstrap(evaluation, bootstrap)
        names = [group_of[each] for each in evaluation.class_names]
        known = sorted({name for name in names if name is not None})
        group = np.array([-1 if name is None else known.index(name) for name in names], np.int64)
        for answers in evaluation.answers:
            if not any(
                (answers.probe, answers.shots) == (probe, shots)
                and evaluation.subject.readout in (FLAT, readout)
                for probe, shots, readout in settings
            ):
                continue
            rows += _rows(evaluation, answers, group, study=study, bootstrap=bootstrap)
    return shown_rows(rows, bootstrap)


def _rows(
    evaluation: Evaluation,
    answers: Answers,
    group: NDArray[np.int64],
    *,
    study: str,
    bootstrap: ClipBootstrap,
) -> list[ResultRow]:
    measured: Sequence[Measured] = [answers.problem or ""] * len(GROUP_ERRORS)
    if answers.problem is None:
        parted = np.stack(parted_errors(answers.predicted, evaluation.labels, group)).mean(axis=1)
        measured = bootstrap.intervals(parted, metric="top-1")
    return [
        row_of(evaluation, answers, each, study=study, metric=metric)
        for metric, each in zip(GROUP_ERRORS, measured, strict=True)
    ]


def parted_errors(
    predicted: NDArray[np.int16], labels: NDArray[np.int64], group: NDArray[np.int64]
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Divide wrong answers into those within the group of the truth, and those outside of it.

    Args:
        predicted: int16 (R, N) in 0..K-1, -1 where there is no answer.
        labels: int64 (N,) in 0..K-1.
        group: int64 (K,), -1 for a class without a group.

    Returns:
        Two bool (R, N): within, and between.
    """
    # -1 stands for no answer, and for no group. As an index it would be the last class: it is
    # replaced there, and such errors lie between groups.
    is_wrong = predicted != labels
    of_truth = group[labels]  # (N,)
    is_same = (group[np.maximum(predicted, 0)] == of_truth) & (of_truth >= 0) & (predicted >= 0)
    return is_wrong & is_same, is_wrong & ~is_same
