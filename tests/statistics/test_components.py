from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from taskgrain.statistics.components import (
    Part,
    clip_noise,
    rotating_components,
    shared_components,
)
from taskgrain.statistics.crossed import variance_parts
from taskgrain.statistics.intervals import clip_weights
from taskgrain.statistics.tasks import mean_over_tasks

Array = NDArray[np.float64]
CATEGORY = np.repeat(np.arange(4), (3, 5, 8, 4))
SEEDS, DRAWS, CLIPS = 4, 5, len(CATEGORY)
SPREAD = {  # standard deviations of the effects
    (0,): 0.5,
    (1,): 0.4,
    (2,): 2.0,
    (0, 1): 0.3,
    (0, 2): 1.0,
    (1, 2): 0.8,
    (0, 1, 2): 1.5,
}
SQUARES = float((clip_weights(CATEGORY, metric="mean-per-class") ** 2).sum())


def world(generator: np.random.Generator, shape: tuple[int, int, int]) -> Array:
    """Draw effects of seeds, draws, clips and their interactions about the means of classes."""
    values = np.broadcast_to(np.arange(4.0)[CATEGORY], shape).copy()
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
        shared_components(world(generator, shape), CATEGORY, metric="mean-per-class")
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
    weights = clip_weights(CATEGORY, metric="mean-per-class")
    made = [world(generator, (SEEDS, DRAWS, CLIPS)) for _ in range(2000)]
    means = [float((each @ weights).mean()) for each in made]
    parts = [shared_components(each, CATEGORY, metric="mean-per-class") for each in made[:500]]
    estimate = float(np.mean([sum(part.in_mean for part in each) for each in parts]))
    assert estimate == pytest.approx(float(np.var(means)), rel=0.12)


def test_without_other_seeds_and_draws_clips_have_the_closed_form_within_classes() -> None:
    values = world(np.random.default_rng(2), (1, 1, CLIPS))
    ((axes, found),) = variance_parts(values, CATEGORY, metric="mean-per-class").items()
    assert axes == (2,)
    of_class = [values[0, 0, each == CATEGORY] for each in range(4)]
    assert found == pytest.approx(sum(each.var(ddof=1) / len(each) for each in of_class) / 16)
    top_1 = variance_parts(values, CATEGORY, metric="top-1")[2,]
    assert top_1 == pytest.approx(sum(e.var(ddof=1) * len(e) for e in of_class) / CLIPS**2)


def test_components_of_clips_of_each_seeds_own_are_unbiased() -> None:
    generator = np.random.default_rng(3)

    def one() -> list[Part]:
        seeds = generator.normal(0, 0.5, SEEDS)
        values = [world(generator, (1, DRAWS, CLIPS))[0] + seed for seed in seeds]
        return rotating_components(values, [CATEGORY] * SEEDS, metric="mean-per-class")

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
    weights = clip_weights(CATEGORY, metric="mean-per-class")
    found = []
    for _ in range(600):
        clips = generator.normal(0, 2.0, (num_tasks, 1, CLIPS))
        noise = generator.normal(0, 1.0, (num_tasks, SEEDS, CLIPS))
        tasks = generator.normal(0, 0.7, (num_tasks, 1, 1))
        both = generator.normal(0, 0.3, (num_tasks, SEEDS, 1))
        values = tasks + both + clips + noise
        shares = clip_noise(list(values), [CATEGORY] * num_tasks, metric="mean-per-class")
        estimate = mean_over_tasks(values @ weights)
        found.append([*shares, estimate.of_tasks, estimate.of_both])
    wanted = [4.0 * SQUARES, SQUARES, 0.49 + 4.0 * SQUARES, 0.09 + SQUARES]
    close(found, wanted)


def test_the_noise_of_clips_is_the_mean_of_their_variance_under_one_seed() -> None:
    values = world(np.random.default_rng(5), (SEEDS, 3, CLIPS)).swapaxes(0, 1)  # three tasks
    alike, by_seed = clip_noise(list(values), [CATEGORY] * 3, metric="mean-per-class")
    single = [
        sum(of[each == CATEGORY].var(ddof=1) / np.sum(each == CATEGORY) for each in range(4)) / 16
        for task in values
        for of in task
    ]
    assert alike + by_seed == pytest.approx(np.mean(single))


def test_what_has_no_spread_within_its_class_is_refused() -> None:
    with pytest.raises(ValueError, match="fewer than 2 scored clips"):
        variance_parts(np.zeros((2, 2, 3)), np.array([0, 0, 1]), metric="top-1")
    with pytest.raises(ValueError, match=r"expected \(S, R, 3\)"):
        variance_parts(np.zeros((2, 3)), np.array([0, 0, 1]), metric="top-1")
