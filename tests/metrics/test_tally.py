from __future__ import annotations

import math

import numpy as np
import pytest

from taskgrain.metrics import tally as tallying
from taskgrain.metrics.tally import FEWEST_CLIPS, Tally, clip_intervals, mean_of, share_of


def flips(number: int, *, share: float = 0.3, seed: int = 0) -> Tally:
    return mean_of((np.random.default_rng(seed).random(number) < share).astype(np.float64))


def test_the_interval_of_a_mean_is_about_its_standard_error() -> None:
    tally = flips(1000)
    interval = clip_intervals({"share": tally}, seed=0)["share"]
    assert interval is not None
    error = math.sqrt(tally.value * (1 - tally.value) / 1000)
    assert interval.low == pytest.approx(tally.value - 1.96 * error, abs=0.003)
    assert interval.high == pytest.approx(tally.value + 1.96 * error, abs=0.003)
    assert (interval.kind, interval.n, interval.value) == ("clips", 1000, tally.value)


def test_a_ratio_of_sums_is_resampled_as_one() -> None:
    chance = np.random.default_rng(1)
    slots = chance.integers(0, 4, 400).astype(np.float64)
    tally = share_of(chance.binomial(slots.astype(int), 0.5).astype(np.float64), slots)
    interval = clip_intervals({"": tally}, seed=0)[""]
    assert interval is not None
    assert interval.low < tally.value < interval.high
    assert interval.high - interval.low == pytest.approx(4 * 0.5 / math.sqrt(slots.sum()), rel=0.3)


@pytest.mark.parametrize(
    "tally",
    [flips(FEWEST_CLIPS - 1), mean_of(np.ones(500)), share_of(np.zeros(50), np.zeros(50))],
    ids=["few clips", "all right", "nothing to count"],
)
def test_no_interval_is_given_where_it_would_mislead(tally: Tally) -> None:
    assert clip_intervals({"score": tally}, seed=0) == {"score": None}


def test_a_score_that_few_clips_count_for_has_no_interval() -> None:
    counted = np.zeros(500)
    counted[:10] = 1.0
    assert (
        clip_intervals({"": share_of(counted * (np.arange(500) % 2), counted)}, seed=0)[""] is None
    )


def test_equal_seeds_give_equal_intervals() -> None:
    tally = mean_of(np.random.default_rng(0).random(60))
    first, second, other = (clip_intervals({"": tally}, seed=seed)[""] for seed in (3, 3, 4))
    assert first == second != other


def test_scores_of_other_clips_are_refused() -> None:
    with pytest.raises(ValueError, match=r"of \[40, 50\] clips"):
        clip_intervals({"a": flips(40), "b": flips(50)}, seed=0)


@pytest.mark.slow
def test_many_clips_are_resampled_in_random_groups(monkeypatch: pytest.MonkeyPatch) -> None:
    tally = flips(20_000)
    grouped = clip_intervals({"": tally}, seed=0)[""]
    assert grouped is not None
    assert grouped.n == 20_000
    monkeypatch.setattr(tallying, "MOST_UNITS", 20_000)
    singly = clip_intervals({"": tally}, seed=0)[""]
    assert singly is not None
    width = singly.high - singly.low
    assert (grouped.low, grouped.high) != (singly.low, singly.high)
    assert (grouped.low, grouped.high) == pytest.approx((singly.low, singly.high), abs=0.08 * width)


def test_groups_are_drawn_from_clips_in_any_order() -> None:
    """Clips of one kind often lie side by side: groups of these would make intervals too wide."""
    counted = np.repeat([0.0, 1.0], 5_000)
    interval = clip_intervals({"": mean_of(counted)}, seed=0)[""]
    assert interval is not None
    assert interval.high - interval.low == pytest.approx(2 * 1.96 * 0.5 / 100, rel=0.12)


@pytest.mark.slow
def test_intervals_cover_the_truth_about_as_often_as_they_say() -> None:
    covered = 0
    for seed in range(150):
        interval = clip_intervals({"": flips(100, seed=seed)}, seed=seed)[""]
        assert interval is not None
        covered += interval.low <= 0.3 <= interval.high
    assert 0.89 <= covered / 150 <= 0.99
