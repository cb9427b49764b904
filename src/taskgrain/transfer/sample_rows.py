"""Rows made from other rows, over a sample: the tasks of a target, or the encoder seeds.

A target's tasks are drawn from a population, so a difference is estimated over all of them, and
over each kind. Where a target's classes rotate with the seed, no two seeds answer the same clips:
nothing can be resampled over both seeds and clips, and the seeds are all that is left to vary. So
their mean has Student's t; of a difference, that of the paired differences of each seed.

Shapes: m tasks, n encoder seeds.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from taskgrain.names import (
    ALIGNMENT_GAIN,
    ALIGNMENT_GAIN_IF_SHOWN,
    MEAN_OVER_TASKS,
    SLOPE_OVER_TASKS,
    TASK_KINDS,
    TREND,
    VARIANCE_OVER_TASKS,
    mean_over_kind,
)
from taskgrain.results import ResultRow, select
from taskgrain.statistics.alignment import Kind, kind_of
from taskgrain.statistics.tasks import (
    TaskEstimate,
    mean_over_tasks,
    slope_over_tasks,
    tasks_fault,
)
from taskgrain.statistics.tests import has_spread, mean_interval, paired_interval
from taskgrain.transfer.endpoints import Endpoint
from taskgrain.transfer.rows import added_counts, interval_columns, without_interval

Floats = NDArray[np.float64]

FEWEST_TASKS = 8  # of a target, to be taken as a sample


@dataclass(frozen=True, slots=True)
class TaskGain:
    """How much more the finer of two sources knows about a task than the coarser one."""

    gain: float  # difference of the alignments, -1 to 1
    gain_if_shown: float  # the same, had the source shown every value of the task

    @property
    def kind(self) -> Kind:
        """The kind of task; see `statistics.alignment.kind_of`."""
        return kind_of(self.gain, self.gain_if_shown)


def sample_rows(
    rows: Sequence[ResultRow],
    tasks: Sequence[str],
    pairs: Sequence[tuple[str, str]],
    *,
    at: Endpoint,
) -> list[ResultRow]:
    """Estimate each pair's difference over the population that a target's tasks are drawn from.

    Args:
        rows: with the difference of each pair on each task under each seed; and its alignment
            gains, where they are known: without them there are no kinds and no slope.
        tasks: names of the target's tasks, "TARGET/TASK"; fewer than eight have no row.
        pairs: (source, versus).
        at: whose probe, number of shots, metric and read-out are taken.

    Returns:
        For each pair that has a difference on each task and at least three seeds, rows of target
        "TARGET", without a seed: those of `task_rows`.
    """
    estimated: list[ResultRow] = []
    if len(tasks) < FEWEST_TASKS:
        return estimated
    here = select(
        rows, probe=at.probe, shots=at.shots, metric=at.metric, readout=at.readout, control=None
    )
    of: dict[tuple[str | None, str | None, str], list[ResultRow]] = {}
    for row in here:
        of.setdefault((row.source, row.versus, row.target), []).append(row)
    known = [row for row in rows if row.metric in (ALIGNMENT_GAIN, ALIGNMENT_GAIN_IF_SHOWN)]
    for source, versus in pairs:
        of_task = [of.get((source, versus, task), []) for task in tasks]
        first = [next(iter(each), None) for each in of_task]
        problem = next((row.problem for each in of_task for row in each if row.problem), None)
        values = [
            {row.seed: row.value for row in each if row.seed is not None and row.value is not None}
            for each in of_task
        ]
        if None in first:
            continue
        like = _like([row for row in first if row is not None], problem)
        if problem is not None:
            estimated.append(like)
            continue
        differences = np.array([[each[seed] for seed in values[0]] for each in values])
        estimated += task_rows(differences, like, gains=_gains(known, tasks, source, versus))
    return estimated


def _gains(
    rows: Sequence[ResultRow], tasks: Sequence[str], source: str, versus: str
) -> list[TaskGain] | None:
    """Read the alignment gains of a pair; None unless those of every task are known."""
    of_metric = [
        {row.target: row.value for row in select(rows, source=source, versus=versus, metric=metric)}
        for metric in (ALIGNMENT_GAIN, ALIGNMENT_GAIN_IF_SHOWN)
    ]
    gains = []
    for task in tasks:
        gain, if_shown = (values.get(task) for values in of_metric)
        if gain is None or if_shown is None:
            return None
        gains.append(TaskGain(gain, if_shown))
    return gains


def task_rows(
    differences: Floats, like: ResultRow, *, gains: Sequence[TaskGain] | None
) -> list[ResultRow]:
    """Return the rows of one pair: means over tasks, the slope on the gain, and what varies.

    Args:
        differences: float64 (m, n), of each task under each seed.
        like: a row with everything but metric, value and interval.
        gains: of each task; None: only the mean over all of them.

    Returns:
        Metrics with an interval of kind "tasks": "mean-over-tasks" (strata are the kinds, where
        each has two tasks or more), "mean-over-KIND-tasks" of each kind, and "slope-over-tasks" per
        unit of gain. Without an interval: "variance-of-tasks", "-of-seeds" and
        "-of-tasks-and-seeds" of the first, unbiased, so that one may be below 0. A value for which
        there are too few seeds or tasks has no row (`statistics.tasks.tasks_fault`).
    """
    num_tasks, num_seeds = differences.shape
    kinds = [""] * num_tasks if gains is None else [str(each.kind) for each in gains]
    has_strata = min(kinds.count(kind) for kind in kinds) > 1
    # How kinds differ is no chance, and is kept out of the variance. A kind of a single task has no
    # variance of its own: then there are no strata.
    strata = kinds if has_strata else [""] * num_tasks
    rows: list[ResultRow] = []
    if tasks_fault(num_tasks, num_seeds, num_fitted=len(set(strata))) is None:
        overall = mean_over_tasks(differences, strata)
        rows += [_row(like, MEAN_OVER_TASKS, overall), *_variances(like, overall)]
    for kind in TASK_KINDS:
        own = np.array([each == kind for each in kinds])
        if own.any() and tasks_fault(int(own.sum()), num_seeds, num_fitted=1) is None:
            rows.append(_row(like, mean_over_kind(kind), mean_over_tasks(differences[own])))
    along = [each.gain for each in gains or ()]
    if len(set(along)) > 1 and tasks_fault(num_tasks, num_seeds, num_fitted=2) is None:
        rows.append(_row(like, SLOPE_OVER_TASKS, slope_over_tasks(differences, along)))
    return rows


def _like(rows: Sequence[ResultRow], problem: str | None) -> ResultRow:
    """Return a row about all tasks: their target, and the clips of all of them."""
    first = rows[0]
    return replace(
        without_interval(first),
        seed=None,
        target=first.target.split("/")[0],
        metric=MEAN_OVER_TASKS,
        value=None,
        p=None,
        chosen=None,
        chosen_on=None,
        problem=problem,
        **added_counts(rows),
    )


def _row(like: ResultRow, metric: str, estimate: TaskEstimate) -> ResultRow:
    return replace(like, metric=metric, **interval_columns(estimate.interval, is_difference=True))


def _variances(like: ResultRow, estimate: TaskEstimate) -> list[ResultRow]:
    parts = (estimate.of_tasks, estimate.of_seeds, estimate.of_both)
    return [
        replace(like, metric=metric, value=part)
        for metric, part in zip(VARIANCE_OVER_TASKS, parts, strict=True)
    ]


def of_seed(rows: Iterable[ResultRow], seed: int | None) -> list[ResultRow]:
    """Write the seed into rows that hold for one seed alone, as chance of its classes does."""
    return [row if row.seed is not None else replace(row, seed=seed) for row in rows]


def over_seeds(rows: Iterable[ResultRow], *, same_clips: bool = False) -> list[ResultRow]:
    """Average the rows that every seed has, from two seeds up.

    Args:
        rows: of one target; those without a seed, and of permuted labels, are passed over.
        same_clips: whether the seeds scored the same clips; otherwise the counts of clips add up.

    Returns:
        In the order of the first seed a row for each number, without a seed. Its interval is over
        "seeds": the mean and t(.975; S - 1) * s / sqrt(S) of S values; differences and slopes have
        the p of "it is zero" too. Equal values of all seeds are no sample, and have no interval.
        Where a probe failed under any seed, the row has the problem and no value.
    """
    kept = [row for row in rows if row.seed is not None and row.control != "permuted-labels"]
    seeds = {row.seed for row in kept}
    groups: dict[tuple[object, ...], list[ResultRow]] = {}
    for row in kept:
        key = (row.source, row.target, row.probe, row.readout, row.shots, row.metric)
        groups.setdefault((*key, row.versus, row.control), []).append(row)
    means = []
    for group in groups.values():
        # A number that some seed lacks would be averaged over other seeds than its neighbours are.
        if len(group) > 1 and len(group) == len(seeds):
            means.append(_mean(group, same_clips=same_clips))
    return means


def _mean(group: Sequence[ResultRow], *, same_clips: bool) -> ResultRow:
    first = group[0]
    plain = replace(
        without_interval(first),
        seed=None,
        p=None,
        chosen=_common([row.chosen for row in group]),
        chosen_on=_common([row.chosen_on for row in group]),
        **({} if same_clips else added_counts(group)),
    )
    failed = next((row for row in group if row.problem is not None), None)
    if failed is not None:
        who = "" if failed.versus else f"{failed.source or failed.control}, seed {failed.seed}: "
        return replace(
            plain, value=None, problem=f"{who}{failed.problem}", chosen=None, chosen_on=None
        )
    values = [row.value for row in group if row.value is not None]
    if not has_spread(values, [0.0] * len(values)):
        return replace(plain, value=values[0])
    if first.versus is not None or first.metric == TREND:
        interval = paired_interval(values, [0.0] * len(values), kind="seeds")
    else:
        interval = mean_interval(values, kind="seeds")
    return replace(plain, **interval_columns(interval, is_difference=first.versus is not None))


def _common(values: Sequence[str | None]) -> str | None:
    """Return what all seeds chose; None where they chose otherwise."""
    return values[0] if len(set(values)) == 1 else None
