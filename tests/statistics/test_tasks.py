from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import stats

from taskgrain.statistics.tasks import (
    TaskEstimate,
    mean_over_tasks,
    slope_over_tasks,
    tasks_fault,
)

Array = NDArray[np.float64]
Estimate = Callable[[Array], TaskEstimate]
STRATA = ["named"] * 10 + ["kind-named"] * 8 + ["unnamed"] * 6
GAINS = np.random.default_rng(5).exponential(0.1, 24)
# Shares of tasks, seeds and both in the variance of the value.
MIXTURES = {
    "equal": (1 / 3, 1 / 3, 1 / 3),
    "tasks": (0.8, 0.1, 0.1),
    "seeds": (0.1, 0.8, 0.1),
    "both": (0.1, 0.1, 0.8),
    "no tasks": (0.0, 0.5, 0.5),
    "no seeds": (0.5, 0.0, 0.5),
}


def differences(seed: int, shape: tuple[int, int] = (24, 8)) -> Array:
    generator = np.random.default_rng(seed)
    return (
        generator.normal(0, 0.03, (shape[0], 1))
        + generator.normal(0, 0.02, (1, shape[1]))
        + generator.normal(0, 0.02, shape)
    )


def test_the_variance_components_are_those_of_the_analysis_of_variance() -> None:
    made = differences(0)
    found = mean_over_tasks(made)
    m, n = made.shape
    of_task, of_seed, overall = made.mean(axis=1), made.mean(axis=0), made.mean()
    ms_tasks = n * sum((each - overall) ** 2 for each in of_task) / (m - 1)
    ms_seeds = m * sum((each - overall) ** 2 for each in of_seed) / (n - 1)
    ms_both = sum(
        (made[t, s] - of_task[t] - of_seed[s] + overall) ** 2 for t in range(m) for s in range(n)
    ) / ((m - 1) * (n - 1))
    assert found.of_tasks == pytest.approx((ms_tasks - ms_both) / n)
    assert found.of_seeds == pytest.approx((ms_seeds - ms_both) / m)
    assert found.of_both == pytest.approx(ms_both)
    variance = found.of_tasks / m + found.of_seeds / n + found.of_both / (m * n)
    parts = ((ms_tasks, m - 1), (ms_seeds, n - 1), (ms_both, (m - 1) * (n - 1)))
    df = (variance * m * n) ** 2 / sum(mean**2 / freedom for mean, freedom in parts)
    assert found.freedom == pytest.approx(df)
    half = float(stats.t.ppf(0.975, df)) * variance**0.5
    interval = found.interval
    assert (interval.kind, interval.n) == ("tasks", 24)
    assert interval.value == pytest.approx(overall)
    assert (interval.low, interval.high) == pytest.approx((overall - half, overall + half))
    p = 2 * float(stats.t.sf(abs(overall) / variance**0.5, df))
    assert interval.p == pytest.approx(p)


def test_how_strata_differ_is_no_chance() -> None:
    made = differences(1)
    shifts = {"named": 0.5, "kind-named": 0.0, "unnamed": -0.3}
    moved = made + np.array([shifts[name] for name in STRATA])[:, None]
    plain, shifted = mean_over_tasks(made, STRATA), mean_over_tasks(moved, STRATA)
    assert shifted.of_tasks == pytest.approx(plain.of_tasks)
    assert shifted.interval.high - shifted.interval.low == pytest.approx(
        plain.interval.high - plain.interval.low
    )
    assert mean_over_tasks(moved).of_tasks > 10 * plain.of_tasks


def test_a_component_below_zero_is_shown_and_counts_as_none() -> None:
    # Every task has the same mean, so that what tasks add lies below what chance would give.
    made = differences(2)
    made = made - made.mean(axis=1, keepdims=True) + np.arange(8) / 10
    found = mean_over_tasks(made)
    assert found.of_tasks < 0
    seeds = made.mean(axis=0)
    t = stats.ttest_1samp(seeds, 0)  # what is left is the t test over seeds
    assert found.interval.p == pytest.approx(float(t.pvalue))
    assert found.freedom == pytest.approx(7)
    turned = mean_over_tasks(made.T[:, :].copy())  # seeds alike
    assert turned.of_seeds < 0
    assert turned.freedom == pytest.approx(7)
    assert turned.interval.p == pytest.approx(float(t.pvalue))


def test_the_slope_is_that_of_the_mean_line_and_its_parts_are_about_it() -> None:
    made = differences(3) + 0.4 * GAINS[:, None] * (1 + np.arange(8) / 8)
    found = slope_over_tasks(made, GAINS.tolist())
    lines = [stats.linregress(GAINS, made[:, seed]) for seed in range(8)]
    slopes = np.array([line.slope for line in lines])
    assert found.interval.value == pytest.approx(slopes.mean())
    mean = stats.linregress(GAINS, made.mean(axis=1))
    spread = ((GAINS - GAINS.mean()) ** 2).sum()
    about = made.mean(axis=1) - mean.intercept - mean.slope * GAINS
    own = [made[:, s] - line.intercept - line.slope * GAINS for s, line in enumerate(lines)]
    ms_both = sum(((each - about) ** 2).sum() for each in own) / (22 * 7)
    assert found.of_both == pytest.approx(ms_both)
    assert found.of_tasks == pytest.approx((about @ about) / 22 - ms_both / 8)
    assert found.of_seeds == pytest.approx(slopes.var(ddof=1) - ms_both / spread)
    variance = found.of_seeds / 8 + (found.of_tasks + found.of_both / 8) / spread
    half = float(stats.t.ppf(0.975, found.freedom)) * variance**0.5
    assert found.interval.high - found.interval.value == pytest.approx(half)


def test_the_unit_of_the_gains_is_the_slopes() -> None:
    made = differences(4)
    bits, tenths = (slope_over_tasks(made, (k * GAINS).tolist()).interval for k in (1, 10))
    assert bits.value == pytest.approx(10 * tenths.value)
    assert bits.p == pytest.approx(tenths.p)


@pytest.mark.parametrize(
    ("shape", "fitted", "problem"),
    [
        ((24, 2), 1, "2 encoder seeds"),
        ((5, 8), 3, "5 tasks; an interval over them needs at least 6"),
    ],
)
def test_too_few_seeds_or_tasks_have_no_interval(
    shape: tuple[int, int], fitted: int, problem: str
) -> None:
    fault = tasks_fault(*shape, num_fitted=fitted)
    assert fault is not None
    assert problem in fault
    strata = [str(index % fitted) for index in range(shape[0])]
    with pytest.raises(ValueError, match=problem):
        mean_over_tasks(differences(0, shape), strata)


def test_what_cannot_be_estimated_is_refused() -> None:
    with pytest.raises(ValueError, match=r"every gain is 0\.5"):
        slope_over_tasks(differences(0), [0.5] * 24)
    with pytest.raises(ValueError, match="expected 24 finite numbers"):
        slope_over_tasks(differences(0), [0.5, 1.0])
    with pytest.raises(ValueError, match="3 strata of 24 tasks"):
        mean_over_tasks(differences(0), ["a", "b", "c"])
    with pytest.raises(ValueError, match="not finite"):
        mean_over_tasks(np.full((24, 8), np.nan))


def test_equal_differences_leave_no_width() -> None:
    found = mean_over_tasks(np.full((24, 8), 0.02)).interval
    assert (found.low, found.value, found.high) == pytest.approx((0.02, 0.02, 0.02))


def worlds(
    generator: np.random.Generator, shares: tuple[float, float, float], at: Array, num_seeds: int
) -> Array:
    """Draw effects so that the value's variance is 1, made of tasks, seeds and both as asked.

    `at` holds the weights of the value, and what a seed moves each task by: all alike, or in
    proportion to the gain.
    """
    weights, moved = at
    scale = 1 / float(weights @ weights)
    tasks, seeds, both = shares
    shape = (len(weights), num_seeds)
    return (
        generator.normal(0, (tasks * scale) ** 0.5, (shape[0], 1))
        + generator.normal(0, (seeds * num_seeds) ** 0.5, (1, num_seeds)) * moved[:, None]
        + generator.normal(0, (both * num_seeds * scale) ** 0.5, shape)
    )


def coverage(
    estimate: Estimate, shares: tuple[float, float, float], at: Array, num_seeds: int
) -> float:
    """Return the share of 1,500 worlds whose interval holds the truth, 0."""
    generator = np.random.default_rng(num_seeds)
    held = 0
    for _ in range(1500):
        found = estimate(worlds(generator, shares, at, num_seeds)).interval
        assert found.p is not None
        assert (found.p >= 0.05) == (found.low <= 0 <= found.high)
        held += found.p >= 0.05
    return held / 1500


def weights_of_a_mean(num_tasks: int) -> Array:
    return np.stack([np.full(num_tasks, 1 / num_tasks), np.ones(num_tasks)])


def weights_of_a_slope(gains: Array) -> Array:
    centred = gains - gains.mean()
    return np.stack([centred / (centred @ centred), gains])


# Where seeds make most of the variance three of them are few; where tasks x seeds do, the smaller
# components are often below 0, and the interval is too wide.
BOUNDS = {3: (0.915, 0.99), 5: (0.93, 0.99), 8: (0.93, 0.99)}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("num_tasks", "num_seeds", "mixture"),
    [
        *((8, 3, mixture) for mixture in MIXTURES),
        *((8, 8, mixture) for mixture in ("tasks", "seeds", "both")),
        *((24, 3, "equal"), (24, 5, "seeds"), (24, 8, "both"), (24, 8, "no seeds")),
    ],
)
def test_means_over_tasks_cover_the_truth(num_tasks: int, num_seeds: int, mixture: str) -> None:
    strata = [str(3 * task // num_tasks) for task in range(num_tasks)]
    found = coverage(
        lambda made: mean_over_tasks(made, strata),
        MIXTURES[mixture],
        weights_of_a_mean(num_tasks),
        num_seeds,
    )
    low, high = BOUNDS[num_seeds]
    assert low <= found <= high


@pytest.mark.slow
@pytest.mark.parametrize(
    ("num_seeds", "mixture"),
    [*((3, mixture) for mixture in MIXTURES), (5, "equal"), (8, "tasks"), (8, "both")],
)
def test_slopes_over_24_tasks_cover_the_truth(num_seeds: int, mixture: str) -> None:
    found = coverage(
        lambda made: slope_over_tasks(made, GAINS.tolist()),
        MIXTURES[mixture],
        weights_of_a_slope(GAINS),
        num_seeds,
    )
    low, high = BOUNDS[num_seeds]
    assert low <= found <= high


def test_a_t_test_over_the_seeds_slopes_alone_is_not_offered_because_it_fails() -> None:
    generator = np.random.default_rng(0)
    at = weights_of_a_slope(GAINS)
    made = (worlds(generator, MIXTURES["tasks"], at, 8) for _ in range(400))
    rejected = [stats.ttest_1samp(at[0] @ each, 0).pvalue < 0.05 for each in made]
    assert np.mean(rejected) > 0.25
