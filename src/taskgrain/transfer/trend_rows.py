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
from taskgrain.statistics.trend import slopes, trend_interval
from taskgrain.transfer.answers import Evaluation, Group, answers_like, problem_of, seeds_of
from taskgrain.transfer.rows import Found, measured_rows, metric_value, without_choice

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
        found: Found = []
        values = np.empty((0, len(steps)))
        for some in [seeds] if problem is None else [[seed] for seed in seeds]:
            levels = [[of_seed[seed] for of_seed in by_seed] for seed in some]
            own_problem = problem_of([each for row in levels for each in row], answers)
            if own_problem is not None:
                found.append((some[0], own_problem))
                continue
            values = np.array(
                [[metric_value(e, answers_like(e, answers), metric) for e in row] for row in levels]
            )  # (S, L)
            of_seeds = zip(some, slopes(values, range(len(steps))).tolist(), strict=True)
            found += [(seed, Interval("seeds", slope, slope, slope, 1)) for seed, slope in of_seeds]
        if len(seeds) > 1:
            found.append((None, problem or trend_interval(values)))
        own = without_choice(answers)  # each level chose for itself
        rows += measured_rows(first[0], own, found, study=study, metric=TREND)
    return [replace(row, source=None) for row in rows]
