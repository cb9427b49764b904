from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from taskgrain.statistics.tests import (
    has_spread,
    holm,
    is_alarm,
    mean_interval,
    minimum_detectable_difference,
    p_above,
    paired_interval,
    permuted_label_interval,
    poisson_bounds,
    proportion_interval,
    slopes,
    trend_interval,
)

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


TREND_WORLDS = 1000


def seeds_with_slopes(generator: np.random.Generator, num_seeds: int) -> np.ndarray:
    """No slope on average; but some seeds gain from finer levels and others lose."""
    level = np.arange(4.0)
    own = generator.normal(0, 0.02, (TREND_WORLDS, num_seeds, 1))
    start = generator.normal(0.6, 0.05, (TREND_WORLDS, num_seeds, 1))
    return start + own * level + generator.normal(0, 0.01, (TREND_WORLDS, num_seeds, 4))


@pytest.mark.parametrize("num_seeds", [3, 5, 8, 20])
def test_the_trend_test_keeps_its_level_where_one_line_through_all_values_does_not(
    num_seeds: int,
) -> None:
    worlds = seeds_with_slopes(np.random.default_rng(num_seeds), num_seeds)
    p = np.array([trend_interval(each).p for each in worlds], dtype=np.float64)
    assert 0.035 <= np.mean(p < 0.05) <= 0.065
    level = np.tile(np.arange(4.0), num_seeds)
    centred = worlds - worlds.mean(axis=2, keepdims=True)  # a mean for each seed is granted
    pooled = [stats.linregress(level, each.ravel()).pvalue for each in centred[:150]]
    assert np.mean(np.array(pooled) < 0.05) > 0.15


def test_the_slope_is_that_of_a_least_squares_line() -> None:
    values = np.random.default_rng(0).random((5, 4))
    found = trend_interval(values)
    by_hand = [stats.linregress(range(4), each).slope for each in values]
    expected = stats.ttest_1samp(by_hand, 0.0)
    assert (found.kind, found.n) == ("seeds", 5)
    assert found.value == pytest.approx(np.mean(by_hand))
    assert found.p == pytest.approx(expected.pvalue)
    bounds = expected.confidence_interval(0.95)
    assert (found.low, found.high) == pytest.approx((bounds.low, bounds.high))
    at = [0.0, 1.5, 2.0, 7.0]
    by_hand = [stats.linregress(at, each).slope for each in values]
    assert slopes(values, at) == pytest.approx(by_hand)


def test_two_levels_are_a_paired_difference() -> None:
    values = np.array([[0.4, 0.6], [0.5, 0.6], [0.5, 0.8]])
    found = trend_interval(values)
    assert found.value == pytest.approx(0.2)
    assert found.p == pytest.approx(stats.ttest_rel(values[:, 1], values[:, 0]).pvalue)


def test_wrong_levels_are_refused() -> None:
    with pytest.raises(ValueError, match=r"values have shape \(1, 3\)"):
        trend_interval(np.zeros((1, 3)))
    with pytest.raises(ValueError, match="not all finite"):
        trend_interval(np.full((3, 3), np.nan))


@pytest.mark.parametrize(("right", "count"), [(0, 1), (1, 1), (3, 40), (200, 400), (399, 400)])
def test_it_is_wilsons_interval(right: int, count: int) -> None:
    found = proportion_interval(right, count)
    expected = stats.binomtest(right, count).proportion_ci(0.95, method="wilson")
    assert (found.low, found.high) == pytest.approx((expected.low, expected.high), abs=1e-12)
    assert found.low <= found.value == right / count <= found.high
    assert found.n == count


@pytest.mark.parametrize(("right", "count"), [(0, 0), (-1, 5), (6, 5)])
def test_what_is_no_proportion_is_refused(right: int, count: int) -> None:
    with pytest.raises(ValueError, match=f"{right} of {count}; expected 0 to N"):
        proportion_interval(right, count)


@pytest.mark.parametrize(
    ("count", "low", "high"), [(0, 0.0, 3.689), (1, 0.0253, 5.572), (10, 4.795, 18.39)]
)
def test_counts_have_garwoods_interval(count: int, low: float, high: float) -> None:
    assert poisson_bounds(count) == pytest.approx((low, high), rel=1e-3)


def test_means_beyond_the_bounds_give_such_counts_in_one_case_of_forty() -> None:
    low, high = poisson_bounds(7)
    assert stats.poisson.sf(6, low) == pytest.approx(0.025)  # seven or more
    assert stats.poisson.cdf(7, high) == pytest.approx(0.025)
    with pytest.raises(ValueError, match="expected 0 or more"):
        poisson_bounds(-1)


@pytest.mark.parametrize(("num_seeds", "expected"), [(3, 3.26), (5, 1.68), (8, 1.16), (20, 0.66)])
def test_a_difference_of_that_size_is_found_in_four_of_five_studies(
    num_seeds: int, expected: float
) -> None:
    difference = minimum_detectable_difference(0.02, num_seeds=num_seeds)
    assert difference / 0.02 == pytest.approx(expected, abs=0.005)
    generator = np.random.default_rng(num_seeds)
    studies = generator.normal(difference, 0.02, size=(20_000, num_seeds))
    assert np.mean(stats.ttest_1samp(studies, 0.0, axis=1).pvalue < 0.05) == pytest.approx(
        0.8, abs=0.01
    )


def test_seeds_that_agree_need_no_difference() -> None:
    assert minimum_detectable_difference(0.0, num_seeds=2) == 0.0


def test_arguments_outside_their_range_are_refused() -> None:
    with pytest.raises(ValueError, match="sd is -1"):
        minimum_detectable_difference(-1.0, num_seeds=3)
    with pytest.raises(ValueError, match="1 seeds; a paired t test needs at least 2"):
        minimum_detectable_difference(1.0, num_seeds=1)


FAMILIES = st.lists(st.floats(0, 1), max_size=6)


def closed_testing(p: list[float]) -> list[float]:
    """Bonferroni on every set of hypotheses that holds one: the slow definition of Holm."""
    sets = [s for size in range(1, len(p) + 1) for s in combinations(range(len(p)), size)]
    return [
        max(min(1.0, len(s) * min(p[i] for i in s)) for s in sets if own in s)
        for own in range(len(p))
    ]


@given(FAMILIES)
@settings(max_examples=60, deadline=None)
def test_adjusted_values_are_those_of_closed_testing(p: list[float]) -> None:
    assert holm(p) == pytest.approx(closed_testing(p))


@given(FAMILIES)
@settings(max_examples=40, deadline=None)
def test_the_order_of_the_family_does_not_matter(p: list[float]) -> None:
    order = np.random.default_rng(len(p)).permutation(len(p))
    assert holm([p[i] for i in order]) == tuple(np.array(holm(p))[order])


def test_a_family_by_hand() -> None:
    assert holm([0.04, 0.01, 0.03]) == pytest.approx((0.06, 0.03, 0.06))
    assert holm([0.2]) == (0.2,)
    assert holm([]) == ()
    assert holm([0.9, 0.8]) == (1.0, 1.0)


def test_one_false_rejection_or_more_is_rarer_than_the_level_and_uncorrected_it_is_not() -> None:
    generator = np.random.default_rng(0)
    p = generator.random((4000, 5))
    adjusted = np.array([holm(each) for each in p.tolist()])
    assert np.mean((p < 0.05).any(axis=1)) > 0.2
    assert 0.04 <= np.mean((adjusted < 0.05).any(axis=1)) <= 0.06


@pytest.mark.parametrize("wrong", [-0.1, 1.1, float("nan")])
def test_what_is_no_probability_is_refused(wrong: float) -> None:
    with pytest.raises(ValueError, match=f"p is {wrong}; expected 0 to 1"):
        holm([0.5, wrong])


def test_permutations_alone_raise_the_alarm_no_oftener_than_stated() -> None:
    # The most skewed case: separable classes at one shot, where accuracy counts fixed points.
    generator = np.random.default_rng(0)
    identity, draws, num_classes = np.arange(13), 50, 13
    p = []
    for _ in range(4000):
        order = generator.permuted(np.tile(identity, (draws, 1)), axis=1)
        p.append(p_above((order == identity).mean(axis=1).tolist(), null=1 / num_classes))
    assert np.mean(np.array(p) < 0.05) <= 0.05
    assert not any(is_alarm(each, family=24) for each in p)


def test_a_leak_of_a_few_percent_raises_the_alarm() -> None:
    accuracies = np.random.default_rng(0).normal(1 / 13 + 0.03, 0.02, size=50)
    found = permuted_label_interval(accuracies.tolist(), chance=1 / 13)
    assert found.kind == "draws"
    assert found.n == 50
    assert found.low > 1 / 13
    assert found.p is not None
    assert is_alarm(found.p, family=24)


def test_accuracies_below_chance_are_no_leak() -> None:
    found = permuted_label_interval([0.01, 0.02, 0.03] * 7, chance=0.25)
    assert found.p is not None
    assert found.p > 0.99


def test_few_draws_or_draws_without_spread_are_not_judged() -> None:
    assert permuted_label_interval([0.9, 1.0] * 9, chance=0.5).p is None
    assert permuted_label_interval([1.0] * 50, chance=0.5).p is None


def test_a_larger_family_needs_a_smaller_p() -> None:
    assert is_alarm(0.0005, family=1)
    assert not is_alarm(0.0005, family=2)
    with pytest.raises(ValueError, match="family of 0"):
        is_alarm(0.5, family=0)
