from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from taskgrain.results import ResultRow
from taskgrain.statistics.tasks import mean_over_tasks, slope_over_tasks
from taskgrain.transfer.endpoints import Endpoint
from taskgrain.transfer.task_rows import TaskGain, sample_rows, task_rows
from tests.making import find

AT = Endpoint("fine", ("coarse",), "kitchen", "ridge", 5, "top-1", "lstm-mean")
TASKS = [f"many/t{index}" for index in range(12)]
MADE: NDArray[np.float64] = np.random.default_rng(0).normal(0.02, 0.03, (12, 4))
GAINS = [
    *(TaskGain(0.1 + 0.02 * index, 0.9) for index in range(4)),
    *(TaskGain(0.02 * index, 0.2) for index in range(4)),
    *(TaskGain(0.001 * index, 0.002) for index in range(4)),
]
LIKE = ResultRow(
    study="made",
    source="fine",
    versus="coarse",
    target="many",
    probe="ridge",
    readout="lstm-mean",
    shots=5,
    metric="mean-over-tasks",
    value=None,
    n=1200,
    failed=12,
    truncated=24,
    draws=50,
)


def rows_of(differences: NDArray[np.float64] = MADE) -> list[ResultRow]:
    """Write the difference of each task under each seed, and rows that are none of them."""
    rows: list[ResultRow] = []
    for task, values in zip(TASKS, differences.tolist(), strict=True):
        plain = replace(LIKE, target=task, metric="top-1", n=100, failed=1, truncated=2)
        rows += [replace(plain, seed=seed, value=value) for seed, value in enumerate(values)]
        rows += [
            replace(plain, value=0.9, interval="seeds", low=0.8, high=1.0),
            replace(plain, seed=0, value=0.9, shots=1),
            replace(plain, seed=0, value=0.9, probe="k-nn"),
            replace(plain, seed=0, value=0.9, readout="channels-mean"),
            replace(plain, seed=0, value=0.9, metric="mean-per-class"),
            replace(plain, seed=0, value=0.9, versus="other"),
        ]
    return rows


def gain_rows() -> list[ResultRow]:
    """Write the alignment gain of each task."""
    rows = []
    for task, gain in zip(TASKS, GAINS, strict=True):
        plain = replace(LIKE, target=task, probe=None, readout=None, shots=None, draws=None)
        rows += [
            replace(plain, metric="alignment-gain", value=gain.gain),
            replace(plain, metric="alignment-gain-if-shown", value=gain.gain_if_shown),
        ]
    return rows


def test_a_targets_tasks_become_one_row_for_all_and_one_for_each_kind() -> None:
    found = sample_rows([*gain_rows(), *rows_of()], TASKS, [("fine", "coarse")], at=AT)
    strata = [each.kind for each in GAINS]
    expected = {
        "mean-over-tasks": mean_over_tasks(MADE, strata),
        "mean-over-named-tasks": mean_over_tasks(MADE[:4]),
        "mean-over-kind-named-tasks": mean_over_tasks(MADE[4:8]),
        "mean-over-unnamed-tasks": mean_over_tasks(MADE[8:]),
        "slope-over-tasks": slope_over_tasks(MADE, [each.gain for each in GAINS]),
    }
    for metric, estimate in expected.items():
        row = find(found, metric=metric)
        interval = estimate.interval
        assert (row.value, row.low, row.high, row.p) == (
            interval.value,
            interval.low,
            interval.high,
            interval.p,
        )
        assert (row.low_90, row.high_90) == (interval.low_90, interval.high_90)
        assert (row.interval, row.target, row.seed) == ("tasks", "many", None)
        assert (row.n, row.failed, row.truncated, row.draws) == (1200, 12, 24, 50)
    overall = expected["mean-over-tasks"]
    variances = [
        find(found, metric=f"variance-of-{name}").value
        for name in ("tasks", "seeds", "tasks-and-seeds")
    ]
    assert variances == [overall.of_tasks, overall.of_seeds, overall.of_both]
    assert len(found) == 8


def test_unless_every_gain_is_known_there_is_the_mean_over_all_alone() -> None:
    found = sample_rows([*gain_rows()[1:], *rows_of()], TASKS, [("fine", "coarse")], at=AT)
    assert [row.metric for row in found] == [
        "mean-over-tasks",
        "variance-of-tasks",
        "variance-of-seeds",
        "variance-of-tasks-and-seeds",
    ]
    assert found[0].low == mean_over_tasks(MADE).interval.low


def test_fewer_than_eight_tasks_or_three_seeds_are_no_sample() -> None:
    pairs = [("fine", "coarse")]
    assert sample_rows(rows_of(), TASKS[:7], pairs, at=AT) == []
    assert len(sample_rows(rows_of(), TASKS[:8], pairs, at=AT)) == 4
    assert sample_rows(rows_of(MADE[:, :2]), TASKS, pairs, at=AT) == []


def test_a_kind_of_a_single_task_is_no_stratum_and_has_no_row() -> None:
    found = task_rows(MADE, LIKE, gains=[TaskGain(0.5, 0.5), *[TaskGain(0.0, 0.0)] * 11])
    assert found[0].low == mean_over_tasks(MADE).interval.low
    assert [row.metric for row in found if row.interval is not None] == [
        "mean-over-tasks",
        "mean-over-unnamed-tasks",
        "slope-over-tasks",
    ]


def test_a_probe_that_failed_on_a_task_leaves_no_result() -> None:
    rows = rows_of()
    rows[0] = replace(rows[0], value=None, problem="fine, seed 0: it broke")
    (row,) = sample_rows(rows, TASKS, [("fine", "coarse")], at=AT)
    assert (row.target, row.value, row.problem) == ("many", None, "fine, seed 0: it broke")


def test_a_pair_that_was_not_compared_on_every_task_has_no_row() -> None:
    assert sample_rows(rows_of(), [*TASKS, "many/more"], [("fine", "coarse")], at=AT) == []
