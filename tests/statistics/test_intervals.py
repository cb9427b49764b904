from __future__ import annotations

import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from taskgrain.names import CLIP_METRICS, ClipMetric
from taskgrain.statistics import intervals
from taskgrain.statistics.intervals import ClipBootstrap

UNBALANCED = np.repeat(np.arange(13), [20 + 10 * k for k in range(13)])  # 1,040 clips


def test_the_values_are_the_plain_means() -> None:
    scores = np.random.default_rng(0).random(len(UNBALANCED))
    bootstrap = ClipBootstrap(UNBALANCED, seed=1)
    (top,) = bootstrap.intervals(scores[None], metric="top-1")
    (per_class,) = bootstrap.intervals(scores[None], metric="mean-per-class")
    assert top.value == pytest.approx(scores.mean())
    means = [scores[members].mean() for members in np.eye(13, dtype=np.bool_)[:, UNBALANCED]]
    assert per_class.value == pytest.approx(np.mean(means))
    assert top.n == per_class.n == len(UNBALANCED)


@pytest.mark.slow
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
    low, high = np.quantile(means, [0.025, 0.975])
    # Between what 20 and 5 clips of a category ask for, and t at 20 to 46 degrees of freedom.
    assert (20 / 19) ** 0.5 < (found.high - found.low) / (high - low) < (5 / 4) ** 0.5 * 1.065
    assert (found.high + found.low) / 2 == pytest.approx((high + low) / 2, abs=0.005)


def test_clips_of_equal_categories_are_widened_by_the_two_factors_that_are_stated() -> None:
    category = np.repeat(np.arange(4), 6)
    scores = np.random.default_rng(0).random(24)
    generator = np.random.default_rng(1)
    drawn = np.stack([generator.integers(6, size=(40_000, 6)) + 6 * each for each in range(4)])
    plain = np.diff(np.quantile(scores[drawn].mean(axis=(0, 2)), [0.025, 0.975])).item()
    (found,) = ClipBootstrap(category, seed=0).intervals(scores[None], metric="top-1")
    widening = (6 / 5) ** 0.5 * stats.t.ppf(0.975, 20) / stats.norm.ppf(0.975)
    assert (found.high - found.low) / plain == pytest.approx(widening, rel=0.02)
    assert found.low_90 is not None
    assert found.high_90 is not None
    inner = np.diff(np.quantile(scores[drawn].mean(axis=(0, 2)), [0.05, 0.95])).item()
    widening = (6 / 5) ** 0.5 * stats.t.ppf(0.95, 20) / stats.norm.ppf(0.95)
    assert (found.high_90 - found.low_90) / inner == pytest.approx(widening, rel=0.02)


def test_no_interval_reaches_past_the_scores() -> None:
    scores = np.ones((1, 50))
    scores[0, 0] = 0.5
    (found,) = ClipBootstrap(np.repeat(np.arange(10), 5), seed=0).intervals(scores, metric="top-1")
    assert found.high == 1.0
    assert 0.5 <= found.low < found.value


@pytest.mark.slow
def test_kept_or_drawn_again_the_resamples_are_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    scores = np.random.default_rng(0).random((2, len(UNBALANCED)))
    kept = ClipBootstrap(UNBALANCED, seed=7).intervals(scores, metric="top-1")
    monkeypatch.setattr(intervals, "KEPT_BYTES", 0)
    bootstrap = ClipBootstrap(UNBALANCED, seed=7)
    assert bootstrap.intervals(scores, metric="top-1") == kept
    monkeypatch.setattr(intervals, "CELLS_AT_ONCE", 10_000)  # other parts of the same stream
    (again, _) = bootstrap.intervals(scores, metric="top-1")
    assert (again.low, again.high) == pytest.approx((kept[0].low, kept[0].high), abs=1e-12)


def test_kept_in_a_file_the_resamples_are_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    category = np.repeat(np.arange(3), [40, 7, 90])
    scores = np.random.default_rng(1).random((9, len(category)))
    monkeypatch.setattr(intervals, "CELLS_AT_ONCE", 100_000)  # a category comes in several pieces
    held = ClipBootstrap(category, seed=0)
    stored = ClipBootstrap(category, seed=0, spill_folder=tmp_path)
    for metric in CLIP_METRICS:
        assert stored.intervals(scores, metric=metric) == held.intervals(scores, metric=metric)
    assert list(tmp_path.iterdir()) == []  # it has no name, and nothing is left of it
    no_folder = ClipBootstrap(category, seed=0, spill_folder=tmp_path / "gone")
    assert no_folder.intervals(scores, metric="top-1") == held.intervals(scores, metric="top-1")


@pytest.mark.slow
@pytest.mark.parametrize("kept", [True, False])
def test_memory_is_a_byte_a_clip_and_resample_at_most(
    kept: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    num_clips = 4000  # 40 MB of counts; 320 MB as float64
    if not kept:
        monkeypatch.setattr(intervals, "KEPT_BYTES", 0)
    tracemalloc.start()
    bootstrap = ClipBootstrap(np.arange(num_clips) % 20, seed=0)
    bootstrap.intervals(np.zeros((1, num_clips)), metric="top-1")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < (90e6 if kept else 50e6)


@pytest.mark.slow
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
