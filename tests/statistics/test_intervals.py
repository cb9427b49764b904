from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from taskgrain.statistics.intervals import CLIP_METRICS, ClipBootstrap, ClipMetric, clip_weights

UNBALANCED = np.repeat(np.arange(13), [20 + 10 * k for k in range(13)])  # 1,040 clips


@pytest.mark.parametrize("metric", CLIP_METRICS)
def test_clip_intervals_cover_the_truth_in_93_to_97_percent_of_worlds(metric: ClipMetric) -> None:
    # The stated condition: other clips of the same categories, encoder and draws as they are.
    category = np.repeat(np.arange(11), [50, 150] + [100] * 9)  # 1,100 clips
    generator = np.random.default_rng(20)
    worlds, ease = 1000, np.linspace(0.1, 0.9, 11)
    easy = 4 * ease[category]
    own = generator.beta(easy, 4 - easy, size=(worlds, 1100))  # each clip's chance to be right
    scores = generator.binomial(50, own) / 50
    truth = clip_weights(category, metric=metric) @ ease[category]
    found = ClipBootstrap(category, seed=0).intervals(scores, metric=metric)
    covered = np.mean([each.low <= truth <= each.high for each in found])
    assert 0.93 <= covered <= 0.97


def test_the_values_are_the_plain_means() -> None:
    scores = np.random.default_rng(0).random(len(UNBALANCED))
    bootstrap = ClipBootstrap(UNBALANCED, seed=1)
    (top,) = bootstrap.intervals(scores[None], metric="top-1")
    (per_class,) = bootstrap.intervals(scores[None], metric="mean-per-class")
    assert top.value == pytest.approx(scores.mean())
    means = [scores[members].mean() for members in np.eye(13, dtype=np.bool_)[:, UNBALANCED]]
    assert per_class.value == pytest.approx(np.mean(means))
    assert top.n == per_class.n == len(UNBALANCED)


@pytest.mark.parametrize("metric", CLIP_METRICS)
def test_the_interval_agrees_with_resampling_one_clip_at_a_time(metric: ClipMetric) -> None:
    category = np.repeat(np.arange(4), [5, 10, 15, 20])
    generator = np.random.default_rng(3)
    scores = generator.random(50)
    means = []
    for _ in range(4000):
        drawn = [
            generator.choice(np.flatnonzero(category == each), size=int((category == each).sum()))
            for each in range(4)
        ]
        per_class = [scores[part].mean() for part in drawn]
        overall = scores[np.concatenate(drawn)].mean()
        means.append(overall if metric == "top-1" else np.mean(per_class))
    (found,) = ClipBootstrap(category, seed=0).intervals(scores[None], metric=metric)
    assert [found.low, found.high] == pytest.approx(np.quantile(means, [0.025, 0.975]), abs=0.006)


@given(st.floats(0, 1))
def test_a_constant_score_has_an_interval_of_no_width_that_holds_it(score: float) -> None:
    bootstrap = ClipBootstrap(np.repeat(np.arange(3), [3, 5, 7]), seed=0)
    for metric in CLIP_METRICS:
        (found,) = bootstrap.intervals(np.full((1, 15), score), metric=metric)
        assert found.low <= found.value <= found.high
        assert found.high - found.low < 1e-12


def test_what_differs_between_categories_alone_adds_no_width() -> None:
    scores = (UNBALANCED % 2).astype(np.float64)  # whole categories right, whole ones wrong
    (found,) = ClipBootstrap(UNBALANCED, seed=0).intervals(scores[None], metric="top-1")
    assert found.high - found.low < 1e-12


def test_a_paired_difference_is_narrower_than_two_intervals_when_sources_agree() -> None:
    generator = np.random.default_rng(5)
    first = generator.random(len(UNBALANCED))
    second = np.clip(first + generator.normal(0, 0.05, len(first)), 0, 1)
    bootstrap = ClipBootstrap(UNBALANCED, seed=0)
    a, b, difference = bootstrap.intervals(
        np.stack([first, second, first - second]), metric="top-1"
    )
    assert difference.value == pytest.approx(a.value - b.value)
    assert difference.high - difference.low < 0.3 * (a.high - a.low)


def test_equal_seeds_give_equal_intervals_and_other_seeds_do_not() -> None:
    scores = np.random.default_rng(0).random((2, len(UNBALANCED)))
    first = ClipBootstrap(UNBALANCED, seed=7).intervals(scores, metric="top-1")
    assert ClipBootstrap(UNBALANCED, seed=7).intervals(scores, metric="top-1") == first
    assert ClipBootstrap(UNBALANCED, seed=8).intervals(scores, metric="top-1") != first


def test_wrong_scores_are_refused() -> None:
    bootstrap = ClipBootstrap(np.zeros(4, dtype=np.int64), seed=0)
    with pytest.raises(ValueError, match=r"scores have shape \(1, 3\)"):
        bootstrap.intervals(np.zeros((1, 3)), metric="top-1")
    with pytest.raises(ValueError, match="not finite"):
        bootstrap.intervals(np.full((1, 4), np.nan), metric="top-1")
    with pytest.raises(ValueError, match="N > 0"):
        ClipBootstrap(np.zeros(0, dtype=np.int64), seed=0)
