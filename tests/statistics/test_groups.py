from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import stats

from taskgrain.names import CLIP_METRICS, ClipMetric
from taskgrain.statistics import intervals
from taskgrain.statistics.groups import GroupSums
from taskgrain.statistics.intervals import ClipBootstrap, clip_weights

Labels = NDArray[np.int64]
Layout = tuple[Labels, Labels]


def within(sizes: list[list[int]]) -> Layout:
    """Groups within classes: sizes[c] are the clips of each group of class c."""
    category = np.repeat(np.arange(len(sizes)), [sum(own) for own in sizes])
    every = [size for own in sizes for size in own]
    return category, np.repeat(np.arange(len(every)), every)


def across(num_classes: int, num_groups: int, size: int, *, seed: int | None) -> Layout:
    """Groups of `size` clips of random classes; without a seed `size` clips of each class."""
    if seed is None:
        category = np.tile(np.repeat(np.arange(num_classes), size), num_groups)
        return category, np.repeat(np.arange(num_groups), num_classes * size)
    drawn = np.random.default_rng(seed).integers(num_classes, size=num_groups * size)
    return drawn, np.repeat(np.arange(num_groups), size)


SOUND: dict[str, Layout] = {
    "equal": within([[4] * 5] * 8),
    "of two classes": within([[5] * 10] * 2),
    "two of a class": within([[4] * 2] * 13),
    "unequal": within([[10, 10, 5, 3, 2]] * 8),
    "one of a third": within([[4, 2, 2, 2, 2]] * 40),
    "large and small classes": within([[2] * 4] * 6 + [[9, 7, 7, 6, 5, 5]] * 6),
    "all classes in each": across(8, 10, 2, seed=None),
    "of any classes": across(8, 30, 6, seed=7),
    "of any of many classes": across(20, 60, 5, seed=8),
}
UNSOUND: dict[str, Layout] = {
    "one of three quarters": within([[20, 1, 1, 1, 1, 1, 1]] * 60),
    "one among many": within([[10] + [1] * 20] * 13),
    "too few": within([[4] * 3] * 3),
    "one of a class": within([[8] * 5] * 8 + [[9]]),
    "few of all classes": across(8, 6, 2, seed=None),
}


@pytest.mark.parametrize("metric", CLIP_METRICS)
@pytest.mark.parametrize("layout", SOUND.values(), ids=SOUND)
def test_groups_enough_of_like_sizes_are_sound(layout: Layout, metric: ClipMetric) -> None:
    category, groups = layout
    assert GroupSums(category, groups).is_sound(clip_weights(category, metric=metric))
    assert ClipBootstrap(category, seed=0, groups=groups).is_sound


@pytest.mark.parametrize("layout", UNSOUND.values(), ids=UNSOUND)
def test_few_groups_or_unequal_ones_are_not(layout: Layout) -> None:
    category, groups = layout
    assert not GroupSums(category, groups).is_sound(clip_weights(category, metric="top-1"))
    bootstrap = ClipBootstrap(category, seed=0, groups=groups)
    assert not bootstrap.is_sound
    (found,) = bootstrap.intervals(np.random.default_rng(0).random((1, len(category))),
                                   metric="top-1")  # fmt: skip
    assert found.low <= found.value <= found.high


def test_groups_within_a_class_must_also_have_clips_enough() -> None:
    category, groups = within([[2, 2]] * 20)  # four clips of a class
    assert GroupSums(category, groups).is_sound(clip_weights(category, metric="top-1"))
    assert not ClipBootstrap(category, seed=0, groups=groups).is_sound


@pytest.mark.parametrize("metric", CLIP_METRICS)
def test_the_sums_are_those_of_leaving_each_group_out(metric: ClipMetric) -> None:
    category, groups = within([[3, 5, 2, 4], [6, 1, 1], [2, 2]])
    scores = np.random.default_rng(0).random((2, len(category)))
    weight = clip_weights(category, metric=metric)
    found = GroupSums(category, groups).sums(scores, weight)
    expected = np.zeros((2, 9))
    for group in range(9):
        (own,) = set(category[groups == group].tolist())
        alike = category == own
        left = alike & (groups != group)
        shrunk = (len(set(groups[alike].tolist())) - 1) / len(set(groups[alike].tolist()))
        moved = scores[:, alike].mean(axis=1) - scores[:, left].mean(axis=1)
        expected[:, group] = weight[alike].sum() * moved * shrunk**0.5
    assert found == pytest.approx(expected)


def test_of_groups_of_one_clip_the_variance_is_the_usual_one_and_so_its_freedom() -> None:
    category = np.repeat([0, 1, 2], [6, 9, 20])
    scores = np.random.default_rng(1).random((1, 35))
    alone = GroupSums(category, np.random.default_rng(2).permutation(35))
    for metric in CLIP_METRICS:
        weight = clip_weights(category, metric=metric)
        parts = [
            (weight[category == each].sum() ** 2, scores[0, category == each]) for each in range(3)
        ]
        variance = sum(share * own.var(ddof=1) / len(own) for share, own in parts)
        assert (alone.sums(scores, weight) ** 2).sum() == pytest.approx(variance)
        spread = [share / len(own) for share, own in parts]
        freedom = sum(spread) ** 2 / sum(
            each**2 / (len(own) - 1) for each, (_, own) in zip(spread, parts, strict=True)
        )
        assert alone.freedom(weight) == pytest.approx(freedom)


def test_groups_of_all_classes_leave_one_less_than_there_are() -> None:
    category, groups = across(5, 12, 3, seed=None)
    found = GroupSums(category, groups)
    assert found.freedom(clip_weights(category, metric="top-1")) == pytest.approx(11)
    assert found.spans_classes
    assert [each.tolist() for each in found.strata] == [list(range(12))]
    apart = GroupSums(*within([[2, 2], [3, 3, 3]]))
    assert not apart.spans_classes
    assert [each.tolist() for each in apart.strata] == [[0, 1], [2, 3, 4]]


def test_groups_of_one_clip_give_the_bits_of_clips_alone() -> None:
    category = np.repeat(np.arange(4), 12)
    scores = np.random.default_rng(0).random((3, 48))
    plain = ClipBootstrap(category, seed=0)
    alone = ClipBootstrap(category, seed=0, groups=np.random.default_rng(1).permutation(48))
    assert alone.groups is None
    assert alone.intervals(scores, metric="top-1") == plain.intervals(scores, metric="top-1")


def test_clips_that_are_copies_are_worth_one() -> None:
    category = np.repeat(np.arange(4), 12)
    scores = np.random.default_rng(0).random((1, 48))
    (once,) = ClipBootstrap(category, seed=0).intervals(scores, metric="mean-per-class")
    fivefold = ClipBootstrap(category.repeat(5), seed=0, groups=np.arange(48).repeat(5))
    (copied,) = fivefold.intervals(scores.repeat(5, axis=1), metric="mean-per-class")
    assert copied.value == pytest.approx(once.value)
    assert copied.n == 48
    assert (copied.low, copied.high) == pytest.approx((once.low, once.high), abs=0.004)


def covered(
    layout: Layout, *, alike: float, shared: bool = True, by_group: bool = True
) -> list[float]:
    """Share of 1,000 worlds whose truth the interval holds, for each metric.

    An answer is right where a normal ease is above a threshold of its class: `alike` of the ease's
    variance is the group's, the same in all its classes if it is shared, the rest is the clip's.
    """
    category, groups = layout
    generator = np.random.default_rng(20)
    hard = np.linspace(0.15, 0.85, category.max() + 1)
    shape = (1000, groups.max() + 1, 1 if shared else category.max() + 1)
    of_group = generator.normal(size=shape)[:, groups, 0 if shared else category]
    own = generator.normal(size=(1000, len(category)))
    ease = alike**0.5 * of_group + (1 - alike) ** 0.5 * own
    chance = stats.norm.cdf(2**0.5 * stats.norm.ppf(hard)[category] + ease)
    scores = generator.binomial(50, chance) / 50
    bootstrap = ClipBootstrap(category, seed=0, groups=groups if by_group else None)
    shares = []
    for metric in CLIP_METRICS:
        truth = clip_weights(category, metric=metric) @ hard[category]
        found = bootstrap.intervals(scores, metric=metric)
        shares.append(float(np.mean([each.low <= truth <= each.high for each in found])))
    return shares


@pytest.fixture
def few_resamples(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(intervals, "NUM_RESAMPLES", 2000)  # of 10,000: a fifth of the time


@pytest.mark.slow
@pytest.mark.usefixtures("few_resamples")
@pytest.mark.parametrize("alike", [0.05, 0.95])
@pytest.mark.parametrize("layout", SOUND.values(), ids=SOUND)
def test_intervals_over_groups_cover_the_truth_in_93_to_97_percent_of_worlds(
    layout: Layout, alike: float
) -> None:
    for shared in (True, False):
        for held in covered(layout, alike=alike, shared=shared):
            assert 0.93 <= held <= 0.97


@pytest.mark.slow
@pytest.mark.usefixtures("few_resamples")
def test_taking_each_clip_for_itself_is_not_offered_because_it_fails() -> None:
    recorded_in_tens = within([[10] * 6] * 8)
    assert max(covered(recorded_in_tens, alike=0.95, by_group=False)) < 0.6
    assert min(covered(recorded_in_tens, alike=0.95)) >= 0.93


@pytest.mark.slow
@pytest.mark.usefixtures("few_resamples")
def test_one_group_of_most_clips_is_not_offered_because_it_fails() -> None:
    assert min(covered(UNSOUND["one among many"], alike=0.05)) > 0.97
