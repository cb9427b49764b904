"""Does transfer rise from a classification level to the next finer one?

Shapes: S encoder seeds, L levels from coarse to fine, K categories.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from taskgrain.errors import ResultError
from taskgrain.names import TREND, ClipMetric
from taskgrain.results import ResultRow
from taskgrain.statistics.intervals import Interval
from taskgrain.statistics.tests import slopes, trend_interval
from taskgrain.transfer.answers import Answers, Evaluation, answers_like, problem_of
from taskgrain.transfer.rows import metric_value, row_of

FEWEST_LEVELS = 3  # two have a difference, which has rows of its own


def nested_order(index_of: Sequence[NDArray[np.int64]]) -> list[int] | None:
    """Order levels from coarse to fine, if each nests in the next.

    Args:
        index_of: int64 (K,) of each level, the name of every category there, as
            `Taxonomy.index_of` gives it.

    Returns:
        Positions in `index_of`, the coarsest first; None if two levels do not nest, or tell
        equally much apart.
    """
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
    slope". Rows have no source: they speak of all L.

    Args:
        evaluations: of one target, with true labels.
        ladder: sources from coarse to fine; fewer than three give no row.
        study: its name.
        metric: which accuracy.

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


def _of_readout(
    steps: Sequence[Sequence[Evaluation]], *, study: str, metric: ClipMetric
) -> list[ResultRow]:
    by_seed = [{each.subject.seed: each for each in step} for step in steps]
    first = steps[0]
    seeds = [each.subject.seed for each in first]
    for step, of_seed in zip(steps, by_seed, strict=True):
        if set(of_seed) != set(seeds):
            raise ResultError(
                f"{first[0].subject.source} has seeds {seeds}, {step[0].subject.source} has "
                f"{list(of_seed)} (read by {first[0].subject.readout}); a trend over levels needs "
                "the same"
            )
    rows = []
    for answers in first[0].answers:
        if problem_of([each for step in steps for each in step], answers) is not None:
            rows += _broken(steps, answers, study=study, metric=metric)
            continue
        values = np.array(
            [
                [
                    metric_value(of_seed[seed], answers_like(of_seed[seed], answers), metric)
                    for of_seed in by_seed
                ]
                for seed in seeds
            ]
        )  # (S, L)
        plain = replace(answers, chosen=None, chosen_on=None)  # each level chose for itself
        at = Interval("seeds", 0.0, 0.0, 0.0, len(seeds))
        row = row_of(first[0], plain, study=study, metric=TREND, interval=at)
        row = replace(row, source=None)
        for seed, slope in zip(seeds, slopes(values, range(values.shape[1])).tolist(), strict=True):
            rows.append(replace(row, seed=seed, value=slope, interval=None, low=None, high=None))
        if len(seeds) > 1:
            found = trend_interval(values)
            rows.append(
                replace(
                    row, seed=None, value=found.value, low=found.low, high=found.high, p=found.p
                )
            )
    return rows


def _broken(
    steps: Sequence[Sequence[Evaluation]],
    answers: Answers,
    *,
    study: str,
    metric: ClipMetric,
) -> list[ResultRow]:
    """Return the slopes of a probe that has no answers for some seed of some level.

    Seeds of which every level has answers keep their row; the others, and the seeds together, have
    one with the problem.
    """
    rows = []

    def add(evaluations: Sequence[Evaluation], seed: int | None) -> None:
        plain = replace(
            answers, chosen=None, chosen_on=None, problem=problem_of(evaluations, answers)
        )
        row = row_of(steps[0][0], plain, study=study, metric=TREND, interval=None)
        rows.append(replace(row, source=None, seed=seed))

    seeds = [each.subject.seed for each in steps[0]]
    for seed in seeds:
        own = [each for step in steps for each in step if each.subject.seed == seed]
        if problem_of(own, answers) is not None:
            add(own, seed)
            continue
        first = replace(own[0], answers=(answers_like(own[0], answers),))
        rows += _of_readout([[first], *([each] for each in own[1:])], study=study, metric=metric)
    if len(seeds) > 1:
        add([each for step in steps for each in step], None)
    return rows
