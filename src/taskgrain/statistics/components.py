"""Variance components of a difference: what seeds, draws, clips and tasks each add to it.

Every estimate is unbiased, so that one may be below 0, and is in the squared unit of the values.

Shapes: S encoder seeds, R support draws, N scored clips, m tasks.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from taskgrain.names import ClipMetric
from taskgrain.statistics.crossed import Axes, variance_parts
from taskgrain.statistics.intervals import clip_weights

Values = NDArray[np.generic]
AXES = ("seeds", "draws", "clips")


@dataclass(frozen=True, slots=True)
class Part:
    """One component: what it adds to the variance of the mean is `of_one` over `units`.

    `name` joins what varies, "seeds x clips". Clips count as one unit, the scored clips together:
    their component is the variance over other test sets of as many clips of the same classes.
    """

    name: str
    of_one: float  # variance that one unit adds
    units: int  # that the mean is taken over

    @property
    def in_mean(self) -> float:
        """What it adds to the variance of the mean."""
        return self.of_one / self.units


def shared_components(
    values: Values, category: NDArray[np.int64], *, metric: ClipMetric
) -> list[Part]:
    """Split the variance of a difference where all seeds answer the same clips.

    The model is d(s, r, i) = mean of the clip's class + S(s) + R(r) + C(i) + the interactions of
    seed, draw and clip, all random; the classes are fixed. `crossed.variance_parts` has the
    formulas. The clips' component is that of the closed form over clips within classes, sum over
    classes of (weight of the class)^2 s^2 / (clips of the class), less what clips share with seeds
    and draws.

    Args:
        values: (S, R, N), of a seed, a draw and a clip, the difference of two answers.
        category: int64 (N,), two clips of each or more.
        metric: how clips are weighed.

    Returns:
        A part for each set of seeds, draws and clips that vary; with one seed it is held fixed, and
        has none.
    """
    return [
        _part(axes, value, values.shape)
        for axes, value in variance_parts(values, category, metric=metric).items()
    ]


def rotating_components(
    values: Sequence[Values], categories: Sequence[NDArray[np.int64]], *, metric: ClipMetric
) -> list[Part]:
    """Split the variance of a difference where each seed answers clips of its own.

    Draws and clips are nested in seeds: the variance over the S values of the seeds (S - 1 in the
    denominator) is what seeds add, with their classes, and what draws and clips add under one seed.
    The latter are means over the seeds of `crossed.variance_parts`, and the seeds' component is the
    rest.

    Args:
        values: of each seed (R, N), as in `shared_components`; two seeds or more.
        categories: of each seed int64 (N,), two clips of each or more.
        metric: how clips are weighed.
    """
    of_seed = [
        float(each.mean(axis=0, dtype=np.float64) @ clip_weights(category, metric=metric))
        for each, category in zip(values, categories, strict=True)
    ]
    within = [
        variance_parts(each[None], category, metric=metric)
        for each, category in zip(values, categories, strict=True)
    ]
    mean = {axes: float(np.mean([each[axes] for each in within])) for axes in within[0]}
    num_seeds, num_draws = len(values), len(values[0])
    over_seeds = float(np.var(of_seed, ddof=1)) - sum(mean.values())
    nested = [_part(axes, value, (1, num_draws)) for axes, value in mean.items()]
    return [
        Part("seeds", over_seeds, num_seeds),
        *(Part(each.name, each.of_one, each.units * num_seeds) for each in nested),
    ]


def clip_noise(
    values: Sequence[Values], categories: Sequence[NDArray[np.int64]], *, metric: ClipMetric
) -> tuple[float, float]:
    """Estimate how much of the variance of tasks, and of tasks x seeds, is noise of their clips.

    Under one seed a task's difference varies over other test clips by V_C + V_SC: a clip may favour
    one source under every seed (V_C, which counts among what tasks differ by) or under one seed
    (V_SC, which counts among tasks x seeds). Both are means over tasks of two-way analyses of
    variance, seeds x clips within classes (`crossed.variance_parts` with one draw).

    Args:
        values: of each task (S, N), the difference of a clip's scores, over all draws; two seeds
            or more.
        categories: of each task int64 (N,), two clips of each or more.
        metric: how clips are weighed.

    Returns:
        V_C and V_SC.
    """
    found = [
        variance_parts(each[:, None], category, metric=metric)
        for each, category in zip(values, categories, strict=True)
    ]
    alike, by_seed = (
        float(np.mean([each[axes] * units for each in found]))
        for axes, units in (((2,), 1), ((0, 2), len(values[0])))
    )
    return alike, by_seed


def _part(axes: Axes, in_mean: float, shape: tuple[int, ...]) -> Part:
    """Name a set of axes, and turn what it adds to the mean into what one unit adds."""
    units = int(np.prod([shape[axis] for axis in axes if AXES[axis] != "clips"], dtype=np.int64))
    return Part(" x ".join(AXES[axis] for axis in axes), in_mean * units, units)
