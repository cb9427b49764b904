"""A target's tasks as a sample: the rows of a difference over all of them, and over each kind.

Shapes: m tasks, n encoder seeds.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from taskgrain.results import (
    MEAN_OVER_TASKS,
    SLOPE_OVER_TASKS,
    VARIANCE_OVER_TASKS,
    ResultRow,
    mean_over_kind,
    select,
)
from taskgrain.statistics.tasks import (
    TaskEstimate,
    mean_over_tasks,
    slope_over_tasks,
    tasks_fault,
)
from taskgrain.transfer.endpoints import Endpoint

Floats = NDArray[np.float64]
TaskKind = Literal["named", "kind-named", "unnamed"]
KINDS: tuple[TaskKind, ...] = ("named", "kind-named", "unnamed")

FEWEST_TASKS = 8  # of a target, to be taken as a sample
LEAST_NAMED = 0.10  # alignment gain from which a task whose values are labelled is named
MOST_UNNAMED = 0.01  # alignment gain up to which a task is unnamed


@dataclass(frozen=True, slots=True)
class Alignment:
    """What the finer of two sources knows more about a task than the coarser one."""

    gain: float  # difference of the alignments, -1 to 1
    is_labelled: bool  # whether the source's labels name the task's values, not their kind alone

    @property
    def kind(self) -> TaskKind | None:
        """The kind of task; None between the kinds: named values that both sources know."""
        if self.gain <= MOST_UNNAMED:
            return "unnamed"
        if not self.is_labelled:
            return "kind-named"
        return "named" if self.gain >= LEAST_NAMED else None


def sample_rows(
    rows: Sequence[ResultRow],
    tasks: Sequence[str],
    pairs: Sequence[tuple[str, str]],
    *,
    at: Endpoint,
    alignments: Mapping[tuple[str, str], Sequence[Alignment]] | None = None,
) -> list[ResultRow]:
    """Estimate each pair's difference over the population that a target's tasks are drawn from.

    Args:
        rows: of the whole study, with the difference of each pair on each task under each seed.
        tasks: names of the target's tasks, "TARGET/TASK"; fewer than eight give no row.
        pairs: (source, versus).
        at: whose probe, number of shots, metric and read-out are taken.
        alignments: of each pair and task, in the tasks' order; None where they are not known: then
            there are no kinds and no slope.

    Returns:
        For each pair that has a difference on each task and at least three seeds, rows of target
        "TARGET", without a seed: what `task_rows` gives.
    """
    found: list[ResultRow] = []
    if len(tasks) < FEWEST_TASKS:
        return found
    for source, versus in pairs:
        of_task = [
            select(
                rows,
                source=source,
                versus=versus,
                target=task,
                probe=at.probe,
                shots=at.shots,
                metric=at.metric,
                readout=at.readout,
                control=None,
            )
            for task in tasks
        ]
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
            found.append(like)
            continue
        differences = np.array([[each[seed] for seed in values[0]] for each in values])
        known = None if alignments is None else alignments[source, versus]
        found += task_rows(differences, like, alignments=known)
    return found


def task_rows(
    differences: Floats, like: ResultRow, *, alignments: Sequence[Alignment] | None
) -> list[ResultRow]:
    """Return the rows of one pair: means over tasks, the slope on the gain, and what varies.

    Args:
        differences: float64 (m, n), of each task under each seed.
        like: a row with everything but metric, value and interval.
        alignments: of each task; None gives the mean over all of them alone.

    Returns:
        Metrics with an interval of kind "tasks": "mean-over-tasks" (strata are the kinds, where
        each has two tasks or more), "mean-over-KIND-tasks" of each kind, and "slope-over-tasks" per
        unit of gain. Without an interval: "variance-of-tasks", "-of-seeds" and
        "-of-tasks-and-seeds" of the first, unbiased, so that one may be below 0. A value for which
        there are too few seeds or tasks has no row (`statistics.tasks.tasks_fault`).
    """
    num_tasks, num_seeds = differences.shape
    kinds = [None] * num_tasks if alignments is None else [each.kind for each in alignments]
    names = ["" if kind is None else kind for kind in kinds]
    has_strata = min(names.count(name) for name in names) > 1
    strata = names if has_strata else [""] * num_tasks
    rows: list[ResultRow] = []
    if tasks_fault(num_tasks, num_seeds, num_fitted=len(set(strata))) is None:
        overall = mean_over_tasks(differences, strata)
        rows += [_row(like, MEAN_OVER_TASKS, overall), *_variances(like, overall)]
    for kind in KINDS:
        own = np.array([each == kind for each in kinds])
        if own.any() and tasks_fault(int(own.sum()), num_seeds, num_fitted=1) is None:
            rows.append(_row(like, mean_over_kind(kind), mean_over_tasks(differences[own])))
    gains = [each.gain for each in alignments or ()]
    if len(set(gains)) > 1 and tasks_fault(num_tasks, num_seeds, num_fitted=2) is None:
        rows.append(_row(like, SLOPE_OVER_TASKS, slope_over_tasks(differences, gains)))
    return rows


def _like(rows: Sequence[ResultRow], problem: str | None) -> ResultRow:
    """Return a row about all tasks: their target, and the clips of all of them."""
    first = rows[0]
    return ResultRow(
        study=first.study,
        source=first.source,
        versus=first.versus,
        target=first.target.split("/")[0],
        probe=first.probe,
        readout=first.readout,
        shots=first.shots,
        metric=MEAN_OVER_TASKS,
        value=None,
        n=sum(row.n for row in rows),
        failed=sum(row.failed for row in rows),
        truncated=sum(row.truncated for row in rows),
        draws=first.draws,
        problem=problem,
    )


def _row(like: ResultRow, metric: str, found: TaskEstimate) -> ResultRow:
    interval = found.interval
    return replace(
        like,
        metric=metric,
        value=interval.value,
        interval=interval.kind,
        low=interval.low,
        high=interval.high,
        low_90=interval.low_90,
        high_90=interval.high_90,
        p=interval.p,
    )


def _variances(like: ResultRow, found: TaskEstimate) -> list[ResultRow]:
    parts = (found.of_tasks, found.of_seeds, found.of_both)
    return [
        replace(like, metric=metric, value=part)
        for metric, part in zip(VARIANCE_OVER_TASKS, parts, strict=True)
    ]
