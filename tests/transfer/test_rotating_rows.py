from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from taskgrain.names import TREND
from taskgrain.results import ResultRow
from taskgrain.transfer.rotating_rows import of_seed, over_seeds

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
