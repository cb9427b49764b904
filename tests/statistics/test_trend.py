from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from taskgrain.statistics.trend import trend_interval

WORLDS = 1000


def seeds_with_slopes(generator: np.random.Generator, num_seeds: int) -> np.ndarray:
    """No slope on average; but some seeds gain from finer levels and others lose."""
    level = np.arange(4.0)
    own = generator.normal(0, 0.02, (WORLDS, num_seeds, 1))
    start = generator.normal(0.6, 0.05, (WORLDS, num_seeds, 1))
    return start + own * level + generator.normal(0, 0.01, (WORLDS, num_seeds, 4))


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
    at = [0.0, 1.5, 2.0, 7.0]
    found = trend_interval(values, positions=at)
    slopes = [stats.linregress(at, each).slope for each in values]
    expected = stats.ttest_1samp(slopes, 0.0)
    assert (found.kind, found.n) == ("seeds", 5)
    assert found.value == pytest.approx(np.mean(slopes))
    assert found.p == pytest.approx(expected.pvalue)
    bounds = expected.confidence_interval(0.95)
    assert (found.low, found.high) == pytest.approx((bounds.low, bounds.high))


def test_two_levels_are_a_paired_difference() -> None:
    values = np.array([[0.4, 0.6], [0.5, 0.6], [0.5, 0.8]])
    found = trend_interval(values)
    assert found.value == pytest.approx(0.2)
    assert found.p == pytest.approx(stats.ttest_rel(values[:, 1], values[:, 0]).pvalue)


def test_wrong_levels_are_refused() -> None:
    with pytest.raises(ValueError, match=r"values have shape \(1, 3\)"):
        trend_interval(np.zeros((1, 3)))
    with pytest.raises(ValueError, match=r"positions are \[0.0, 2.0, 1.0\]; expected 3 rising"):
        trend_interval(np.zeros((3, 3)), positions=[0, 2, 1])
    with pytest.raises(ValueError, match="expected 3 rising numbers"):
        trend_interval(np.zeros((3, 3)), positions=[0, 1])
    with pytest.raises(ValueError, match="not all finite"):
        trend_interval(np.full((3, 3), np.nan))
