from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import stats

from taskgrain.names import TREND
from taskgrain.results import ResultRow
from taskgrain.statistics.tasks import mean_over_tasks, slope_over_tasks
from taskgrain.transfer.endpoints import Endpoint
from taskgrain.transfer.sample_rows import TaskGain, of_seed, over_seeds, sample_rows, task_rows
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


VALUES = (0.31, 0.45, 0.38, 0.52)


def row(seed: int, value: float | None, **columns: object) -> ResultRow:
    given: dict[str, object] = {
        **{"study": "made-up", "source": "fine", "target": "novel", "probe": "ridge"},
        **{"readout": "lstm-mean", "shots": 5, "metric": "top-1", "draws": 50},
        **{"n": 10 + seed, "failed": seed % 2, "truncated": 1},
    }
    return ResultRow(seed=seed, value=value, **{**given, **columns})  # type: ignore[arg-type]


def test_the_mean_over_seeds_has_students_t_interval_and_all_their_clips() -> None:
    rows = [
        row(seed, value, interval="clips", low=value - 0.1, high=value + 0.1)
        for seed, value in enumerate(VALUES)
    ]
    (found,) = over_seeds(rows)
    half = stats.t.ppf(0.975, 3) * stats.sem(VALUES)
    assert found.value == pytest.approx(np.mean(VALUES))
    assert (found.low, found.high) == pytest.approx(
        (np.mean(VALUES) - half, np.mean(VALUES) + half)
    )
    assert (found.seed, found.interval, found.p, found.low_90) == (None, "seeds", None, None)
    assert (found.n, found.failed, found.truncated, found.draws) == (46, 2, 4, 50)


def test_a_difference_is_tested_by_the_paired_t_test() -> None:
    ours, theirs = np.array(VALUES), np.array([0.30, 0.41, 0.40, 0.44])
    rows = [row(n, value, versus="coarse") for n, value in enumerate((ours - theirs).tolist())]
    (found,) = over_seeds(rows)
    expected = stats.ttest_rel(ours, theirs)
    inner = expected.confidence_interval(0.9)
    outer = expected.confidence_interval(0.95)
    assert found.p == pytest.approx(expected.pvalue)
    assert (found.low, found.high) == pytest.approx((outer.low, outer.high))
    assert (found.low_90, found.high_90) == pytest.approx((inner.low, inner.high))


def test_slopes_are_tested_and_scores_are_not() -> None:
    slopes = [row(n, value, metric=TREND, source=None) for n, value in enumerate(VALUES)]
    (found,) = over_seeds(slopes)
    assert found.p == pytest.approx(stats.ttest_1samp(VALUES, 0.0).pvalue)
    assert found.low_90 is None


def test_each_number_has_a_row_of_its_own() -> None:
    kinds: list[dict[str, object]] = [
        {},
        {"shots": 1},
        {"metric": "mean-per-class"},
        {"versus": "coarse"},
        {"source": None, "control": "pixels", "readout": "flat"},
        {"target": "novel/siblings"},
    ]
    rows = [row(n, value, **kind) for n, value in enumerate(VALUES) for kind in kinds]
    found = over_seeds(rows)
    for summary, kind in zip(found, kinds, strict=True):
        assert {name: getattr(summary, name) for name in kind} == kind


def test_equal_values_are_no_sample() -> None:
    (found,) = over_seeds([row(seed, 0.25, versus="coarse") for seed in range(4)])
    assert (found.value, found.interval, found.p, found.low) == (0.25, None, None, None)


def test_a_probe_that_failed_under_one_seed_leaves_no_mean() -> None:
    rows = [row(0, 0.2), row(1, None, problem="did not converge"), row(2, 0.3)]
    (found,) = over_seeds(rows)
    assert (found.value, found.interval) == (None, None)
    assert found.problem == "fine, seed 1: did not converge"


def test_what_not_every_seed_has_is_not_averaged() -> None:
    fewer = [row(0, 0.5, shots=1), row(1, 0.6, shots=1)]
    rows = [*(row(n, value) for n, value in enumerate(VALUES)), *fewer]
    assert [found.shots for found in over_seeds(rows)] == [5]
    assert over_seeds([row(0, 0.5)]) == []


def test_permuted_labels_and_rows_without_a_seed_are_passed_over() -> None:
    permuted = [row(n, value, control="permuted-labels") for n, value in enumerate(VALUES)]
    assert over_seeds([*permuted, replace(row(0, 0.5), seed=None)]) == []


def test_chosen_hyper_parameters_stay_where_all_seeds_chose_them() -> None:
    rows = [row(n, value, chosen="C=1", chosen_on="folds") for n, value in enumerate(VALUES)]
    assert over_seeds(rows)[0].chosen == "C=1"
    (found,) = over_seeds([*rows[:3], replace(rows[3], chosen="C=10")])
    assert (found.chosen, found.chosen_on) == (None, "folds")


def test_seeds_that_scored_the_same_clips_have_as_many_clips_as_each() -> None:
    rows = [replace(row(n, value), n=12, failed=1) for n, value in enumerate(VALUES)]
    (found,) = over_seeds(rows, same_clips=True)
    assert (found.n, found.failed) == (12, 1)


def test_what_holds_for_one_seed_alone_gets_that_seed() -> None:
    floor = replace(row(0, 0.1, control="chance"), seed=None)
    assert [each.seed for each in of_seed([floor, row(7, 0.2)], 3)] == [3, 7]
