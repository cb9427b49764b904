"""Coverage and level of every interval that is offered, and of what is not, in made-up worlds."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import stats

from taskgrain.names import CLIP_METRICS, ClipMetric
from taskgrain.statistics.crossed import SHARE_POWER, Classes, crossed_interval
from taskgrain.statistics.intervals import ClipBootstrap, clip_weights
from taskgrain.statistics.tests import mean_interval, paired_interval

Array = NDArray[np.float64]
DRAWS, CLASSES, CLIPS = 8, 8, 5  # clips of each class
CATEGORY = np.repeat(np.arange(CLASSES), CLIPS)
# What the value's variance is made of; all four are there in each.
MIXTURES = {
    "equal": {"seed": 0.25, "draw": 0.25, "class": 0.25, "clip": 0.25},
    "seeds": {"seed": 0.70, "draw": 0.10, "class": 0.10, "clip": 0.10},
    "draws": {"seed": 0.10, "draw": 0.70, "class": 0.10, "clip": 0.10},
    "classes": {"seed": 0.10, "draw": 0.10, "class": 0.70, "clip": 0.10},
    "clips": {"seed": 0.10, "draw": 0.10, "class": 0.10, "clip": 0.70},
}
# What two axes share besides: a seed has favourite classes and clips, a draw favours a class.
SHARED = {
    **{"seed": 0.2, "draw": 0.1, "class": 0.1, "clip": 0.2},
    **{"seed x class": 0.1, "draw x class": 0.1, "seed x draw": 0.1, "seed x clip": 0.1},
}


def effects(generator: np.random.Generator, shares: Mapping[str, float], seeds: int) -> list[Array]:
    """Draw each effect: normal, so large that its share of the value's variance is as asked."""
    shapes = {
        "seed": (seeds, 1, 1),
        "draw": (1, DRAWS, 1),
        "class": (1, 1, CLASSES),
        "clip": (1, 1, len(CATEGORY)),
        "seed x class": (seeds, 1, CLASSES),
        "draw x class": (1, DRAWS, CLASSES),
        "seed x draw": (seeds, DRAWS, 1),
        "seed x clip": (seeds, 1, len(CATEGORY)),
    }
    drawn = []
    for name, share in shares.items():
        effect = generator.normal(0, (share * np.prod(shapes[name])) ** 0.5, shapes[name])
        drawn.append(effect[:, :, CATEGORY] if name.endswith("class") else effect)
    return drawn


def differences(generator: np.random.Generator, shares: Mapping[str, float], seeds: int) -> Array:
    """Differences (S, R, N) whose mean over seeds, draws, classes and clips to come is 0."""
    return sum(effects(generator, shares, seeds), np.zeros((seeds, DRAWS, len(CATEGORY))))


def coverage(
    shares: Mapping[str, float], *, seeds: int, worlds: int, classes: Classes = "random"
) -> float:
    """Share of worlds in which the crossed interval holds 0; its test rejects in the others."""
    generator = np.random.default_rng(seeds)
    held = 0
    for _ in range(worlds):
        values = differences(generator, shares, seeds)
        found = crossed_interval(values, CATEGORY, metric="mean-per-class", classes=classes)
        assert found.p is not None
        assert (found.p >= 0.05) == (found.low <= 0 <= found.high)
        held += found.p >= 0.05
    return held / worlds


def percentile_bootstrap(values: Array, generator: np.random.Generator) -> tuple[float, float]:
    """The crossed bootstrap as it is usually run: seeds, draws and classes with replacement."""
    of_class = values.reshape(*values.shape[:2], CLASSES, CLIPS).mean(axis=3)
    counts = [
        generator.multinomial(size, [1 / size] * size, size=400) / size for size in of_class.shape
    ]
    means = np.einsum("srk,bs,br,bk->b", of_class, *counts, optimize=True)
    low, high = np.quantile(means, [0.025, 0.975])
    return float(low), float(high)


def test_a_crossed_interval_over_three_seeds_covers_the_truth() -> None:
    assert 0.93 <= coverage(MIXTURES["equal"], seeds=3, worlds=500) <= 0.97


@pytest.mark.slow
@pytest.mark.parametrize(
    ("seeds", "mixture"),
    [
        *((3, mixture) for mixture in MIXTURES if mixture != "equal"),
        (5, "seeds"),
        (8, "equal"),
        (8, "draws"),
        (20, "clips"),
    ],
)
def test_crossed_intervals_cover_93_to_97_percent_and_their_tests_keep_the_level(
    seeds: int, mixture: str
) -> None:
    assert 0.93 <= coverage(MIXTURES[mixture], seeds=seeds, worlds=1200) <= 0.97


@pytest.mark.slow
@pytest.mark.parametrize("classes", ["random", "fixed"])
@pytest.mark.parametrize("seeds", [3, 8])
def test_so_they_do_where_seeds_have_favourites(seeds: int, classes: Classes) -> None:
    shares = {k: v for k, v in SHARED.items() if (classes, k) != ("fixed", "class")}
    assert 0.93 <= coverage(shares, seeds=seeds, worlds=700, classes=classes) <= 0.97


def answers(
    generator: np.random.Generator, sources: tuple[float, float], seeds: int
) -> tuple[NDArray[np.int8], NDArray[np.int64], float]:
    """Right and wrong answers of two sources: their differences, the categories, the truth.

    An answer is right where an ease, a sum of normal effects, is above a standard normal: over
    all worlds it is so with chance Phi(mean / sqrt(1 + variance of the ease)).
    """
    category = np.repeat(np.arange(10), generator.integers(5, 16, size=10))
    shape = (seeds, DRAWS, len(category))
    common = generator.normal(0, 0.5, 10)[category] + generator.normal(0, 0.7, len(category))
    right = []
    for mean in sources:
        ease = mean + common + generator.normal(0, 0.2, (seeds, 1, 1))
        ease = ease + generator.normal(0, 0.2, (1, DRAWS, 1))
        ease = ease + generator.normal(0, 0.2, (seeds, 1, 10))[:, :, category]
        ease = ease + generator.normal(0, 0.3, (1, 1, len(category)))
        right.append((ease > generator.normal(size=shape)).astype(np.int8))
    spread = (1 + 0.5**2 + 0.7**2 + 3 * 0.2**2 + 0.3**2) ** 0.5
    first, second = stats.norm.cdf(np.array(sources) / spread)
    return right[0] - right[1], category, float(first - second)


@pytest.mark.slow
@pytest.mark.parametrize("sources", [(0.4, 0.4), (1.2, 0.4)], ids=["equal", "different"])
@pytest.mark.parametrize("seeds", [3, 8])
def test_crossed_intervals_cover_the_truth_of_right_and_wrong_answers(
    seeds: int, sources: tuple[float, float]
) -> None:
    generator = np.random.default_rng(seeds)
    held: list[tuple[bool, bool]] = []
    for _ in range(700):
        values, category, truth = answers(generator, sources, seeds)
        found = [crossed_interval(values, category, metric=metric) for metric in CLIP_METRICS]
        held.append(
            (found[0].low <= truth <= found[0].high, found[1].low <= truth <= found[1].high)
        )
    covered = np.mean(held, axis=0)
    assert (covered >= 0.93).all()
    assert (covered <= 0.97).all()


@pytest.mark.slow
@pytest.mark.parametrize("seeds", [3, 8])
def test_t_over_seeds_speaks_of_seeds_on_these_draws_and_clips_alone(seeds: int) -> None:
    generator = np.random.default_rng(seeds)
    held, everywhere = [], []
    for _ in range(2000):
        seed, draw, of_class, clip = effects(generator, MIXTURES["equal"], seeds)
        here = float((draw.mean() + of_class.mean() + clip.mean()).item())
        values = (seed.ravel() + here).tolist()
        found = paired_interval(values, [0.0] * seeds, kind="seeds")
        held.append(found.low <= here <= found.high)
        everywhere.append(found.low <= 0 <= found.high)
    assert 0.93 <= np.mean(held) <= 0.97
    assert np.mean(everywhere) < 0.9


@pytest.mark.slow
@pytest.mark.parametrize("metric", CLIP_METRICS)
@pytest.mark.parametrize("sizes", [[5] * 8, [10] * 2, [5] * 4 + [50] * 4, [100] * 13], ids=str)
def test_clip_intervals_cover_the_truth_in_93_to_97_percent_of_worlds(
    sizes: list[int], metric: ClipMetric
) -> None:
    # The stated condition: other clips of the same categories, encoder and draws as they are.
    category = np.repeat(np.arange(len(sizes)), sizes)
    generator = np.random.default_rng(20)
    ease = np.linspace(0.15, 0.85, len(sizes))
    easy = 4 * ease[category]
    own = generator.beta(easy, 4 - easy, size=(800, len(category)))  # a clip's chance to be right
    scores = generator.binomial(50, own) / 50
    truth = clip_weights(category, metric=metric) @ ease[category]
    found = ClipBootstrap(category, seed=0).intervals(scores, metric=metric)
    assert 0.93 <= np.mean([each.low <= truth <= each.high for each in found]) <= 0.97


@pytest.mark.slow
def test_the_crossed_percentile_bootstrap_is_not_offered_because_it_fails() -> None:
    generator = np.random.default_rng(0)
    held = {"percentile": 0, "offered": 0}
    for _ in range(600):
        values = differences(generator, MIXTURES["seeds"], 3)
        low, high = percentile_bootstrap(values, generator)
        held["percentile"] += low <= 0 <= high
        found = crossed_interval(values, CATEGORY, metric="mean-per-class")
        held["offered"] += found.low <= 0 <= found.high
    assert held["percentile"] / 600 < 0.88
    assert held["offered"] / 600 >= 0.93


@pytest.mark.parametrize(("seeds", "expected"), [(3, 0.75), (5, 0.83), (8, 0.89)])
def test_percentiles_over_few_seeds_are_not_offered_because_they_fail(
    seeds: int, expected: float
) -> None:
    generator = np.random.default_rng(seeds)
    worlds = generator.normal(size=(2000, seeds))
    drawn = generator.integers(seeds, size=(1000, seeds))
    low, high = np.quantile(worlds[:, drawn].mean(axis=2), [0.025, 0.975], axis=1)
    assert np.mean((low <= 0) & (high >= 0)) == pytest.approx(expected, abs=0.03)
    offered = [mean_interval(each, kind="seeds") for each in worlds.tolist()]
    assert 0.93 <= np.mean([each.low <= 0 <= each.high for each in offered]) <= 0.97


def test_the_squared_shares_of_satterthwaite_are_not_used_because_they_cover_too_little() -> None:
    # Nine tenths of the variance from 3 seeds, the rest known: the worst mixture.
    generator = np.random.default_rng(0)
    of_seeds = 0.9 * generator.chisquare(2, 20_000) / 2
    total = of_seeds + 0.1
    error = np.abs(generator.normal(size=20_000))
    covered = {
        power: np.mean(error <= stats.t.ppf(0.975, 2 * (total / of_seeds) ** power) * total**0.5)
        for power in (SHARE_POWER, 2.0)
    }
    assert covered[2.0] < 0.93 <= covered[SHARE_POWER]
