from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from taskgrain.statistics.student import has_spread, mean_interval, p_above, paired_interval

WORLDS = 4000


@pytest.mark.parametrize("num_seeds", [3, 5, 8])
def test_t_intervals_cover_the_truth_in_93_to_97_percent_of_worlds(num_seeds: int) -> None:
    values = np.random.default_rng(num_seeds).normal(0.6, 0.03, size=(WORLDS, num_seeds))
    found = [mean_interval(each.tolist(), kind="seeds") for each in values]
    assert 0.93 <= np.mean([each.low <= 0.6 <= each.high for each in found]) <= 0.97


@pytest.mark.parametrize("num_seeds", [3, 5, 8])
def test_the_paired_test_errs_as_often_as_it_says(num_seeds: int) -> None:
    generator = np.random.default_rng(num_seeds)
    shared = generator.normal(0.6, 0.05, size=(WORLDS, num_seeds))  # a good seed is good for both
    first = shared + generator.normal(0, 0.01, size=shared.shape)
    second = shared + generator.normal(0, 0.01, size=shared.shape)
    found = [
        paired_interval(a.tolist(), b.tolist(), kind="seeds")
        for a, b in zip(first, second, strict=True)
    ]
    p = np.array([each.p for each in found], dtype=np.float64)
    assert 0.04 <= np.mean(p < 0.05) <= 0.06
    # The interval and the test are one statement.
    assert all(
        (each.low <= 0 <= each.high) == (p >= 0.05) for each, p in zip(found, p, strict=True)
    )


def test_p_and_interval_are_those_of_scipy() -> None:
    generator = np.random.default_rng(1)
    first, second = generator.normal(0.6, 0.1, 6), generator.normal(0.5, 0.1, 6)
    found = paired_interval(first.tolist(), second.tolist(), kind="seeds")
    expected = stats.ttest_rel(first, second)
    bounds = expected.confidence_interval(0.95)
    assert found.p == pytest.approx(expected.pvalue)
    assert (found.low, found.high) == pytest.approx((bounds.low, bounds.high))
    one_sided = stats.ttest_1samp(first, 0.55, alternative="greater").pvalue
    assert p_above(first.tolist(), null=0.55) == pytest.approx(one_sided)


def test_the_interval_of_two_seeds_by_hand() -> None:
    found = mean_interval([0.4, 0.6], kind="seeds")  # s / sqrt(2) = 0.1, t(.975; 1) = 12.7062
    assert (found.kind, found.n, found.p) == ("seeds", 2, None)
    assert (found.low, found.value, found.high) == pytest.approx((-0.77062, 0.5, 1.77062), abs=1e-4)


def test_without_spread_nothing_is_found_of_a_difference() -> None:
    assert paired_interval([0.5, 0.5], [0.5, 0.5], kind="seeds").p == 1.0
    assert paired_interval([0.5, 0.5], [0.25, 0.25], kind="seeds").p == 1.0
    assert p_above([0.5, 0.5], null=0.25) == 0.0
    assert p_above([0.5, 0.5], null=0.75) == 1.0


def test_a_single_seed_has_no_interval() -> None:
    with pytest.raises(ValueError, match="1 values; a t interval needs at least 2"):
        mean_interval([0.5], kind="seeds")
    with pytest.raises(ValueError, match="2 values cannot be paired with 3"):
        paired_interval([0.1, 0.2], [0.1, 0.2, 0.3], kind="seeds")
    with pytest.raises(ValueError, match="not all finite"):
        mean_interval([0.5, float("nan")], kind="seeds")


def test_the_inner_interval_is_that_of_two_one_sided_tests_at_five_percent() -> None:
    first, second = [0.42, 0.40, 0.45, 0.43, 0.41], [0.41, 0.41, 0.44, 0.42, 0.42]
    found = paired_interval(first, second, kind="seeds")
    margin = 0.015
    differences = np.subtract(first, second)
    above = stats.ttest_1samp(differences, -margin, alternative="greater").pvalue
    below = stats.ttest_1samp(differences, margin, alternative="less").pvalue
    low, high = stats.t.interval(0.90, 4, differences.mean(), stats.sem(differences))
    assert (found.low_90, found.high_90) == pytest.approx((low, high))
    assert (low > -margin and high < margin) == (max(above, below) < 0.05)
    assert found.low < low < found.value < high < found.high


def test_differences_that_are_equal_but_for_rounding_have_no_spread() -> None:
    first, second = [20 / 39, 21 / 39, 0.1 + 0.2], [10 / 39, 11 / 39, 0.3 - 10 / 39]
    assert len({a - b for a, b in zip(first, second, strict=True)}) > 1  # as floats they differ
    assert not has_spread(first, second)
    assert paired_interval(first, second, kind="seeds").p == 1.0
    assert has_spread([*first, 0.5], [*second, 0.25])


def test_a_probe_that_answers_one_class_is_at_chance_and_raises_no_alarm() -> None:
    for classes in (3, 6, 12, 13):
        shares = [np.mean([float(k == j) for k in range(classes)]) for j in range(classes)]
        summed = [float(sum([1 / classes / 7] * 7)) for _ in range(classes)]
        near = [np.nextafter(1 / classes, j % 2) for j in range(classes)]
        for values in (shares, summed, near):
            assert p_above(np.array(values).tolist(), null=1 / classes) == 0.5


def test_seeds_that_are_equal_but_for_rounding_leave_no_trend() -> None:
    near = [float(np.nextafter(0.25, 1)), 0.25, float(np.nextafter(0.25, 0))]
    assert paired_interval(near, [0.0] * 3, kind="seeds").p == 1.0
    assert not has_spread(near, [0.0] * 3)
