from __future__ import annotations

import re
import tracemalloc
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import stats

from taskgrain.names import CLIP_METRICS, ClipMetric
from taskgrain.statistics.crossed import (
    Classes,
    Part,
    clip_noise,
    crossed_fault,
    crossed_interval,
    rotating_components,
    shared_components,
    variance_parts,
)
from taskgrain.statistics.intervals import clip_weights
from taskgrain.statistics.tasks import mean_over_tasks
from taskgrain.statistics.tests import mean_interval

CATEGORY = np.repeat(np.arange(6), [4, 5, 6, 7, 8, 9])  # 39 clips
BOTH: tuple[Classes, ...] = ("random", "fixed")
Array = NDArray[np.float64]
Groups = Sequence[NDArray[np.intp]]


def some_values(*, seeds: int = 4, draws: int = 6, num: int = 39, seed: int = 0) -> Array:
    generator = np.random.default_rng(seed)
    values = generator.normal(0.1, 0.1, (seeds, draws, num))
    for shape, sd in (((seeds, 1, 1), 0.2), ((1, draws, 1), 0.1), ((1, 1, num), 0.3)):
        values += generator.normal(0, sd, shape)
    return values


def resampled(
    values: Array, weights: Array, *, axis: int, groups: Sequence[NDArray[np.intp]]
) -> Array:
    """Draw from each group of one axis as many as it has: the values of 20,000 resamples."""
    generator = np.random.default_rng(0)
    rest = tuple(other for other in (0, 1) if other != axis)
    if axis < 2:
        along = (values @ weights).mean(axis=rest)
        return along[generator.integers(len(along), size=(20_000, len(along)))].mean(axis=1)
    total = np.zeros(20_000)
    for group in groups:
        along = (values * weights)[:, :, group].mean(axis=(0, 1))
        total += along[generator.integers(len(along), size=(20_000, len(along)))].sum(axis=1)
    return total


@pytest.mark.parametrize("metric", CLIP_METRICS)
@pytest.mark.parametrize("classes", BOTH)
def test_the_value_is_the_mean_of_every_seed_and_draw(metric: ClipMetric, classes: Classes) -> None:
    values = some_values()
    found = crossed_interval(values, CATEGORY, metric=metric, classes=classes)
    assert found.value == pytest.approx(
        (values @ clip_weights(CATEGORY, metric=metric)).mean(), abs=1e-12
    )
    assert (found.kind, found.n) == ("crossed", 4)
    assert found.p is not None
    assert (found.low <= 0 <= found.high) == (found.p >= 0.05)


def test_degrees_of_freedom_weigh_each_share_to_the_power_of_three_halves() -> None:
    # Seeds and clips add up without an interaction: two components of known variance.
    generator = np.random.default_rng(4)
    of_seed, of_clip = generator.normal(size=4), 2 * generator.normal(size=12)
    values = (of_seed[:, None] + of_clip)[:, None]
    one_class = np.zeros(12, dtype=np.int64)
    found = crossed_interval(values, one_class, metric="top-1", classes="fixed")
    variance = np.array([of_seed.var(ddof=1) / 4, of_clip.var(ddof=1) / 12])
    share = variance / variance.sum()
    assert 0.2 < share[0] < 0.8
    df = 1 / (share**1.5 / np.array([3, 11])).sum()
    half = stats.t.ppf(0.975, df) * variance.sum() ** 0.5
    assert (found.low, found.high) == pytest.approx((found.value - half, found.value + half))


@pytest.mark.parametrize("classes", BOTH)
def test_where_only_seeds_differ_it_is_students_t(classes: Classes) -> None:
    of_seed = [0.1, 0.3, 0.25, 0.6]
    values = np.tile(np.array(of_seed)[:, None, None], (1, 6, 39))
    found = crossed_interval(values, CATEGORY, metric="top-1", classes=classes)
    student = mean_interval(of_seed, kind="seeds")
    assert (found.low, found.value, found.high) == pytest.approx(
        (student.low, student.value, student.high)
    )


@pytest.mark.parametrize("metric", CLIP_METRICS)
@pytest.mark.parametrize("axis", [0, 1, 2])
def test_its_width_along_one_axis_is_that_of_resampling_the_axis(
    axis: int, metric: ClipMetric
) -> None:
    # Clips in equal classes, so that one factor makes all of their resampled variances unbiased.
    category = np.repeat(np.arange(4), 10)
    shape = [1, 1, 1]
    shape[axis] = (30, 30, 40)[axis]
    effect = np.random.default_rng(axis).normal(0, 0.2, shape)
    values = np.broadcast_to(effect, (30, 30, 40))
    found = crossed_interval(values, category, metric=metric, classes="fixed")
    groups = [np.flatnonzero(category == each) for each in range(4)]
    drawn = resampled(values, clip_weights(category, metric=metric), axis=axis, groups=groups)
    units = (30, 30, 10)[axis]
    quantile = 2.045 if axis < 2 else 2.03  # t(.975) at 29; at about 36 degrees of freedom
    half = quantile * drawn.std() * (units / (units - 1)) ** 0.5
    assert (found.high - found.low) / 2 == pytest.approx(half, rel=0.03)


def test_random_classes_are_resampled_whole() -> None:
    category = np.repeat(np.arange(20), np.arange(5, 25))
    generator = np.random.default_rng(0)
    of_clip = generator.normal(0, 0.3, 20)[category] + generator.normal(0, 0.3, len(category))
    values = np.broadcast_to(of_clip, (3, 5, len(category)))
    found = crossed_interval(values, category, metric="top-1")
    sums = np.bincount(category, of_clip)
    counts = np.bincount(category)
    drawn = generator.integers(20, size=(20_000, 20))
    ratios = sums[drawn].sum(axis=1) / counts[drawn].sum(axis=1)
    half = 2.093 * ratios.std() * (20 / 19) ** 0.5
    assert (found.high - found.low) / 2 == pytest.approx(half, rel=0.05)
    fixed = crossed_interval(values, category, metric="top-1", classes="fixed")
    assert fixed.high - fixed.low < 0.5 * (found.high - found.low)


def test_what_a_seed_and_a_class_share_is_counted_once() -> None:
    generator = np.random.default_rng(1)
    category = np.repeat(np.arange(60), 2)
    shared = generator.normal(0, 1, (40, 1, 60))[:, :, category]
    values = np.broadcast_to(shared, (40, 5, 120))
    found = crossed_interval(values, category, metric="top-1")
    true_half = 1.96 / (40 * 60) ** 0.5  # taken for seeds and for classes: 1.41 times this
    assert (found.high - found.low) / 2 == pytest.approx(true_half, rel=0.2)


@pytest.mark.parametrize("classes", BOTH)
def test_the_order_of_seeds_draws_and_clips_does_not_matter(classes: Classes) -> None:
    values, generator = some_values(), np.random.default_rng(2)
    seeds, draws, clips = (generator.permutation(size) for size in values.shape)
    first = crossed_interval(values, CATEGORY, metric="top-1", classes=classes)
    moved = values[seeds][:, draws][:, :, clips]
    second = crossed_interval(moved, CATEGORY[clips], metric="top-1", classes=classes)
    assert (first.low, first.value, first.high, first.p) == pytest.approx(
        (second.low, second.value, second.high, second.p)
    )


@pytest.mark.parametrize("classes", BOTH)
@pytest.mark.parametrize("dtype", [np.int8, np.float32, np.bool_])
def test_answers_may_be_kept_small(classes: Classes, dtype: Any) -> None:
    values = some_values() > 0.1
    found = crossed_interval(values.astype(dtype), CATEGORY, metric="top-1", classes=classes)
    assert found == crossed_interval(
        values.astype(np.float64), CATEGORY, metric="top-1", classes=classes
    )


@pytest.mark.parametrize("classes", BOTH)
def test_memory_is_bounded_by_a_class_and_not_by_the_clips(classes: Classes) -> None:
    category = np.repeat(np.arange(100), 40)
    values = np.random.default_rng(0).integers(-1, 2, size=(8, 20, 4000), dtype=np.int8)
    tracemalloc.start()
    crossed_interval(values, category, metric="top-1", classes=classes)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 3 * values.nbytes  # as float64 they are 8 times


@pytest.mark.parametrize("classes", ["random", "fixed"])
def test_what_is_known_of_a_clip_is_subtracted_from_every_seed_and_draw(classes: Classes) -> None:
    generator = np.random.default_rng(3)
    category = np.repeat(np.arange(6), [4, 5, 6, 3, 9, 2])
    right, known = generator.random((4, 5, 29)) < 0.6, generator.random(29)
    for metric in CLIP_METRICS:
        apart = crossed_interval(right, category, metric=metric, classes=classes, known=known)
        assert apart == crossed_interval(right - known, category, metric=metric, classes=classes)
    with pytest.raises(ValueError, match="not finite"):
        crossed_interval(right, category, metric="top-1", known=np.full(29, np.nan))


def test_one_support_set_is_held_fixed() -> None:
    found = crossed_interval(some_values(draws=1), CATEGORY, metric="top-1")
    assert found.low < found.value < found.high


def test_equal_values_leave_no_width() -> None:
    for level, p in ((0.0, 1.0), (0.25, 0.0)):
        found = crossed_interval(np.full((3, 5, 39), level), CATEGORY, metric="mean-per-class")
        assert found.high - found.low < 1e-12
        assert found.p == p


def test_what_could_not_hold_its_coverage_is_not_offered() -> None:
    two = np.repeat(np.arange(2), 20)
    assert crossed_fault(CATEGORY, num_seeds=3, num_draws=5) is None
    assert crossed_fault(two, num_seeds=3, num_draws=1, classes="fixed") is None
    for fault, expected in (
        (crossed_fault(CATEGORY, num_seeds=2, num_draws=50), "2 encoder seeds; .* at least 3"),
        (crossed_fault(CATEGORY, num_seeds=8, num_draws=4), "4 support draws; .* 1 or at least 5"),
        (crossed_fault(two, num_seeds=8, num_draws=50), "2 classes; .* at least 5"),
        (
            crossed_fault(np.array([0, 0, 1]), num_seeds=8, num_draws=50, classes="fixed"),
            "fewer than 2 scored clips",
        ),
    ):
        assert fault is not None
        assert re.search(expected, fault)
    with pytest.raises(ValueError, match="2 encoder seeds; a crossed interval needs at least 3"):
        crossed_interval(some_values(seeds=2), CATEGORY, metric="top-1")


def test_wrong_values_are_refused() -> None:
    with pytest.raises(ValueError, match=r"values have shape \(4, 6, 38\); expected \(S, R, 39\)"):
        crossed_interval(some_values(num=38), CATEGORY, metric="top-1")
    values = some_values()
    values[0, 0, 0] = np.nan
    with pytest.raises(ValueError, match="not finite"):
        crossed_interval(values, CATEGORY, metric="top-1")


FOUR_CLASSES = np.repeat(np.arange(4), (3, 5, 8, 4))
SEEDS, DRAWS, CLIPS = 4, 5, len(FOUR_CLASSES)
SPREAD = {  # standard deviations of the effects
    (0,): 0.5,
    (1,): 0.4,
    (2,): 2.0,
    (0, 1): 0.3,
    (0, 2): 1.0,
    (1, 2): 0.8,
    (0, 1, 2): 1.5,
}
SQUARES = float((clip_weights(FOUR_CLASSES, metric="mean-per-class") ** 2).sum())


def world(generator: np.random.Generator, shape: tuple[int, int, int]) -> Array:
    """Draw effects of seeds, draws, clips and their interactions about the means of classes."""
    values = np.broadcast_to(np.arange(4.0)[FOUR_CLASSES], shape).copy()
    for axes, spread in SPREAD.items():
        of_axes = tuple(size if axis in axes else 1 for axis, size in enumerate(shape))
        values += generator.normal(0, spread, of_axes)
    return values


def truth(axes: tuple[int, ...]) -> float:
    """Return what one unit of a component adds; clips together, weighed as the metric weighs."""
    return SPREAD[axes] ** 2 * (SQUARES if 2 in axes else 1)


def close(found: list[list[float]], wanted: list[float]) -> None:
    """Check that means over worlds are within four standard errors of the truth."""
    mean, error = np.mean(found, axis=0), np.std(found, axis=0) / len(found) ** 0.5
    assert np.all(np.abs(mean - wanted) < 4 * error), (mean, wanted, error)
    assert np.all(error < 0.25 * np.abs(np.array(wanted)) + 0.02)


def test_components_of_seeds_draws_and_clips_are_unbiased() -> None:
    generator = np.random.default_rng(0)
    shape = (SEEDS, DRAWS, CLIPS)
    found = [
        shared_components(world(generator, shape), FOUR_CLASSES, metric="mean-per-class")
        for _ in range(1000)
    ]
    names = [part.name for part in found[0]]
    assert set(names[:2]) == {"seeds", "draws"}
    assert {(part.name, part.units) for part in found[0]} == {
        *(("seeds", SEEDS), ("draws", DRAWS), ("clips", 1), ("seeds x draws", SEEDS * DRAWS)),
        *(("seeds x clips", SEEDS), ("draws x clips", DRAWS)),
        ("seeds x draws x clips", SEEDS * DRAWS),
    }
    axes = [
        tuple(("seeds", "draws", "clips").index(n) for n in name.split(" x ")) for name in names
    ]
    close([[part.of_one for part in each] for each in found], [truth(each) for each in axes])


def test_the_parts_add_up_to_the_variance_of_the_mean() -> None:
    generator = np.random.default_rng(1)
    weights = clip_weights(FOUR_CLASSES, metric="mean-per-class")
    made = [world(generator, (SEEDS, DRAWS, CLIPS)) for _ in range(2000)]
    means = [float((each @ weights).mean()) for each in made]
    parts = [shared_components(each, FOUR_CLASSES, metric="mean-per-class") for each in made[:500]]
    estimate = float(np.mean([sum(part.in_mean for part in each) for each in parts]))
    assert estimate == pytest.approx(float(np.var(means)), rel=0.12)


def test_without_other_seeds_and_draws_clips_have_the_closed_form_within_classes() -> None:
    values = world(np.random.default_rng(2), (1, 1, CLIPS))
    ((axes, found),) = variance_parts(values, FOUR_CLASSES, metric="mean-per-class").items()
    assert axes == (2,)
    of_class = [values[0, 0, each == FOUR_CLASSES] for each in range(4)]
    assert found == pytest.approx(sum(each.var(ddof=1) / len(each) for each in of_class) / 16)
    top_1 = variance_parts(values, FOUR_CLASSES, metric="top-1")[2,]
    assert top_1 == pytest.approx(sum(e.var(ddof=1) * len(e) for e in of_class) / CLIPS**2)


def test_components_of_clips_of_each_seeds_own_are_unbiased() -> None:
    generator = np.random.default_rng(3)

    def one() -> list[Part]:
        seeds = generator.normal(0, 0.5, SEEDS)
        values = [world(generator, (1, DRAWS, CLIPS))[0] + seed for seed in seeds]
        return rotating_components(values, [FOUR_CLASSES] * SEEDS, metric="mean-per-class")

    found = [one() for _ in range(1000)]
    assert [(part.name, part.units) for part in found[0]] == [
        *(("seeds", SEEDS), ("draws", SEEDS * DRAWS), ("clips", SEEDS)),
        ("draws x clips", SEEDS * DRAWS),
    ]
    # A seed's own draws and clips: what a seed shares with them is theirs.
    wanted = [
        truth((0,)) + 0.25,
        truth((1,)) + truth((0, 1)),
        truth((2,)) + truth((0, 2)),
        truth((1, 2)) + truth((0, 1, 2)),
    ]
    close([[part.of_one for part in each] for each in found], wanted)


def test_the_share_of_clips_in_tasks_and_in_tasks_x_seeds_is_unbiased() -> None:
    generator = np.random.default_rng(4)
    num_tasks = 8
    weights = clip_weights(FOUR_CLASSES, metric="mean-per-class")
    found = []
    for _ in range(600):
        clips = generator.normal(0, 2.0, (num_tasks, 1, CLIPS))
        noise = generator.normal(0, 1.0, (num_tasks, SEEDS, CLIPS))
        tasks = generator.normal(0, 0.7, (num_tasks, 1, 1))
        both = generator.normal(0, 0.3, (num_tasks, SEEDS, 1))
        values = tasks + both + clips + noise
        shares = clip_noise(list(values), [FOUR_CLASSES] * num_tasks, metric="mean-per-class")
        estimate = mean_over_tasks(values @ weights)
        found.append([*shares, estimate.of_tasks, estimate.of_both])
    wanted = [4.0 * SQUARES, SQUARES, 0.49 + 4.0 * SQUARES, 0.09 + SQUARES]
    close(found, wanted)


def test_the_noise_of_clips_is_the_mean_of_their_variance_under_one_seed() -> None:
    values = world(np.random.default_rng(5), (SEEDS, 3, CLIPS)).swapaxes(0, 1)  # three tasks
    alike, by_seed = clip_noise(list(values), [FOUR_CLASSES] * 3, metric="mean-per-class")
    single = [
        sum(
            of[each == FOUR_CLASSES].var(ddof=1) / np.sum(each == FOUR_CLASSES) for each in range(4)
        )
        / 16
        for task in values
        for of in task
    ]
    assert alike + by_seed == pytest.approx(np.mean(single))


def test_what_has_no_spread_within_its_class_is_refused() -> None:
    with pytest.raises(ValueError, match="fewer than 2 scored clips"):
        variance_parts(np.zeros((2, 2, 3)), np.array([0, 0, 1]), metric="top-1")
    with pytest.raises(ValueError, match=r"expected \(S, R, 3\)"):
        variance_parts(np.zeros((2, 3)), np.array([0, 0, 1]), metric="top-1")
